#include "bench/usage.h"

#include <dirent.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "common/time.h"

namespace weft::bench {

namespace {

constexpr double quiet_cores = 0.1;
constexpr unsigned established = 1;  // TCP_ESTABLISHED; its header cannot stand beside that of tcp_info
constexpr Duration quiet_look = 700ms;

/// A line "NAME:   123 kB" of /proc/PID/status, in bytes.
std::uint64_t status_bytes(int pid, const char* name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name)) return std::strtoull(line.c_str() + std::strlen(name), nullptr, 10) * 1024;
  return 0;
}

double seconds(const timespec& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9; }

}  // namespace

double cpu_seconds_of(int pid) {
  clockid_t clock;
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return seconds(time);
}

double busy_seconds_of_machine() {
  std::ifstream file("/proc/stat");
  std::string cpu;
  double user = 0, nice = 0, system = 0, idle = 0, wait = 0, interrupts = 0, soft_interrupts = 0, stolen = 0;
  file >> cpu >> user >> nice >> system >> idle >> wait >> interrupts >> soft_interrupts >> stolen;
  return (user + nice + system + interrupts + soft_interrupts + stolen) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::uint64_t resident_bytes(int pid) { return status_bytes(pid, "VmRSS:"); }
std::uint64_t peak_resident_bytes(int pid) { return status_bytes(pid, "VmHWM:"); }
void forget_peak_memory(int pid) { std::ofstream("/proc/" + std::to_string(pid) + "/clear_refs") << "5"; }

std::vector<int> descendants(int pid) {
  std::multimap<int, int> children;
  DIR* folder = opendir("/proc");
  if (!folder) return {};
  while (const dirent* entry = readdir(folder)) {
    int child = std::atoi(entry->d_name), parent = 0;
    if (child <= 0) continue;
    std::ifstream file("/proc/" + std::string(entry->d_name) + "/stat");
    std::string text;
    std::getline(file, text);
    // The name in parentheses may contain anything; the state and the parent follow the last one.
    auto behind = text.rfind(')');
    if (behind != std::string::npos && std::sscanf(text.c_str() + behind + 1, " %*c %d", &parent) == 1) children.emplace(parent, child);
  }
  closedir(folder);
  std::vector<int> found{pid};
  for (std::size_t at = 0; at < found.size(); ++at) {
    auto [first, last] = children.equal_range(found[at]);
    for (; first != last; ++first) found.push_back(first->second);
  }
  found.erase(found.begin());
  return found;
}

MemoryPeak::MemoryPeak(std::vector<int> pids) : pids_(std::move(pids)), first_(now()), peak_(first_), thread_([this](std::stop_token stop) {
  while (!stop.stop_requested()) {
    peak_ = std::max(peak_, now());
    std::this_thread::sleep_for(5ms);
  }
}) {}

std::uint64_t MemoryPeak::now() const {
  std::uint64_t sum = 0;
  for (int pid : pids_) sum += resident_bytes(pid);
  return sum;
}

std::uint64_t MemoryPeak::bytes() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  return peak_ - first_;
}

static void add_links(int family, const std::set<int>& ports, Traffic& traffic) {
  struct {
    nlmsghdr head;
    inet_diag_req_v2 request;
  } question{};
  question.head = {.nlmsg_len = sizeof question, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP};
  question.request.sdiag_family = static_cast<std::uint8_t>(family);
  question.request.sdiag_protocol = IPPROTO_TCP;
  question.request.idiag_ext = 1 << (INET_DIAG_INFO - 1);
  question.request.idiag_states = 1 << established;
  int link = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (link < 0 || send(link, &question, sizeof question, 0) < 0) {
    if (link >= 0) close(link);
    return;
  }
  alignas(nlmsghdr) char buffer[1 << 16];
  for (bool more = true; more;) {
    ssize_t got = recv(link, buffer, sizeof buffer, 0);
    if (got <= 0) break;
    auto left = static_cast<unsigned>(got);
    for (auto* head = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
      if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR) {
        more = false;
        break;
      }
      auto* found = static_cast<inet_diag_msg*>(NLMSG_DATA(head));
      if (!ports.contains(ntohs(found->id.idiag_sport))) continue;
      int rest = static_cast<int>(head->nlmsg_len - NLMSG_LENGTH(sizeof *found));
      auto* attribute = reinterpret_cast<rtattr*>(found + 1);
      for (; RTA_OK(attribute, rest); attribute = RTA_NEXT(attribute, rest)) {
        if (attribute->rta_type != INET_DIAG_INFO) continue;
        tcp_info info{};
        std::memcpy(&info, RTA_DATA(attribute), std::min<std::size_t>(RTA_PAYLOAD(attribute), sizeof info));
        traffic.bytes += info.tcpi_bytes_acked + info.tcpi_bytes_received;
        traffic.packets += info.tcpi_data_segs_in + info.tcpi_data_segs_out;
      }
    }
  }
  close(link);
}

Traffic traffic_of(const std::vector<int>& ports) {
  Traffic traffic;
  std::set<int> wanted(ports.begin(), ports.end());
  if (wanted.empty()) return traffic;
  add_links(AF_INET, wanted, traffic);
  add_links(AF_INET6, wanted, traffic);
  return traffic;
}

Usage& Usage::operator+=(const Usage& other) {
  client += other.client, scheduler += other.scheduler, workers += other.workers, executors += other.executors;
  return *this;
}
Usage Usage::operator-(const Usage& other) const {
  return {client - other.client, scheduler - other.scheduler, workers - other.workers, executors - other.executors};
}

Usage usage_of(const Processes& processes) {
  Usage usage;
  usage.client = cpu_seconds_of(getpid());
  if (processes.scheduler) usage.scheduler = cpu_seconds_of(processes.scheduler);
  for (int worker : processes.workers) {
    usage.workers += cpu_seconds_of(worker);
    for (int executor : descendants(worker)) usage.executors += cpu_seconds_of(executor);
  }
  return usage;
}

double wait_until_quiet(double seconds_max) {
  Time deadline = monotonic_now() + Duration(static_cast<std::int64_t>(seconds_max * 1e9));
  for (;;) {
    double before = busy_seconds_of_machine() - cpu_seconds_of(getpid());
    Time began = monotonic_now();
    std::this_thread::sleep_for(quiet_look);
    double cores = (busy_seconds_of_machine() - cpu_seconds_of(getpid()) - before) / (static_cast<double>((monotonic_now() - began).count()) * 1e-9);
    if (cores < quiet_cores || monotonic_now() >= deadline) return std::max(0.0, cores);
  }
}

}  // namespace weft::bench
