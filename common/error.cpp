#include <weft/error.h>

namespace weft {

const char* name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::none: return "none";
    case ErrorKind::task_error: return "TaskError";
    case ErrorKind::task_crashed: return "TaskCrashed";
    case ErrorKind::task_poisoned: return "TaskPoisoned";
    case ErrorKind::task_timeout: return "TaskTimeout";
    case ErrorKind::memory_limit: return "MemoryLimit";
    case ErrorKind::data_lost: return "DataLost";
    case ErrorKind::cancelled: return "Cancelled";
    case ErrorKind::worker_unavailable: return "WorkerUnavailable";
    case ErrorKind::scheduler_reset: return "SchedulerReset";
    case ErrorKind::program_changed: return "ProgramChanged";
    case ErrorKind::protocol_error: return "ProtocolError";
    case ErrorKind::invalid_argument: return "InvalidArgument";
    case ErrorKind::connection_failed: return "ConnectionFailed";
    case ErrorKind::type_mismatch: return "TypeMismatch";
    case ErrorKind::wait_timeout: return "WaitTimeout";
    case ErrorKind::io_error: return "IoError";
    case ErrorKind::program_error: return "ProgramError";
  }
  return "unknown";
}

// The innermost frame of a traceback that is not the C library's (raise, abort), such as " at deep(int) (steps.cpp:12)"; empty if
// no line is known.
static std::string place(const Failure& failure) {
  std::string_view rest(failure.traceback);
  while (rest.starts_with("  at __")) {
    std::size_t end = rest.find('\n');
    rest = end == rest.npos ? "" : rest.substr(end + 1);
  }
  std::string_view line = rest.substr(0, rest.find('\n'));
  bool has_line = line.starts_with("  at ") && line.ends_with(')') && line.find("+0x") == line.npos;
  return has_line ? std::string(line.substr(1)) : std::string();
}

// What a person reads in a terminal: kind and sentence, then where it happened.
static std::string sentence(const Failure& failure) {
  bool says_type = failure.type.starts_with("weft::") || failure.message.find(failure.type) != failure.message.npos;
  std::string text = std::string(name_of(failure.kind)) + ": " + (says_type ? "" : failure.type + ": ") + failure.message;
  if (!failure.label.empty()) text += " (task " + failure.label + ")";
  if (!failure.worker.empty()) text += " on worker " + failure.worker;
  if (failure.attempt > 1) text += ", attempt " + std::to_string(failure.attempt);
  return text + place(failure);
}

Error::Error(Failure failure) : std::runtime_error(sentence(failure)), failure_(std::move(failure)) {}

void throw_failure(const Failure& failure) {
  switch (failure.kind) {
    case ErrorKind::task_error: throw TaskError(failure);
    case ErrorKind::task_crashed: throw TaskCrashed(failure);
    case ErrorKind::task_poisoned: throw TaskPoisoned(failure);
    case ErrorKind::task_timeout: throw TaskTimeout(failure);
    case ErrorKind::memory_limit: throw MemoryLimit(failure);
    case ErrorKind::data_lost: throw DataLost(failure);
    case ErrorKind::cancelled: throw Cancelled(failure);
    case ErrorKind::worker_unavailable: throw WorkerUnavailable(failure);
    case ErrorKind::scheduler_reset: throw SchedulerReset(failure);
    case ErrorKind::program_changed: throw ProgramChanged(failure);
    case ErrorKind::protocol_error: throw ProtocolError(failure);
    case ErrorKind::invalid_argument: throw InvalidArgument(failure);
    case ErrorKind::connection_failed: throw ConnectionFailed(failure);
    case ErrorKind::type_mismatch: throw TypeMismatch(failure);
    case ErrorKind::wait_timeout: throw WaitTimeout(failure);
    case ErrorKind::io_error: throw IoError(failure);
    case ErrorKind::program_error: throw ProgramError(failure);
    case ErrorKind::none: break;
  }
  throw Error(failure);
}

}  // namespace weft
