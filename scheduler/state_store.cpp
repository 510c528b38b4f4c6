// What outlives this process: the records that a step writes, and taking them back after a restart. Nothing here waits: a step
// says what must be kept, acknowledgements carry its ticket, and `Committed` tells how far the store has come.
#include <algorithm>

#include "common/coverage_mark.h"
#include "scheduler/state.h"

namespace weft::scheduler {

// Keys in one row of wants: rows stay below a megabyte.
static constexpr std::size_t keys_max = 50'000;
// Rows of wants are written anew when they hold this many keys more than twice what is wanted.
static constexpr std::size_t slack = 1'024;

// ------------------------------------------------------------------------------------------------ writing

/// The command of this session that makes the next tasks; `base` is where their ranks begin. 0 if nothing is kept.
std::uint32_t State::new_intent(HolderNumber session, const ClientMessage& command, Rank base) {
  if (!durable()) return 0;
  std::uint32_t number;
  if (!free_intents_.empty()) {
    number = free_intents_.back();
    free_intents_.pop_back();
  } else {
    number = static_cast<std::uint32_t>(intents_.size());
    intents_.emplace_back();
  }
  intents_[number] = {++stored_ids_, ticket_ + 1, 0};
  const Holder& owner = holders_[session];
  persist(StoredIntent{.number = stored_ids_, .holder = owner.id, .graph = owner.graph ? holders_[owner.graph].id : 0,
                       .major = base.major, .minor = base.minor, .generation = generations_, .command = command});
  return number;
}

/// The task is forgotten: so is what the store has about it, and its command with its last task.
void State::forget_stored(TaskNumber number) {
  const Task& task = tasks_[number];
  if (task.marked) persist(Erased{{RowKind::task, task.key.high, task.key.low}});
  if (task.intent == 0 || --intents_[task.intent].tasks > 0) return;
  persist(Erased{{RowKind::intent, intents_[task.intent].id, 0}});
  intents_[task.intent] = {};
  free_intents_.push_back(task.intent);
}

void State::log_want(HolderNumber number, TaskNumber task, bool added) {
  const Holder& holder = holders_[number];
  // An unfinished graph wants what its commands made, which says enough.
  if (!durable() || holder.kind == Holder::Kind::graph || number == unreleased_) return;
  want_changes_.push_back({holder.id, number, tasks_[task].key, added});
}

void State::log_end(const Holder& holder) {
  if (!durable() || holder.kind == Holder::Kind::graph) return;
  if (holder.kind == Holder::Kind::session) persist(Erased{{RowKind::session, holder.session.high, holder.session.low}});
  if (holder.kind == Holder::Kind::name) persist(Erased{{RowKind::name, holder.id, 0}});
  persist(Erased{{RowKind::wants, holder.id, 0}, true});
}

void State::flush_wants() {
  auto write = [&](HolderNumber number, bool added, std::vector<Key> keys) {
    holders_[number].logged += keys.size();
    persist(StoredWants{holders_[number].id, ++stored_ids_, added, std::move(keys)});
  };
  for (std::size_t i = 0; i < want_changes_.size();) {
    WantChange first = want_changes_[i];
    std::vector<Key> keys;
    for (; i < want_changes_.size() && keys.size() < keys_max; ++i) {
      const WantChange& change = want_changes_[i];
      if (change.holder != first.holder || change.added != first.added) break;
      keys.push_back(change.key);
    }
    Holder& holder = holders_[first.number];
    if (holder.id != first.holder) continue;  // it ended, and its rows with it
    write(first.number, first.added, std::move(keys));
    if (holder.logged <= 2 * holder.wanted.size() + slack) continue;
    persist(Erased{{RowKind::wants, holder.id, 0}, true});
    holder.logged = 0;
    for (std::size_t j = 0; j < holder.wanted.size(); j += keys_max) {
      std::vector<Key> live;
      for (std::size_t k = j; k < std::min(holder.wanted.size(), j + keys_max); ++k) live.push_back(tasks_[holder.wanted[k]].key);
      write(first.number, true, std::move(live));
    }
  }
  want_changes_.clear();
}

void State::flush_tasks() {
  for (TaskNumber number : std::exchange(changed_tasks_, {})) {
    Task& task = tasks_[number];
    if (!task.key) continue;
    StoredTask row{.key = task.key, .errors = task.errors, .losses = task.losses,
                   .begun = task.begun,
                   .done = WEFT_MUTANT(8, task.was_stored && (task.is_data || runs_once(task)), false)};
    if (task.state == TaskState::failed && task.failed_first) row.failure = WireFailure{*task.failure};
    bool unusual = row.errors || row.losses || row.begun || row.done || row.failure;
    if (unusual) persist(std::move(row));
    else if (task.marked) persist(Erased{row.id()});
    task.marked = unusual;
  }
}

void State::flush_sessions() {
  for (HolderNumber number : speaking_sessions_) {
    Holder& session = holders_[number];
    if (!session.changed || session.kind != Holder::Kind::session) continue;
    session.changed = false;
    StoredSession row{.session = session.session, .holder = session.id, .name = session.name, .executed = session.executed};
    for (const Holder::Refusal& refusal : session.refusals) row.refusals.push_back({refusal.sequence, {refusal.failure}});
    if (session.graph) row.graph = holders_[session.graph].id;
    if (session.graph_refused) row.graph_refused = WireFailure{*session.graph_refused};
    persist(std::move(row));
  }
}

/// Everything this step must keep, as one action before all others.
void State::flush_records(std::vector<Action>& actions) {
  if (!options_.durable) return;
  flush_wants();
  flush_tasks();
  flush_sessions();
  bool awaited = (!held_back_.empty() && held_back_.back().first > ticket_) ||
                 (!starts_held_.empty() && starts_held_.back().ticket > ticket_);
  if (records_.empty() && !awaited) return;
  actions.push_back(Persist{++ticket_, std::exchange(records_, {})});
}

// ------------------------------------------------------------------------------------------------ before and after a commit

bool State::runs_once(const Task& task) const {
  const TaskOptions& options = shape_of(task).options;
  return !task.is_data && !options.pure && options.max_attempts == 1;
}

/// An impure task starts when its command is safe: after a crash before that, nobody would know that it ran.
bool State::must_wait_to_start(TaskNumber number) {
  Task& task = tasks_[number];
  if (is_committed(task) || shape_of(task).options.pure) return false;
  WEFT_MARK("store: a start waits for its command");
  task.queue_serial = ++serials_;
  task.delayed = true;
  starts_held_.push_back({intents_[task.intent].ticket, number, task.queue_serial});
  return true;
}

/// What may run once is ordered when the store knows that a worker has it: a scheduler that starts again could not tell
/// whether it ran there, and must not give it to another.
void State::order_run(TaskNumber number, Worker& worker, Assign order) {
  Task& task = tasks_[number];
  task.begun = runs_once(task);
  if (!task.begun) return tell(worker, std::move(order));
  mark(number);
  if (WEFT_MUTANT(74, !durable(), true)) return tell(worker, std::move(order));
  WEFT_MARK("store: an order waits until it is known");
  AttemptId attempt = order.attempt;
  orders_held_.emplace(attempt, HeldOrder{ticket_ + 1, number, std::move(order)});
}

/// Why a task that may run once is not given out again: a worker had it, and what became of it is not known.
Failure State::unknown_end(TaskNumber number, const std::string& why) const {
  return {.kind = ErrorKind::worker_unavailable,
          .message = why + "; it may have run, and may run only once: allow more with max_attempts, or submit it again",
          .label = shape_of(tasks_[number]).label,
          .key = tasks_[number].key};
}

/// Nobody wants it any more, but the store does not know: after a crash before that, it would have to be made again, which
/// matters when making it does something.
bool State::keep_until_committed(TaskNumber number) {
  const Task& task = tasks_[number];
  if (!durable() || task.released_durably || task.state != TaskState::stored) return false;
  const TaskOptions& options = shape_of(task).options;
  if (options.pure && !task.is_data && options.max_attempts > 1) return false;
  WEFT_MARK("store: a value waits for its release");
  hold(number);
  return true;
}

void State::hold(TaskNumber number) {
  add_want(unreleased_, number);
  held_back_.emplace_back(ticket_ + 1, tasks_[number].key);
}

void State::on(const Committed& event) {
  if (committed_ < last_join_) rethink();  // that worker may start impure tasks now
  committed_ = std::max(committed_, event.ticket);
  std::size_t done = 0;
  for (; done < held_back_.size() && held_back_[done].first <= committed_; ++done) {
    TaskNumber number = number_of(held_back_[done].second);
    if (number == KeyIndex::none || WEFT_MUTANT(41, !remove_want(unreleased_, number), true)) continue;
    tasks_[number].released_durably = true;
  }
  held_back_.erase(held_back_.begin(), held_back_.begin() + static_cast<std::ptrdiff_t>(done));
  for (done = 0; done < starts_held_.size() && starts_held_[done].ticket <= committed_; ++done) {
    auto [ticket, number, serial] = starts_held_[done];
    if (tasks_[number].state == TaskState::ready && tasks_[number].queue_serial == serial) enqueue(number);
  }
  starts_held_.erase(starts_held_.begin(), starts_held_.begin() + static_cast<std::ptrdiff_t>(done));
  while (!orders_held_.empty() && orders_held_.begin()->second.ticket <= committed_) {
    HeldOrder& held = orders_held_.begin()->second;
    const Task& task = tasks_[held.task];
    Worker& worker = worker_ref(task.worker);
    if (task.recalling || !worker.peer) {
      WEFT_MARK("store: an order was not sent after all");
      run_again(held.task, Duration{});
      continue;
    }
    tell(worker, std::move(held.order));
    orders_held_.erase(orders_held_.begin());
  }
}

// ------------------------------------------------------------------------------------------------ after a restart

void State::restore(Time now, std::vector<Record> records) {
  now_ = now;
  restoring_ = recovering_ = true;
  restored_holders_[holders_[fire_and_forget_].id] = fire_and_forget_;
  for (Record& record : records) std::visit([this](auto& stored) { take_back(stored); }, record);
  // Only when all failures are known: what depends on them fails with them.
  for (HolderNumber number = 1; number < holders_.size(); ++number)
    for (std::size_t i = 0; i < holders_[number].wanted.size(); ++i) require(holders_[number].wanted[i]);
  restoring_ = false;
  restored_holders_.clear();
  end_programs_of_strangers();
  // Commands whose tasks were all made by others.
  for (std::uint32_t number = 1; number < intents_.size(); ++number) {
    if (intents_[number].tasks > 0) continue;
    persist(Erased{{RowKind::intent, intents_[number].id, 0}});
    free_intents_.push_back(number);
  }
  for (TaskNumber number = 0; number < tasks_.size(); ++number)
    if (tasks_[number].key && !tasks_[number].needed()) review_.push_back(number);
}

void State::take_back(StoredProgram& stored) { add_program(stored.program, stored.owner); }

void State::take_back(StoredSession& stored) {
  HolderNumber number = new_holder(Holder::Kind::session);
  Holder& session = holders_[number];
  session.id = stored.holder;
  session.session = stored.session;
  session.name = std::move(stored.name);
  session.executed = WEFT_MUTANT(60, stored.executed, 0);
  session.expires = now_ + options_.client_grace;
  for (StoredRefusal& refusal : stored.refusals)
    session.refusals.push_back({now_, refusal.sequence, std::move(refusal.failure.failure)});
  if (stored.graph_refused) session.graph_refused = std::make_shared<const Failure>(stored.graph_refused->failure);
  sessions_[stored.session] = number;
  restored_holders_[stored.holder] = number;
  stored_ids_ = std::max({stored_ids_, stored.holder, stored.graph});
  if (!stored.graph) return;
  HolderNumber graph = new_holder(Holder::Kind::graph);
  holders_[graph].id = stored.graph;
  holders_[number].graph = graph;
  restored_holders_[stored.graph] = graph;
}

void State::take_back(StoredName& stored) {
  HolderNumber number = new_holder(Holder::Kind::name);
  holders_[number].id = stored.holder;
  holders_[number].name = stored.name;
  holders_[number].note = std::move(stored.note);
  names_[stored.name] = number;
  restored_holders_[stored.holder] = number;
  stored_ids_ = std::max(stored_ids_, stored.holder);
}

void State::take_back(StoredIntent& stored) {
  stored_ids_ = std::max(stored_ids_, stored.number);
  generations_ = std::max(generations_, stored.generation);
  auto intent = static_cast<std::uint32_t>(intents_.size());
  intents_.push_back({stored.number, 0, 0});
  std::vector<TaskNumber> made;
  if (const auto* submit = std::get_if<Submit>(&stored.command)) {
    if (!check_chunk(submit->chunk)) return;
    std::vector<std::uint32_t> shapes;
    for (const Template& shape : submit->chunk.templates) shapes.push_back(intern_shape(shape));
    made = add_rows(submit->chunk, shapes, {stored.major, stored.minor}).fresh;
  } else if (const auto* scatter = std::get_if<Scatter>(&stored.command)) {
    made = add_data(*scatter, scatter_shape(*scatter, {}));
  }
  auto graph = restored_holders_.find(stored.graph);
  for (TaskNumber number : made) {
    tasks_[number].intent = intent;
    tasks_[number].born = {};  // attempts of earlier schedulers count
    ++intents_[intent].tasks;
    if (stored.graph && graph != restored_holders_.end()) add_want(graph->second, number);
  }
}

void State::take_back(StoredTask& stored) {
  TaskNumber number = number_of(stored.key);
  if (number == KeyIndex::none) return persist(Erased{stored.id()});
  Task& task = tasks_[number];
  task.errors = stored.errors;
  task.losses = stored.losses;
  task.was_stored = stored.done;
  task.begun = WEFT_MUTANT(75, stored.begun, false);
  task.marked = true;
  if (stored.done) restored_done_.push_back(stored.key);
  else if (task.begun) restored_begun_.push_back(stored.key);
  if (stored.failure) fail(number, std::make_shared<const Failure>(stored.failure->failure));
}

void State::take_back(StoredWants& stored) {
  stored_ids_ = std::max(stored_ids_, stored.number);
  auto holder = restored_holders_.find(stored.holder);
  if (holder == restored_holders_.end()) return;
  holders_[holder->second].logged += stored.keys.size();
  for (const Key& key : stored.keys) {
    TaskNumber number = number_of(key);
    if (number == KeyIndex::none) continue;
    if (WEFT_MUTANT(12, stored.added, true)) add_want(holder->second, number);
    else remove_want(holder->second, number);
  }
}

void State::take_back(StoredWorker& stored) { workers_expected_.insert(stored.name); }

/// A command is read again, and its key has another meaning now: what an older command made of it was forgotten since, and with
/// it whatever depended on it.
void State::forget_outdated(TaskNumber first) {
  std::vector<TaskNumber> work{first};
  while (!work.empty()) {
    TaskNumber number = work.back();
    if (!tasks_[number].dependents.empty()) {
      work.push_back(tasks_[number].dependents.back().task);
      continue;
    }
    work.pop_back();
    while (!tasks_[number].wants.empty()) remove_want(tasks_[number].wants.back().holder, number);
    forget(number);
  }
}

/// A run that an earlier scheduler ordered goes on.
bool State::take_over(Worker& worker, TaskNumber number, const RunningAttempt& attempt) {
  Task& task = tasks_[number];
  if (!attempt.attempt || (task.state != TaskState::waiting && task.state != TaskState::ready)) return false;
  if (task.is_data || (task.key.is_named() && task.born)) return false;
  const TaskOptions& options = shape_of(task).options;
  if (options.cores > 1 && worker.cores_reserved + options.cores > worker.slots) return false;
  for (const auto& [name, amount] : options.resources)
    if (auto free = worker.resources_free.find(name); free == worker.resources_free.end() || free->second < amount) return false;
  take_on(number, worker, attempt.attempt);
  tasks_[number].started = attempt.started;
  count_ahead(number, worker.id, true);
  return true;
}

/// What was sent ahead waits for inputs that this worker was to make. If it makes them no more, it gives the readers back too.
void State::retract_stranded(const Worker& worker) {
  for (TaskNumber number : worker.assigned) {
    const Task& task = tasks_[number];
    if (task.started || task.missing == 0) continue;
    bool made_here = std::all_of(task.inputs.begin(), task.inputs.end(), [&](const InputEdge& edge) {
      const Task& input = tasks_[edge.task];
      return input.state == TaskState::stored || (input.state == TaskState::assigned && input.worker == worker.id);
    });
    if (!made_here) retract_.push_back(number);
  }
}

/// Everybody who was here is back, or had time enough: from now on what is missing is made again.
void State::check_recovery() {
  if (!recovering_) return;
  // Peers can reach us since the first step; reading a big store took its time before that.
  if (recovering_until_ == Time{}) recovering_until_ = now_ + options_.recovery_grace;
  if (WEFT_MUTANT(54, now_ < recovering_until_ && !workers_expected_.empty(), false)) return;
  recovering_ = false;
  for (const std::string& name : std::exchange(workers_expected_, {})) {
    log_line(4, "worker did not come back after the scheduler's restart", name);
    persist(Erased{StoredWorker{name}.id()});
  }
  for (const Key& key : std::exchange(restored_done_, {})) {
    TaskNumber number = number_of(key);
    if (number == KeyIndex::none || !tasks_[number].was_stored || !(tasks_[number].is_data || runs_once(tasks_[number]))) continue;
    TaskState state = tasks_[number].state;
    if (state != TaskState::waiting && state != TaskState::ready) continue;
    WEFT_MARK("store: a value did not come back");
    fail(number, data_lost(number));
  }
  for (const Key& key : std::exchange(restored_begun_, {})) {
    TaskNumber number = number_of(key);
    bool nowhere = number != KeyIndex::none && tasks_[number].begun &&
                   (tasks_[number].state == TaskState::waiting || tasks_[number].state == TaskState::ready);
    if (!nowhere) continue;
    WEFT_MARK("store: what may run once did not come back");
    fail(number, std::make_shared<const Failure>(unknown_end(number, "the scheduler was started again while a worker had it, and no worker has it now")));
  }
}

}  // namespace weft::scheduler
