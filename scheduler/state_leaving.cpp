// Workers that are lost or leave: what becomes of their tasks, of their values, and of copies that were asked for.
#include <algorithm>

#include "common/coverage_mark.h"
#include "common/limits.h"
#include "scheduler/state.h"

namespace weft::scheduler {

// Copies that are on their way from one retiring worker.
static constexpr std::size_t hand_over_max = 256;

void State::lose_replica(TaskNumber number, WorkerId id) {
  remove_replica(number, id);
  Task& task = tasks_[number];
  if (replicas_wanted_.contains(number)) copies_review_.insert(number);
  if (!task.replicas.empty() || task.state != TaskState::stored) return;
  if (!task.needed()) {
    move_to(number, TaskState::released);
    review_.push_back(number);
  } else if (task.is_data || runs_once(task)) {
    WEFT_MARK("value: lost for good");
    fail(number, data_lost(number));
  } else {
    move_to(number, TaskState::released);
    for (const WantEdge& want : tasks_[number].wants) tell(want.holder, TaskPending{tasks_[number].key});
    WEFT_UNLESS(30) require(number);
  }
}

/// Copies that were lost are made again while enough workers live, and all that were missing when one joins.
void State::restore_copies() {
  for (TaskNumber number : std::exchange(copies_review_, {})) {
    auto wanted = replicas_wanted_.find(number);
    if (wanted != replicas_wanted_.end() && tasks_[number].state == TaskState::stored) spread_replicas(number, wanted->second);
  }
}

/// The worker's process is gone, or counts as gone. `blame`: what it was running may have killed it.
void State::lose_worker(WorkerId id, bool blame, const std::string& why) {
  Worker& worker = worker_ref(id);
  blame = blame && !worker.retiring;  // it was told to go, perhaps before its tasks could end
  log_line(blame ? 4 : 6, "worker lost: " + why, worker.name);
  show_worker_lost(worker, blame, why);
  if (durable()) persist(Erased{StoredWorker{worker.name}.id()});
  for (const auto& [place, session] : std::map(session_of_channel_))
    if (place.first == id) end_holder(session);
  if (worker.peer) {
    worker_of_peer_.erase(worker.peer);
    to_close_.push_back(worker.peer);
    worker.peer = {};
    worker.outbox.clear();
    worker.drops.clear();
  }
  std::erase_if(moving_, [&](const auto& move) { return move.second == id; });
  WEFT_UNLESS(33) forget_flights(id);
  worker.retiring = true;  // nothing new goes there while it is taken apart
  std::string reason = "worker '" + worker.name + "' was lost: " + why;
  shorten(reason, reason_bytes_max);
  const auto lost = std::make_shared<const std::string>(std::move(reason));
  while (!worker.holding.empty()) lose_replica(worker.holding.back(), id);
  while (!worker.assigned.empty()) {
    TaskNumber number = worker.assigned.back();
    Task& task = tasks_[number];
    if (WEFT_MUTANT(31, task.started, true) && blame) {
      WEFT_MARK("lost worker: a run is blamed");
      Failure cause{.kind = ErrorKind::task_poisoned,
                    .message = "worker daemons died while it ran: " + why,
                    .worker = worker.name};
      fail_or_retry(number, cause);
    } else if (WEFT_MUTANT(71, may_have_run(task), false)) {
      WEFT_MARK("lost worker: had what may run once");
      fail_or_retry(number, unknown_end(number, "worker '" + worker.name + "' had it and was lost: " + why));
    } else {
      run_again(number, Duration{});
      note_why(number, lost);
    }
  }
  while (!worker.reserved.empty()) enqueue(worker.reserved.begin()->second);
  slots_total_ -= worker.slots;
  worker.slots = 0;
  note_room(worker);
  std::erase(hungry_, id);
  retiring_.erase(id);
  std::erase(alive_, id);
  workers_[id.number].reset();
  rethink();
}

/// Begin to empty a worker. False if nobody could take what only it holds, unless it goes `at_any_price`.
bool State::retire(Worker& worker, bool at_any_price) {
  bool others = std::any_of(alive_.begin(), alive_.end(), [&](WorkerId id) { return id != worker.id && !worker_ref(id).retiring; });
  bool unique = std::any_of(worker.holding.begin(), worker.holding.end(), [&](TaskNumber n) { return tasks_[n].needed(); });
  if (!others && unique && !at_any_price) return false;
  if (worker.retiring) return true;
  worker.retiring = true;
  retiring_.insert(worker.id);
  rethink();
  for (TaskNumber number : std::vector<TaskNumber>(worker.assigned))
    if (!tasks_[number].started && !tasks_[number].recalling) revoke(number, false);
  while (!worker.reserved.empty()) enqueue(worker.reserved.begin()->second);
  return true;
}

/// The emptiest of a few workers that may take a copy of this value.
WorkerId State::place_for_copy(TaskNumber number) {
  const SmallVector<Replica>& replicas = tasks_[number].replicas;
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
    if (!others) {
      WEFT_MARK("retire: gives up what only it holds");
      return;
    }
    holds_unique = true;
    if (under_way >= hand_over_max) return;
    auto spread = spreads_.find(number);
    if (spread == spreads_.end() || spread->second.flights.empty()) {
      WEFT_MARK("retire: hands over what only it holds");
      WorkerId target = place_for_copy(number);
      if (!target) continue;  // all others are paused or away just now
      spreads_[number].flights.push_back({worker.id, target, true});
      tell(worker_ref(target), Replicate{AssignedInput{.key = task.key, .bytes = task.bytes, .locations = {locate(task, worker)}}});
    }
    ++under_way;
  }
}

void State::advance_retirements() {
  for (WorkerId id : retiring_) {
    Worker& worker = worker_ref(id);
    if (!worker.peer || worker.leave_sent || worker.hand_over_again > now_) continue;
    bool holds_unique = false;
    hand_over(worker, holds_unique);
    if (worker.holding.size() > hand_over_max) worker.hand_over_again = now_ + 10ms;
    if (WEFT_MUTANT(32, holds_unique, false) || !worker.assigned.empty()) continue;
    WEFT_MARK("retire: is empty");
    worker.leave_sent = true;
    tell(worker, Leave{});
  }
}

}  // namespace weft::scheduler
