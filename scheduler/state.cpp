// The step: dispatch, time, and what goes out.
#include "scheduler/state.h"

#include <algorithm>

namespace weft::scheduler {

State::State(Options options) : options_(options) {
  attempts_ = nonces_ = options_.epoch << 40;  // both rise across restarts
  workers_.emplace_back();  // worker 0 is nobody
  holders_.emplace_back();  // holder 0 is nobody
  fire_and_forget_ = new_holder(Holder::Kind::fire_and_forget);
}

std::vector<Action> State::step(Time now, std::vector<Event> batch) {
  now_ = std::max(now, now_);
  forgive_own_sleep();
  for (const Event& event : batch) std::visit([this](const auto& e) { on(e); }, event);
  check_leases();
  settle();
  schedule();
  advance_retirements();
  settle();
  if (observer_) observer_->flush_edges();
  return collect();
}

// A scheduler that slept (a paused machine, a debugger) has heard nobody, which says nothing about them.
void State::forgive_own_sleep() {
  Duration gap = now_ - last_step_;
  bool slept = last_step_ != Time{} && gap > std::max<Duration>(2 * options_.heartbeat_interval, 2s);
  last_step_ = now_;
  if (!slept) return;
  for (WorkerId id : alive_) {
    Worker& worker = worker_ref(id);
    worker.lost_at = worker.lost_at + gap;
    worker.echoed = worker.echoed + gap;
  }
  for (Holder& holder : holders_)
    if (holder.kind == Holder::Kind::session) {
      holder.expires = holder.expires + gap;
      holder.heard = holder.heard + gap;
    }
}

void State::check_leases() {
  std::vector<WorkerId> lost;
  for (WorkerId id : alive_) {
    const Worker& worker = worker_ref(id);
    if (worker.lost_at <= now_) lost.push_back(id);
    else if (worker.peer && worker.echoed + options_.lease <= now_) lost.push_back(id);  // it does not hear us
  }
  for (WorkerId id : lost) lose_worker(id, true, "it was silent for longer than its lease");
  for (HolderNumber number = 1; number < holders_.size(); ++number) {
    const Holder& holder = holders_[number];
    if (holder.kind != Holder::Kind::session || holder.through) continue;
    if (holder.peer && holder.heard + options_.lease <= now_) {
      to_close_.push_back(holder.peer);
      detach(number);
    } else if (!holder.peer && holder.expires <= now_) {
      end_holder(number);
    }
  }
  while (!delayed_.empty() && std::get<0>(*delayed_.begin()) <= now_) {
    auto [when, number, serial] = *delayed_.begin();
    delayed_.erase(delayed_.begin());
    if (tasks_[number].state == TaskState::ready && tasks_[number].queue_serial == serial) enqueue(number);
  }
}

Time State::wake_at() const {
  Time next = now_ + options_.heartbeat_interval;
  if (!delayed_.empty()) next = std::min(next, std::get<0>(*delayed_.begin()));
  for (WorkerId id : alive_) {
    const Worker& worker = *workers_[id.number];
    next = std::min(next, worker.lost_at);
    if (worker.hand_over_again > now_) next = std::min(next, worker.hand_over_again);
  }
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
  if (found == worker_of_peer_.end()) return to_close_.push_back(event.peer);
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
    worker.outbox.clear();
    hungry_.erase(worker.id);
    worker.lost_at = std::min(worker.lost_at, now_ + options_.reconnect_grace);
    if (observer_)
      observer_->write(Record{.when = now_, .worker = worker.id.number, .what = Seen::status,
                              .to = static_cast<std::uint8_t>(WorkerStatus::disconnected)});
    if (worker.leave_sent) lose_worker(worker.id, false, "it left");
  }
  if (auto found = session_of_peer_.find(event.peer); found != session_of_peer_.end()) detach(found->second);
}

// One frame a peer, in a fixed order: workers first, so that what clients hear of is on its way.
std::vector<Action> State::collect() {
  std::vector<Action> actions;
  for (HolderNumber number = 1; number < holders_.size(); ++number) {
    Holder& session = holders_[number];
    if (session.kind != Holder::Kind::session) continue;
    if (session.acknowledge) {
      session.acknowledge = false;
      tell(number, Executed{session.executed});
    }
    if (session.outbox.empty()) continue;
    if (session.through) {
      tell(worker_ref(session.through), ToTask{session.channel, std::move(session.outbox)});
      session.outbox.clear();
    }
  }
  for (auto& [peer, message] : stray_workers_) actions.push_back(ToWorker{peer, {std::move(message)}});
  for (WorkerId id : alive_) {
    Worker& worker = worker_ref(id);
    if (worker.outbox.empty()) continue;
    actions.push_back(ToWorker{worker.peer, std::move(worker.outbox)});
    worker.outbox.clear();
  }
  for (auto& [peer, message] : stray_) actions.push_back(ToClient{peer, {std::move(message)}});
  for (Holder& session : holders_) {
    if (session.outbox.empty()) continue;
    actions.push_back(ToClient{session.peer, std::move(session.outbox)});
    session.outbox.clear();
  }
  for (PeerId peer : to_close_) actions.push_back(CloseLink{peer});
  stray_.clear();
  stray_workers_.clear();
  to_close_.clear();
  return actions;
}

State::Counts State::counts() const {
  Counts counts{.tasks = index_.size(), .workers = alive_.size(), .sessions = sessions_.size()};
  for (const Group& group : groups_)
    for (int i = 0; i < task_state_count; ++i) counts.by_state[i] += group.counts[i];
  return counts;
}

const Task* State::find(const Key& key) const {
  TaskNumber number = index_.find(key);
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

bool State::empty() const { return index_.size() == 0 && sessions_.empty() && names_.empty(); }

void State::log_line(std::uint32_t level, std::string text, std::string worker, Key key) {
  if (observer_) {
    const Worker* found = find_worker(worker);
    observer_->write(Record{.when = now_, .key = key, .worker = found ? found->id.number : 0, .extra = level, .what = Seen::log}, text);
  }
  if (log_.size() >= 10'000) log_.pop_front();
  log_.push_back({now_, std::move(worker), level, key, std::move(text)});
}

}  // namespace weft::scheduler
