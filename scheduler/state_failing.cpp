// How a task ends without a value: what may be tried again, what fails with it, and what is kept so that somebody can look into it.
#include <algorithm>

#include "common/coverage_mark.h"
#include "common/limits.h"
#include "scheduler/state.h"

namespace weft::scheduler {

// So many failed tasks keep their inputs; of a graph that fails everywhere, the first ones tell enough.
static constexpr std::size_t keepers_max = 100;

std::shared_ptr<const Failure> State::data_lost(TaskNumber number) const {
  Failure failure{.kind = ErrorKind::data_lost,
                  .message = tasks_[number].is_data
                                 ? "every worker that held this scattered data is gone; scatter it again, or with replicas = 2 or more"
                                 : "its value is gone and it may run only once; allow more with max_attempts, or submit it again",
                  .label = shape_of(tasks_[number]).label,
                  .key = tasks_[number].key};
  return std::make_shared<const Failure>(std::move(failure));
}

/// "TaskError: boom", in one line.
static std::shared_ptr<const std::string> reason_of(const Failure& failure) {
  std::string why = std::string(name_of(failure.kind)) + ": " + failure.message.substr(0, failure.message.find('\n'));
  shorten(why, reason_bytes_max);
  return std::make_shared<const std::string>(std::move(why));
}

/// End a task without a value, and with it every open task that depends on it: all carry the same cause.
void State::fail(TaskNumber first, std::shared_ptr<const Failure> failure) {
  std::vector<TaskNumber> work{first};
  std::shared_ptr<const std::string> why = reason_of(*failure);
  // What was cancelled is told by who does it; what fails with an input is no cause of its own.
  bool is_cause = failure->key == tasks_[first].key && failure->kind != ErrorKind::cancelled && tasks_[first].state != TaskState::failed;
  if (is_cause) show_failure(tasks_[first], *failure, false);
  while (!work.empty()) {
    TaskNumber number = work.back();
    work.pop_back();
    if (tasks_[number].state == TaskState::failed || (number != first && !is_open(tasks_[number].state))) continue;
    if (tasks_[number].state == TaskState::assigned && number != first) revoke(number, true);
    tasks_[number].failure = failure;
    if (number == first) tasks_[number].failed_first = true, mark(number);
    move_to(number, TaskState::failed);
    note_why(number, why);
    if (number == first && !tasks_[number].dependents.empty())
      why = std::make_shared<const std::string>("task " + failure->key.hex().substr(0, 12) + ", which it depends on, failed: " + *why);
    if (!tasks_[number].needed()) review_.push_back(number);
    ++group_of(tasks_[number]).errors;
    WEFT_UNLESS(11) for (const DependentEdge& edge : tasks_[number].dependents) work.push_back(edge.task);
  }
}

/// A task whose own run failed keeps the values it was given while it is remembered, so that `weft debug` can run it again.
void State::keep_inputs(TaskNumber number) {
  Task& task = tasks_[number];
  ErrorKind kind = task.failure->kind;
  bool ran = kind == ErrorKind::task_error || kind == ErrorKind::task_crashed || kind == ErrorKind::task_poisoned ||
             kind == ErrorKind::task_timeout || kind == ErrorKind::memory_limit;
  if (!ran || task.failure->key != task.key || task.inputs.empty() || keepers_ >= keepers_max) return;
  WEFT_MARK("task: keeps its inputs");
  task.keeps_inputs = true;
  ++keepers_;
  for (const InputEdge& edge : task.inputs) ++tasks_[edge.task].kept_by;
}

void State::release_inputs(TaskNumber number) {
  if (!tasks_[number].keeps_inputs) return;
  tasks_[number].keeps_inputs = false;
  --keepers_;
  for (const InputEdge& edge : tasks_[number].inputs)
    if (--tasks_[edge.task].kept_by == 0) WEFT_UNLESS(77) review_.push_back(edge.task);
}

/// An attempt failed: try again if the user allowed it, else the task fails.
void State::fail_or_retry(TaskNumber number, const Failure& cause) {
  Task& task = tasks_[number];
  const TaskOptions& options = shape_of(task).options;
  bool crashed = cause.kind == ErrorKind::task_crashed || cause.kind == ErrorKind::memory_limit ||
                 cause.kind == ErrorKind::task_poisoned || cause.kind == ErrorKind::worker_unavailable;
  bool user_error = cause.kind == ErrorKind::task_error || cause.kind == ErrorKind::task_timeout;
  Failure failure = cause;
  failure.key = task.key;
  failure.label = shape_of(task).label;
  failure.attempt = task.errors + task.losses + 1u;
  if (crashed) {
    ++task.losses;
    mark(number);
    task.avoid = task.worker;
    if (task.losses < options.max_attempts) {
      show_failure(task, failure, true);
      run_again(number, Duration{});
      return note_why(number, reason_of(failure));
    }
    WEFT_MARK("task: crashed too often");
    if (task.losses > 1) failure.message += " (each of " + std::to_string(task.losses) + " attempts)";
  } else if (user_error && task.errors < options.retries) {
    std::int64_t factor = std::int64_t(1) << std::min<std::uint16_t>(task.errors, 20);
    Duration most = std::max<Duration>(options.retry_delay, 24h);
    Duration delay = options.retry_delay > most / factor ? most : options.retry_delay * factor;
    WEFT_UNLESS(14) ++task.errors;
    mark(number);
    show_failure(task, failure, true);
    run_again(number, delay);
    return note_why(number, reason_of(failure));
  }
  fail(number, std::make_shared<const Failure>(std::move(failure)));
}

}  // namespace weft::scheduler
