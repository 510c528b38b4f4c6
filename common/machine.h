// What this process may use of its machine: the limits of the control group (containers, batch systems) count, not what the
// machine has.
#pragma once

#include <cstdint>
#include <string>

namespace weft {

/// Processors we may use at once, at least 1: affinity and cgroup quota (rounded up) considered.
unsigned usable_cores();

/// Bytes of memory we may use: the least of the machine's and of every cgroup limit above us.
std::uint64_t usable_memory();

/// The limit of our cgroup or one above it, in bytes; 0 if there is none.
std::uint64_t cgroup_memory_limit();
/// Processors of our cgroup's quota; 0 if there is none.
double cgroup_cores();

/// Raise our soft limit of open files to `wanted`, as far as the hard limit lets us; returns what it is then.
std::uint64_t raise_open_files(std::uint64_t wanted);

/// The machine's name, as others see it.
std::string host_name();

/// The running kernel and our user: programs with equal texts can share memory if they see the same files.
std::string host_id();

}  // namespace weft
