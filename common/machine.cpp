#include "common/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <functional>
#include <sstream>
#include <string_view>
#include <thread>

namespace weft {

namespace {

// Our control groups as folders, from ours up to the root of what we see. `controller` is empty for version 2, "memory" or
// "cpu" for version 1. Inside a container the path may not exist: there the root is ours.
void each_group(const std::string& controller, const std::function<void(const std::string& folder)>& visit) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string list = ',' + line.substr(first + 1, second - first - 1) + ',';
    bool ours = controller.empty() ? list == ",," : list.find(',' + controller + ',') != std::string::npos;
    if (!ours) continue;
    std::string root = controller.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller;
    std::string path = line.substr(second + 1);
    for (;;) {
      visit(root + path);
      std::size_t slash = path.rfind('/');
      if (slash == std::string::npos || path == "/") break;
      path.resize(slash);
    }
  }
}

}  // namespace

std::uint64_t cgroup_memory_limit() {
  std::uint64_t least = 0;
  auto look = [&](const std::string& path) {
    std::ifstream file(path);
    std::uint64_t bytes = 0;  // "max" is no number
    // Version 1 says "no limit" as a huge number.
    if (file >> bytes && bytes > 0 && bytes < (1ull << 62)) least = least == 0 ? bytes : std::min(least, bytes);
  };
  each_group("", [&](const std::string& folder) { look(folder + "/memory.max"); });
  each_group("memory", [&](const std::string& folder) { look(folder + "/memory.limit_in_bytes"); });
  return least;
}

double cgroup_cores() {
  double least = 0;
  auto note = [&](double quota, double period) {
    if (quota > 0 && period > 0) least = least == 0 ? quota / period : std::min(least, quota / period);
  };
  each_group("", [&](const std::string& folder) {
    std::ifstream file(folder + "/cpu.max");
    double quota = 0, period = 0;  // "max 100000" is no quota
    if (file >> quota >> period) note(quota, period);
  });
  each_group("cpu", [&](const std::string& folder) {
    std::ifstream quota_file(folder + "/cpu.cfs_quota_us"), period_file(folder + "/cpu.cfs_period_us");
    double quota = 0, period = 0;
    if (quota_file >> quota && period_file >> period) note(quota, period);
  });
  return least;
}

unsigned usable_cores() {
  unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
  if (double quota = cgroup_cores(); quota > 0) cores = std::min(cores, std::max(1u, static_cast<unsigned>(std::ceil(quota))));
  return cores;
}

std::uint64_t usable_memory() {
  auto pages = static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_PHYS_PAGES)));
  std::uint64_t bytes = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (std::uint64_t limit = cgroup_memory_limit(); limit > 0) bytes = std::min(bytes, limit);
  return bytes;
}

std::uint64_t raise_open_files(std::uint64_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 && name[0] ? name.data() : "localhost";
}

std::string host_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  return file >> boot ? boot + '-' + std::to_string(geteuid()) : std::string();
}

}  // namespace weft
