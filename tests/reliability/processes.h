// Looking at processes from outside: who descends from whom, what they have open, what they leave behind.
#pragma once

#include <string>
#include <vector>

#include "common/time.h"

namespace weft::reliability {

/// Direct children of every thread of the process.
std::vector<int> children_of(int pid);
/// Children, their children, and so on; orphans of ours too, after `adopt_orphans`.
std::vector<int> descendants_of(int pid);
/// Orphans of our descendants become our children instead of init's.
void adopt_orphans();
/// "pid (name)"; empty if there is none.
std::string describe_process(int pid);
std::size_t descriptors_of(int pid);
/// Resident bytes.
std::uint64_t resident_bytes(int pid);
/// Processor time used so far, of all its threads.
Duration processor_time(int pid);
/// So many descriptors may be open from now on; returns how many could be before.
std::size_t limit_descriptors(int pid, std::size_t count);

/// Run a shell's command to its end: its exit code (128 + a signal) and all that it wrote.
struct Ran {
  int code;
  std::string output;
};
Ran run(const std::string& command);

/// A file system of so many MiB at this folder, which only this process and its children see. Empty where that is not allowed.
std::string small_disk(const std::string& folder, int megabytes);
/// A file that takes all that is left there.
void fill_disk(const std::string& folder);
void make_room(const std::string& folder);

/// Look every few milliseconds until it is so. False: not in time.
template <class So>
bool eventually(Duration patience, So so);

}  // namespace weft::reliability

#include <thread>

template <class So>
bool weft::reliability::eventually(Duration patience, So so) {
  // What other processes do makes no event that we could wait for.
  for (Time end = monotonic_now() + patience; !so(); std::this_thread::sleep_for(2ms))
    if (monotonic_now() >= end) return so();
  return true;
}
