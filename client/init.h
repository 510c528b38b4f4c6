// How tasks of this program run: what its executors, and embedded workers, need to know of user code.
#pragma once

#include "worker/run_function.h"

namespace weft::client {

/// Finds functions in the images of this process, describes exceptions with the stack of their throw, and runs what was
/// given to `on_executor_start`.
worker::FunctionRuntime user_code();

}  // namespace weft::client
