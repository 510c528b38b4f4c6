#include "reliability/processes.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "reliability/check.h"

namespace weft::reliability {

namespace fs = std::filesystem;

namespace {

std::string proc(int pid, const char* file) { return "/proc/" + std::to_string(pid) + '/' + file; }

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace

Ran run(const std::string& command) {
  FILE* pipe = popen(("{ " + command + "; } 2>&1").c_str(), "r");
  need(pipe, "no shell");
  std::string output;
  std::array<char, 4096> buffer;
  while (std::size_t size = fread(buffer.data(), 1, buffer.size(), pipe)) output.append(buffer.data(), size);
  int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), std::move(output)};
}

std::vector<int> children_of(int pid) {
  std::vector<int> children;
  std::error_code gone;
  for (fs::directory_iterator thread(proc(pid, "task"), gone), end; !gone && thread != end; thread.increment(gone)) {
    std::istringstream numbers(text_of(thread->path().string() + "/children"));
    for (int child; numbers >> child;) children.push_back(child);
  }
  return children;
}

std::vector<int> descendants_of(int pid) {
  std::vector<int> all = children_of(pid);
  for (std::size_t i = 0; i < all.size(); ++i)
    for (int child : children_of(all[i])) all.push_back(child);
  return all;
}

void adopt_orphans() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

std::string describe_process(int pid) {
  std::string name = text_of(proc(pid, "comm"));
  if (name.empty()) return {};
  name.pop_back();
  return std::to_string(pid) + " (" + name + ')';
}

std::size_t descriptors_of(int pid) {
  std::size_t count = 0;
  std::error_code gone;
  for (fs::directory_iterator at(proc(pid, "fd"), gone), end; !gone && at != end; at.increment(gone)) ++count;
  return count;
}

std::uint64_t resident_bytes(int pid) {
  std::istringstream numbers(text_of(proc(pid, "statm")));
  std::uint64_t size = 0, resident = 0;
  numbers >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

Duration processor_time(int pid) {
  std::string text = text_of(proc(pid, "stat"));
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 2)));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  std::uint64_t user = 0, system = 0;
  fields >> user >> system;
  return Duration(1s) * (user + system) / sysconf(_SC_CLK_TCK);
}

std::size_t limit_descriptors(int pid, std::size_t count) {
  rlimit before{};
  prlimit(pid, RLIMIT_NOFILE, nullptr, &before);
  rlimit wanted{std::min<rlim_t>(count, before.rlim_max), before.rlim_max};
  prlimit(pid, RLIMIT_NOFILE, &wanted, nullptr);
  return before.rlim_cur;
}

std::string small_disk(const std::string& folder, int megabytes) {
  fs::create_directory(folder);
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return {};
  std::string options = "size=" + std::to_string(megabytes) + "m,mode=0700";
  if (mount("weft-small-disk", folder.c_str(), "tmpfs", 0, options.c_str()) != 0) return {};
  return folder;
}

void fill_disk(const std::string& folder) {
  int file = open((folder + "/filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  for (off_t at = 0, size = 1 << 20; size >= 4096;) {
    if (posix_fallocate(file, at, size) == 0) at += size;
    else size /= 2;
  }
  close(file);
}
void make_room(const std::string& folder) { unlink((folder + "/filler").c_str()); }

}  // namespace weft::reliability
