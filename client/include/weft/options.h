// What a user may say about one call, and about a client. Fields have initializers, also empty ones, so that no compiler warns
// of those that a user leaves out.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weft {

/// Say how one call is to run. Every field has a default; name the ones that matter:
/// `client.submit({.label = "load", .retries = 3}, load, path)`.
struct Options {
  /// The task's name, instead of one computed from function and arguments. Equal keys are one task; InvalidArgument if another
  /// call has it while futures of that live.
  std::optional<std::string> key{};
  /// Readable name on every screen. Default: the function's name.
  std::string label{};
  /// Equal calls are computed once; what changes how or where they run is a part of the call. False: every call runs, under a key
  /// of its own.
  bool pure = true;
  /// How often to run again after an exception or a timeout. Default 0.
  std::uint32_t retries = 0;
  /// Pause before the first retry; doubles each time. Default none.
  std::chrono::nanoseconds retry_delay{0};
  /// Tries in all when executors or workers die under the task. Default 3. With 1 and `pure = false` it never begins twice
  /// but for `retries`: if it is not known whether it ran, the future fails with WorkerUnavailable.
  std::uint32_t max_attempts = 3;
  /// Longest run of one attempt; queueing does not count. 0: none.
  std::chrono::nanoseconds timeout{0};
  /// Higher runs earlier. Default 0.
  std::int32_t priority = 0;
  /// Slots taken while it runs; BLAS, Arrow and OpenMP get as many threads. Default 1.
  std::uint32_t cores = 1;
  /// Amounts of what workers were started with, reserved while it runs: `{{"GPU", 1}}`.
  std::map<std::string, double> resources{};
  /// Names, addresses or hosts of workers that may run it. Default: any.
  std::vector<std::string> workers{};
  /// False: `workers` is a preference only.
  bool workers_strict = true;
};

/// Say how a client behaves. Durations are wall time of the monotonic clock.
struct ClientOptions {
  /// Shown in `clients` lists. Default: the program's name.
  std::string name{};
  /// How long the first connection may take; then ConnectionFailed. Default 10 s.
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(10);
  /// How long a lost scheduler is looked for before open futures fail with ConnectionFailed. Default 60 s.
  std::chrono::nanoseconds patience = std::chrono::seconds(60);
  /// Variables that the processes of this client's tasks get, in front of what their worker gives them. They do not change keys:
  /// equal pure calls of two clients are still one task. An embedded cluster runs tasks in this process and changes nothing.
  std::map<std::string, std::string> environment{};
  /// Files that travel with the program, whole and checked; tasks find them by `weft::attached_file(name)`. No two may have the
  /// same name in different folders. Default: none.
  std::vector<std::string> files{};
  /// An embedded cluster serves its dashboard on 127.0.0.1:8787, or on a free port when that is taken, and prints the link to
  /// stderr. Default false. A scheduler elsewhere serves its own.
  bool dashboard = false;
};

/// What `gather` does with failed futures.
enum class Errors {
  raise,  // throw the first failure, in the order given
  skip,   // leave failed ones out
};

}  // namespace weft
