// What the daemon and an executor process say to each other, and one end of the link that carries it: the shared board for
// frames, a Unix socket for descriptors (memory that is mapped on the other side).
#pragma once

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/codec.h"
#include "common/data/pass_descriptor.h"
#include "common/messages.h"
#include "worker/executor_ring.h"

namespace weft::worker {

// ---- runs: daemon -> executor, in order

/// A template that later attempts name by number; a number may be given anew.
struct DefineShape {
  std::uint32_t number = 0;
  Template shape;
  template <class A>
  void fields(A& a) {
    a(number, shape);
  }
};
/// One input: its bytes, or a range of memory whose descriptor was passed.
struct InputRecord {
  std::uint64_t memory = 0;  // 0: `bytes` is the value
  std::uint64_t offset = 0, length = 0;
  Bytes bytes;
  template <class A>
  void fields(A& a) {
    a(memory, offset, length, bytes);
  }
};
/// Run this, if its claim is still there. `nested`: also while the task that runs waits.
struct RunRecord {
  AttemptId attempt;
  std::uint32_t claim = 0;
  bool nested = false;
  Key key;
  std::uint32_t try_number = 1;
  std::uint32_t shape = 0;
  Bytes arguments;
  std::vector<InputRecord> inputs;
  template <class A>
  void fields(A& a) {
    a(attempt, claim, nested, key, try_number, shape, arguments, inputs);
  }
};
/// The executor may unmap this memory when no task uses it.
struct ForgetMemory {
  std::uint64_t memory = 0;
  bool writable = false;
  template <class A>
  void fields(A& a) {
    a(memory, writable);
  }
};
/// Exit in order; nothing more comes.
struct LeaveExecutor {
  template <class A>
  void fields(A& a) {
    a();
  }
};
using ExecutorBound = std::variant<DefineShape, RunRecord, ForgetMemory, LeaveExecutor>;

// ---- notes: daemon -> the task that runs

/// Answer to NeedPlace. `memory` 0: there is none, and why.
struct PlaceGranted {
  std::uint64_t memory = 0, offset = 0, length = 0;
  WireFailure refusal;
  template <class A>
  void fields(A& a) {
    a(memory, offset, length, refusal);
  }
};
/// Answer to TaskReads, or to a TaskPuts that failed. The value is described like an input.
struct TaskAnswered {
  AttemptId attempt;
  Key key;
  bool put = false;
  InputRecord value;
  WireFailure failure;
  template <class A>
  void fields(A& a) {
    a(attempt, key, put, value, failure);
  }
};
/// The link to the scheduler is new: the task's own client says hello again.
struct TaskLinkRenewed {
  template <class A>
  void fields(A& a) {
    a();
  }
};
using TaskBound = std::variant<PlaceGranted, ToTask, TaskAnswered, TaskLinkRenewed>;

// ---- news: executor -> daemon

struct ExecutorReady {
  std::uint64_t pid = 0;
  template <class A>
  void fields(A& a) {
    a(pid);
  }
};
/// The attempt has its result: in `value`, or in the place that was granted to it.
struct RunCompleted {
  AttemptId attempt;
  Duration run_time{};
  std::uint64_t output_end = 0;  // position in the executor's output where its share ends
  bool placed = false;
  Bytes value;
  template <class A>
  void fields(A& a) {
    a(attempt, run_time, output_end, placed, value);
  }
};
struct RunFailed {
  AttemptId attempt;
  Duration run_time{};
  std::uint64_t output_end = 0;
  WireFailure failure;
  template <class A>
  void fields(A& a) {
    a(attempt, run_time, output_end, failure);
  }
};
struct NeedPlace {
  AttemptId attempt;
  std::uint64_t bytes = 0;
  template <class A>
  void fields(A& a) {
    a(attempt, bytes);
  }
};
struct TaskWaits {
  AttemptId attempt;
  bool waits = false;  // false: it goes on
  template <class A>
  void fields(A& a) {
    a(attempt, waits);
  }
};
struct TaskReports {
  AttemptId attempt;
  double fraction = 0;
  template <class A>
  void fields(A& a) {
    a(attempt, fraction);
  }
};
/// The task's own client wants these bytes; answered by TaskAnswered.
struct TaskReads {
  AttemptId attempt;
  Key key;
  std::vector<Location> locations;
  template <class A>
  void fields(A& a) {
    a(attempt, key, locations);
  }
};
/// The task's own client puts a value there: `value`, or what lies in the place that was granted.
struct TaskPuts {
  AttemptId attempt;
  Key key;
  Location location;
  bool placed = false;
  Bytes value;
  template <class A>
  void fields(A& a) {
    a(attempt, key, location, placed, value);
  }
};
using ExecutorNews = std::variant<ExecutorReady, RunCompleted, RunFailed, NeedPlace, TaskWaits, TaskReports, FromTask, LogLine,
                                  TaskReads, TaskPuts>;

/// Memory that lives for one use only has this bit in its number.
inline constexpr std::uint64_t temporary_memory = 1ull << 63;

/// The environment variable by which a program learns that it is an executor: the number of its descriptor.
inline constexpr const char* executor_variable = "WEFT_EXECUTOR";
/// The folder that holds the files its client attached.
inline constexpr const char* files_variable = "WEFT_FILES";
/// The client's own libraries, one a line: those that it opened while it ran are not linked to the program.
inline constexpr const char* libraries_variable = "WEFT_LIBRARIES";
/// And the name of its worker.
inline constexpr const char* worker_variable = "WEFT_WORKER";

/// One end of the link. Owns the socket.
class ExecutorLink {
 public:
  enum class Sent { done, full, broken };

  ExecutorLink(ExecutorBoard board, int socket) : board(std::move(board)), socket_(socket) {}
  ExecutorLink(const ExecutorLink&) = delete;
  ExecutorLink& operator=(const ExecutorLink&) = delete;
  ~ExecutorLink();

  /// Append a frame to a ring of ours; a big one goes as memory of its own. Never blocks.
  Sent send(Ring& ring, std::span<const std::byte> frame);
  /// The next frame of a ring that we read; false if there is none, or the link is broken.
  bool receive(Ring& ring, Bytes& frame);
  bool broken() const { return broken_ || board.runs.broken() || board.notes.broken() || board.news.broken(); }

  /// What came makes no sense: from now on it is broken.
  void damage() { broken_ = true; }

  /// Hand over a descriptor under a number. Never blocks; the other side gets its own copy.
  Sent pass(std::uint64_t memory, bool writable, int descriptor);
  /// Take a descriptor that was passed before the frame that named it; -1 if it is not there. The caller closes it.
  int take(std::uint64_t memory, bool writable);

  ExecutorBoard board;

 private:
  int socket_;
  std::uint64_t boxes_ = 0;
  bool broken_ = false;
  std::map<std::pair<std::uint64_t, bool>, int> passed_;
};

}  // namespace weft::worker
