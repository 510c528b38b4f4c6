// Tasks: their states, what is needed, running again and forgetting.
#include <algorithm>

#include "common/coverage_mark.h"
#include "scheduler/state.h"

namespace weft::scheduler {

const char* name_of(TaskState state) {
  static constexpr const char* names[] = {"released", "waiting", "ready", "assigned", "stored", "failed"};
  return names[static_cast<int>(state)];
}

TaskNumber State::create(const Key& key, std::uint32_t shape) {
  TaskNumber number = tasks_.take();
  Task& task = tasks_[number];
  task.key = key;
  task.shape = shape;
  ++shapes_[shape].tasks;
  ++group_of(task).counts[static_cast<int>(TaskState::released)];
  task.born = {attempts_};
  index_.insert(key, number);
  return number;
}

// ------------------------------------------------------------------------------------------------ states

void State::move_to(TaskNumber number, TaskState state) {
  Task& task = tasks_[number];
  TaskState from = task.state;
  WEFT_CHECK(from != state);
  note_transition(task, from, state);
  task.state = state;  // first: what follows looks at neighbours, which look back
  if (from == TaskState::assigned) leave_assigned(number, state);
  if (from == TaskState::stored) leave_stored(number);
  if (from == TaskState::failed) {
    release_inputs(number);
    task.failure.reset();
    if (task.failed_first) mark(number);
    task.failed_first = false;
  }
  if (from == TaskState::ready) {
    if (task.kept_for) keep_no_more(number);
    task.delayed = false;
  }
  Group& group = group_of(task);
  --group.counts[static_cast<int>(from)];
  ++group.counts[static_cast<int>(state)];
  if (is_open(from) != is_open(state)) {
    for (const InputEdge& edge : task.inputs) {
      Task& input = tasks_[edge.task];
      if (is_open(state)) {
        ++input.open_dependents;
      } else if (--input.open_dependents == 0) {
        WEFT_UNLESS(6) review_.push_back(edge.task);
      }
    }
  }
  if (state == TaskState::waiting) enter_waiting(number, is_open(from));
  if (state == TaskState::ready) enqueue(number);
  if (state == TaskState::stored) enter_stored(number);
  if (state == TaskState::failed) {
    keep_inputs(number);
    tell_everyone(number);
  }
}

void State::leave_assigned(TaskNumber number, TaskState to) {
  Task& task = tasks_[number];
  Worker& worker = worker_ref(task.worker);
  worker.assigned[task.worker_slot] = worker.assigned.back();
  tasks_[worker.assigned[task.worker_slot]].worker_slot = task.worker_slot;
  worker.assigned.pop_back();
  if (worker.nested > 0)
    if (auto own = session_of_channel_.find({worker.id, task.attempt.number}); own != session_of_channel_.end()) end_holder(own->second);
  worker.load -= 1us * task.estimate_us;
  if (!task.recalling || to == TaskState::stored) worker.moved = now_;  // what it gave back says nothing about its pace
  const TaskOptions& options = shape_of(task).options;
  if (options.cores > 1) worker.cores_reserved -= options.cores;
  for (const auto& [name, amount] : options.resources) worker.resources_free[name] += amount;
  WEFT_UNLESS(7) if (task.recalling) --worker.recalls;
  if (worker.assigned.empty() && !worker.drops.empty()) speaking_workers_.push_back(worker.id);  // they waited for other words
  make_hungry(worker);
  note_room(worker);
  count_ahead(number, worker.id, false);
  // Readers that were sent ahead wait at that worker for a value that will not come.
  if (to != TaskState::stored)
    for (const DependentEdge& edge : task.dependents)
      if (tasks_[edge.task].state == TaskState::assigned && tasks_[edge.task].worker == task.worker) retract_.push_back(edge.task);
  if (to != TaskState::stored && !spreads_.empty())
    for (const InputEdge& edge : task.inputs)
      if (spreads_.contains(edge.task)) spread_review_.insert(edge.task);
  if (!progress_.empty()) progress_.erase(number);
  if (!orders_held_.empty()) orders_held_.erase(task.attempt);
  task.recalling = task.started = false;
  task.attempt = {};
  task.worker = {};
}

// The value is gone while tasks that need it are open: they must not run before it is there again.
void State::leave_stored(TaskNumber number) {
  tasks_[number].small.clear();
  moving_.erase(number);
  if (auto spread = spreads_.find(number); spread != spreads_.end()) {
    WEFT_MARK("task: its value went while copies were on their way");
    spread->second.flights.clear();
    spread_review_.insert(number);
  }
  for (std::size_t i = 0; i < tasks_[number].dependents.size(); ++i) {
    TaskNumber reader = tasks_[number].dependents[i].task;
    Task& dependent = tasks_[reader];
    if (!is_open(dependent.state)) continue;
    WEFT_UNLESS(9) ++dependent.missing;
    WEFT_MARK("task: a reader lost an input");
    if (dependent.state == TaskState::ready) move_to(reader, TaskState::waiting);
    // Perhaps its worker has the input already: it says so by having started. Otherwise it comes back, so that the
    // resources it reserves cannot block the run that makes the input again.
    else if (dependent.state == TaskState::assigned && !dependent.recalling) revoke(reader, false);
  }
}

/// Who was open knows how many inputs are missing: in the middle of the loss of one that it reads twice, a new count would be wrong.
void State::enter_waiting(TaskNumber number, bool was_open) {
  Task& task = tasks_[number];
  const bool counts = WEFT_MUTANT(78, !was_open, true);
  if (counts) task.missing = 0;
  task.ahead_count = 0;
  task.ahead_worker = {};
  for (const InputEdge& edge : task.inputs) {
    const Task& input = tasks_[edge.task];
    if (input.state == TaskState::stored) continue;
    task.missing += counts;
    if (input.state != TaskState::assigned) continue;
    if (task.ahead_count == 0) task.ahead_worker = input.worker;
    if (task.ahead_worker == input.worker) ++task.ahead_count;
  }
}

void State::enter_stored(TaskNumber number) {
  for (std::size_t i = 0; i < tasks_[number].dependents.size(); ++i) {
    TaskNumber reader = tasks_[number].dependents[i].task;
    Task& dependent = tasks_[reader];
    if (!is_open(dependent.state)) continue;
    WEFT_CHECK(dependent.missing > 0);
    if (--dependent.missing > 0) continue;
    show_unblocked(dependent, tasks_[number].key);
    if (dependent.state == TaskState::waiting && WEFT_MUTANT(10, true, i > 0)) move_to(reader, TaskState::ready);
  }
}

// An input was given to a worker, or is with it no more: waiting readers count how many of their inputs one worker makes.
void State::count_ahead(TaskNumber number, WorkerId worker, bool arrived) {
  for (const DependentEdge& edge : tasks_[number].dependents) {
    Task& reader = tasks_[edge.task];
    if (reader.state != TaskState::waiting) continue;
    if (arrived) {
      if (reader.ahead_count == 0) reader.ahead_worker = worker;
      if (reader.ahead_worker == worker) ++reader.ahead_count;
    } else if (reader.ahead_worker == worker && reader.ahead_count > 0) {
      --reader.ahead_count;
    }
  }
}

// ------------------------------------------------------------------------------------------------ need

/// Make a released task, and whatever it needs, open. Tasks whose inputs have failed fail.
void State::require(TaskNumber first) {
  std::vector<TaskNumber> work{first};
  while (!work.empty()) {
    TaskNumber number = work.back();
    work.pop_back();
    if (tasks_[number].state != TaskState::released) continue;
    std::shared_ptr<const Failure> cause;
    for (const InputEdge& edge : tasks_[number].inputs)
      if (tasks_[edge.task].state == TaskState::failed) cause = tasks_[edge.task].failure;
    bool once = tasks_[number].was_stored && (tasks_[number].is_data || runs_once(tasks_[number]));
    if (once && !recovering_) cause = data_lost(number);
    else if (tasks_[number].begun && !recovering_)
      cause = std::make_shared<const Failure>(unknown_end(number, "a worker had it when it was needed no more"));
    if (cause) {
      WEFT_MARK("task: needed with a failed input");
      fail(number, cause);
      continue;
    }
    move_to(number, TaskState::waiting);
    for (const InputEdge& edge : tasks_[number].inputs)
      if (tasks_[edge.task].state == TaskState::released) work.push_back(edge.task);
    if (tasks_[number].missing == 0) move_to(number, TaskState::ready);
    else if (tasks_[number].ahead_count == tasks_[number].missing) ahead_.push_back(number);
  }
}

/// Back to the start of its way. Its inputs are stored or open, as those of every open task.
void State::run_again(TaskNumber number, Duration delay) {
  if (tasks_[number].begun) mark(number);
  tasks_[number].begun = false;
  move_to(number, TaskState::waiting);
  if (tasks_[number].missing > 0) return;
  move_to(number, TaskState::ready);
  if (delay > Duration{}) {
    tasks_[number].queue_serial = ++serials_;
    tasks_[number].delayed = true;
    WEFT_MARK("task: waits before its retry");
    delayed_.emplace(now_ + delay, number, serials_);
  }
}

/// Ask the worker to give an attempt back; `hard`: to stop it at once, and the caller moves the task on.
void State::revoke(TaskNumber number, bool hard) {
  Task& task = tasks_[number];
  WEFT_CHECK(task.state == TaskState::assigned);
  Worker& worker = worker_ref(task.worker);
  if (worker.peer && !task.is_data) tell(worker, Revoke{task.attempt, hard});
  if (!hard && !task.recalling) {
    task.recalling = true;
    ++worker.recalls;
  }
}

/// Free what nobody needs any more. Worklist, since one release may end a chain of a million.
void State::settle() {
  while (!retract_.empty()) {
    TaskNumber number = retract_.back();
    retract_.pop_back();
    Task& task = tasks_[number];
    if (task.state != TaskState::assigned || task.missing == 0 || task.started) continue;
    if (task.begun) {  // only its worker knows whether it began
      if (!task.recalling) revoke(number, false);
      continue;
    }
    WEFT_UNLESS(15) revoke(number, true);
    WEFT_MARK("task: sent ahead in vain");
    run_again(number, Duration{});
  }
  while (!review_.empty()) {
    TaskNumber number = review_.back();
    review_.pop_back();
    Task& task = tasks_[number];
    bool kept = task.state == TaskState::stored && task.kept_by > 0;
    if (!task.key || task.needed() || kept || keep_until_committed(number)) continue;
    if (task.state == TaskState::assigned) revoke(number, true);
    if (is_open(task.state)) move_to(number, TaskState::released);
    if (tasks_[number].state == TaskState::stored) drop_value(number);
    if (tasks_[number].dependents.empty()) forget(number);
  }
  for (TaskNumber number : std::exchange(spread_review_, {})) review_spread(number);
}

void State::drop_value(TaskNumber number) {
  while (!tasks_[number].replicas.empty()) {
    Worker& worker = worker_ref(tasks_[number].replicas.back().worker);
    remove_replica(number, worker.id);
    WEFT_UNLESS(13) if (worker.peer) tell_drop(worker, tasks_[number].key, tasks_[number].bytes);
  }
  move_to(number, TaskState::released);
}

void State::forget(TaskNumber number) {
  Task& task = tasks_[number];
  WEFT_CHECK(task.state == TaskState::released || task.state == TaskState::failed);
  show(Seen::forgotten, task, {});
  release_inputs(number);
  for (std::size_t i = 0; i < task.inputs.size(); ++i) {
    const InputEdge& edge = task.inputs[i];
    Task& input = tasks_[edge.task];
    input.dependents[edge.slot] = input.dependents.back();
    const DependentEdge& moved = input.dependents[edge.slot];
    tasks_[moved.task].inputs[moved.input].slot = edge.slot;
    input.dependents.pop_back();
    if (input.dependents.empty()) review_.push_back(edge.task);
  }
  --group_of(task).counts[static_cast<int>(task.state)];
  if (options_.durable) forget_stored(number);
  leave_shape(task.shape);
  index_.erase(task.key, number);
  replicas_wanted_.erase(number);
  bytes_awaited_.erase(number);
  copies_review_.erase(number);
  spreads_.erase(number);
  moving_.erase(number);
  spread_review_.erase(number);
  tasks_.give_back(number);
  tasks_[number].queue_serial = ++serials_;
}

// ------------------------------------------------------------------------------------------------ replicas

void State::add_replica(TaskNumber number, Worker& worker) {
  Task& task = tasks_[number];
  for (const Replica& replica : task.replicas)
    if (replica.worker == worker.id) return;
  task.replicas.push_back({worker.id, static_cast<std::uint32_t>(worker.holding.size())});
  worker.holding.push_back(number);
  worker.holding_bytes += task.bytes;
  if (task.state != TaskState::assigned || task.worker != worker.id) show(Seen::held, task, worker.id, task.bytes);   // else it is told as its end
}

void State::remove_replica(TaskNumber number, WorkerId id) {
  Task& task = tasks_[number];
  auto place = std::find_if(task.replicas.begin(), task.replicas.end(), [&](const Replica& r) { return r.worker == id; });
  if (place == task.replicas.end()) return;
  Worker& worker = worker_ref(id);
  std::uint32_t slot = place->slot;
  *place = task.replicas.back();
  task.replicas.pop_back();
  worker.holding[slot] = worker.holding.back();
  worker.holding.pop_back();
  worker.holding_bytes -= task.bytes;
  if (!task.replicas.empty()) show(Seen::dropped, task, id);   // the last one goes with the state
  if (slot == worker.holding.size()) return;
  for (Replica& moved : tasks_[worker.holding[slot]].replicas)
    if (moved.worker == id) moved.slot = slot;
}

}  // namespace weft::scheduler
