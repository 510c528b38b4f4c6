// What goes wrong, and the end of it.
#include "simulation/cluster.h"

namespace weft::simulation {

void Cluster::strike(const Fault& fault) {
  ++report_.faults;
  bool harmless = fault.kind == FaultKind::worker_retire || fault.kind == FaultKind::worker_pressure;
  harm_ = harm_ || !harmless;
  Random random(fault.draw);
  switch (fault.kind) {
    case FaultKind::link_cut:
    case FaultKind::link_half_cut:
    case FaultKind::link_freeze:
    case FaultKind::link_one_way: return strike_link(fault, random);
    case FaultKind::scheduler_death:
    case FaultKind::host_death:
      if (!scheduler_) return;
      if (plan_.join_until > Duration{} && random.chance(50)) dies_at_join_ = true;
      else death_in_ = random.below(random.chance(50) ? 4 : 20);
      if (fault.kind == FaultKind::host_death) dies_with_it_ = static_cast<int>(random.below(workers_.size()));
      return;
    case FaultKind::scheduler_pause: {
      Duration time(static_cast<std::int64_t>(random.below(25'000)) * 1'000'000);
      if (scheduler_) scheduler_paused_until_ = scheduler_tick_at_ = now_ + time;
      idle_since_ = {};
      return;
    }
    case FaultKind::scheduler_amnesia:
      if (scheduler_) kill_scheduler();
      unflushed_.clear();
      store_.clear();
      amnesia_ = true;
      return;
    default: return strike_worker(fault, random);
  }
}

void Cluster::strike_link(const Fault& fault, Random& random) {
  std::vector<PeerId> open;
  for (const auto& [peer, link] : links_)
    if (link.open) open.push_back(peer);
  if (open.empty()) return;
  PeerId peer = open[random.below(open.size())];
  Time until = now_ + Duration(static_cast<std::int64_t>(random.below(25'000)) * 1'000'000);
  Link& link = links_[peer];
  bool up = random.chance(50);
  switch (fault.kind) {
    case FaultKind::link_freeze: link.up_frozen_until = link.down_frozen_until = until; break;
    case FaultKind::link_one_way: (up ? link.up_frozen_until : link.down_frozen_until) = until; break;
    default: cut(peer, fault.kind == FaultKind::link_cut);
  }
}

void Cluster::strike_worker(const Fault& fault, Random& random) {
  int number = static_cast<int>(random.below(workers_.size()));
  WorkerProcess& process = workers_[number];
  Duration time(static_cast<std::int64_t>(random.below(25'000)) * 1'000'000);
  if (fault.kind == FaultKind::worker_kill) return kill_worker(number);
  if (fault.kind == FaultKind::worker_pause) {
    process.paused_until = now_ + time;
    return;
  }
  if (!process.state || process.paused_until > now_) return;
  switch (fault.kind) {
    case FaultKind::worker_retire:
      harm_ = harm_ || !loses_nothing(number);
      process.leaving = true;
      return step_worker(number, {worker::Terminate{}});
    case FaultKind::worker_revoked:
      if (!scheduler_ || !process.peer) return;
      return step_scheduler({scheduler::AccessRevoked{process.peer}});
    case FaultKind::worker_pressure:
      step_worker(number, {worker::Pressure{.paused = true}});
      at(now_ + time, worker_actor(number), [this, number, instance = process.instance] {
        if (workers_[number].state && workers_[number].instance == instance) step_worker(number, {worker::Pressure{}});
      });
      return;
    default: return strike_value(fault, random, number);
  }
}

void Cluster::strike_value(const Fault& fault, Random& random, int number) {
  WorkerProcess& process = workers_[number];
  if (process.store.empty()) return;
  auto victim = process.store.begin();
  std::advance(victim, random.below(process.store.size()));
  Key key = victim->first;
  if (fault.kind == FaultKind::value_rot) {
    rot_ = true;
    process.rotten.insert(key);
    truth_.at(key).rotten = true;
    return;
  }
  for (AttemptId id : process.running)
    for (const worker::RunInput& input : process.queue.at(id).inputs)
      if (input.store_key == key) return;  // a run has its own view of it
  process.store.erase(victim);
  process.rotten.erase(key);
  // Found when a run needs it, or somebody looks.
  process.stolen.insert(key);
  at(now_ + delay(), worker_actor(number), [this, number, key, instance = process.instance] {
    WorkerProcess& robbed = workers_[number];
    if (robbed.state && robbed.instance == instance && robbed.stolen.erase(key)) step_worker(number, {worker::ValueDamaged{key}});
  });
}

/// Whether this worker can hand over what it holds: another one is there for it.
bool Cluster::loses_nothing(int number) const {
  if (!scheduler_) return false;
  const scheduler::Worker* own = scheduler_->find_worker(workers_[number].name);
  if (!own || !own->peer) return false;
  for (const WorkerProcess& other : workers_) {
    const scheduler::Worker* known = scheduler_->find_worker(other.name);
    if (other.state && !other.leaving && known && known != own && known->instance == other.instance && known->peer && !known->retiring) return true;
  }
  return false;
}

/// From now on everything works.
void Cluster::heal() {
  healed_ = true;
  death_in_.reset();
  dies_at_join_ = false;
  dies_with_it_.reset();
  for (auto& [peer, link] : links_) link.up_frozen_until = link.down_frozen_until = {};
  scheduler_paused_until_ = {};
  for (int i = 0; i < static_cast<int>(workers_.size()); ++i) {
    workers_[i].paused_until = {};
    if (workers_[i].state) step_worker(i, {worker::Pressure{}});
  }
}

}  // namespace weft::simulation
