// Workers: joining, inventory, what they report.
#include <algorithm>

#include "common/coverage_mark.h"
#include "common/limits.h"
#include "scheduler/state.h"

namespace weft::scheduler {

// A copy that this many readers in a row could not get counts as gone.
static constexpr std::uint32_t strikes_max = 2, data_strikes_max = 16;
// Of one worker: slots, and how much of one resource (check_chunk lets a task ask for no more).
static constexpr std::uint32_t slots_max = 65'536;
static constexpr double resource_amount_max = 1e15;
static constexpr std::size_t secret_size = 16;

void State::tell(Worker& worker, WorkerBound message) {
  if (!worker.peer) return;
  if (worker.outbox.empty()) speaking_workers_.push_back(worker.id);
  flush_drops(worker);
  worker.outbox.push_back(std::move(message));
}

/// It may forget this value. A worker that has work will be spoken to soon: until then the words for many values become one.
void State::tell_drop(Worker& worker, const Key& key, std::uint64_t bytes) {
  if (!worker.peer) return;
  if (worker.drops.empty() && worker.outbox.empty()) speaking_workers_.push_back(worker.id);
  worker.drops.push_back(key);
  worker.drops_bytes += bytes;
}

/// Before anything else is said: the order between a drop and an order to make the same value must hold.
void State::flush_drops(Worker& worker) {
  if (worker.drops.empty()) return;
  worker.drops_bytes = 0;
  worker.outbox.push_back(Drop{std::exchange(worker.drops, {}), worker.reports});
}

/// Why this process may not join; nothing if it may.
std::optional<Failure> State::refusal_of(const WorkerHello& message) const {
  if (message.protocol_min > 1 || message.protocol_max < 1)
    return failure(ErrorKind::protocol_error, "this scheduler speaks protocol 1, worker '" + message.name + "' speaks " +
                                                  std::to_string(message.protocol_min) + " to " +
                                                  std::to_string(message.protocol_max) + "; install the same release");
  if (message.epoch > options_.epoch) return failure(ErrorKind::protocol_error, "worker '" + message.name + "' obeys a newer scheduler");
  bool possible = std::all_of(message.resources.begin(), message.resources.end(),
                              [](const auto& resource) { return resource.second >= 0 && resource.second < resource_amount_max; });
  possible &= message.name.size() <= name_bytes_max && message.host.size() <= name_bytes_max && message.endpoint.size() <= name_bytes_max;
  if (!possible || message.secret.size() != secret_size || message.slots == 0 || message.slots > slots_max)
    return failure(ErrorKind::protocol_error, "worker '" + message.name.substr(0, name_bytes_max) + "' sent an impossible hello");
  for (WorkerId id : alive_) {
    const Worker& other = *workers_[id.number];
    if (other.name == message.name && other.instance != message.instance && other.peer)
      return failure(ErrorKind::invalid_argument, "a worker named '" + message.name + "' is already here; start this one with another --name");
  }
  return std::nullopt;
}

/// The row of this process: the one it had, or a new one.
Worker& State::row_of(const WorkerHello& message) {
  for (WorkerId id : alive_) {
    Worker& other = worker_ref(id);
    if (other.name != message.name) continue;
    if (other.instance == message.instance) return other;
    WEFT_MARK("hello: a new process took the name");
    lose_worker(id, true, "a new process took its name");
    break;
  }
  WorkerId id{static_cast<std::uint32_t>(workers_.size())};
  workers_.emplace_back(Worker{.id = id, .name = message.name, .instance = message.instance});
  alive_.push_back(id);
  slots_total_ += message.slots;
  Worker& worker = worker_ref(id);
  worker.slots = message.slots;
  worker.resources = worker.resources_free = message.resources;
  log_line(6, "worker joined", message.name);
  if (durable()) {
    persist(StoredWorker{message.name});
    last_join_ = worker.joined = ticket_ + 1;
  }
  return worker;
}

void State::worker_hello(PeerId peer, const WorkerHello& message) {
  if (std::optional<Failure> why = refusal_of(message)) {
    stray_workers_.emplace_back(peer, WorkerRefused{WireFailure{*std::move(why)}});
    to_close_.push_back(peer);
    return;
  }
  Worker& worker = row_of(message);
  workers_expected_.erase(message.name);
  if (worker.peer && worker.peer != peer) {
    WEFT_MARK("hello: on a second link");
    worker_of_peer_.erase(worker.peer);
    to_close_.push_back(worker.peer);
  }
  worker.peer = peer;
  worker_of_peer_[peer] = worker.id;
  worker.heard = worker.echoed = now_;
  worker.lost_at = now_ + options_.lease;
  worker.memory_limit = message.memory_limit;
  worker.endpoint = message.endpoint;
  worker.public_key = message.public_key;
  worker.secret = message.secret;
  worker.host = message.host;
  worker.memory = message.memory;
  worker.pid = message.pid;
  worker.runs_user_code = message.runs_user_code;
  worker.reports = message.reports;
  worker.shapes_known.clear();
  worker.programs_known.clear();
  worker.outbox.clear();
  worker.drops.clear();
  note_room(worker);
  rethink();
  for (const auto& [number, copies] : replicas_wanted_) copies_review_.insert(number);
  show_worker(worker);
  tell(worker, WorkerWelcome{1, options_.epoch, worker.id, options_.heartbeat_of(alive_.size()), options_.lease});
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
    WEFT_UNLESS(18) if (!held.contains(tasks_[number].key)) lose_replica(number, worker.id);

  std::map<Key, RunningAttempt> running;
  for (const RunningAttempt& attempt : message.running) {
    running.emplace(attempt.key, attempt);
    TaskNumber number = number_of(attempt.key);
    bool ours = number != KeyIndex::none && tasks_[number].state == TaskState::assigned &&
                tasks_[number].worker == worker.id && tasks_[number].attempt == attempt.attempt;
    if (ours) tasks_[number].started = tasks_[number].started || attempt.started;
    else if (number != KeyIndex::none && message.epoch < options_.epoch && take_over(worker, number, attempt)) {
      WEFT_MARK("hello: a run was taken over");
      continue;
    }
    else {
      WEFT_MARK("hello: with a superseded attempt");
      tell(worker, Revoke{attempt.attempt, true});
    }
  }
  for (const Held& value : message.held) adopt(worker, value.key, value.bytes);
  if (message.epoch < options_.epoch) retract_stranded(worker);
  // Orders that got lost with the old connection, and answers too.
  for (TaskNumber number : std::vector<TaskNumber>(worker.assigned)) {
    Task& task = tasks_[number];
    if (task.state != TaskState::assigned || task.worker != worker.id) continue;
    auto found = running.find(task.key);
    bool has_it = found != running.end() && found->second.attempt == task.attempt;
    if (WEFT_MUTANT(17, !has_it, false)) {
      // What became of it was perhaps said on the old connection, and lost there.
      if (WEFT_MUTANT(72, may_have_run(task), false))
        fail_or_retry(number, unknown_end(number, "the connection to worker '" + worker.name + "' broke while it had it"));
      else run_again(number, Duration{});
    } else if (task.recalling) tell(worker, Revoke{task.attempt, false});
  }
}

/// A worker has a value that we did not know to be there.
void State::adopt(Worker& worker, const Key& key, std::uint64_t bytes) {
  TaskNumber number = number_of(key);
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
  tell(worker, Drop{{key}, worker.reports});
}

/// The value of a needed task is at this worker, by this attempt or by whatever other way.
void State::accept_value(Worker& worker, TaskNumber number, AttemptId attempt, std::uint64_t bytes, const Bytes& small) {
  Task& task = tasks_[number];
  bool ordered = task.state == TaskState::assigned && task.attempt == attempt;
  if (!ordered) std::erase(worker.drops, task.key);  // not told yet, and not true any more
  if (task.state == TaskState::stored) {
    WEFT_MARK("value: a second copy");
    add_replica(number, worker);
    if (auto moved = moving_.find(number); moved != moving_.end() && moved->second != worker.id) {
      WorkerId source = moved->second;
      moving_.erase(moved);
      // Who is about to read it there keeps it: the value is then at both.
      bool read_there = std::any_of(task.dependents.begin(), task.dependents.end(),
                                    [&](const DependentEdge& edge) { return tasks_[edge.task].worker == source; });
      if (!read_there) {
        tell_drop(worker_ref(source), task.key, task.bytes);
        remove_replica(number, source);
      }
    }
    return serve_waiting_readers(number);
  }
  if (task.state == TaskState::assigned && !ordered) {
    WEFT_MARK("value: adopted while another attempt had it");
    revoke(number, true);
  }
  task.bytes = std::min(bytes, value_bytes_max);
  task.small.assign(small.begin(), small.end());
  bool is_first = !task.was_stored;
  task.was_stored = true;
  if (is_first && (task.is_data || runs_once(task))) mark(number);
  add_replica(number, worker);
  move_to(number, TaskState::stored);
  tell_everyone(number);
  WEFT_UNLESS(22) serve_waiting_readers(number);
  if (auto wanted = replicas_wanted_.find(number); wanted != replicas_wanted_.end()) spread_replicas(number, wanted->second);
}

/// The task that this attempt is about, if the attempt is still the present one.
TaskNumber State::find_attempt(const Worker& worker, const Key& key, AttemptId attempt) const {
  TaskNumber number = number_of(key);
  if (number == KeyIndex::none) return no_task;
  const Task& task = tasks_[number];
  bool present = task.state == TaskState::assigned && task.worker == worker.id && WEFT_MUTANT(16, task.attempt == attempt, true);
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
  WEFT_MARK("recall: came too late");
  task.recalling = false;
  WEFT_UNLESS(21) --worker.recalls;
}

void State::handle(Worker& worker, const AttemptProgress& message) {
  TaskNumber number = find_attempt(worker, message.key, message.attempt);
  if (number != no_task && message.fraction >= 0 && message.fraction <= 1) progress_[number] = message.fraction;
}

void State::handle(Worker& worker, const AttemptFinished& message) {
  ++worker.reports;
  TaskNumber number = number_of(message.key);
  if (number == KeyIndex::none) return WEFT_MUTANT(19, tell(worker, Drop{{message.key}, worker.reports}), static_cast<void>(0));
  Task& task = tasks_[number];
  bool current = task.state == TaskState::assigned && task.attempt == message.attempt;
  bool late = message.attempt > task.born && task.needed() && task.state != TaskState::failed;
  if (!current && !late) {
    WEFT_MARK("finish: of a stale attempt");
    bool held = std::any_of(task.replicas.begin(), task.replicas.end(), [&](const Replica& r) { return r.worker == worker.id; });
    if (!held) tell(worker, Drop{{message.key}, worker.reports});
    return;
  }
  if (!current) WEFT_MARK("finish: late and welcome");
  Duration run_time = std::clamp<Duration>(message.run_time, Duration{}, duration_max / 10);
  std::uint64_t bytes = std::min(message.bytes, value_bytes_max);
  ++finished_runs_;
  Group& group = group_of(task);
  auto mean = [](std::int64_t old, std::int64_t sample) { return old < 0 ? sample : (old + sample) / 2; };
  group.run_time = mean(group.run_time, run_time.count());
  group.bytes = mean(group.bytes, static_cast<std::int64_t>(bytes));
  group.run_time_total += run_time.count();
  group.bytes_total += bytes;
  ++group.finished;
  show_finished(task, worker.id, bytes, run_time);
  // Who sends more than a small value keeps it: it is fetched like any other.
  accept_value(worker, number, message.attempt, bytes, message.small.size() <= small_value_max ? message.small : Bytes{});
}

void State::handle(Worker& worker, const AttemptFailed& message) {
  TaskNumber number = find_attempt(worker, message.key, message.attempt);
  if (number == no_task) return;
  Failure failure = message.failure.failure;
  for (std::string* text : {&failure.message, &failure.traceback, &failure.output}) shorten(*text, failure_text_max);
  failure.worker = worker.name;
  if (failure.kind == ErrorKind::none) failure.kind = ErrorKind::protocol_error;
  fail_or_retry(number, failure);
}

void State::handle(Worker& worker, const AttemptReturned& message) {
  TaskNumber number = find_attempt(worker, message.key, message.attempt);
  if (number == no_task) return;
  show(Seen::recalled, tasks_[number], worker.id);
  run_again(number, Duration{});
  static const auto why = std::make_shared<const std::string>("its worker had not begun it, and another may sooner");
  note_why(number, why);
}

void State::handle(Worker& worker, const ValuesHeld& message) {
  ++worker.reports;
  for (const Held& value : message.values) {
    if (TaskNumber number = number_of(value.key); number != KeyIndex::none) show_transfer(tasks_[number], worker.id);
    adopt(worker, value.key, value.bytes);
  }
}

void State::handle(Worker& worker, const ValuesLost& message) {
  for (const Key& key : message.keys) {
    TaskNumber number = number_of(key);
    if (number != KeyIndex::none) lose_replica(number, worker.id);
  }
}

// The worker could not get an input from where we said. Tell it the present places; a holder that could not serve it twice
// in a row is taken for one that does not have it, so that the value is made again rather than waited for. Scattered data
// cannot be made again: it gets many more chances.
void State::handle(Worker& worker, const InputMissing& message) {
  TaskNumber number = number_of(message.key);
  if (number == KeyIndex::none) {
    auto owner = file_owners_.lower_bound({message.key, {}});
    if (owner == file_owners_.end() || owner->first != message.key) return tell(worker, Drop{{message.key}, worker.reports});  // nobody needs it
    // A file of a program: a client puts it somewhere, and the worker asks again.
    for (; owner != file_owners_.end() && owner->first == message.key; ++owner) {
      auto session = sessions_.find(owner->second);
      if (session == sessions_.end() || !holders_[session->second].peer) continue;
      return tell(session->second, SendFile{message.key});
    }
    return;
  }
  bool ordered = end_flight(number, worker.id);
  moving_.erase(number);
  for (WorkerId tried : message.tried) {
    SmallVector<Replica>& replicas = tasks_[number].replicas;
    auto replica = std::find_if(replicas.begin(), replicas.end(), [&](const Replica& r) { return r.worker == tried; });
    if (replica == replicas.end() || tasks_[number].state != TaskState::stored) continue;
    Worker& holder = worker_ref(tried);
    if (!holder.peer) continue;  // its lease decides
    if (WEFT_MUTANT(20, ++replica->strikes, 0u) < (tasks_[number].is_data ? data_strikes_max : strikes_max)) continue;
    WEFT_MARK("value: nobody could read this copy");
    tell_drop(holder, message.key, tasks_[number].bytes);
    lose_replica(number, tried);
  }
  if (tasks_[number].key != message.key || tasks_[number].state != TaskState::stored) {
    WEFT_MARK("value: asked for before it is there");
    std::deque<WorkerId>& readers = spreads_[number].readers;
    if (std::find(readers.begin(), readers.end(), worker.id) == readers.end()) readers.push_back(worker.id);
    return;
  }
  tell(worker, Holders{describe(number, whole_value, worker, ordered)});
}

void State::handle(Worker& worker, const WorkerHeartbeat& message) {
  worker.last = message;
  if (std::exchange(worker.paused, message.paused) != message.paused) rethink();
  make_hungry(worker);
  show_heartbeat(worker);
  if (message.tick > 0) worker.echoed = std::max(worker.echoed, std::min(now_, Time{static_cast<std::int64_t>(message.tick)}));
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

}  // namespace weft::scheduler
