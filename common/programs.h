// Where our own programs are: what a LocalCluster starts.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"

namespace weft {

/// Find a program of ours, such as "weft-worker". Looked for in this order: the file that $WEFT_WORKER_PROGRAM names (for
/// weft-worker; $WEFT_SCHEDULER_PROGRAM, ...), beside the running program, beside libweft.so and in the bin folder that
/// belongs to it, and in $PATH. The failure says where it looked.
Result<std::string> find_program(std::string_view name);

}  // namespace weft
