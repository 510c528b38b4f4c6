// Clients: their sessions and their numbered commands.
#include <algorithm>

#include "common/coverage_mark.h"
#include "common/limits.h"
#include "scheduler/state.h"

namespace weft::scheduler {

// ------------------------------------------------------------------------------------------------ sessions

void State::hello(PeerId peer, const ClientHello& message, WorkerId through, std::uint64_t channel) {
  auto refuse_link = [&](std::string why) {
    if (through) return;
    stray_.emplace_back(peer, Refused{0, {failure(ErrorKind::protocol_error, std::move(why))}});
    to_close_.push_back(peer);
  };
  if (message.protocol_min > 1 || message.protocol_max < 1)
    return refuse_link("this scheduler speaks protocol 1, the client speaks " + std::to_string(message.protocol_min) + " to " +
                       std::to_string(message.protocol_max) + "; install the same release");
  if (message.name.size() > name_bytes_max) return refuse_link("a client's name has at most " + std::to_string(name_bytes_max) + " bytes");
  if (sessions_.size() >= options_.sessions_max && !sessions_.contains(message.session))
    return refuse_link("this scheduler serves at most " + std::to_string(options_.sessions_max) + " clients");

  // A task's own client lives as long as its attempt: one that comes later would never end.
  TaskNumber parent = no_task;
  if (through) {
    for (TaskNumber number : worker_ref(through).assigned)
      if (tasks_[number].attempt.number == channel) parent = number;
    if (parent == no_task) return;
  }
  auto [place, is_new] = sessions_.try_emplace(message.session, 0);
  if (is_new) {
    place->second = new_holder(Holder::Kind::session);
    holders_[place->second].session = message.session;
  }
  HolderNumber number = place->second;
  Holder& session = holders_[number];
  if (message.executed > session.executed && options_.durable)
    log_line(4, "client " + message.name + " had " + std::to_string(message.executed) + " commands acknowledged, of which " +
                    std::to_string(session.executed) + " are known here; it was told SchedulerReset");
  session.changed |= is_new || session.name != message.name;
  session.name = message.name;
  session.outbox.clear();
  session.heard = now_;
  std::erase_if(session.refusals, [&](const Holder::Refusal& refusal) { return refusal.sequence <= message.executed; });
  if (session.peer && session.peer != peer) {
    WEFT_MARK("client: came on a second link");
    session_of_peer_.erase(session.peer);
    to_close_.push_back(session.peer);
    session.peer = {};
  }
  leave_channel(session);
  // One connection speaks for one session: whoever spoke on this one before has left it.
  if (through) {
    auto before = session_of_channel_.find({through, channel});
    if (before != session_of_channel_.end() && before->second != number) end_holder(before->second);
    session_of_channel_[{through, channel}] = number;
    enter_channel(session, through, channel, parent);
  } else {
    auto before = session_of_peer_.find(peer);
    if (before != session_of_peer_.end() && before->second != number) detach(before->second);
    session.peer = peer;
    session_of_peer_[peer] = number;
  }
  resume(number);
}

/// It is the client of a task that runs there. The task may wait for others as wide as itself; the worker counts what really runs.
void State::enter_channel(Holder& session, WorkerId through, std::uint64_t channel, TaskNumber parent) {
  Worker& worker = worker_ref(through);
  ++worker.nested;
  if (std::uint32_t cores = shape_of(tasks_[parent]).options.cores; cores > 1) session.cores_lent = cores;
  worker.cores_reserved -= session.cores_lent;
  note_room(worker);
  make_hungry(worker);
  session.through = through;
  session.channel = channel;
  session.parent = tasks_[parent].rank;
}
void State::leave_channel(Holder& session) {
  if (!session.through) return;
  session_of_channel_.erase({session.through, session.channel});
  Worker& worker = worker_ref(session.through);
  --worker.nested;
  worker.cores_reserved += std::exchange(session.cores_lent, 0);
  note_room(worker);
  session.through = {};
}

/// Its client cannot be reached now; its futures are kept for a while.
void State::detach(HolderNumber number) {
  Holder& session = holders_[number];
  session_of_peer_.erase(session.peer);
  session.peer = {};
  session.outbox.clear();
  session.expires = now_ + WEFT_MUTANT(25, options_.client_grace, Duration{});
  leases_due_ = std::min(leases_due_, session.expires);
}

/// Bring a session's client up to date: what was executed and refused. How its keys stand it asks by itself.
void State::resume(HolderNumber number) {
  tell(number, ClientWelcome{1, options_.epoch, holders_[number].executed, options_.heartbeat_of(sessions_.size()), options_.lease});
  for (Holder::Refusal& refusal : holders_[number].refusals) {
    refusal.said = now_;
    tell(number, Refused{refusal.sequence, {refusal.failure}});
  }
  // Bytes that it was to put somewhere may be lost on the way: ask again, somewhere else perhaps.
  for (TaskNumber task : std::vector<TaskNumber>(holders_[number].wanted))
    if (tasks_[task].is_data && tasks_[task].state == TaskState::assigned) run_again(task, Duration{});
}

void State::client_message(HolderNumber session, const ClientMessage& message) {
  holders_[session].heard = now_;
  std::visit(
      [&](const auto& m) {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, ClientHello>) return;
        else if constexpr (requires { m.sequence; }) {
          if (is_next(session, m.sequence)) handle(session, m);
        } else {
          handle(session, m);
        }
      },
      message);
}

