// System calls that no task needs and that reach beyond its process: refused by the kernel before they begin (seccomp).
//
// A filter of our own instead of libseccomp: it is a list of numbers and six rules on arguments, made before the clone and
// installed by one system call after it; a library would be one more package on every user's machine for a program of 100
// instructions. Of the calls that are allowed the kernel keeps a bitmap, so they run no instruction of it.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace weft::worker {

/// `tracing`: processes may trace their own children and be measured (debuggers, profilers); only where something else keeps them
/// from tracing others.
std::vector<sock_filter> make_system_call_filter(bool tracing);

/// Put this process, and all that it starts, behind the filter. Only system calls. False sets errno.
bool install_system_call_filter(const std::vector<sock_filter>& filter);

/// Whether this kernel has such filters.
bool has_system_call_filters();

}  // namespace weft::worker
