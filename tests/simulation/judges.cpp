// What must hold after every step of the scheduler or of a worker, counted again from outside: nobody is given up too early, stale words
// change nothing, no work waits beside an idle slot, and all see the same when nothing is on its way.
#include <algorithm>

#include "simulation/cluster.h"

namespace weft::simulation {

// From here on a scheduler that was not stepped has slept: twice its heartbeats.
static constexpr Duration sleep_min = 2s;
// Work may wait so long beside an idle slot.
static constexpr Duration idle_max = 300ms;

/// Attempts that these words are about, when they are about nothing but attempts that are over.
std::vector<Cluster::Stale> Cluster::stale_words(const std::vector<scheduler::Event>& events) const {
  std::vector<Stale> stale;
  for (const scheduler::Event& event : events) {
    const auto* word = std::get_if<scheduler::FromWorker>(&event);
    if (!word) return {};
    bool old = std::visit(
        [&](const auto& message) {
          using M = std::decay_t<decltype(message)>;
          if constexpr (std::is_same_v<M, AttemptStarted> || std::is_same_v<M, AttemptFailed> || std::is_same_v<M, AttemptReturned>) {
            const scheduler::Task* task = scheduler_->find(message.key);
            if (!task || !task->attempt || task->attempt == message.attempt) return false;
            stale.push_back({message.key, task->worker, task->attempt, task->errors, task->losses, task->started});
            return true;
          }
          return std::is_same_v<M, WorkerHeartbeat>;
        },
        word->message);
    if (!old) return {};
  }
  return stale;
}

void Cluster::judge_stale(const std::vector<Stale>& before) {
  for (const Stale& was : before) {
    if (scheduler_->recovering() || !scheduler_->worker(was.worker)) continue;
    const scheduler::Task* task = scheduler_->find(was.key);
    bool same = task && task->attempt == was.attempt && task->errors == was.errors && task->losses == was.losses && task->started == was.started;
    if (!same) wrong("a word about an attempt that is over changed task " + was.key.hex());
  }
}

/// What the scheduler hears of workers with these events. Times are of its own life: while it slept it could hear nobody.
void Cluster::get_acquainted(const std::vector<scheduler::Event>& events) {
  if (now_ - last_step_ > sleep_min) asleep_ += now_ - last_step_;
  last_step_ = now_;
  for (const scheduler::Event& event : events) {
    const auto* word = std::get_if<scheduler::FromWorker>(&event);
    const auto* lost = std::get_if<scheduler::LinkLost>(&event);
    const auto* revoked = std::get_if<scheduler::AccessRevoked>(&event);
    if (!word && !lost && !revoked) continue;
    auto link = links_.find(word ? word->peer : lost ? lost->peer : revoked->peer);
    if (link == links_.end() || link->second.worker < 0) continue;
    Acquaintance& known = acquaintances_[link->second.worker];
    if (revoked) known.leaving = true;
    if (lost) {
      if (known.peer == lost->peer) known.cut = now_ - asleep_;
    }
    if (!word) continue;
    known.heard = now_ - asleep_;
    if (const auto* hello = std::get_if<WorkerHello>(&word->message)) known = {hello->instance, word->peer, known.heard, known.heard};
    if (const auto* beat = std::get_if<WorkerHeartbeat>(&word->message))
      known.echoed = std::max(known.echoed, Time{static_cast<std::int64_t>(beat->tick)} - asleep_);
    known.leaving |= std::holds_alternative<WorkerLeaving>(word->message);
  }
}

/// A worker is given up when its lease is over, or the grace after its link was cut, or its process is gone, and not before.
void Cluster::judge_losses() {
  const scheduler::Options& options = scheduler_->options();
  Time awake = now_ - asleep_;
  for (std::size_t i = 0; i < acquaintances_.size(); ++i) {
    Acquaintance& known = acquaintances_[i];
    if (known.instance == 0) continue;
    const scheduler::Worker* worker = scheduler_->find_worker(workers_[i].name);
    if (worker && worker->instance == known.instance) {
      known.leaving |= worker->retiring;
      continue;
    }
    bool over = awake - known.heard >= options.lease || awake - known.echoed >= options.lease ||
                (known.cut != Time::never() && awake - known.cut >= options.reconnect_grace);
    bool replaced = worker != nullptr || known.instance != workers_[i].instance;
    bool gone = !workers_[i].state;  // which can be found out
    if (!over && !replaced && !known.leaving && !gone) wrong(workers_[i].name + " was given up before its time was over");
    known = {};
  }
}

/// A task that anybody could run does not stay beside an idle slot.
void Cluster::judge_idleness() {
  bool idle = false;
  if (!plan_.impure && !scheduler_->recovering() && scheduler_->counts().by_state[static_cast<int>(scheduler::TaskState::ready)] > 0)
    for (const WorkerProcess& process : workers_) {
      const scheduler::Worker* worker = scheduler_->find_worker(process.name);
      // Where tasks reserve more than a slot, only a worker without any has room for sure.
      bool room = worker && (plan_.reserve_percent > 0 ? worker->assigned.empty() && worker->slots > 1 : worker->assigned.size() < worker->slots);
      idle |= room && worker->usable();
    }
  bool waits = idle && std::any_of(truth_.begin(), truth_.end(), [&](const auto& entry) {
    const scheduler::Task* task = scheduler_->find(entry.first);
    return task && task->state == scheduler::TaskState::ready && !task->delayed && !task->is_data;
  });
  if (!waits) idle_since_ = {};
  else if (idle_since_ == Time{}) idle_since_ = now_;
  else if (now_ - idle_since_ > idle_max) wrong("a task was ready beside an idle slot for too long");
}

/// Nothing happens so often that it could go on for ever at one time.
void Cluster::judge_storm() {
  if (now_ - second_ > 1s) {
    second_ = now_;
    events_at_second_ = report_.events;
  }
  if (report_.events - events_at_second_ > 3'000 + 150 * report_.tasks) wrong("a storm of messages");
}

std::uint32_t Cluster::in_hand(const WorkerProcess& process) const {
  std::uint32_t slots = 0;
  for (const auto& [attempt, run] : process.queue)
    if (!process.undead.contains(attempt)) slots += run.shape->options.cores;
  return slots;
}

/// What the worker says of its slots is what its executors have.
void Cluster::judge_heartbeats(int number, const std::vector<worker::Action>& actions) {
  const WorkerProcess& process = workers_[number];
  std::uint32_t running = in_hand(process);
  for (const worker::Action& action : actions)
    if (const auto* stop = std::get_if<worker::StopRun>(&action))
      if (auto run = process.queue.find(stop->attempt); run != process.queue.end()) running -= run->second.shape->options.cores;
  for (const worker::Action& action : actions) {
    const auto* send = std::get_if<worker::Send>(&action);
    if (!send) continue;
    for (const WorkerMessage& message : send->messages)
      if (const auto* beat = std::get_if<WorkerHeartbeat>(&message); beat && beat->running != running)
        wrong(workers_[number].name + " says that " + std::to_string(beat->running) + " slots are in hand, and there are " + std::to_string(running));
  }
}

/// Nothing is on its way: clients, scheduler and workers agree about who wants what, how it ended, and where it is.
void Cluster::judge_views() {
  if (!scheduler_ || scheduler_->recovering() || scheduler_paused_until_ > now_ || !unflushed_.empty() || !inbox_.empty()) return;
  auto is_quiet = [&](PeerId peer) {
    auto link = links_.find(peer);
    return link != links_.end() && link->second.open && link->second.frames == 0;
  };
  for (const ClientProcess& client : clients_) {
    if (!client.state->connected() || !is_quiet(client.peer) || client.state->release_is_open()) continue;
    for (const auto& [key, truth] : truth_) {
      if (!scheduler_->wants(client.session, key)) continue;
      bool promised = truth.data && !client.stored.contains(key);  // its bytes are still to be put somewhere
      if (!client.wanted.contains(key) && !promised) wrong("a client released " + key.hex() + ", and the scheduler keeps it for that client");
      auto ended = client.ended.find(key);
      bool failed = ended != client.ended.end() && ended->second->failure && ended->second->failure->kind != ErrorKind::connection_failed;
      if (failed && scheduler_->find(key)->state == scheduler::TaskState::stored) wrong("a client was not told that " + key.hex() + " has a value");
    }
  }
  for (const WorkerProcess& process : workers_) {
    const scheduler::Worker* worker = scheduler_->find_worker(process.name);
    bool quiet = process.state && worker && worker->peer == process.peer && is_quiet(process.peer) && process.queue.empty() && process.fetching.empty() && process.news.empty();
    if (!quiet || !worker->assigned.empty()) continue;
    for (const auto& [key, truth] : truth_) {
      const scheduler::Task* task = scheduler_->find(key);
      bool listed = task && std::any_of(task->replicas.begin(), task->replicas.end(), [&](const auto& copy) { return copy.worker == worker->id; });
      bool dropped = std::find(worker->drops.begin(), worker->drops.end(), key) != worker->drops.end();  // said with the next word
      if (listed != process.store.contains(key) && !dropped) wrong("the scheduler " + std::string(listed ? "believes in a" : "knows of no") + " copy of " + key.hex() + " at " + process.name);
    }
  }
}

}  // namespace weft::simulation
