#include "worker/orphans.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

namespace weft::worker {
namespace {

constexpr int kill_rounds_max = 100;  // of killing, 1 ms apart: each may orphan another generation

// A brand: from 2^61 on, 30 bits of the daemon, 30 bits of the executor.
constexpr std::uint64_t first_brand = 1ull << 61;
constexpr int executor_bits = 30;

std::uint64_t family() {
  static const std::uint64_t drawn = [] {
    std::uint64_t bits = 0;
    if (getrandom(&bits, sizeof bits, 0) != sizeof bits) bits = static_cast<std::uint64_t>(getpid());
    return bits & ((1ull << executor_bits) - 1);
  }();
  return drawn;
}

/// 0: none.
std::uint64_t brand_of(int pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/limits");
  const std::string name = "Max resident set";
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(name)) continue;
    std::size_t soft = line.find_first_not_of(' ', name.size());
    std::size_t hard = soft == line.npos ? soft : line.find_first_of("0123456789", line.find(' ', soft));
    if (hard == line.npos) return 0;
    std::uint64_t value = std::strtoull(line.c_str() + hard, nullptr, 10);
    return value >= first_brand && value < 2 * first_brand ? value : 0;
  }
  return 0;
}

bool is_of_family(int pid) {
  std::uint64_t brand = brand_of(pid);
  return brand != 0 && (brand & ~first_brand) >> executor_bits == family();
}

std::vector<int> children() {
  std::vector<int> pids;
  std::error_code error;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", error)) {
    std::ifstream in(thread.path() / "children");
    for (int pid; in >> pid;) pids.push_back(pid);
  }
  return pids;
}

bool reap(int pid) {
  siginfo_t ended{};
  return waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG) != 0 || ended.si_pid == pid;
}

/// Dead already, and waits for its parent to take note.
bool is_zombie(int pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(in, line);
  std::size_t name_end = line.rfind(')');
  return name_end == line.npos || line.compare(name_end, 3, ") Z") == 0;
}

/// True if there was something to kill.
bool kill_family() {
  bool found = false;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    int pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0 || !is_of_family(pid) || is_zombie(pid)) continue;
    kill(pid, SIGKILL);
    found = true;
  }
  return found;
}

[[noreturn]] void keep_watch(int lifeline) {
  setsid();  // what the terminal or an operator says to the daemon's group is not for us
  for (int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP}) ::signal(signal, SIG_IGN);
  prctl(PR_SET_NAME, "weft-keeper");
  if (dup2(lifeline, 3) < 0) _exit(1);
  for (int standard : {0, 1, 2}) close(standard);
  syscall(SYS_close_range, 4u, ~0u, 0u);
  char nothing;
  while (read(3, &nothing, 1) < 0) {
  }
  // What is killed may have started others meanwhile; what cannot be killed must not keep us for ever.
  for (int round = 0, quiet = 0; round < 100 * kill_rounds_max && quiet < 3; ++round) {
    quiet = kill_family() ? 0 : quiet + 1;
    poll(nullptr, 0, 1);
  }
  _exit(0);
}

}  // namespace

void adopt_orphans() { prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

bool adopts_orphans() {
  int answer = 0;
  return prctl(PR_GET_CHILD_SUBREAPER, &answer, 0, 0, 0) == 0 && answer != 0;
}

std::uint64_t new_brand() {
  static std::atomic<std::uint64_t> count{0};
  return first_brand | family() << executor_bits | (++count & ((1ull << executor_bits) - 1));
}

void kill_orphans(std::uint64_t brand) {
  std::set<int> killed;  // they have no limits to read any more
  for (int round = 0; round < kill_rounds_max; ++round) {
    for (int pid : children()) {
      if (!killed.contains(pid) && brand != 0 && brand_of(pid) != brand) continue;
      kill(pid, SIGKILL);  // our child, and only we reap: the number cannot be another's
      killed.insert(pid);
    }
    if (killed.empty()) return;
    poll(nullptr, 0, 1);
    std::erase_if(killed, reap);
  }
}

void reap_orphans(const std::vector<int>& executors) {
  for (int pid : children())
    if (std::ranges::find(executors, pid) == executors.end()) reap(pid);
}

void start_keeper() {
  int ends[2];
  family();  // drawn before, so that both know it
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  pid_t keeper = fork();
  if (keeper == 0) close(ends[1]), keep_watch(ends[0]);
  close(ends[0]);
  if (keeper < 0) close(ends[1]);  // else open as long as we live
}

}  // namespace weft::worker
