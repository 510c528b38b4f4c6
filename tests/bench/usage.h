// What a run costs each process: CPU time to the nanosecond, memory, bytes and packets on its TCP links. Read from the kernel, so
// the measured programs know nothing of it and peers are measured alike.
#pragma once

#include <cstdint>
#include <thread>
#include <vector>

namespace weft::bench {

/// The processes of a cluster. 0 as scheduler: everything runs in this process.
struct Processes {
  int scheduler = 0;
  std::vector<int> workers;
  std::vector<int> ports;       // that the scheduler listens on: whose links carry control messages
  std::vector<int> value_ports; // that workers serve values on
};

/// CPU seconds, user and system, of all threads that a process has or had; 0 for one that is gone.
double cpu_seconds_of(int pid);
/// CPU seconds of the whole machine that were not idle.
double busy_seconds_of_machine();
/// Resident bytes now, and the most since `forget_peak_memory`.
std::uint64_t resident_bytes(int pid);
std::uint64_t peak_resident_bytes(int pid);
void forget_peak_memory(int pid);
/// Direct and indirect children.
std::vector<int> descendants(int pid);

/// The most memory that these processes had together, above what they had at first; looked at 200 times a second
/// by a thread, as long as it lives.
class MemoryPeak {
 public:
  explicit MemoryPeak(std::vector<int> pids);
  std::uint64_t bytes();   // ends the looking

 private:
  std::uint64_t now() const;
  std::vector<int> pids_;
  std::uint64_t first_, peak_;
  std::jthread thread_;    // last: it uses the others
};

/// Both directions of all established TCP links whose local port is one of these.
struct Traffic {
  std::uint64_t bytes = 0;
  std::uint64_t packets = 0;    // with data in them
};
Traffic traffic_of(const std::vector<int>& ports);

/// Seconds of CPU, in each kind of process. In an embedded cluster all is `client`.
struct Usage {
  double client = 0, scheduler = 0, workers = 0, executors = 0;
  Usage& operator+=(const Usage& other);
  Usage operator-(const Usage& other) const;
};
Usage usage_of(const Processes& processes);

/// Wait until other programs use less than a tenth of a core, at most so many seconds. Returns the share of one core that they used
/// at the last look.
double wait_until_quiet(double seconds_max);

}  // namespace weft::bench
