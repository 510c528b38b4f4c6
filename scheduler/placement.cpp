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
  task.queue_serial = ++serials_;
  task.kept_for = {};
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
  return worker.assigned.size() < window;
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

// ------------------------------------------------------------------------------------------------ assigning

void State::assign(TaskNumber first, Worker& worker) {
  std::vector<TaskNumber> work{first};
  std::uint32_t sent = 0;
  while (!work.empty()) {
    TaskNumber number = work.back();
    work.pop_back();
    Task& task = tasks_[number];
    if (number != first && (task.state != TaskState::waiting || !fits_now(task, worker))) continue;
    const Template& shape = shape_of(task);
    task.kept_for = {};
    if (worker.shapes_known.size() < shapes_.size()) worker.shapes_known.resize(shapes_.size());
    if (!worker.shapes_known[task.shape]) {
      worker.shapes_known[task.shape] = true;
      auto program = programs_.find(shape.function.program);
      if (program != programs_.end() && worker.programs_known.insert(program->first).second)
        tell(worker, DefineProgram{program->first, program->second});
      tell(worker, DefineTemplate{task.shape, shape});
    }
    Assign order{.attempt = {++attempts_}, .key = task.key, .number = task.shape,
                 .try_number = task.errors + task.losses + 1u, .rank = task.rank.major, .rank_minor = task.rank.minor,
                 .arguments = task.arguments};
    order.inputs.reserve(task.inputs.size());
    for (const InputEdge& edge : task.inputs) order.inputs.push_back(describe(edge.task, edge.part, worker));
    take_on(number, worker, {attempts_});
    tell(worker, std::move(order));
    count_ahead(number, worker.id, true);
    if (!options_.run_ahead) continue;
    // Of many readers only some: the others are better placed when the value is there. None that reserves anything, since
    // what it reserves would lie idle until its inputs are made.
    std::uint32_t readers = 0;
    for (const DependentEdge& edge : tasks_[number].dependents) {
      if (readers == 2 * worker.slots || sent == options_.run_ahead_max) break;
      const Task& reader = tasks_[edge.task];
      const TaskOptions& wishes = shape_of(reader).options;
      if (reader.state != TaskState::waiting || reader.ahead_count != reader.missing || reader.ahead_worker != worker.id) continue;
      if (wishes.cores > 1 || !wishes.resources.empty()) continue;
      work.push_back(edge.task);
      ++readers, ++sent;
    }
  }
}

/// Book an attempt on a worker.
void State::take_on(TaskNumber number, Worker& worker, AttemptId attempt) {
  move_to(number, TaskState::assigned);
  Task& task = tasks_[number];
  task.worker = worker.id;
  task.attempt = attempt;
  task.worker_slot = static_cast<std::uint32_t>(worker.assigned.size());
  worker.assigned.push_back(number);
  task.estimate = task.is_data ? Duration{} : estimate(task);
  worker.load += task.estimate;
  const TaskOptions& options = shape_of(task).options;
  if (options.cores > 1) worker.cores_reserved += options.cores;
  for (const auto& [name, amount] : options.resources) worker.resources_free[name] -= amount;
}

/// Have the client put its bytes there.
void State::expect_put(TaskNumber number, Worker& worker) {
  take_on(number, worker, {++attempts_});
  const Task& task = tasks_[number];
  for (const WantEdge& want : task.wants) {
    if (!want.has_data) continue;
    Location place = locate(task, worker);
    tell(worker, ExpectPut{task.key, task.bytes, place.token});
    tell(want.holder, ScatterTo{task.key, std::move(place)});
  }
}

AssignedInput State::describe(TaskNumber number, std::uint32_t part, Worker& reader) {
  const Task& input = tasks_[number];
  AssignedInput described{.key = input.key, .part = part, .bytes = input.bytes};
  if (input.state != TaskState::stored) return described;
  for (const Replica& replica : input.replicas)
    if (replica.worker == reader.id) return described;
  if (!input.small.empty() && part == whole_value) described.small = input.small;
  else described.locations = part == whole_value ? locations_for(number, reader) : all_locations(number, reader);
  return described;
}

