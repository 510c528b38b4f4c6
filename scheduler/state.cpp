// The step: dispatch, time, and what goes out.
#include "scheduler/state.h"

#include <algorithm>

#include "common/coverage_mark.h"
#include "common/limits.h"
#include "common/stack_samples.h"
#include "common/value_places.h"
#include "common/vectors.h"

namespace weft::scheduler {

// Drops that wait for the next word to a worker.
static constexpr std::size_t drops_max = 256;
static constexpr std::uint64_t drops_bytes_max = 1u << 20;
// Lines of the event list that are remembered.
static constexpr std::size_t log_lines_max = 10'000;

State::State(Options options) : options_(options) {
  attempts_ = nonces_ = options_.epoch << 40;  // both rise across restarts
  workers_.emplace_back();  // worker 0 is nobody
  holders_.emplace_back();  // holder 0 is nobody
  fire_and_forget_ = new_holder(Holder::Kind::fire_and_forget);
  unreleased_ = new_holder(Holder::Kind::fire_and_forget);
}

std::vector<Action> State::step(Time now, std::vector<Event> batch) {
  now_ = std::max(now, now_);
  forgive_own_sleep();
  for (const Event& event : batch) std::visit([this](const auto& e) { on(e); }, event);
  check_leases();
  check_recovery();
  while (!delayed_.empty() && std::get<0>(*delayed_.begin()) <= now_) {
    auto [when, number, serial] = *delayed_.begin();
    delayed_.erase(delayed_.begin());
    if (tasks_[number].state == TaskState::ready && tasks_[number].queue_serial == serial) enqueue(number);
  }
  settle();
  if (!recovering_) {
    schedule();
    restore_copies();
    review_unrunnable();
  }
  advance_retirements();
  settle();
  free_unused_shapes();
  show_again();
  return collect();
}

// A scheduler that slept (a paused machine, a debugger) has heard nobody, which says nothing about them.
void State::forgive_own_sleep() {
  Duration gap = now_ - last_step_;
  bool slept = last_step_ != Time{} && gap > std::max<Duration>(2 * options_.heartbeat_interval, 2s);
  last_step_ = now_;
  if (!slept) return;
  WEFT_MARK("scheduler: slept itself");
  for (WorkerId id : alive_) {
    Worker& worker = worker_ref(id);
    WEFT_UNLESS(1) worker.lost_at = worker.lost_at + gap;
    worker.echoed = worker.echoed + gap;
  }
  for (Holder& holder : holders_)
    if (holder.kind == Holder::Kind::session) {
      holder.expires = holder.expires + gap;
      holder.heard = holder.heard + gap;
    }
}

/// Everybody is looked at only when the first lease of the last look may be over.
void State::check_leases() {
  if (now_ < leases_due_) return;
  leases_due_ = now_ + options_.lease;
  auto is_over = [&](Time end) {
    if (end > now_) leases_due_ = std::min(leases_due_, end);
    return end <= now_;
  };
  std::vector<WorkerId> lost;
  for (WorkerId id : alive_) {
    const Worker& worker = worker_ref(id);
    bool silent = is_over(worker.lost_at);
    bool deaf = worker.peer && is_over(worker.echoed + options_.lease);
    if (WEFT_MUTANT(4, silent || deaf, false)) lost.push_back(id);
  }
  if (!lost.empty()) WEFT_MARK("scheduler: a lease ended");
  for (WorkerId id : lost) lose_worker(id, true, "it was silent for longer than its lease");
  for (HolderNumber number = 1; number < holders_.size(); ++number) {
    const Holder& holder = holders_[number];
    if (holder.kind != Holder::Kind::session || holder.through) continue;
    if (holder.peer && is_over(holder.heard + options_.lease)) {
      WEFT_MARK("scheduler: a client was silent");
      to_close_.push_back(holder.peer);
      detach(number);
    } else if (!holder.peer && is_over(holder.expires)) {
      WEFT_MARK("scheduler: a session expired");
      end_holder(number);
    }
  }
}

Time State::wake_at() const {
  Time next = std::min(now_ + options_.heartbeat_interval, leases_due_);
  if (!delayed_.empty()) next = std::min(next, std::get<0>(*delayed_.begin()));
  if (recovering_) next = std::min(next, recovering_until_);
  for (WorkerId id : retiring_)
    if (const Worker& worker = *workers_[id.number]; worker.hand_over_again > now_) next = std::min(next, worker.hand_over_again);
  if (misses_records()) next = std::min(next, now_ + 1ms);
  return std::max(next, now_);
}

void State::on(const FromClient& event) {
  if (const auto* message = std::get_if<ClientHello>(&event.message)) return hello(event.peer, *message, {}, 0);
  auto session = session_of_peer_.find(event.peer);
  // Before its hello, or after its session ended: nothing to say to it but that.
  if (session == session_of_peer_.end()) return to_close_.push_back(event.peer);
  client_message(session->second, event.message);
}

void State::on(const FromWorker& event) {
  if (const auto* message = std::get_if<WorkerHello>(&event.message)) return worker_hello(event.peer, *message);
  auto found = worker_of_peer_.find(event.peer);
  if (found == worker_of_peer_.end()) {
    WEFT_MARK("scheduler: a stranger's frame");
    return to_close_.push_back(event.peer);
  }
  Worker& worker = worker_ref(found->second);
  worker.heard = now_;
  worker.lost_at = now_ + options_.lease;
  std::visit([&](const auto& message) { handle(worker, message); }, event.message);
}

void State::on(const LinkLost& event) {
  if (auto found = worker_of_peer_.find(event.peer); found != worker_of_peer_.end()) {
    Worker& worker = worker_ref(found->second);
    worker_of_peer_.erase(found);
    worker.peer = {};
    WEFT_UNLESS(3) worker.outbox.clear();
    worker.drops.clear();
    worker.lost_at = std::min(worker.lost_at, now_ + options_.reconnect_grace);
    leases_due_ = std::min(leases_due_, worker.lost_at);
    rethink();
    if (observer_)
      observer_->write(Sighting{.when = now_, .worker = worker.id.number, .what = Seen::status,
                              .to = static_cast<std::uint8_t>(WorkerStatus::disconnected)});
    if (!worker.leave_sent) probes_.push_back({worker.id, worker.endpoint});
    else WEFT_UNLESS(2) lose_worker(worker.id, false, "it left");
  }
  if (auto found = session_of_peer_.find(event.peer); found != session_of_peer_.end()) detach(found->second);
}

/// Nothing to wait for: it will not come back. Only what may run once is not given up on the word of a network.
void State::on(const ProcessGone& event) {
  if (event.worker.number >= workers_.size() || !workers_[event.worker.number]) return;
  const Worker& worker = *workers_[event.worker.number];
  bool careful = std::any_of(worker.assigned.begin(), worker.assigned.end(), [&](TaskNumber number) { return may_have_run(tasks_[number]); });
  if (WEFT_MUTANT(73, bool(worker.peer), false) || careful) return;
  WEFT_MARK("lost worker: its process was found gone");
  lose_worker(event.worker, true, "its process is gone");
}

/// Who lost the right to speak here has no grace: what only it wanted is released, what it ran goes to others.
void State::on(const AccessRevoked& event) {
  WireFailure why{failure(ErrorKind::connection_failed,
                          "the scheduler took back the key of this connection (weft keys revoke); ask its operator for another key")};
  if (auto found = worker_of_peer_.find(event.peer); found != worker_of_peer_.end()) {
    stray_workers_.emplace_back(event.peer, WorkerRefused{why});
    lose_worker(found->second, false, "its key was revoked");
  }
  if (auto found = session_of_peer_.find(event.peer); found != session_of_peer_.end()) {
    log_line(5, "client '" + holders_[found->second].name + "' cut: its key was revoked");
    stray_.emplace_back(event.peer, Refused{0, why});
    end_holder(found->second);
  }
  to_close_.push_back(event.peer);
}

// One frame a peer: workers first, so that what clients hear of is on its way.
std::vector<Action> State::collect() {
  std::vector<Action> actions;
  flush_records(actions);
  std::vector<Action> nested;
  for (HolderNumber number : std::vector<HolderNumber>(speaking_sessions_)) {
    Holder& session = holders_[number];
    if (std::exchange(session.acknowledge, false)) tell(number, Executed{session.executed});
    if (!session.through || session.outbox.empty()) continue;
    // Behind what it acknowledges, and never in the way of the worker's orders.
    ToTask words{session.channel, std::exchange(session.outbox, {})};
    if (!options_.durable) tell(worker_ref(session.through), std::move(words));
    else if (PeerId peer = worker_ref(session.through).peer) nested.push_back(ToWorker{peer, {std::move(words)}, ticket_});
  }
  for (auto& [peer, message] : stray_workers_) actions.push_back(ToWorker{peer, {std::move(message)}});
  for (WorkerId id : speaking_workers_) {
    if (!workers_[id.number]) continue;
    Worker& worker = worker_ref(id);
    bool enough = worker.assigned.empty() || worker.drops.size() >= drops_max || worker.drops_bytes >= drops_bytes_max;
    if (worker.outbox.empty() && enough) flush_drops(worker);
    if (!worker.outbox.empty()) actions.push_back(ToWorker{worker.peer, take_all(worker.outbox)});
  }
  for (Action& action : nested) actions.push_back(std::move(action));
  for (auto& [peer, message] : stray_) actions.push_back(ToClient{peer, {std::move(message)}, ticket_});
  for (HolderNumber number : speaking_sessions_)
    if (!holders_[number].outbox.empty())
      actions.push_back(ToClient{holders_[number].peer, take_all(holders_[number].outbox), WEFT_MUTANT(5, ticket_, 0)});
  for (Probe& probe : std::exchange(probes_, {})) actions.push_back(std::move(probe));
  for (Note& note : std::exchange(notes_, {})) actions.push_back(std::move(note));
  for (PeerId peer : to_close_) actions.push_back(CloseLink{peer, ticket_});
  speaking_sessions_.clear();
  speaking_workers_.clear();
  stray_.clear();
  stray_workers_.clear();
  to_close_.clear();
  return actions;
}

Counts State::counts() const {
  Counts counts{.tasks = index_.size(), .workers = alive_.size(), .sessions = sessions_.size()};
  for (const Group& group : groups_)
    for (int i = 0; i < task_state_count; ++i) counts.by_state[i] += group.counts[i];
  return counts;
}

const Task* State::find(const Key& key) const {
  TaskNumber number = number_of(key);
  return number == KeyIndex::none ? nullptr : &tasks_[number];
}

const Worker* State::find_worker(std::string_view text) const {
  for (WorkerId id : alive_) {
    const Worker& worker = *workers_[id.number];
    if (worker.name == text || worker.endpoint == text) return &worker;
  }
  return nullptr;
}

const Worker* State::worker(WorkerId id) const {
  return id.number < workers_.size() && workers_[id.number] ? &*workers_[id.number] : nullptr;
}

Worker& State::worker_ref(WorkerId id) {
  WEFT_CHECK(id.number < workers_.size() && workers_[id.number]);
  return *workers_[id.number];
}

bool State::empty() const {
  bool no_work = std::all_of(alive_.begin(), alive_.end(), [&](WorkerId id) {
    const Worker& worker = *workers_[id.number];
    return worker.assigned.empty() && worker.holding.empty() && worker.reserved.empty() && worker.recalls == 0 && worker.nested == 0;
  });
  bool no_tasks = index_.size() == 0 && tasks_.free_rows() == tasks_.size() && delayed_.empty() && ahead_.empty() && kept_ == 0 &&
                  replicas_wanted_.empty() && progress_.empty() && moving_.empty() && spreads_.empty();
  bool no_holders = sessions_.empty() && session_of_peer_.empty() && session_of_channel_.empty() && names_.empty() &&
                    free_holders_.size() + 3 == holders_.size();  // nobody, fire-and-forget, not yet released
  bool no_templates = unused_shapes_.size() + free_shapes_.size() == shapes_.size() && file_owners_.empty() &&
                      std::all_of(shapes_.begin(), shapes_.end(), [](const Shape& shape) { return shape.tasks == 0; }) &&
                      std::all_of(programs_.begin(), programs_.end(), [](const auto& entry) { return entry.second.owners.empty(); });
  return no_work && no_tasks && no_holders && no_templates;
}

void State::log_line(std::uint32_t level, std::string text, std::string worker, Key key) {
  bool for_observers = level == samples_level || level == places_level;
  if (!for_observers) shorten(text, log_line_max);
  if (observer_) {
    const Worker* found = find_worker(worker);
    observer_->write(Sighting{.when = now_, .key = key, .worker = found ? found->id.number : 0, .extra = level, .what = Seen::log}, text);
  }
  if (for_observers) return;
  if (log_.size() >= log_lines_max) log_.pop_front();
  log_.push_back({now_, std::move(worker), level, key, std::move(text)});
}

}  // namespace weft::scheduler
