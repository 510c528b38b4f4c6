// Where tasks run. The worker's server hands over attempts whose inputs are all here and gets outcomes back; it never
// blocks on user code. Three kinds: threads of this process (built-in kernels; embedded clusters; isolation = thread), and
// executor processes (user code), each owned by the server's one loop.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <weft/value.h>

#include "common/graph.h"
#include "common/ids.h"
#include "common/messages.h"
#include "common/time.h"
#include "worker/task_context.h"

namespace weft::worker {

/// One attempt, ready to run.
struct Run {
  AttemptId attempt;
  Key key;
  std::uint32_t try_number = 1;
  std::shared_ptr<const Template> shape;
  Bytes arguments;
  std::vector<Value> inputs;          // in the order of Assign::inputs; parts already cut out
  bool again = false;                 // it lacked memory in a process that others had used, and is tried once more
};

/// How it ended. `failure.kind == none`: `value` is the result.
struct Outcome {
  AttemptId attempt;
  Key key;
  Value value;
  Failure failure;
  Duration run_time{};
  std::string output;                 // last bytes written to stdout and stderr, at most 64 KiB
};

/// How far a running attempt says it is, from 0 to 1.
struct TaskProgress {
  AttemptId attempt;
  double fraction = 0;
};

/// A running task's own client wants the bytes of a value, which is at one of these places or here.
struct TaskRead {
  AttemptId attempt;
  Key key;
  std::vector<Location> locations;
};
/// A running task's own client puts a value where the scheduler said.
struct TaskPut {
  AttemptId attempt;
  Key key;
  Value value;
  Location location;
};

/// News from running attempts.
struct ExecutorEvents {
  std::vector<Outcome> ended;
  std::vector<AttemptId> started;                 // began to run
  std::vector<AttemptId> waiting;                 // blocked in its own client: its slot is lent
  std::vector<AttemptId> resumed;                 // no longer blocked
  std::vector<FromTask> from_tasks;               // messages of tasks' own clients
  std::vector<TaskRead> reads;                    // each is answered
  std::vector<TaskPut> puts;                      // answered when they fail
  std::vector<LogLine> logs;
  std::vector<TaskProgress> progress;

  /// An attempt blocks, or goes on. What it takes back of news that nobody has read leaves no trace: the two lists have no
  /// order between them, so an attempt is never in both.
  void note_wait(AttemptId attempt, bool waits) {
    auto& opposite = waits ? resumed : waiting;
    if (auto found = std::find(opposite.begin(), opposite.end(), attempt); found != opposite.end()) opposite.erase(found);
    else (waits ? waiting : resumed).push_back(attempt);
  }
};

class Executors {
 public:
  virtual ~Executors() = default;

  /// Run this as soon as one of `slots` is free; attempts start in the order given. Call `take` (or obey `wake_at`) after a
  /// batch of starts: processes get the batch there, with one wake-up.
  virtual void start(Run run) = 0;
  /// Stop it, running or not. A process executor is killed; a thread is left behind and its outcome ignored. Every started
  /// attempt still yields exactly one Outcome (cancelled, if it did not end before).
  virtual void cancel(AttemptId attempt) = 0;
  /// Messages for a task's own client. Its channel is the number of the attempt it runs in.
  virtual void to_task(const ToTask& message) = 0;
  /// What a task's own client asked for. The value's memory stays until the attempt has ended.
  virtual void answer(TaskAnswer answer) = 0;
  /// The link to the scheduler is new: all running tasks' own clients must say hello again.
  virtual void renew_task_links() = 0;
  /// Every process of user code ends; those that run a task leave after it. Threads stay: nothing of theirs can be renewed.
  virtual void renew() {}
  /// A descriptor that is readable when `take` has something.
  virtual std::vector<int> descriptors() const = 0;
  /// All news since the last call. `now` drives timeouts.
  virtual ExecutorEvents take(Time now) = 0;
  /// When `take` should be called even if no descriptor is readable: timeouts, started batches, attempts that began quietly.
  virtual Time wake_at() const = 0;
  /// Stop all; no process or thread of ours is left when this returns (threads that user code blocks are abandoned and said so).
  virtual void shut_down() = 0;
};

}  // namespace weft::worker
