// What an executor is kept from: its worker (memory, signals, limits), the machine, and in `own` the files of others and the keys.
// What the kernel does not offer is left out; `weft doctor` and the worker's log say so. None of it makes hostile tenants safe
// on one worker: they still share a user, a network and the memory of the values they read.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/time.h"

namespace weft::worker {

namespace landlock {
class Ruleset;
}

/// Which files executors may use.
enum class Files : std::uint8_t {
  user,  // what our user may: the tasks are the user's own program on the user's own machine
  own,   // write in their own folder and the allowed paths, read all but the secret folders
};

struct ContainmentOptions {
  Files files = Files::user;
  std::vector<std::string> allowed;    // read and written too
  std::vector<std::string> secret;     // folders with keys
  bool tracing = false;                // a wrapper may be a debugger or a profiler
  std::uint64_t descriptors_max = 0;   // soft limit; 0: as ours
};

/// What one process takes on between clone and exec.
struct Restraints {
  std::array<std::shared_ptr<landlock::Ruleset>, 2> domains;
  std::shared_ptr<const std::vector<sock_filter>> filter;
  std::uint64_t brand = 0;             // orphans.h
  std::uint64_t processes_max = 0, descriptors_max = 0;
  /// Only system calls. Null, or what failed (errno says why): then nothing may be started.
  const char* take_on() const;
};

class Containment {
 public:
  explicit Containment(ContainmentOptions options);
  /// For a process with this folder and brand.
  Restraints restraints(const std::string& folder, std::uint64_t brand);
  /// What `own` needs and this machine does not have, as a sentence; empty if all is there.
  static std::string missing();

 private:
  const ContainmentOptions options_;
  std::shared_ptr<const std::vector<sock_filter>> filter_;
  std::shared_ptr<landlock::Ruleset> readable_;  // made anew for processes that start later than a second after
  Time readable_since_;
};

}  // namespace weft::worker
