// Handing work and copies to workers: what an Assign says, where its inputs can be fetched, and how a value that many need
// spreads as a tree.
#include <algorithm>

#include "common/coverage_mark.h"
#include "common/token.h"
#include "scheduler/state.h"

namespace weft::scheduler {

void State::assign(TaskNumber first, Worker& worker) {
  std::vector<TaskNumber> work{first};
  std::uint32_t sent = 0;
  while (!work.empty()) {
    TaskNumber number = work.back();
    work.pop_back();
    Task& task = tasks_[number];
    if (number != first && (task.state != TaskState::waiting || !fits_now(task, worker))) continue;
    const Template& shape = shape_of(task);
    if (worker.shapes_known.size() < shapes_.size()) worker.shapes_known.resize(shapes_.size());
    if (std::exchange(worker.shapes_known[task.shape], shapes_[task.shape].serial) != shapes_[task.shape].serial) {
      auto program = programs_.find(shape.function.program);
      if (program != programs_.end() && worker.programs_known.insert(program->first).second)
        tell(worker, DefineProgram{program->first, program->second.files});
      tell(worker, DefineTemplate{task.shape, shape});
    }
    Assign order{.attempt = {++attempts_}, .key = task.key, .number = task.shape,
                 .try_number = task.errors + task.losses + 1u, .rank = task.rank.major, .rank_minor = task.rank.minor,
                 .arguments = bytes_of(task.arguments)};
    order.inputs.reserve(task.inputs.size());
    for (const InputEdge& edge : task.inputs) order.inputs.push_back(describe(edge.task, edge.part, worker));
    take_on(number, worker, {attempts_});
    order_run(number, worker, std::move(order));
    count_ahead(number, worker.id, true);
    if (!options_.run_ahead) continue;
    // Of many readers only some: the others are better placed when the value is there. None that reserves anything, since
    // what it reserves would lie idle until its inputs are made, and none that may run once, since it could not be sent again.
    std::uint32_t readers = 0;
    for (const DependentEdge& edge : tasks_[number].dependents) {
      if (readers == 2 * worker.slots || sent == options_.run_ahead_max) break;
      const Task& reader = tasks_[edge.task];
      const TaskOptions& wishes = shape_of(reader).options;
      if (reader.state != TaskState::waiting || reader.ahead_count != reader.missing || reader.ahead_worker != worker.id) continue;
      if (wishes.cores > 1 || !wishes.resources.empty() || runs_once(reader)) continue;
      work.push_back(edge.task);
      ++readers, ++sent;
    }
  }
}

/// Book an attempt on a worker.
void State::take_on(TaskNumber number, Worker& worker, AttemptId attempt) {
  TaskState from = tasks_[number].state;
  move_to(number, TaskState::assigned);
  Task& task = tasks_[number];
  task.worker = worker.id;
  task.attempt = attempt;
  show_transition(task, from, TaskState::assigned);
  if (worker.assigned.empty()) worker.moved = now_;
  task.worker_slot = static_cast<std::uint32_t>(worker.assigned.size());
  worker.assigned.push_back(number);
  note_room(worker);
  std::int64_t estimated = task.is_data ? 0 : estimate(task) / 1us;
  task.estimate_us = static_cast<std::uint32_t>(std::min<std::int64_t>(estimated, UINT32_MAX));
  worker.load += 1us * task.estimate_us;
  const TaskOptions& options = shape_of(task).options;
  if (options.cores > 1) worker.cores_reserved += options.cores;
  for (const auto& [name, amount] : options.resources) worker.resources_free[name] -= amount;
}

bool State::somebody_has_bytes(const Task& task) const {
  return std::any_of(task.wants.begin(), task.wants.end(), [](const WantEdge& want) { return want.has_data; });
}

/// Who had the bytes released them, or says again that it has them once it has found a restarted scheduler.
void State::await_bytes(TaskNumber number) {
  Time since = bytes_awaited_.try_emplace(number, now_).first->second;
  if (now_ - since >= options_.client_grace) return fail(number, data_lost(number));
  WEFT_MARK("scatter: nobody offers the bytes now");
  Task& task = tasks_[number];
  task.queue_serial = ++serials_;
  task.delayed = true;
  delayed_.emplace(now_ + 1s, number, task.queue_serial);
}

/// Have the client put its bytes there.
void State::expect_put(TaskNumber number, Worker& worker) {
  bytes_awaited_.erase(number);
  take_on(number, worker, {++attempts_});
  const Task& task = tasks_[number];
  for (const WantEdge& want : task.wants) {
    if (!want.has_data) continue;
    Location place = locate(task, worker);
    WEFT_UNLESS(64) tell(worker, ExpectPut{task.key, task.bytes, place.token});
    tell(want.holder, ScatterTo{task.key, std::move(place)});
  }
}

/// `ordered`: it is told because of a copy that was ordered, not to an attempt that reads it and may be taken back.
AssignedInput State::describe(TaskNumber number, std::uint32_t part, Worker& reader, bool ordered) {
  const Task& input = tasks_[number];
  AssignedInput described{.key = input.key, .part = part, .bytes = input.bytes};
  if (input.state != TaskState::stored) return described;
  for (const Replica& replica : input.replicas)
    if (replica.worker == reader.id) return described;
  if (!input.small.empty() && part == whole_value) described.small = bytes_of(input.small);
  else described.locations = part == whole_value ? locations_for(number, reader, ordered) : all_locations(number, reader);
  return described;
}

Location State::locate(const Task& task, const Worker& holder) {
  return {holder.id, holder.endpoint, holder.public_key, make_token(holder.secret, task.key, ++nonces_), holder.memory};
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
std::vector<Location> State::locations_for(TaskNumber number, Worker& reader, bool ordered) {
  const Task& task = tasks_[number];
  bool many = replicas_wanted_.contains(number) || task.dependents.size() > options_.broadcast_fan_out;
  if (!options_.broadcast || task.bytes < options_.broadcast_min || !many) return all_locations(number, reader);
  Spread& spread = spreads_[number];
  for (const Flight& flight : spread.flights)
    if (flight.to == WEFT_MUTANT(37, reader.id, flight.from)) return {};  // it is on its way there for another task
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
    WEFT_MARK("tree: a reader waits for its place");
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

/// True if it was for an ordered copy.
bool State::end_flight(TaskNumber number, WorkerId to) {
  auto spread = spreads_.find(number);
  if (spread == spreads_.end()) return false;
  bool ordered = false;
  std::erase_if(spread->second.flights, [&](const Flight& flight) {
    ordered |= flight.to == to && flight.ordered;
    return flight.to == to;
  });
  WEFT_UNLESS(63) spread_review_.insert(number);
  return ordered;
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
    tell(reader, Replicate{AssignedInput{.key = task.key, .bytes = task.bytes, .locations = locations_for(number, reader, true)}});
    ++have;
  }
  ++cursor_;
}

}  // namespace weft::scheduler
