// One task run again in a process of its own, for a look at it: what `weft debug` starts instead of an executor.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/messages.h"

namespace weft::client {

/// The environment variable by which a program learns that it is to run one task: the folder that `weft debug` prepared.
inline constexpr const char* debug_variable = "WEFT_DEBUG_TASK";

/// What lies in the folder's file "task".
struct DebugTask {
  Key key;
  Template shape;
  Bytes arguments;
  std::vector<Bytes> inputs;   // values in their wire form
  bool note_crash = true;      // into the file "crash"; a debugger wants to see them itself
  template <class A>
  void fields(A& a) {
    a(key, shape, arguments, inputs, note_crash);
  }
};

/// Run it, write how it ended into the file "outcome", and exit.
[[noreturn]] void run_debug_task(const std::string& folder);

/// How it ended: the failure, with the stack as text; kind none: it returned, and the message says what. Nothing if its process
/// ended before that.
std::optional<Failure> read_debug_outcome(const std::string& folder);

/// Make the folder for a task. Errors are the disk's.
Result<void> write_debug_task(const std::string& folder, const DebugTask& task);

/// The stack that a crash left in the folder; empty if there was none.
std::vector<Frame> debug_crash_frames(const std::string& folder);

}  // namespace weft::client
