// Tasks on threads of this process: built-in kernels, embedded clusters, isolation = thread. Promises less than processes:
// a crash is this process's crash, and a task that does not stop keeps its thread, which is replaced.
#pragma once

#include <memory>

#include "worker/executors.h"
#include "worker/result_places.h"
#include "worker/run_function.h"

namespace weft::worker {

struct ThreadOptions {
  std::size_t slots = 1;
  std::size_t lent_max = lent_slots_max;  // slots that tasks which wait may lend at once
  std::string worker;                  // its name, for tasks
  FunctionRuntime runtime;
  /// Where results go. Called on any thread, the owner is dropped on any thread. Default: the heap.
  std::function<Result<Place>(std::uint64_t bytes)> place = [](std::uint64_t bytes) { return Result<Place>(heap_place(bytes)); };
  /// How long `shut_down` waits for tasks that run.
  Duration grace = 1s;
};

/// Owned by one loop. No thread exists before the first `start`. Values of inputs are dropped inside `take`, on that loop's
/// thread, unless user code keeps copies.
class ThreadExecutors final : public Executors {
 public:
  explicit ThreadExecutors(ThreadOptions options);
  ~ThreadExecutors() override;

  void start(Run run) override;
  void cancel(AttemptId attempt) override;
  void to_task(const ToTask& message) override;
  void answer(TaskAnswer answer) override;
  void renew_task_links() override;
  std::vector<int> descriptors() const override;
  ExecutorEvents take(Time now) override;
  Time wake_at() const override;
  void shut_down() override;

  /// Threads that user code still holds after their attempt was cancelled or timed out, or after `shut_down`.
  std::size_t abandoned() const;

 private:
  struct Core;
  void hand_over(Time now);  // under the core's lock

  std::vector<Run> starting_;   // since the last `take`
  std::shared_ptr<Core> core_;  // shared with the threads: one left behind may outlive us
  Time look_at_ = Time::never();
};

}  // namespace weft::worker