/// Numbered commands are executed once: a repeated one is only acknowledged again.
bool State::is_next(HolderNumber number, std::uint64_t sequence) {
  Holder& session = holders_[number];
  session.acknowledge = true;
  speaking_sessions_.push_back(number);
  if (sequence != session.executed + 1) return false;
  session.executed = sequence;
  WEFT_UNLESS(23) session.changed = true;
  return true;
}

void State::refuse(HolderNumber session, std::uint64_t sequence, Failure failure) {
  holders_[session].refusals.push_back({now_, sequence, failure});
  holders_[session].changed = true;
  tell(session, Refused{sequence, {std::move(failure)}});
}

// ------------------------------------------------------------------------------------------------ other commands

void State::handle(HolderNumber session, const Release& message) {
  for (const Key& key : message.keys)
    if (TaskNumber number = number_of(key); number != KeyIndex::none) remove_want(session, number);
}

void State::handle(HolderNumber session, const Cancel& message) {
  std::string reason = message.reason.empty() ? "cancelled by client " + holders_[session].name : message.reason;
  std::set<TaskNumber> shared;
  if (!message.force) shared = needed_by_others(session, message.keys);
  std::vector<TaskNumber> ends;
  for (const Key& key : message.keys)
    if (TaskNumber number = number_of(key); number != KeyIndex::none && !shared.contains(number) && is_open(tasks_[number].state)) ends.push_back(number);
  show_control("cancel", "client " + holders_[session].name, message.keys, "", message.reason);
  show_ended(ends, reason);
  for (const Key& key : message.keys) {
    TaskNumber number = number_of(key);
    if (number == KeyIndex::none) continue;
    if (!shared.contains(number)) {
      // The want stays until the client releases it, so that a lost answer is given again.
      cancel_task(number, reason);
    } else if (remove_want(session, number)) {
      WEFT_MARK("cancel: others need it");
      tell_failed(session, key, Failure{.kind = ErrorKind::cancelled, .message = reason, .key = key});
    }
  }
}

