// Which worker runs what, and when. Work is placed once per step, after all events of the batch.
//
// Tasks whose inputs must be moved go at once to where they are expected to start first (queue ahead of them plus bytes still
// to move). Root tasks, which only make data, are held back and dealt out by credit, siblings together, so that their results
// are consumed before more are made. Tasks that wait for others that one worker has are sent to that worker ahead of time.
#include <algorithm>
#include <type_traits>

#include "common/coverage_mark.h"
#include "scheduler/state.h"

namespace weft::scheduler {

template <class Item>
static void push_on(std::vector<Item>& heap, const std::type_identity_t<Item>& item) {
  heap.push_back(item);
  std::push_heap(heap.begin(), heap.end());
}

// ------------------------------------------------------------------------------------------------ queues

void State::enqueue(TaskNumber number) {
  Task& task = tasks_[number];
  if (task.kept_for) keep_no_more(number);
  if (must_wait_to_start(number)) return;
  task.queue_serial = ++serials_;
  task.delayed = false;
  std::uint32_t own = queue_of(task);
  Queue& queue = queues_[own];
  Line& line = is_root_like(task) ? queue.roots : queue.fed;
  if (line.in_order.empty() || line.last <= task.rank) {
    line.in_order.emplace_back(number, task.queue_serial);
    line.last = task.rank;
  } else {
    push_on(line.others, {task.rank, number, task.queue_serial});
  }
  WEFT_UNLESS(39) queue.fresh = true;
  queue.all_told = false;
  if (!std::exchange(queue.busy, true)) busy_queues_.push_back(own);
}

/// Out of the common queue: the task waits for credit at this worker.
void State::keep_for(TaskNumber number, Worker& worker) {
  Task& task = tasks_[number];
  task.kept_for = worker.id;
  task.queue_serial = ++serials_;
  worker.reserved.emplace(task.rank, number);
  ++queues_[queue_of(task)].kept;
  ++kept_;
}

void State::keep_no_more(TaskNumber number) {
  Task& task = tasks_[number];
  worker_ref(task.kept_for).reserved.erase({task.rank, number});
  task.kept_for = {};
  --queues_[queue_of(task)].kept;
  WEFT_UNLESS(62) --kept_;
}

bool State::is_current(TaskNumber number, std::uint32_t serial) const {
  const Task& task = tasks_[number];
  return task.state == TaskState::ready && task.queue_serial == serial;
}

/// The first of a line; those that left it in the meantime are dropped here.
TaskNumber State::first(Line& line) const {
  while (!line.in_order.empty() && !is_current(line.in_order.front().first, line.in_order.front().second)) line.in_order.pop_front();
  while (!line.others.empty() && !is_current(line.others.front().task, line.others.front().serial)) {
    std::pop_heap(line.others.begin(), line.others.end());
    line.others.pop_back();
  }
  if (line.empty()) return no_task;
  if (line.in_order.empty()) return line.others.front().task;
  TaskNumber plain = line.in_order.front().first;
  return line.others.empty() || tasks_[plain].rank < line.others.front().rank ? plain : line.others.front().task;
}

/// A task that moves nothing: no inputs, or only such as ride along or as everybody needs.
bool State::is_root_like(const Task& task) const {
  if (task.is_data) return false;
  return std::all_of(task.inputs.begin(), task.inputs.end(), [&](const InputEdge& edge) {
    const Task& input = tasks_[edge.task];
    return input.dependents.size() > std::max<std::uint64_t>(2 * slots_total_, 16);
  });
}

/// Queues that have tasks, the one whose first root task comes first in front: credits are common to all, so none starves. What is
/// kept for a worker is of families that have begun, and comes before that.
std::vector<std::pair<Rank, std::uint32_t>> State::queues_in_order() {
  std::vector<std::pair<Rank, std::uint32_t>> order;
  std::erase_if(busy_queues_, [&](std::uint32_t number) {
    Queue& queue = queues_[number];
    TaskNumber root = first(queue.roots);
    queue.busy = root != no_task || first(queue.fed) != no_task || queue.kept > 0;
    if (queue.busy) order.emplace_back(root == no_task ? Rank{INT64_MIN, 0} : tasks_[root].rank, number);
    return !queue.busy;
  });
  std::sort(order.begin(), order.end());
  return order;
}

void State::schedule() {
  if (!alive_.empty() && !busy_queues_.empty()) {
    auto order = queues_in_order();
    for (WorkerId id : hungry_) add_candidate(id);
    for (const auto& [rank, number] : order) {
      place_fed(queues_[number]);
      deal_roots(number);
      if (queues_[number].fresh) place_fed(queues_[number]);  // a task that was kept may have become one with inputs to move
      queues_[number].fresh = false;
    }
    for (const Candidate& candidate : std::exchange(candidates_, {})) worker_ref(candidate.worker).candidate = false;
  }
  if (!alive_.empty()) {
    send_ahead();
    if (options_.recall) recall_for_idle();
    for (WorkerId id : hungry_) worker_ref(id).hungry = false;
    hungry_.clear();
  }
}

/// Tasks that came after their inputs were given to one worker follow them there.
void State::send_ahead() {
  for (TaskNumber number : std::exchange(ahead_, {})) {
    const Task& task = tasks_[number];
    if (!options_.run_ahead || task.state != TaskState::waiting || task.ahead_count != task.missing) continue;
    Worker& worker = worker_ref(task.ahead_worker);
    const TaskOptions& wishes = shape_of(task).options;
    if (wishes.cores > 1 || !wishes.resources.empty() || runs_once(task)) continue;
    if (worker.assigned.size() >= 4 * worker.slots || !fits_now(task, worker)) continue;
    assign(number, worker);
  }
}

void State::place_fed(Queue& queue) {
  for (TaskNumber number = first(queue.fed); number != no_task; number = first(queue.fed)) {
    const Task& task = tasks_[number];
    if (task.is_data && !somebody_has_bytes(task)) {
      await_bytes(number);
      continue;
    }
    // Nobody could take it before: only somebody who changed can now.
    bool blocked = queue.blocked_on == task.queue_serial &&
                   std::none_of(hungry_.begin(), hungry_.end(), [&](WorkerId id) { return fits_now(task, worker_ref(id)); });
    WorkerId target = blocked ? WorkerId{} : choose(task);
    if (!target) {
      queue.blocked_on = task.queue_serial;
      return;
    }
    if (task.is_data) expect_put(number, worker_ref(target));
    else assign(number, worker_ref(target));
  }
}

// ------------------------------------------------------------------------------------------------ dealing

/// It may have room, or what it waits for, since work was placed last.
void State::make_hungry(Worker& worker) {
  if (!std::exchange(worker.hungry, true)) hungry_.push_back(worker.id);
}

/// Something changed that concerns everybody's work: who is here, and who may be used.
void State::rethink() {
  for (WorkerId id : alive_) make_hungry(worker_ref(id));
  for (std::uint32_t number : busy_queues_) queues_[number].blocked_on = 0;
}

/// Keep the list of workers with an empty slot true.
void State::note_room(Worker& worker) {
  bool idle = worker.slots > 0 && worker.assigned.size() < worker.slots + worker.nested;
  if (idle == (worker.idle_slot != Worker::no_slot)) return;
  if (idle) {
    worker.idle_slot = static_cast<std::uint32_t>(idle_.size());
    idle_.push_back(worker.id);
    return;
  }
  idle_[worker.idle_slot] = idle_.back();
  WEFT_UNLESS(70) worker_ref(idle_.back()).idle_slot = worker.idle_slot;
  idle_.pop_back();
  worker.idle_slot = Worker::no_slot;
}

void State::add_candidate(WorkerId id) {
  Worker& worker = worker_ref(id);
  if (worker.candidate || !worker.usable()) return;
  worker.candidate = true;
  worker.refusals = 0;
  push_on(candidates_, {static_cast<double>(worker.assigned.size()) / worker.slots, id});
}

/// For tasks that are new: some of those with an empty slot, and a few others that may have credit.
void State::add_idle_candidates(std::size_t count) {
  for (std::size_t i = 0; i < idle_.size() && i < count; ++i) add_candidate(idle_[(idle_cursor_ + i) % idle_.size()]);
  for (std::size_t i = 0; i < alive_.size() && i < 8; ++i) add_candidate(alive_[(idle_cursor_ + i) % alive_.size()]);
  ++idle_cursor_;
}

/// The emptiest worker that takes the next root task of this queue; those that do not go to `refused`.
WorkerId State::pop_candidate(std::uint32_t queue, std::vector<Candidate>& refused) {
  Candidate crashed;  // the task crashed there before: elsewhere if that does not take much longer
  TaskNumber shunned = no_task;
  while (!candidates_.empty()) {
    std::pop_heap(candidates_.begin(), candidates_.end());
    Candidate candidate = candidates_.back();
    candidates_.pop_back();
    Worker& worker = worker_ref(candidate.worker);
    TaskNumber sample = root_in_turn(queue, worker);
    bool takes = sample != no_task && queue_of(tasks_[sample]) == queue && fits_now(tasks_[sample], worker) && has_credit(tasks_[sample], worker);
    if (takes && tasks_[sample].avoid != worker.id) {
      bool longer = crashed.worker && cost(tasks_[shunned], worker) > cost(tasks_[shunned], worker_ref(crashed.worker));
      if (longer) std::swap(crashed, candidate);
      if (crashed.worker) push_on(candidates_, crashed);  // it takes other tasks
      return candidate.worker;
    }
    if (takes && !crashed.worker) {
      crashed = candidate;
      shunned = sample;
    } else {
      refused.push_back(candidate);
    }
  }
  return crashed.worker;
}

void State::deal_roots(std::uint32_t number) {
  Queue& queue = queues_[number];
  if (queue.fresh && !queue.roots.empty()) add_idle_candidates(queue.roots.in_order.size() + queue.roots.others.size() + 8);
  std::vector<Candidate> refused;
  bool everybody = false;
  while (first(queue.roots) != no_task || queue.kept > 0) {
    WorkerId target = pop_candidate(number, refused);
    if (target) {
      // A run of neighbours each time: fewer looks, and siblings stay together; but nothing queues while another worker is idle.
      Worker& worker = worker_ref(target);
      std::uint32_t run = idle_.size() > 1 ? worker.slots : 4 + worker.slots;
      for (std::uint32_t i = 0; i < run; ++i) {
        TaskNumber task = next_root(number, worker);
        if (task == no_task) break;
        bool opens = !tasks_[task].kept_for;
        assign(task, worker);
        reserve_family(task, worker, opens);
      }
      worker.candidate = false;
      add_candidate(target);
    } else if (queue.fresh && !everybody && !queue.roots.empty()) {
      everybody = true;  // those that were tried may not be the ones that fit
      for (WorkerId id : idle_) add_candidate(id);
    } else if (!free_a_reservation(number)) {
      break;
    } else {
      add_idle_candidates(idle_.size());
      for (const Candidate& candidate : std::exchange(refused, {})) push_on(candidates_, candidate);
    }
  }
  // The next queue asks them again; who is full and was refused a few times is full for all.
  for (const Candidate& candidate : refused) {
    Worker& worker = worker_ref(candidate.worker);
    worker.candidate = worker.idle_slot != Worker::no_slot || ++worker.refusals < 4;
    if (worker.candidate) push_on(candidates_, candidate);
  }
}

/// An idle worker without work is worth more than siblings in one place.
bool State::free_a_reservation(std::uint32_t queue) {
  if (kept_ == 0 || idle_.empty() || first(queues_[queue].roots) != no_task) return false;
  Worker* fullest = nullptr;
  for (WorkerId id : alive_) {
    Worker& worker = worker_ref(id);
    if (!worker.reserved.empty() && (!fullest || worker.reserved.size() > fullest->reserved.size())) fullest = &worker;
  }
  TaskNumber number = std::prev(fullest->reserved.end())->second;
  if (queue_of(tasks_[number]) != queue) return false;
  bool wanted = std::any_of(idle_.begin(), idle_.end(), [&](WorkerId id) {
    const Worker& worker = worker_ref(id);
    return worker.reserved.empty() && worker.assigned.size() < worker.slots && fits_now(tasks_[number], worker);
  });
  if (wanted) enqueue(number);
  return wanted;
}

/// One whose family the worker has, unless there is more urgent work; else the first of all.
TaskNumber State::root_in_turn(std::uint32_t queue, const Worker& worker) {
  TaskNumber common = first(queues_[queue].roots);
  if (worker.reserved.empty()) return common;
  TaskNumber kept = worker.reserved.begin()->second;
  bool urgent = common != no_task && tasks_[common].rank.major < tasks_[kept].rank.major;
  return urgent ? common : kept;
}

/// The root task this worker should run next.
TaskNumber State::next_root(std::uint32_t queue, Worker& worker) {
  TaskNumber number = root_in_turn(queue, worker);
  if (number == no_task || queue_of(tasks_[number]) != queue) return no_task;
  return fits_now(tasks_[number], worker) && has_credit(tasks_[number], worker) ? number : no_task;
}

}  // namespace weft::scheduler
