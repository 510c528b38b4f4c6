// The first line of `main`: lets workers start this very program to run its functions.
#pragma once

#include <string>

namespace weft {

/// Call first in `main`. In your program it returns at once; in a process that a worker started to run tasks it never does.
///
/// What `main` does after it happens only in your program, so globals set there are not seen by tasks: see `on_executor_start`.
void init(int& argc, char** argv);

/// Run `set_up` once in each process that runs tasks, before its first task. Call it before `init`; several run in the order
/// given. In an embedded cluster it runs once in this process. An exception from it ends the process, and the tasks that wait
/// for it fail with ProgramError.
///
/// Errors: throws InvalidArgument after `init`, where executors would never see it.
void on_executor_start(void (*set_up)());

/// In a task: where a file of `ClientOptions::files` lies, by its name without folders. Read it; other tasks may share it.
///
/// Errors: throws InvalidArgument if the client attached no file of this name.
std::string attached_file(const std::string& name);

namespace detail {

bool init_called();
/// Stop a process that a worker started as executor and that goes its own way; says why on stderr.
void stop_strayed_executor();
/// For what starts or needs executors. Throws InvalidArgument if `init` was not called.
void require_init();
/// What was given to `on_executor_start`, once per process.
void set_up_executor();

}  // namespace detail
}  // namespace weft