Location State::locate(const Task& task, const Worker& holder) {
  return {holder.id, holder.endpoint, holder.public_key, make_token(holder.secret, task.key, ++nonces_)};
}

/// A few holders to fetch from: those on the reader's machine first, then in turn.
std::vector<Location> State::all_locations(TaskNumber number, const Worker& reader) {
  const Task& task = tasks_[number];
  std::vector<Location> locations;
  for (bool same_host : {true, false}) {
    for (std::size_t i = 0; i < task.replicas.size() && locations.size() < 3; ++i) {
      const Worker& holder = *workers_[task.replicas[(i + reader.id.number) % task.replicas.size()].worker.number];
      if (holder.peer && (holder.host == reader.host) == same_host) locations.push_back(locate(task, holder));
    }
  }
  return locations;
}

/// Where the reader fetches from. Of a big value that many want, each holder serves a few; the others wait for
/// those to have it, so that copies spread as a tree and not all from one source.
std::vector<Location> State::locations_for(TaskNumber number, Worker& reader) {
  const Task& task = tasks_[number];
  bool ordered = replicas_wanted_.contains(number);
  bool many = ordered || task.dependents.size() > options_.broadcast_fan_out;
  if (!options_.broadcast || task.bytes < options_.broadcast_min || !many) return all_locations(number, reader);
  Spread& spread = spreads_[number];
  for (const Flight& flight : spread.flights)
    if (flight.to == reader.id) return {};  // it is on its way there for another task
  const Worker* best = nullptr;
  // Each holder gives a few copies, the new holders give the next; who has given enough gives more only if no copy is coming.
  std::uint32_t least = spread.flights.empty() ? UINT32_MAX : options_.broadcast_fan_out;
  for (const Replica& replica : task.replicas) {
    const Worker& holder = *workers_[replica.worker.number];
    auto served = spread.served.find(holder.id);
    std::uint32_t given = served == spread.served.end() ? 0 : served->second;
    if (!holder.peer || given >= least) continue;
    least = given;
    best = &holder;
  }
  auto waits = std::find(spread.readers.begin(), spread.readers.end(), reader.id);
  if (!best) {
    if (waits == spread.readers.end()) spread.readers.push_back(reader.id);
    return {};
  }
  if (waits != spread.readers.end()) spread.readers.erase(waits);
  ++spread.served[best->id];
  spread.flights.push_back({best->id, reader.id, ordered});
  return {locate(task, *best)};
}

/// A new holder, or a flight that ended: those that wait for a place to fetch from may get one.
void State::serve_waiting_readers(TaskNumber number) {
  auto found = spreads_.find(number);
  if (found == spreads_.end()) return;
  std::deque<WorkerId> readers = std::exchange(found->second.readers, {});
  for (WorkerId id : readers) {
    Worker* reader = id.number < workers_.size() && workers_[id.number] ? &*workers_[id.number] : nullptr;
    if (!reader) continue;
    AssignedInput input = describe(number, whole_value, *reader);
    if (!input.small.empty() || !input.locations.empty()) tell(*reader, Holders{std::move(input)});
  }
  if (spreads_[number].flights.empty() && spreads_[number].readers.empty()) spreads_.erase(number);
}

void State::forget_flights(WorkerId worker) {
  for (auto& [number, spread] : spreads_) {
    std::erase_if(spread.flights, [&](const Flight& flight) { return flight.from == worker || flight.to == worker; });
    std::erase(spread.readers, worker);
    spread_review_.insert(number);
  }
}

void State::end_flight(TaskNumber number, WorkerId to) {
  auto spread = spreads_.find(number);
  if (spread == spreads_.end()) return;
  std::erase_if(spread->second.flights, [&](const Flight& flight) { return flight.to == to; });
  spread_review_.insert(number);
}

