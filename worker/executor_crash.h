// The last words of an executor: a signal handler in the executor writes them into shared memory, the daemon turns them into
// a traceback.
#pragma once

#include <string>

#include "worker/executor_ring.h"

namespace weft::worker {

/// Executor: from now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT write signal, address and stack into the note, then end
/// the process as they would have. The calling thread gets an alternate stack, so stack overflows are told too.
void record_crashes(CrashNote& note);

/// Daemon: the note's stack, one frame a line: "image(+0xoffset) [0xaddress]". Trusts nothing in it.
std::string crash_traceback(const CrashNote& note);

}  // namespace weft::worker