/// Which of these tasks, and of the open tasks that depend on them, somebody else needs: directly or through a dependent.
std::set<TaskNumber> State::needed_by_others(HolderNumber session, const std::vector<Key>& keys) const {
  std::set<TaskNumber> seen, shared;
  std::vector<TaskNumber> work, foreign;
  for (const Key& key : keys)
    if (TaskNumber number = number_of(key); number != KeyIndex::none && seen.insert(number).second) work.push_back(number);
  while (!work.empty()) {
    TaskNumber number = work.back();
    work.pop_back();
    const Task& task = tasks_[number];
    bool other = std::any_of(task.wants.begin(), task.wants.end(), [&](const WantEdge& want) {
      return want.holder != session && want.holder != holders_[session].graph;
    });
    if (WEFT_MUTANT(26, other, false) && shared.insert(number).second) foreign.push_back(number);
    for (const DependentEdge& edge : task.dependents)
      if (is_open(tasks_[edge.task].state) && seen.insert(edge.task).second) work.push_back(edge.task);
  }
  while (!foreign.empty()) {
    TaskNumber number = foreign.back();
    foreign.pop_back();
    for (const InputEdge& edge : tasks_[number].inputs)
      if (seen.contains(edge.task) && shared.insert(edge.task).second) foreign.push_back(edge.task);
  }
  return shared;
}

/// End an open task as cancelled; everything that depends on it ends with the same cause.
void State::cancel_task(TaskNumber number, const std::string& reason) {
  if (!is_open(tasks_[number].state)) return;
  if (tasks_[number].state == TaskState::assigned) revoke(number, true);
  fail(number, std::make_shared<const Failure>(Failure{
                   .kind = ErrorKind::cancelled, .message = reason, .label = shape_of(tasks_[number]).label, .key = tasks_[number].key}));
}

void State::handle(HolderNumber session, const Retry& message) {
  if (session) show_control("retry", "client " + holders_[session].name, message.keys, "", "");
  for (const Key& key : message.keys) {
    TaskNumber first = number_of(key);
    if (first == KeyIndex::none) {
      tell_failed(session, key, unknown_task(key));
      continue;
    }
    if (tasks_[first].state != TaskState::failed) continue;
    std::vector<TaskNumber> work{first}, again;
    while (!work.empty()) {
      TaskNumber number = work.back();
      work.pop_back();
      Task& task = tasks_[number];
      if (task.state != TaskState::failed) continue;
      again.push_back(number);
      task.errors = task.losses = 0;
      task.begun = false;
      move_to(number, TaskState::released);
      for (const WantEdge& want : tasks_[number].wants) tell(want.holder, TaskPending{tasks_[number].key});
      for (const InputEdge& edge : tasks_[number].inputs) work.push_back(edge.task);
    }
    for (TaskNumber number : again)
      if (tasks_[number].needed()) require(number);
      else review_.push_back(number);
  }
}

/// The template of scattered data; from a task at this worker, it is best there.
std::uint32_t State::scatter_shape(const Scatter& message, WorkerId at) {
  Template shape{.label = "scatter"};
  shape.options.workers = message.workers;
  shape.options.max_attempts = 1'000;
  if (at && message.workers.empty()) {
    shape.options.workers = {worker_ref(at).name};
    shape.options.workers_strict = false;
  }
  return intern_shape(shape);
}

/// Make what is not known yet; returns that.
std::vector<TaskNumber> State::add_data(const Scatter& message, std::uint32_t shape) {
  std::vector<TaskNumber> fresh;
  for (const Held& value : message.values) {
    if (!value.key || number_of(value.key) != KeyIndex::none) continue;
    TaskNumber number = create(value.key, shape);
    tasks_[number].is_data = true;
    tasks_[number].bytes = std::min(value.bytes, value_bytes_max);
    fresh.push_back(number);
    if (message.replicas != 1) replicas_wanted_[number] = message.replicas;
  }
  return fresh;
}