/// A worker whose attempts were all taken back has given up its fetch without a word: its place is free for others.
void State::review_spread(TaskNumber number) {
  auto found = spreads_.find(number);
  if (found == spreads_.end()) return;
  Spread& spread = found->second;
  std::set<WorkerId> reading;
  for (const DependentEdge& edge : tasks_[number].dependents)
    if (WorkerId worker = tasks_[edge.task].worker) reading.insert(worker);
  std::erase_if(spread.flights, [&](const Flight& flight) { return !flight.ordered && !reading.contains(flight.to); });
  if (!replicas_wanted_.contains(number))
    std::erase_if(spread.readers, [&](WorkerId reader) { return !reading.contains(reader); });
  if (tasks_[number].state == TaskState::stored) serve_waiting_readers(number);
  else if (spread.flights.empty() && spread.readers.empty()) spreads_.erase(found);
}

/// Bring the number of copies to what was asked for; 0 means one on every worker.
void State::spread_replicas(TaskNumber number, std::uint32_t copies) {
  const Task& task = tasks_[number];
  std::size_t have = task.replicas.size();
  std::size_t want = copies == 0 ? alive_.size() : std::min<std::size_t>(copies, alive_.size());
  for (std::size_t i = 0; i < alive_.size() && have < want; ++i) {
    Worker& reader = worker_ref(alive_[(cursor_ + i) % alive_.size()]);
    bool has = std::any_of(task.replicas.begin(), task.replicas.end(), [&](const Replica& r) { return r.worker == reader.id; });
    if (has || !reader.usable()) continue;
    // Without a place it asks, and waits for its turn in the tree.
    tell(reader, Replicate{AssignedInput{.key = task.key, .bytes = task.bytes, .locations = locations_for(number, reader)}});
    ++have;
  }
  ++cursor_;
}

// ------------------------------------------------------------------------------------------------ recall

/// Idle workers take attempts that have not started from workers where they would wait for long. The worker gives them back or
/// says that they run; only then are they placed again.
void State::recall_for_idle() {
  std::uint64_t idle_slots = 0;
  for (WorkerId id : hungry_) {
    const Worker& worker = worker_ref(id);
    if (worker.usable() && worker.assigned.size() < worker.slots) idle_slots += worker.slots - worker.assigned.size();
  }
  if (idle_slots == 0) return;
  for (WorkerId id : std::vector<WorkerId>(alive_)) {
    Worker& worker = worker_ref(id);
    if (idle_slots == 0) return;
    if (!worker.peer || worker.recalls > 0 || worker.assigned.size() <= worker.slots) continue;
    if (worker.load / worker.slots < options_.recall_worth || worker.recall_again > now_) continue;
    // Looking through a long list pays only now and then.
    worker.recall_again = now_ + 1us * worker.assigned.size();
    // Last in rank first; never more than half of what waits there.
    std::vector<std::pair<Rank, TaskNumber>> waiting;
    for (TaskNumber number : worker.assigned) {
      const Task& task = tasks_[number];
      if (!task.started && !task.is_data && task.missing == 0) waiting.emplace_back(task.rank, number);
    }
    std::size_t movable = waiting.size() > worker.slots ? (waiting.size() - worker.slots + 1) / 2 : 0;
    std::sort(waiting.rbegin(), waiting.rend());
    for (std::size_t i = 0; i < waiting.size() && movable > 0 && idle_slots > 0; ++i) {
      const Task& task = tasks_[waiting[i].second];
      bool better = std::any_of(hungry_.begin(), hungry_.end(), [&](WorkerId other) {
        const Worker& thief = worker_ref(other);
        return thief.assigned.size() < thief.slots && fits_now(task, thief) &&
               cost(task, thief) + options_.recall_worth / 2 < worker.load / worker.slots;
      });
      if (!better) continue;
      revoke(waiting[i].second, false);
      --movable;
      --idle_slots;
    }
  }
}

}  // namespace weft::scheduler
