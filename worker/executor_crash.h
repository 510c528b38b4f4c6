// The last words of an executor: a signal handler in the executor writes them into shared memory, the daemon turns them into
// frames.
#pragma once

#include <vector>

#include <weft/error.h>

#include "worker/executor_ring.h"

namespace weft::worker {

/// Executor: from now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT write signal, address and stack into the note, then end
/// the process as they would have. The calling thread gets an alternate stack, so stack overflows are told too.
void record_crashes(CrashNote& note);

/// In a signal handler: where the thread was, from the handler's context; null if this machine is not known.
void* interrupted_instruction(void* context);

/// Daemon: the note's stack. Trusts nothing in it.
std::vector<Frame> crash_frames(const CrashNote& note);

}  // namespace weft::worker
