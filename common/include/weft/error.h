// Everything that can go wrong for a user: one data form that travels (`Failure`) and the exceptions made from it.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/key.h>

namespace weft {

/// What happened. The number is stable: it crosses the wire.
enum class ErrorKind : std::uint8_t {
  none = 0,
  task_error = 1,          // the function threw
  task_crashed = 2,        // its executor died each time it ran
  task_poisoned = 3,       // worker daemons died while it ran
  task_timeout = 4,        // one attempt ran longer than its timeout
  memory_limit = 5,        // it asked for more memory than it may have
  data_lost = 6,           // every holder of data that cannot be recomputed is gone
  cancelled = 7,           // somebody cancelled it
  worker_unavailable = 8,  // no worker can or may run it
  scheduler_reset = 9,     // the scheduler lost what it had promised
  program_changed = 10,    // the program's file was rebuilt while it runs
  protocol_error = 11,     // a peer sent what no peer may send
  invalid_argument = 12,   // the call itself is wrong
  connection_failed = 13,  // nobody answers at that address, or refuses us
  type_mismatch = 14,      // the stored value has another type than the future
  wait_timeout = 15,       // the caller's own patience ended; the task goes on
  io_error = 16,           // a file, a disk or a socket refused
  program_error = 17,      // the program cannot be started on the worker
};

/// The name of an error kind as users see it, such as "TaskError".
const char* name_of(ErrorKind kind);

/// One frame of a stack. It is recorded without looking anything up; whoever has the same file can name its function and line.
struct Frame {
  std::string image;           // path of the mapped file, where it ran
  Key build;                   // hash of the file's build id: which file it must be
  std::uint64_t offset = 0;    // of the instruction in it, as the linker counted
  std::string symbol;          // the exported function there, if the process knew one

  bool operator==(const Frame&) const = default;
  template <class A>
  void fields(A& a) {
    a(image, build, offset, symbol);
  }
};

/// One failure with its cause, as it travels from where it happened to every future that depends on it.
struct Failure {
  ErrorKind kind = ErrorKind::none;
  std::string message{};         // one sentence that says what to do
  std::string type{};            // TaskError: the exception's C++ type
  std::vector<Frame> frames{};   // stack of the throw site or of the crash, innermost first; what users get has it as text
  std::string traceback{};       // the stack as text, one frame a line; behind it the stacks of causes
  std::string output{};          // last lines the task wrote
  std::string label{};           // label of the task where it happened
  Key key{};                     // key of the task where it happened
  std::string worker{};          // worker where it happened
  std::uint32_t attempt = 0;     // which try, from 1
  std::int32_t signal = 0;       // TaskCrashed: the signal, 0 if it exited
  std::int32_t exit_code = 0;    // TaskCrashed: the exit code if it exited
  std::uint64_t address = 0;     // TaskCrashed: the fault address

  bool operator==(const Failure&) const = default;
};

/// Base of everything Weft throws.
class Error : public std::runtime_error {
 public:
  explicit Error(Failure failure);
  const Failure& failure() const { return failure_; }
  ErrorKind kind() const { return failure_.kind; }
  const Key& key() const { return failure_.key; }

 private:
  Failure failure_;
};

/// One exception class for each kind, so that callers catch what they can handle.
template <ErrorKind K>
class ErrorOf : public Error {
 public:
  explicit ErrorOf(Failure failure) : Error(std::move(failure)) {}
  explicit ErrorOf(std::string message) : Error(Failure{.kind = K, .message = std::move(message)}) {}
};

using TaskError = ErrorOf<ErrorKind::task_error>;
using TaskCrashed = ErrorOf<ErrorKind::task_crashed>;
using TaskPoisoned = ErrorOf<ErrorKind::task_poisoned>;
using TaskTimeout = ErrorOf<ErrorKind::task_timeout>;
using MemoryLimit = ErrorOf<ErrorKind::memory_limit>;
using DataLost = ErrorOf<ErrorKind::data_lost>;
using Cancelled = ErrorOf<ErrorKind::cancelled>;
using WorkerUnavailable = ErrorOf<ErrorKind::worker_unavailable>;
using SchedulerReset = ErrorOf<ErrorKind::scheduler_reset>;
using ProgramChanged = ErrorOf<ErrorKind::program_changed>;
using ProtocolError = ErrorOf<ErrorKind::protocol_error>;
using InvalidArgument = ErrorOf<ErrorKind::invalid_argument>;
using ConnectionFailed = ErrorOf<ErrorKind::connection_failed>;
using TypeMismatch = ErrorOf<ErrorKind::type_mismatch>;
using WaitTimeout = ErrorOf<ErrorKind::wait_timeout>;
using IoError = ErrorOf<ErrorKind::io_error>;
using ProgramError = ErrorOf<ErrorKind::program_error>;

/// Throw the exception class that belongs to the failure's kind.
[[noreturn]] void throw_failure(const Failure& failure);

}  // namespace weft
