#include "worker/orphans.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "worker/executor_link.h"

namespace weft::worker {
namespace {

constexpr int rounds_max = 100;  // of killing, 1 ms apart: each may orphan another generation

std::vector<int> children() {
  std::vector<int> pids;
  std::error_code error;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", error)) {
    std::ifstream in(thread.path() / "children");
    for (int pid; in >> pid;) pids.push_back(pid);
  }
  return pids;
}

bool carries(int pid, const std::string& mark) {
  if (mark.empty()) return true;
  std::ifstream in("/proc/" + std::to_string(pid) + "/environ", std::ios::binary);
  std::string all((std::istreambuf_iterator<char>(in)), {});
  std::string wanted = std::string(mark_variable) + '=' + mark + '\0';
  std::size_t at = all.find(wanted);
  return at == 0 || (at != std::string::npos && all[at - 1] == '\0');
}

bool reap(int pid) {
  siginfo_t ended{};
  return waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG) != 0 || ended.si_pid == pid;
}

}  // namespace

void adopt_orphans() { prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

bool adopts_orphans() {
  int answer = 0;
  return prctl(PR_GET_CHILD_SUBREAPER, &answer, 0, 0, 0) == 0 && answer != 0;
}

void kill_orphans(const std::string& mark) {
  std::set<int> killed;  // they have no environment any more
  for (int round = 0; round < rounds_max; ++round) {
    for (int pid : children()) {
      if (!killed.contains(pid) && !carries(pid, mark)) continue;
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

}  // namespace weft::worker
