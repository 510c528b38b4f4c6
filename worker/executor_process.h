// The child side of executor processes: the user's program, started by a worker daemon, runs tasks until it is killed.
#pragma once

#include "worker/run_function.h"

namespace weft::worker {

/// Run tasks for the daemon at the other end of this descriptor (the number in WEFT_EXECUTOR). Called by weft::init, first
/// thing in `main`, on the main thread. Never returns; the daemon ends the process.
[[noreturn]] void run_executor(int descriptor, FunctionRuntime runtime);

}  // namespace weft::worker
