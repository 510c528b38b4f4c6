// Which worker runs what, and when. Work is placed once per step, after all events of the batch.
//
// Tasks whose inputs must be moved go at once to where they are expected to start first (queue ahead of them plus bytes still
// to move). Root tasks, which only make data, are held back and dealt out by credit, siblings together, so that their results
// are consumed before more are made. Tasks that wait for others that one worker has are sent to that worker ahead of time.
#include <algorithm>

#include "common/token.h"
#include "scheduler/state.h"

namespace weft::scheduler {

// Work that nobody has measured yet counts this much.
static constexpr Duration unknown_run_time = 10ms;
// A family larger than this is no family: its members need not be together.
static constexpr std::size_t family_max = 32;

// ------------------------------------------------------------------------------------------------ queues

void State::enqueue(TaskNumber number) {
  Task& task = tasks_[number];
  task.kept_for = {};
  if (must_wait_to_start(number)) return;
  task.queue_serial = ++serials_;
  task.delayed = false;
  Queue& queue = queues_[shape_queue_[task.shape]];
  std::vector<Entry>& heap = is_root_like(task) ? queue.roots : queue.fed;
  heap.push_back({task.rank, number, task.queue_serial});
  std::push_heap(heap.begin(), heap.end());
}

bool State::is_current(const Entry& entry) const {
  const Task& task = tasks_[entry.task];
  return task.state == TaskState::ready && task.queue_serial == entry.serial;
}

/// A task that moves nothing: no inputs, or only such as ride along or as everybody needs.
bool State::is_root_like(const Task& task) const {
  if (task.is_data) return false;
  return std::all_of(task.inputs.begin(), task.inputs.end(), [&](const InputEdge& edge) {
    const Task& input = tasks_[edge.task];
    return input.dependents.size() > std::max<std::uint64_t>(2 * slots_total_, 16);
  });
}

void State::schedule() {
  if (!alive_.empty()) {
    // Credits are common to all queues: the one whose first task comes first has the first choice, so none starves.
    bool anything_reserved = std::any_of(alive_.begin(), alive_.end(), [&](WorkerId id) { return !worker_ref(id).reserved.empty(); });
    std::vector<std::pair<Rank, std::size_t>> order;
    for (std::size_t i = 0; i < queues_.size(); ++i)
      if (!queues_[i].fed.empty() || !queues_[i].roots.empty() || anything_reserved) order.emplace_back(first_rank(queues_[i]), i);
    std::sort(order.begin(), order.end());
    for (const auto& [rank, i] : order) {
      bool progress = true;
      while (progress) {
        progress = place_fed(queues_[i]);
        progress |= deal_roots(queues_[i]);
      }
    }
    send_ahead();
    if (options_.recall) recall_for_idle();
  }
}

/// Tasks that came after their inputs were given to one worker follow them there.
void State::send_ahead() {
  for (TaskNumber number : std::exchange(ahead_, {})) {
    const Task& task = tasks_[number];
    if (!options_.run_ahead || task.state != TaskState::waiting || task.ahead_count != task.missing) continue;
    Worker& worker = worker_ref(task.ahead_worker);
    const TaskOptions& wishes = shape_of(task).options;
    if (wishes.cores > 1 || !wishes.resources.empty() || worker.assigned.size() >= 4 * worker.slots || !fits_now(task, worker)) continue;
    assign(number, worker);
  }
}

/// The rank of its next root task; what is kept for a worker is of families that have begun, and comes first.
Rank State::first_rank(Queue& queue) {
  while (!queue.roots.empty() && !is_current(queue.roots.front())) {
    std::pop_heap(queue.roots.begin(), queue.roots.end());
    queue.roots.pop_back();
  }
  return queue.roots.empty() ? Rank{INT64_MIN, 0} : queue.roots.front().rank;
}

bool State::place_fed(Queue& queue) {
  bool placed = false;
  std::vector<Entry>& heap = queue.fed;
  while (!heap.empty()) {
    Entry entry = heap.front();
    if (is_current(entry)) {
      const Task& task = tasks_[entry.task];
      WorkerId target = choose(task);
      if (!target) return placed;
      if (task.is_data) expect_put(entry.task, worker_ref(target));
      else assign(entry.task, worker_ref(target));
      placed = true;
    }
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
  }
  return placed;
}

bool State::deal_roots(Queue& queue) {
  bool placed = false;
  while (true) {
    first_rank(queue);  // drops what is stale
    // The emptiest of the hungry first; they leave the set when they have no credit left.
    WorkerId target;
    double emptiest = 0;
    for (auto at = hungry_.begin(); at != hungry_.end();) {
      Worker& worker = worker_ref(*at);
      bool has_work = !queue.roots.empty() || !worker.reserved.empty();
      if (!worker.usable()) {
        at = hungry_.erase(at);
        continue;
      }
      double filled = static_cast<double>(worker.assigned.size()) / worker.slots;
      if (has_work && (!target || filled < emptiest)) {
        const Task& sample = tasks_[worker.reserved.empty() ? queue.roots.front().task : worker.reserved.begin()->second];
        if (sample.avoid == worker.id) filled += 1e6;  // it crashed there: elsewhere if there is room
        if (shape_queue_[sample.shape] == shape_queue_[queue.shape] && fits_now(sample, worker) && has_credit(sample, worker)) {
          target = worker.id;
          emptiest = filled;
        }
      }
      ++at;
    }
    if (!target) {
      if (!free_a_reservation(queue)) return placed;
      continue;
    }
    // A run of neighbours each time: fewer looks, and siblings stay together.
    Worker& worker = worker_ref(target);
    for (std::uint32_t i = 0; i < 4 + worker.slots; ++i) {
      TaskNumber number = next_root(queue, worker);
      if (number == no_task) break;
      assign(number, worker);
      reserve_siblings(number, worker);
      placed = true;
    }
  }
}

/// An idle worker without work is worth more than siblings in one place.
bool State::free_a_reservation(Queue& queue) {
  Worker* fullest = nullptr;
  bool idle = false;
  for (WorkerId id : alive_) {
    Worker& worker = worker_ref(id);
    idle |= worker.usable() && worker.reserved.empty() && worker.assigned.size() < worker.slots;
    if (!worker.reserved.empty() && (!fullest || worker.reserved.size() > fullest->reserved.size())) fullest = &worker;
  }
  if (!idle || !fullest || !queue.roots.empty()) return false;
  TaskNumber number = std::prev(fullest->reserved.end())->second;
  if (shape_queue_[tasks_[number].shape] != shape_queue_[queue.shape]) return false;
  bool wanted = std::any_of(alive_.begin(), alive_.end(), [&](WorkerId id) {
    const Worker& worker = worker_ref(id);
    return worker.reserved.empty() && worker.assigned.size() < worker.slots && fits_now(tasks_[number], worker);
  });
  if (!wanted) return false;
  fullest->reserved.erase(std::prev(fullest->reserved.end()));
  enqueue(number);
  return true;
}

/// The root task this worker should run next: one whose sibling it has, else the first of all.
TaskNumber State::next_root(Queue& queue, Worker& worker) {
  std::uint32_t own_queue = shape_queue_[queue.shape];
  if (!worker.reserved.empty()) {
    TaskNumber number = worker.reserved.begin()->second;
    const Task& task = tasks_[number];
    if (shape_queue_[task.shape] != own_queue || !fits_now(task, worker) || !has_credit(task, worker)) return no_task;
    WEFT_CHECK(task.state == TaskState::ready);
    worker.reserved.erase(worker.reserved.begin());
    return number;
  }
  while (!queue.roots.empty()) {
    Entry entry = queue.roots.front();
    bool current = is_current(entry);
    if (current && (!fits_now(tasks_[entry.task], worker) || !has_credit(tasks_[entry.task], worker))) return no_task;
    std::pop_heap(queue.roots.begin(), queue.roots.end());
    queue.roots.pop_back();
    if (current) return entry.task;
  }
  return no_task;
}

/// Keep the other inputs of this task's reader for the same worker, if they are root tasks and few.
void State::reserve_siblings(TaskNumber number, Worker& worker) {
  if (!options_.locality) return;
  const Task* reader = nullptr;
  for (const DependentEdge& edge : tasks_[number].dependents) {
    const Task& candidate = tasks_[edge.task];
    if (candidate.inputs.size() < 2 || candidate.inputs.size() > family_max) continue;
    if (!reader || candidate.inputs.size() < reader->inputs.size()) reader = &candidate;
  }
  if (!reader) return;
  for (const InputEdge& edge : reader->inputs) {
    Task& sibling = tasks_[edge.task];
    if (sibling.state != TaskState::ready || sibling.shape != tasks_[number].shape || !is_root_like(sibling)) continue;
    if (sibling.kept_for || sibling.delayed) continue;
    sibling.kept_for = worker.id;
    sibling.queue_serial = ++serials_;  // out of the common queue
    worker.reserved.emplace(sibling.rank, edge.task);
  }
}

// ------------------------------------------------------------------------------------------------ choosing

Duration State::estimate(const Task& task) const {
  std::int64_t run_time = groups_[shape_group_[task.shape]].run_time;
  return run_time < 0 ? unknown_run_time : Duration(run_time);
}

/// Whether this worker may ever run it: names, resources, user code.
bool State::may_run(const Task& task, const Worker& worker) const {
  const Template& shape = shape_of(task);
  const TaskOptions& options = shape.options;
  if (!task.is_data && shape.function.kernel == 0 && !worker.runs_user_code) return false;
  if (options.cores > worker.slots) return false;
  for (const auto& [name, amount] : options.resources) {
    auto has = worker.resources.find(name);
    if (has == worker.resources.end() || has->second < amount) return false;
  }
  if (options.workers.empty()) return true;
  auto matches = [&](const Worker& w) {
    return std::any_of(options.workers.begin(), options.workers.end(),
                       [&](const std::string& text) { return text == w.name || text == w.endpoint || text == w.host; });
  };
  if (matches(worker)) return true;
  if (options.workers_strict) return false;
  return std::none_of(alive_.begin(), alive_.end(), [&](WorkerId id) { return matches(*workers_[id.number]) && workers_[id.number]->usable(); });
}

/// Whether it may be sent there now: what it reserves is free.
bool State::fits_now(const Task& task, const Worker& worker) const {
  if (!worker.usable() || !may_run(task, worker)) return false;
  const TaskOptions& options = shape_of(task).options;
  if (!options.pure && !is_committed(task)) return false;
  if (options.cores > 1 && worker.cores_reserved + options.cores > worker.slots) return false;
  for (const auto& [name, amount] : options.resources)
    if (worker.resources_free.at(name) < amount) return false;
  return true;
}

/// How many root tasks may wait at a worker: enough to bridge the way to us and back, few enough to keep memory low.
bool State::has_credit(const Task& task, const Worker& worker) const {
  if (!options_.hold_back) return true;
  const Group& group = groups_[shape_group_[task.shape]];
  std::uint64_t per_slot = options_.credit_unknown;
  if (group.run_time >= 0) {
    std::int64_t run_time = std::max<std::int64_t>(group.run_time, 1'000);
    per_slot = std::clamp<std::int64_t>(1 + options_.credit_time.count() / run_time, 2, options_.credit_max);
  }
  // Long tasks: the next one of a slot need not be there before the last one is nearly done.
  std::uint64_t window = group.run_time > options_.credit_time.count() ? worker.slots + 1 : per_slot * worker.slots;
  if (group.bytes > 0 && worker.memory_limit > 0) {
    std::uint64_t room = worker.memory_limit > worker.holding_bytes ? worker.memory_limit - worker.holding_bytes : 0;
    window = std::min<std::uint64_t>(window, std::max<std::uint64_t>(worker.slots, room / 4 / group.bytes));
  }
  // A task with a client of its own may be waiting for the very task that asks for credit here.
  return worker.assigned.size() < window + worker.nested;
}

/// Expected time until it could start there: the queue ahead of it and the bytes still to move.
Duration State::cost(const Task& task, const Worker& worker) const {
  Duration wait = worker.assigned.size() < worker.slots ? Duration{} : worker.load / worker.slots;
  if (task.avoid == worker.id) wait += 1s;
  if (!options_.locality) return wait;
  std::uint64_t bytes = 0;
  for (const InputEdge& edge : task.inputs) {
    const Task& input = tasks_[edge.task];
    if (!input.small.empty()) continue;
    bool here = std::any_of(input.replicas.begin(), input.replicas.end(), [&](const Replica& r) { return r.worker == worker.id; });
    if (!here) bytes += input.bytes + static_cast<std::uint64_t>(options_.transfer_latency.count() * options_.bandwidth / 1e9);
  }
  return wait + Duration(static_cast<std::int64_t>(bytes * 1e9 / options_.bandwidth));
}

/// The best of a few candidates: holders of the inputs, and some workers in turn. Cost does not grow with the cluster.
WorkerId State::choose(const Task& task) {
  std::vector<WorkerId> candidates;
  auto consider = [&](WorkerId id) {
    if (std::find(candidates.begin(), candidates.end(), id) == candidates.end()) candidates.push_back(id);
  };
  if (options_.locality) {
    for (std::size_t i = 0; i < task.inputs.size() && i < 64 && candidates.size() < 12; ++i) {
      const std::vector<Replica>& replicas = tasks_[task.inputs[i].task].replicas;
      for (std::size_t r = 0; r < replicas.size() && r < 4; ++r) consider(replicas[r].worker);
    }
  }
  std::size_t others = alive_.size() <= 16 || !shape_of(task).options.workers.empty() || !shape_of(task).options.resources.empty()
                           ? alive_.size() : 6;
  for (std::size_t i = 0; i < others; ++i) consider(alive_[(cursor_ + i) % alive_.size()]);
  ++cursor_;
  if (std::none_of(candidates.begin(), candidates.end(), [&](WorkerId id) { return fits_now(task, *workers_[id.number]); }))
    candidates = alive_;
  WorkerId best;
  Duration best_cost{};
  for (WorkerId id : candidates) {
    const Worker& worker = *workers_[id.number];
    if (!fits_now(task, worker)) continue;
    Duration price = cost(task, worker);
    bool better = !best || price < best_cost ||
                  (price == best_cost && worker.assigned.size() * workers_[best.number]->slots <
                                             workers_[best.number]->assigned.size() * worker.slots);
    if (!better) continue;
    best = id;
    best_cost = price;
  }
  return best;
}

}  // namespace weft::scheduler
