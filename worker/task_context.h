// What a task can see of its own run, on the thread that runs it: the ground under weft::this_task(). Both kinds of
// executors provide it; user code that runs elsewhere has none.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include <weft/value.h>

#include "common/graph.h"
#include "common/ids.h"
#include "common/messages.h"
#include "common/time.h"

namespace weft::worker {

/// At most this many slots of a worker are lent by tasks that wait for other tasks; beyond it they run queued tasks themselves.
inline constexpr std::size_t lent_slots_max = 64;

/// The answer to a task's `read`, or to a `put` that failed.
struct TaskAnswer {
  AttemptId attempt;
  Key key;
  bool put = false;
  Value value;                          // of a read; valid as long as the task runs
  Failure failure;                      // none: `value` is there
};

/// What came for a task's own client.
struct TaskMail {
  bool link_is_new = false;             // what was said before may be lost, and its answers: say hello again
  std::vector<ClientBound> messages;
  std::vector<TaskAnswer> answers;

  bool empty() const { return !link_is_new && messages.empty() && answers.empty(); }
};

/// One running attempt. Valid only while the task runs, and only on its thread, except `cancelled` and `wake`.
class TaskContext {
 public:
  virtual ~TaskContext() = default;

  /// The run on this thread, or null outside a task.
  static TaskContext* current() { return current_; }

  virtual Key key() const = 0;
  virtual AttemptId attempt() const = 0;
  virtual std::uint32_t try_number() const = 0;   // from 1
  virtual const Template& shape() const = 0;      // label, options (cores, timeout)
  virtual std::string_view worker() const = 0;    // name of the worker

  /// Nobody wants the result any more. Only threads can see it: a process is killed instead.
  virtual bool cancelled() const = 0;
  virtual void log(std::uint32_t level, std::string_view text) = 0;
  virtual void progress(double fraction) = 0;

  /// Speak to the scheduler as this task's own client (channel = attempt number).
  virtual void send(std::vector<ClientMessage> messages) = 0;
  /// Have the worker get this value from one of these places; answered in the mail.
  virtual void read(const Key& key, std::vector<Location> locations) = 0;
  /// Have the worker put this value there.
  virtual void put(const Key& key, const Value& value, const Location& location) = 0;
  /// Mail for this task's own client; waits for the first until the deadline, `wake`, or until nobody wants the task any more.
  /// While it waits the task's slot is lent; when too many are lent it runs queued tasks on this thread, so the deadline may
  /// be passed. A deadline in the past only looks.
  virtual TaskMail wait(Time deadline) = 0;
  /// Make a running or the next `wait` return. From any thread.
  virtual void wake() = 0;

  /// Run this when the function has returned or thrown, before its outcome is told: ends what lives as long as the task.
  void at_end(std::function<void()> action) { at_end_ = std::move(action); }
  void end() {
    if (at_end_) std::exchange(at_end_, nullptr)();
  }

 protected:
  /// Makes a context current for one run, and the one below it again afterwards (a waiting task may run others).
  class Scope {
   public:
    explicit Scope(TaskContext* context) : outer_(current_) { current_ = context; }
    ~Scope() { current_ = outer_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    TaskContext* outer_;
  };

 private:
  static thread_local TaskContext* current_;
  std::function<void()> at_end_;
};

}  // namespace weft::worker
