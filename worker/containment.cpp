#include "worker/containment.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "worker/landlock.h"
#include "worker/orphans.h"
#include "worker/system_call_filter.h"

namespace weft::worker {
namespace {

// A fork bomb gets so many processes and threads beyond those that the machine had before. (Not if our user is root: the
// kernel does not count root's.)
constexpr std::uint64_t more_processes = 8192;
constexpr Duration list_kept = 1s;

// Where libraries write that are not files: graphics and network cards.
constexpr const char* devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/dri", "/dev/kfd", "/dev/infiniband"};
constexpr std::string_view device_families[] = {"nvidia", "dxg"};

// Of root's powers a task keeps those over its own kind of files.
constexpr int kept_capabilities[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_IPC_LOCK, CAP_NET_BIND_SERVICE};

/// Processes and threads of the machine, at least as many as our user has.
std::uint64_t threads_of_machine() {
  std::ifstream in("/proc/loadavg");
  double load;
  std::uint64_t running = 0, all = 0;
  char slash;
  in >> load >> load >> load >> running >> slash >> all;
  return all;
}

void set_limit(__rlimit_resource_t resource, rlim_t soft, rlim_t hard) {
  rlimit limit{};
  getrlimit(resource, &limit);
  limit.rlim_max = std::min(limit.rlim_max, hard);
  limit.rlim_cur = std::min({limit.rlim_cur, soft, limit.rlim_max});
  setrlimit(resource, &limit);
}

}  // namespace

const char* Restraints::take_on() const {
  // Only root may, and needs to.
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    if (std::ranges::find(kept_capabilities, capability) == std::end(kept_capabilities)) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  if (brand) set_limit(RLIMIT_RSS, RLIM_INFINITY, brand);
  if (processes_max) set_limit(RLIMIT_NPROC, processes_max, processes_max);
  if (descriptors_max) set_limit(RLIMIT_NOFILE, descriptors_max, RLIM_INFINITY);
  for (const auto& domain : domains)
    if (domain && !landlock::restrict_self(domain->descriptor())) return "it cannot be confined (Landlock)";
  if (filter && !install_system_call_filter(*filter)) return "it cannot be confined (seccomp)";
  return nullptr;
}

Containment::Containment(ContainmentOptions options) : options_(std::move(options)) {
  // Children may be traced where a domain keeps all others out of reach.
  if (has_system_call_filters())
    filter_ = std::make_shared<const std::vector<sock_filter>>(make_system_call_filter(options_.tracing || landlock::version() > 0));
}

Restraints Containment::restraints(const std::string& folder, std::uint64_t brand) {
  Restraints all{.filter = filter_, .brand = brand, .descriptors_max = options_.descriptors_max};
  if (std::uint64_t now = threads_of_machine()) all.processes_max = now + more_processes;
  if (options_.files == Files::user) {
    // No right is taken: it is the domain that counts.
    all.domains[0] = landlock::Ruleset::make(landlock::refer, landlock::signals);
    if (all.domains[0]) all.domains[0]->allow("/", landlock::refer);
    return all;
  }
  if (!readable_ || monotonic_now() - readable_since_ > list_kept) {
    constexpr std::uint64_t reading = landlock::read_file | landlock::execute;
    readable_since_ = monotonic_now();
    readable_ = landlock::Ruleset::make(reading | landlock::refer, landlock::no_scope);
    if (readable_) readable_->allow("/", landlock::refer), readable_->allow_all_but(options_.secret, reading);
  }
  all.domains[0] = readable_;
  auto writable = landlock::Ruleset::make(landlock::all_writes, landlock::signals | landlock::abstract_sockets);
  if (!writable) return all;
  if (!folder.empty()) writable->allow(folder, landlock::own_writes);
  for (const std::string& path : options_.allowed) writable->allow(path, landlock::own_writes);
  constexpr std::uint64_t use_device = landlock::write_file | landlock::truncate | landlock::ioctl_dev;
  for (const char* device : devices) writable->allow(device, use_device);
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/dev", ignored))
    for (std::string_view family : device_families)
      if (entry.path().filename().string().starts_with(family)) writable->allow(entry.path(), use_device);
  all.domains[1] = writable;
  return all;
}

std::string Containment::missing() {
  std::string text;
  if (landlock::version() < 2)
    text = "the kernel has no Landlock (Linux 5.19, and landlock in /sys/kernel/security/lsm): executors can read keys and write files of our user";
  else if (landlock::version() < 6) text = "the kernel's Landlock is older than Linux 6.12: executors can send signals to processes of our user";
  if (!has_system_call_filters()) text += (text.empty() ? "" : "; ") + std::string("no seccomp filters here: executors can use any system call");
  return text;
}

}  // namespace weft::worker
