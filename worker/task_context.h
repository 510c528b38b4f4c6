// What a task can see of its own run, on the thread that runs it: the ground under weft::this_task(). Both kinds of
// executors provide it; user code that runs elsewhere has none.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "common/graph.h"
#include "common/ids.h"
#include "common/messages.h"
#include "common/time.h"

namespace weft::worker {

/// At most this many slots of a worker are lent by tasks that wait for other tasks; beyond it they run queued tasks themselves.
inline constexpr std::size_t lent_slots_max = 64;

/// One running attempt. Valid only while the task runs, and only on its thread, except `cancelled`.
class TaskContext {
 public:
  virtual ~TaskContext() = default;

  /// The run on this thread, or null outside a task.
  static TaskContext* current() { return current_; }

  virtual Key key() const = 0;
  virtual AttemptId attempt() const = 0;
  virtual std::uint32_t try_number() const = 0;   // from 1
  virtual const Template& shape() const = 0;      // label, options (cores, timeout)

  /// Nobody wants the result any more. Only threads can see it: a process is killed instead.
  virtual bool cancelled() const = 0;
  virtual void log(std::uint32_t level, std::string_view text) = 0;
  virtual void progress(double fraction) = 0;

  /// Speak to the scheduler as this task's own client (channel = attempt number).
  virtual void send(std::vector<ClientMessage> messages) = 0;
  /// Messages for this task's own client; waits for the first until the deadline, then returns none. While it waits the
  /// task's slot is lent; when too many are lent it runs queued tasks on this thread, so the deadline may be passed.
  virtual std::vector<ClientBound> wait(Time deadline) = 0;

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
};

}  // namespace weft::worker