void State::handle(HolderNumber session, const Scatter& message) {
  std::vector<TaskNumber> fresh = add_data(message, scatter_shape(message, holders_[session].through));
  if (std::uint32_t intent = fresh.empty() ? 0 : new_intent(session, message, {})) {
    intents_[intent].tasks = fresh.size();
    for (TaskNumber number : fresh) tasks_[number].intent = intent;
  }
  for (const Held& value : message.values) {
    if (!value.key) continue;
    TaskNumber number = number_of(value.key);
    if (tasks_[number].state == TaskState::failed) {
      move_to(number, TaskState::released);
      tasks_[number].was_stored = false;
    }
    add_want(session, number);
    for (WantEdge& want : tasks_[number].wants) want.has_data = want.has_data || want.holder == session;
    if (message.replicas != 1) replicas_wanted_[number] = message.replicas;
    // Said again because the put failed: another place then.
    if (tasks_[number].is_data && tasks_[number].state == TaskState::assigned) {
      WEFT_MARK("scatter: another place for data that could not be put");
      tasks_[number].avoid = tasks_[number].worker;
      run_again(number, Duration{});
    }
    if (tasks_[number].state == TaskState::released) require(number);
    else tell_outcome(session, number);
  }
}

void State::handle(HolderNumber session, const Publish& message) {
  auto known = names_.find(message.name);
  if (message.keys.empty()) {
    if (known == names_.end())
      return refuse(session, message.sequence, failure(ErrorKind::invalid_argument, "no dataset is named '" + message.name + "'"));
    end_holder(known->second);
    names_.erase(known);
    return;
  }
  if (known != names_.end() && !message.replace)
    return refuse(session, message.sequence,
                  failure(ErrorKind::invalid_argument, "a dataset named '" + message.name + "' exists; unpublish it first, or pass replace"));
  for (const Key& key : message.keys)
    if (number_of(key) == KeyIndex::none)
      return refuse(session, message.sequence, failure(ErrorKind::invalid_argument, "cannot publish: task " + key.hex() + " is not known"));
  if (message.name.size() > name_bytes_max)
    return refuse(session, message.sequence, failure(ErrorKind::invalid_argument, "the name of a dataset has at most " + std::to_string(name_bytes_max) + " bytes"));
  HolderNumber holder = new_holder(Holder::Kind::name);
  holders_[holder].name = message.name;
  holders_[holder].note = message.note;
  if (durable()) persist(StoredName{holders_[holder].id, message.name, message.note});
  for (const Key& key : message.keys) {
    add_want(holder, number_of(key));
    require(number_of(key));
  }
  if (known != names_.end()) end_holder(known->second);
  names_[message.name] = holder;
}

void State::handle(HolderNumber, const FireAndForget& message) {
  for (const Key& key : message.keys) {
    TaskNumber number = number_of(key);
    if (number == KeyIndex::none) continue;
    TaskState state = tasks_[number].state;
    if (state == TaskState::stored || state == TaskState::failed) continue;
    add_want(fire_and_forget_, number);
    require(number);
  }
}

void State::handle(HolderNumber session, const Locate& message) {
  for (const Key& key : message.keys) {
    TaskNumber number = number_of(key);
    bool wanted = number != KeyIndex::none &&
                  std::any_of(tasks_[number].wants.begin(), tasks_[number].wants.end(),
                              [&](const WantEdge& w) { return w.holder == session; });
    if (!wanted) tell_failed(session, key, Failure{.kind = ErrorKind::cancelled, .message = "it was cancelled or released", .key = key});
    else WEFT_UNLESS(24) tell_outcome(session, number);
  }
}

void State::handle(HolderNumber session, const Ask& message) {
  Result<std::string> body = query(message, "client " + holders_[session].name);
  if (body) answer(session, message.request, std::move(*body));
  else answer_failure(session, message.request, body.error());
}

void State::handle(HolderNumber session, const ClientHeartbeat& message) {
  // Links keep their order: who heard this tick has heard what was said before it.
  std::erase_if(holders_[session].refusals, [&](const Holder::Refusal& refusal) {
    return refusal.said < Time{static_cast<std::int64_t>(message.tick)};
  });
  tell(session, SchedulerTick{static_cast<std::uint64_t>(now_.nanoseconds)});
}

void State::handle(HolderNumber session, const ClientGoodbye&) {
  // A task's own client ends without a word back; a real one hears it, so that it knows all was read.
  if (PeerId peer = holders_[session].peer) stray_.emplace_back(peer, Goodbye{});
  end_holder(session);
}

}  // namespace weft::scheduler
