// Workers: joining, inventory, what they report, losing and retiring them.
#include <algorithm>

#include "scheduler/state.h"

namespace weft::scheduler {

// A copy that this many readers in a row could not get counts as gone.
static constexpr std::uint32_t strikes_max = 2, data_strikes_max = 16;
// Copies that are on their way from one retiring worker.
static constexpr std::size_t hand_over_max = 256;

void State::tell(Worker& worker, WorkerBound message) {
  if (worker.peer) worker.outbox.push_back(std::move(message));
}

static WorkerRefused refused(ErrorKind kind, std::string why) { return {WireFailure{failure(kind, std::move(why))}}; }

void State::worker_hello(PeerId peer, const WorkerHello& message) {
  auto refuse = [&](ErrorKind kind, std::string why) {
    stray_workers_.emplace_back(peer, refused(kind, std::move(why)));
    to_close_.push_back(peer);
  };
  if (message.protocol_min > 1 || message.protocol_max < 1)
    return refuse(ErrorKind::protocol_error, "this scheduler speaks protocol 1, worker '" + message.name + "' speaks " +
                                                 std::to_string(message.protocol_min) + " to " +
                                                 std::to_string(message.protocol_max) + "; install the same release");
  if (message.epoch > options_.epoch)
    return refuse(ErrorKind::protocol_error, "worker '" + message.name + "' obeys a newer scheduler");
  if (message.secret.size() != 16 || message.slots == 0 || message.slots > 65'536)
    return refuse(ErrorKind::protocol_error, "worker '" + message.name + "' sent an impossible hello");

  WorkerId known;
  for (WorkerId id : alive_) {
    Worker& other = worker_ref(id);
    if (other.name != message.name) continue;
    if (other.instance == message.instance) known = id;
    else if (other.peer)
      return refuse(ErrorKind::invalid_argument, "a worker named '" + message.name + "' is already here; start this one with another --name");
    else {
      lose_worker(id, true, "a new process took its name");
      break;
    }
  }
  if (!known) {
    known = {static_cast<std::uint32_t>(workers_.size())};
    workers_.emplace_back(Worker{.id = known, .name = message.name, .instance = message.instance});
    alive_.push_back(known);
    slots_total_ += message.slots;
    Worker& worker = worker_ref(known);
    worker.slots = message.slots;
    worker.resources = worker.resources_free = message.resources;
    log_line(6, "worker joined", message.name);
  }
  Worker& worker = worker_ref(known);
  if (worker.peer && worker.peer != peer) {
    worker_of_peer_.erase(worker.peer);
    to_close_.push_back(worker.peer);
  }
  worker.peer = peer;
  worker_of_peer_[peer] = known;
  worker.heard = worker.echoed = now_;
  worker.lost_at = now_ + options_.lease;
  worker.memory_limit = message.memory_limit;
  worker.endpoint = message.endpoint;
  worker.public_key = message.public_key;
  worker.secret = message.secret;
  worker.host = message.host;
  worker.pid = message.pid;
  worker.runs_user_code = message.runs_user_code;
  worker.shapes_known.clear();
  worker.programs_known.clear();
  worker.outbox.clear();
  hungry_.insert(known);
  show_worker(worker);
  tell(worker, WorkerWelcome{1, options_.epoch, known, std::max<Duration>(options_.heartbeat_interval,
                                                           options_.heartbeat_interval * (alive_.size() / 200)), options_.lease});
  take_inventory(worker, message);
}

// One path for a new worker, a blip, a healed partition and a restarted scheduler: compare what it has with what we think.
void State::take_inventory(Worker& worker, const WorkerHello& message) {
  // Copies that were ordered on the old connection: perhaps it never heard of them.
  for (auto& [number, spread] : spreads_)
    if (std::erase_if(spread.flights, [&](const Flight& flight) { return flight.ordered && flight.to == worker.id; }))
      spread_review_.insert(number);
  std::set<Key> held;
  for (const Held& value : message.held) held.insert(value.key);
  for (TaskNumber number : std::vector<TaskNumber>(worker.holding))
    if (!held.contains(tasks_[number].key)) lose_replica(number, worker.id);

  std::map<Key, RunningAttempt> running;
  for (const RunningAttempt& attempt : message.running) {
    running.emplace(attempt.key, attempt);
    TaskNumber number = index_.find(attempt.key);
    bool ours = number != KeyIndex::none && tasks_[number].state == TaskState::assigned &&
                tasks_[number].worker == worker.id && tasks_[number].attempt == attempt.attempt;
    if (ours) tasks_[number].started |= attempt.started;
    else tell(worker, Revoke{attempt.attempt, true});
  }
  for (const Held& value : message.held) adopt(worker, value.key, value.bytes);
  // Orders that got lost with the old connection, and answers too.
  for (TaskNumber number : std::vector<TaskNumber>(worker.assigned)) {
    Task& task = tasks_[number];
    if (task.state != TaskState::assigned || task.worker != worker.id) continue;
    auto found = running.find(task.key);
    bool has_it = found != running.end() && found->second.attempt == task.attempt;
    if (!has_it) run_again(number, Duration{});
    else if (task.recalling) tell(worker, Revoke{task.attempt, false});
  }
}

/// A worker has a value that we did not know to be there.
void State::adopt(Worker& worker, const Key& key, std::uint64_t bytes) {
  TaskNumber number = index_.find(key);
  bool known = number != KeyIndex::none;
  if (known) {
    end_flight(number, worker.id);
    for (Replica& replica : tasks_[number].replicas) replica.strikes = 0;
    for (const Replica& replica : tasks_[number].replicas)
      if (replica.worker == worker.id) return;
    // The value of a user-named key may stem from an earlier task of that name.
    bool trusted = !key.is_named() || tasks_[number].state == TaskState::stored;
    if (trusted && tasks_[number].needed() && tasks_[number].state != TaskState::failed)
      return accept_value(worker, number, {}, bytes, {});
  }
  tell(worker, Drop{{key}});
}

/// The value of a needed task is at this worker, by this attempt or by whatever other way.
void State::accept_value(Worker& worker, TaskNumber number, AttemptId attempt, std::uint64_t bytes, const Bytes& small) {
  Task& task = tasks_[number];
  if (task.state == TaskState::stored) {
    add_replica(number, worker);
    if (auto moved = moving_.find(number); moved != moving_.end() && moved->second != worker.id) {
      WorkerId source = moved->second;
      moving_.erase(moved);
      // Who is about to read it there keeps it: the value is then at both.
      bool read_there = std::any_of(task.dependents.begin(), task.dependents.end(),
                                    [&](const DependentEdge& edge) { return tasks_[edge.task].worker == source; });
      if (!read_there) {
        tell(worker_ref(source), Drop{{task.key}});
        remove_replica(number, source);
      }
    }
    return serve_waiting_readers(number);
  }
  if (task.state == TaskState::assigned && task.attempt != attempt) revoke(number, true);
  task.bytes = bytes;
  task.small = small;
  task.was_stored = true;
  add_replica(number, worker);
  move_to(number, TaskState::stored);
  tell_everyone(number);
  serve_waiting_readers(number);
  if (auto wanted = replicas_wanted_.find(number); wanted != replicas_wanted_.end()) spread_replicas(number, wanted->second);
}

/// The task that this attempt is about, if the attempt is still the present one.
TaskNumber State::find_attempt(const Worker& worker, const Key& key, AttemptId attempt) const {
  TaskNumber number = index_.find(key);
  if (number == KeyIndex::none) return no_task;
  const Task& task = tasks_[number];
  bool present = task.state == TaskState::assigned && task.worker == worker.id && task.attempt == attempt;
  return present ? number : no_task;
}

void State::handle(Worker&, const WorkerHello&) {}  // dispatched before

void State::handle(Worker& worker, const AttemptStarted& message) {
  TaskNumber number = find_attempt(worker, message.key, message.attempt);
  if (number == no_task) return;
  Task& task = tasks_[number];
  task.started = true;
  show(Seen::started, task, worker.id);
  if (!task.recalling) return;
  task.recalling = false;
  --worker.recalls;
}

void State::handle(Worker& worker, const AttemptFinished& message) {
  TaskNumber number = index_.find(message.key);
  if (number == KeyIndex::none) return tell(worker, Drop{{message.key}});
  Task& task = tasks_[number];
  bool current = task.state == TaskState::assigned && task.attempt == message.attempt;
  bool late = message.attempt > task.born && task.needed() && task.state != TaskState::failed;
  if (!current && !late) {
    bool held = std::any_of(task.replicas.begin(), task.replicas.end(), [&](const Replica& r) { return r.worker == worker.id; });
    if (!held) tell(worker, Drop{{message.key}});
    return;
  }
  ++finished_runs_;
  Group& group = group_of(task);
  auto mean = [](std::int64_t old, std::int64_t sample) { return old < 0 ? sample : (old + sample) / 2; };
  group.run_time = mean(group.run_time, std::max<std::int64_t>(message.run_time.count(), 0));
  group.bytes = mean(group.bytes, static_cast<std::int64_t>(std::min<std::uint64_t>(message.bytes, INT64_MAX / 4)));
  group.run_time_total += message.run_time.count();
  group.bytes_total += message.bytes;
  ++group.finished;
  show_finished(task, worker.id, message.bytes, message.run_time);
  accept_value(worker, number, message.attempt, message.bytes, message.small);
}

void State::handle(Worker& worker, const AttemptFailed& message) {
  TaskNumber number = find_attempt(worker, message.key, message.attempt);
  if (number == no_task) return;
  Failure failure = message.failure.failure;
  failure.worker = worker.name;
  if (failure.kind == ErrorKind::none) failure.kind = ErrorKind::protocol_error;
  fail_or_retry(number, failure);
}

void State::handle(Worker& worker, const AttemptReturned& message) {
  TaskNumber number = find_attempt(worker, message.key, message.attempt);
  if (number == no_task) return;
  show(Seen::recalled, tasks_[number], worker.id);
  run_again(number, Duration{});
}

void State::handle(Worker& worker, const ValuesHeld& message) {
  for (const Held& value : message.values) {
    if (TaskNumber number = index_.find(value.key); number != KeyIndex::none) show_transfer(tasks_[number], worker.id);
    adopt(worker, value.key, value.bytes);
  }
}

void State::handle(Worker& worker, const ValuesLost& message) {
  for (const Key& key : message.keys) {
    TaskNumber number = index_.find(key);
    if (number != KeyIndex::none) lose_replica(number, worker.id);
  }
}

// The worker could not get an input from where we said. Tell it the present places; a holder that could not serve it twice
// in a row is taken for one that does not have it, so that the value is made again rather than waited for. Scattered data
// cannot be made again: it gets many more chances.
void State::handle(Worker& worker, const InputMissing& message) {
  TaskNumber number = index_.find(message.key);
  if (number == KeyIndex::none) {
    auto owner = file_owners_.find(message.key);
    if (owner == file_owners_.end()) return tell(worker, Drop{{message.key}});  // nobody needs it any more, nor the copy
    // A file of a program: its client puts it somewhere, and the worker asks again.
    auto session = sessions_.find(owner->second);
    if (session != sessions_.end()) tell(session->second, SendFile{message.key});
    return;
  }
  end_flight(number, worker.id);
  moving_.erase(number);
  for (WorkerId tried : message.tried) {
    std::vector<Replica>& replicas = tasks_[number].replicas;
    auto replica = std::find_if(replicas.begin(), replicas.end(), [&](const Replica& r) { return r.worker == tried; });
    if (replica == replicas.end() || tasks_[number].state != TaskState::stored) continue;
    Worker& holder = worker_ref(tried);
    if (!holder.peer) continue;  // its lease decides
    if (++replica->strikes < (tasks_[number].is_data ? data_strikes_max : strikes_max)) continue;
    tell(holder, Drop{{message.key}});
    lose_replica(number, tried);
  }
  if (tasks_[number].key != message.key || tasks_[number].state != TaskState::stored) {
    std::deque<WorkerId>& readers = spreads_[number].readers;
    if (std::find(readers.begin(), readers.end(), worker.id) == readers.end()) readers.push_back(worker.id);
    return;
  }
  tell(worker, Holders{describe(number, whole_value, worker)});
}

void State::handle(Worker& worker, const WorkerHeartbeat& message) {
  worker.last = message;
  worker.paused = message.paused;
  if (message.paused) hungry_.erase(worker.id);
  else hungry_.insert(worker.id);
  show_heartbeat(worker);
  if (message.tick > 0) worker.echoed = std::max(worker.echoed, Time{static_cast<std::int64_t>(message.tick)});
  tell(worker, SchedulerTick{static_cast<std::uint64_t>(now_.nanoseconds)});
}

void State::handle(Worker& worker, const WorkerLeaving&) { retire(worker, true); }

void State::handle(Worker& worker, const FromTask& message) {
  for (const ClientMessage& inner : message.messages) {
    if (const auto* first = std::get_if<ClientHello>(&inner)) {
      hello(worker.peer, *first, worker.id, message.channel);
      continue;
    }
    auto session = session_of_channel_.find({worker.id, message.channel});
    if (session != session_of_channel_.end()) client_message(session->second, inner);
  }
}

void State::handle(Worker& worker, const LogLine& message) { log_line(message.level, message.text, worker.name, message.key); }

// ------------------------------------------------------------------------------------------------ losing and leaving

void State::lose_replica(TaskNumber number, WorkerId id) {
  remove_replica(number, id);
  Task& task = tasks_[number];
  if (!task.replicas.empty() || task.state != TaskState::stored) return;
  if (!task.needed()) {
    move_to(number, TaskState::released);
    review_.push_back(number);
  } else if (task.is_data) {
    fail(number, data_lost(number));
  } else {
    move_to(number, TaskState::released);
    for (const WantEdge& want : tasks_[number].wants) tell(want.holder, TaskPending{tasks_[number].key});
    require(number);
  }
}

/// The worker's process is gone, or counts as gone. `blame`: what it was running may have killed it.
void State::lose_worker(WorkerId id, bool blame, const std::string& why) {
  Worker& worker = worker_ref(id);
  blame = blame && !worker.retiring;  // it was told to go, perhaps before its tasks could end
  log_line(blame ? 4 : 6, "worker lost: " + why, worker.name);
  show_worker_lost(worker, blame, why);
  for (const auto& [place, session] : std::map(session_of_channel_))
    if (place.first == id) end_holder(session);
  if (worker.peer) {
    worker_of_peer_.erase(worker.peer);
    to_close_.push_back(worker.peer);
    worker.peer = {};
    worker.outbox.clear();
  }
  hungry_.erase(id);
  std::erase_if(moving_, [&](const auto& move) { return move.second == id; });
  forget_flights(id);
  worker.retiring = true;  // nothing new goes there while it is taken apart
  while (!worker.holding.empty()) lose_replica(worker.holding.back(), id);
  while (!worker.assigned.empty()) {
    TaskNumber number = worker.assigned.back();
    Task& task = tasks_[number];
    if (task.started && blame) {
      Failure cause{.kind = ErrorKind::task_poisoned,
                    .message = "worker daemons died while it ran: " + why,
                    .worker = worker.name};
      fail_or_retry(number, cause);
    } else {
      run_again(number, Duration{});
    }
  }
  for (const auto& [rank, number] : worker.reserved) enqueue(number);
  worker.reserved.clear();
  slots_total_ -= worker.slots;
  hungry_.erase(id);
  std::erase(alive_, id);
  workers_[id.number].reset();
}

/// Begin to empty a worker. False if nobody could take what only it holds, unless it goes `at_any_price`.
bool State::retire(Worker& worker, bool at_any_price) {
  bool others = std::any_of(alive_.begin(), alive_.end(), [&](WorkerId id) { return id != worker.id && !worker_ref(id).retiring; });
  bool unique = std::any_of(worker.holding.begin(), worker.holding.end(), [&](TaskNumber n) { return tasks_[n].needed(); });
  if (!others && unique && !at_any_price) return false;
  if (worker.retiring) return true;
  worker.retiring = true;
  hungry_.erase(worker.id);
  for (TaskNumber number : std::vector<TaskNumber>(worker.assigned))
    if (!tasks_[number].started && !tasks_[number].recalling) revoke(number, false);
  for (const auto& [rank, number] : std::exchange(worker.reserved, {})) enqueue(number);
  return true;
}

/// The emptiest of a few workers that may take a copy of this value.
WorkerId State::place_for_copy(TaskNumber number) {
  const std::vector<Replica>& replicas = tasks_[number].replicas;
  WorkerId best;
  int seen = 0;
  for (std::size_t i = 0; i < alive_.size() && seen < 8; ++i) {
    const Worker& worker = worker_ref(alive_[(cursor_ + i) % alive_.size()]);
    bool has = std::any_of(replicas.begin(), replicas.end(), [&](const Replica& r) { return r.worker == worker.id; });
    if (has || !worker.usable()) continue;
    ++seen;
    if (!best || worker.holding_bytes < worker_ref(best).holding_bytes) best = worker.id;
  }
  ++cursor_;
  return best;
}

/// Order copies of what only a retiring worker has; a bounded number at a time.
void State::hand_over(Worker& worker, bool& holds_unique) {
  bool others = std::any_of(alive_.begin(), alive_.end(), [&](WorkerId id) { return !worker_ref(id).retiring; });
  std::size_t under_way = 0;
  for (TaskNumber number : worker.holding) {
    const Task& task = tasks_[number];
    bool elsewhere = std::any_of(task.replicas.begin(), task.replicas.end(),
                                 [&](const Replica& r) { return !worker_ref(r.worker).retiring; });
    if (elsewhere || !task.needed()) continue;
    if (!others) return;  // the values are given up with the worker
    holds_unique = true;
    if (under_way >= hand_over_max) return;
    auto spread = spreads_.find(number);
    if (spread == spreads_.end() || spread->second.flights.empty()) {
      WorkerId target = place_for_copy(number);
      if (!target) continue;  // all others are paused or away just now
      spreads_[number].flights.push_back({worker.id, target, true});
      tell(worker_ref(target), Replicate{AssignedInput{.key = task.key, .bytes = task.bytes, .locations = {locate(task, worker)}}});
    }
    ++under_way;
  }
}

void State::advance_retirements() {
  for (WorkerId id : std::vector<WorkerId>(alive_)) {
    Worker& worker = worker_ref(id);
    if (!worker.retiring || !worker.peer || worker.leave_sent || worker.hand_over_again > now_) continue;
    bool holds_unique = false;
    hand_over(worker, holds_unique);
    if (worker.holding.size() > hand_over_max) worker.hand_over_again = now_ + 10ms;
    if (holds_unique || !worker.assigned.empty()) continue;
    worker.leave_sent = true;
    tell(worker, Leave{});
  }
}

}  // namespace weft::scheduler
