// Time: what happens next, and when it is over.
#include "simulation/world.h"

#include <algorithm>

#include "simulation/cluster.h"

namespace weft::simulation {

Duration Cluster::delay() {
  return 1us + random_.below(std::max<Duration>(plan_.delay_max, 1us));
}

void Cluster::at(Time when, std::uint32_t actor, std::function<void()> act, std::uint32_t channel) {
  Hash cause = chooser_ ? mix(histories_[actor_], ++made_) : 0;
  agenda_.push_back({std::max(when, now_), ++sequence_, actor, channel, cause, std::move(act)});
  std::push_heap(agenda_.begin(), agenda_.end());
}

void Cluster::remember(std::uint32_t actor, Hash what) {
  if (chooser_) histories_[actor] = mix(histories_[actor], what);
}

void Cluster::happen(Pending pending) {
  if (chooser_) {
    // Who is meant is not always one: then everybody may have learned of it.
    for (std::uint32_t actor = 0; actor < histories_.size(); ++actor)
      if (pending.actor == everybody || pending.actor == actor) remember(actor, pending.cause);
    actor_ = pending.actor;
    made_ = 0;
  }
  pending.act();
}

/// One of all that is possible now. What passed between the same two is heard in its order; everything else may come in any.
void Cluster::choose_next() {
  std::sort(agenda_.begin(), agenda_.end(), [](const Pending& a, const Pending& b) { return a.sequence < b.sequence; });
  std::vector<std::size_t> possible;
  std::set<std::uint32_t> channels;
  for (std::size_t i = 0; i < agenda_.size(); ++i)
    if (agenda_[i].channel == 0 || channels.insert(agenda_[i].channel).second) possible.push_back(i);
  bool fault = next_fault_ < plan_.faults.size();
  Hash situation = mix(next_fault_, static_cast<Hash>(now_.nanoseconds));
  for (Hash history : histories_) situation = mix(situation, history);
  std::uint32_t choice = chooser_->choose(static_cast<std::uint32_t>(possible.size() + fault), situation);
  if (choice == possible.size()) {
    for (std::uint32_t actor = 0; actor < histories_.size(); ++actor) remember(actor, 0xfa17);
    actor_ = everybody;
    made_ = 0;
    return strike(plan_.faults[next_fault_++]);
  }
  Pending pending = std::move(agenda_[possible[choice]]);
  agenda_.erase(agenda_.begin() + static_cast<std::ptrdiff_t>(possible[choice]));
  std::make_heap(agenda_.begin(), agenda_.end());
  happen(std::move(pending));
}

Time Cluster::next_tick() const {
  Time next = scheduler_tick_at_;
  for (const ClientProcess& client : clients_) next = std::min(next, client.tick_at);
  for (const WorkerProcess& worker : workers_)
    next = std::min(next, worker.state ? std::max(worker.tick_at, worker.paused_until) : worker.restart_at);
  return next;
}

void Cluster::tick_all() {
  if (scheduler_tick_at_ <= now_) {
    if (scheduler_) step_scheduler({scheduler::Tick{}});
    else start_scheduler();
  }
  for (int i = 0; i < static_cast<int>(clients_.size()); ++i)
    if (clients_[i].state && clients_[i].tick_at <= now_) step_client(i, {client::Tick{}});
  for (int i = 0; i < static_cast<int>(workers_.size()); ++i) {
    WorkerProcess& process = workers_[i];
    if (process.state && process.tick_at <= now_ && process.paused_until <= now_) step_worker(i, {worker::Tick{}});
    if (!process.state && process.restart_at <= now_) start_worker(i);
  }
}

/// The next thing that happens. False: this path of the exhaustive mode was walked before.
bool Cluster::advance() {
  // Until a clock is needed, every order is tried.
  if (chooser_ && choosing_at_ == Time{} && clients_[0].graphs_left == 0) choosing_at_ = now_;
  if (chooser_ && now_ == choosing_at_ && !agenda_.empty() && !releasing_) {
    choose_next();
    return !chooser_->pruned();
  }
  Time next = next_tick();
  bool agenda_first = !agenda_.empty() && agenda_.front().when <= next;
  if (agenda_first) next = agenda_.front().when;
  if (!chooser_ && next_fault_ < plan_.faults.size() && start + plan_.faults[next_fault_].when <= next) {
    now_ = std::max(now_, start + plan_.faults[next_fault_].when);
    strike(plan_.faults[next_fault_++]);
  } else if (agenda_first) {
    now_ = std::max(now_, next);
    std::pop_heap(agenda_.begin(), agenda_.end());
    Pending pending = std::move(agenda_.back());
    agenda_.pop_back();
    happen(std::move(pending));
  } else {
    now_ = std::max(now_, next);
    tick_all();
  }
  return true;
}

/// When all futures have ended the clients release them and leave.
void Cluster::finish_if_done() {
  if (releasing_ || !changed_) return;
  changed_ = false;
  bool calm = healed_ || (next_fault_ == plan_.faults.size() && !death_in_ && !dies_at_join_) || chooser_;
  if (!calm) changed_ = true;
  if (!calm || !all_ended()) {
    ended_at_ = {};
    return;
  }
  // What is on its way arrives; then everybody must see the same.
  if (!chooser_) {
    if (ended_at_ == Time{}) ended_at_ = now_;
    changed_ = true;
    if (now_ < ended_at_ + 1s) return;
    judge_views();
  }
  releasing_ = true;
  for (int i = 0; i < static_cast<int>(clients_.size()); ++i) {
    std::vector<Key> keys(clients_[i].wanted.begin(), clients_[i].wanted.end());
    clients_[i].wanted.clear();
    clients_[i].ended.clear();
    step_client(i, {client::ReleaseKeys{keys}, client::SayGoodbye{}});
  }
}

void Cluster::live() {
  histories_.resize(2 + plan_.clients + plan_.workers);
  for (std::uint32_t i = 0; i < plan_.workers; ++i) workers_.push_back(WorkerProcess{.name = "worker" + std::to_string(i)});
  for (std::uint32_t i = 0; i < plan_.clients; ++i) {
    ClientProcess process;
    client::SessionOptions options;
    options.session = process.session = {plan_.seed + 1, i + 1};
    options.name = "client" + std::to_string(i);
    options.patience = 100000s;
    options.connect_timeout = 100000s;
    process.state = std::make_unique<client::SessionState>(options, now_);
    process.graphs_left = plan_.graphs;
    process.tick_at = now_;
    clients_.push_back(std::move(process));
  }
  start_scheduler();
  for (std::uint32_t i = 0; i < plan_.workers; ++i) {
    if (plan_.join_until == Duration{}) start_worker(static_cast<int>(i));
    else workers_[i].restart_at = now_ + random_.below(plan_.join_until);
  }
  for (std::uint32_t i = 0; i < plan_.clients; ++i)
    at(now_ + delay(), client_actor(static_cast<int>(i)), [this, i] { submit_graph(static_cast<int>(i)); });

  Time healing = now_ + plan_.faults_until;
  while (report_.error.empty() && advance()) {
    if (!healed_ && now_ >= healing) heal();
    finish_if_done();
    if (releasing_ && is_clean()) break;
    if (now_ > healing + patience()) wrong(what_is_left());
    judge_storm();
  }
}

Report Cluster::run() {
  try {
    live();
  } catch (const std::exception& error) {  // a broken invariant, in builds that can go on after one
    wrong(error.what());
  }
  report_.virtual_time = now_ - start;
  return report_;
}

Report run(const Plan& plan, Chooser* chooser) { return Cluster(plan, chooser).run(); }

}  // namespace weft::simulation
