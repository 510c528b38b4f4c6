// The scheduler's process: its server, its store, and its deaths.
#include <algorithm>

#include "simulation/cluster.h"

namespace weft::simulation {

void Cluster::step_scheduler(std::vector<scheduler::Event> events) {
  ++report_.events;
  if (!scheduler_) return;
  if (scheduler_paused_until_ > now_) {
    inbox_.insert(inbox_.end(), std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
    return;
  }
  if (!inbox_.empty()) {
    std::vector<scheduler::Event> waited = std::exchange(inbox_, {});
    waited.insert(waited.end(), std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
    events = std::move(waited);
  }
  get_acquainted(events);
  std::vector<Stale> stale = stale_words(events);
  if (plan_.snapshot_every > 0 && report_.events % plan_.snapshot_every == 0) pass_through_bytes();
  std::vector<scheduler::Action> actions = scheduler_->step(now_, std::move(events));
  if (plan_.tasks <= 60 || report_.events % 64 == 0) scheduler_->check();
  judge_stale(stale);
  judge_losses();
  judge_idleness();
  scheduler_tick_at_ = std::min(scheduler_->wake_at(), now_ + 1s);
  gate_.pass(actions, [this](scheduler::Action& action) { perform(action); });
}

/// Go on with a copy that was made of its bytes: nobody may notice.
void Cluster::pass_through_bytes() {
  Bytes whole, again;
  auto into = [](Bytes& all) { return [&all](const Bytes& piece) { all.insert(all.end(), piece.begin(), piece.end()); }; };
  scheduler::save(*scheduler_, into(whole));
  Result<scheduler::State> loaded = scheduler::load(whole);
  if (!loaded) return wrong("a snapshot does not load: " + loaded.error().message);
  scheduler::save(*loaded, into(again));
  if (whole != again) wrong("a loaded state is saved as other bytes");
  if (fingerprint(*loaded) != fingerprint(*scheduler_)) wrong("a loaded state has another fingerprint");
  *scheduler_ = std::move(*loaded);
}

void Cluster::perform(scheduler::Action& action) {
  if (crashes_here()) return;
  if (auto* frame = std::get_if<scheduler::ToClient>(&action)) from_scheduler(frame->peer, std::move(frame->messages));
  else if (auto* order = std::get_if<scheduler::ToWorker>(&action)) from_scheduler(order->peer, std::move(order->messages));
  else if (auto* records = std::get_if<scheduler::Persist>(&action)) persist(*records);
  else if (auto* probe = std::get_if<scheduler::Probe>(&action)) look_for(probe->worker);
  else if (auto* close = std::get_if<scheduler::CloseLink>(&action)) {
    PeerId peer = close->peer;
    // The closing travels behind what was said last.
    Time when = std::max(now_ + delay(), links_[peer].last_down);
    at(when, everybody, [this, peer] { cut(peer, true); }, static_cast<std::uint32_t>(2 * peer.number + 1));
  }
  crashes_here();
}

/// If the process of this worker is gone by now, it takes some time to hear of it. Of one that lives, a false word may come when it is back.
void Cluster::look_for(WorkerId worker) {
  const scheduler::Worker* known = scheduler_->worker(worker);
  bool is_gone = known && std::any_of(workers_.begin(), workers_.end(), [&](const WorkerProcess& process) {
    return process.name == known->name && (!process.state || process.instance != known->instance);
  });
  at(now_ + delay(), the_scheduler, [this, worker, is_gone, epoch = epoch_] {
    if (!scheduler_ || epoch != epoch_) return;
    const scheduler::Worker* now = scheduler_->worker(worker);
    if (is_gone || (now && now->peer)) step_scheduler({scheduler::ProcessGone{worker}});
  });
}

/// A boundary at which a scheduler may die. True if it is dead.
bool Cluster::crashes_here() {
  if (!scheduler_) return true;
  if (!death_in_ || (*death_in_)-- > 0) return false;
  // The step goes on in a dead process, and nothing that it does is seen.
  kill_scheduler();
  return true;
}

void Cluster::kill_scheduler() {
  note(0xdead);
  death_in_.reset();
  if (auto number = std::exchange(dies_with_it_, {})) at(now_, everybody, [this, number = *number] { kill_worker(number); });
  // Of what was on its way to the disk, some may have arrived: always the first.
  std::uint64_t arrived = random_.below(unflushed_.size() + 1);
  for (std::uint64_t i = 0; i < arrived; ++i) commit_rows(unflushed_[i].rows);
  unflushed_.clear();
  inbox_.clear();
  scheduler_paused_until_ = {};
  dead_.push_back(std::move(scheduler_));  // its own step may still be on our stack
  std::vector<PeerId> open;
  for (const auto& [peer, link] : links_)
    if (link.open) open.push_back(peer);
  for (PeerId peer : open) cut(peer, true);
  scheduler_tick_at_ = now_ + 10 * delay();
}

void Cluster::start_scheduler() {
  dead_.clear();
  gate_ = {};
  scheduler::Options options;
  options.story_max = 0;
  options.unused_templates_max = 1;
  options.durable = true;
  options.epoch = ++epoch_;
  if (plan_.trees) options.broadcast_min = 0, options.broadcast_fan_out = 1;
  scheduler_ = std::make_unique<scheduler::State>(options);
  std::vector<scheduler::Record> records;
  for (const auto& [id, body] : store_) {
    auto record = scheduler::record_of({id, body});
    if (!record) return wrong("a stored row does not decode: " + record.error().message);
    records.push_back(std::move(*record));
  }
  scheduler_->restore(now_, std::move(records));
  acquaintances_.assign(plan_.workers, {});
  asleep_ = {};
  last_step_ = now_;
  idle_since_ = {};
  step_scheduler({scheduler::Tick{}});
}

void Cluster::persist(const scheduler::Persist& persist) {
  Commit commit{persist.ticket, {}};
  for (const scheduler::Record& record : persist.records) commit.rows.push_back(scheduler::row_of(record));
  auto is_worker = [](const scheduler::Record& record) { return std::holds_alternative<scheduler::StoredWorker>(record); };
  if (dies_at_join_ && std::any_of(persist.records.begin(), persist.records.end(), is_worker)) {
    dies_at_join_ = false;
    death_in_ = random_.below(8);
  }
  unflushed_.push_back(std::move(commit));
  disk_free_at_ = std::max(disk_free_at_, now_) + delay();
  auto done = [this, ticket = persist.ticket, epoch = epoch_] {
    if (scheduler_ && epoch == epoch_) this->commit(ticket);
  };
  at(disk_free_at_, the_scheduler, done, 1);
}

void Cluster::commit_rows(const std::vector<scheduler::Row>& rows) {
  for (const scheduler::Row& row : rows) {
    if (row.body) store_[row.id] = *row.body;
    else if (!row.all) store_.erase(row.id);
    else std::erase_if(store_, [&](const auto& kept) { return kept.first.kind == row.id.kind && kept.first.a == row.id.a; });
  }
}

void Cluster::commit(std::uint64_t ticket) {
  if (crashes_here()) return;
  while (!unflushed_.empty() && unflushed_.front().ticket <= ticket) {
    commit_rows(unflushed_.front().rows);
    unflushed_.erase(unflushed_.begin());
  }
  if (crashes_here()) return;
  gate_.open(ticket, [this](scheduler::Action& action) { perform(action); });
  step_scheduler({scheduler::Committed{ticket}});
}

/// Nothing of any client is left on disk.
bool Cluster::store_is_empty() const {
  return unflushed_.empty() && std::all_of(store_.begin(), store_.end(), [](const auto& row) { return row.first.kind == scheduler::RowKind::worker; });
}

}  // namespace weft::simulation
