// A worker's process: its executors, its store of values, and its fetches from others.
#include <algorithm>

#include "simulation/cluster.h"

namespace weft::simulation {

void Cluster::start_worker(int number) {
  WorkerProcess& process = workers_[number];
  std::string name = process.name;
  Time paused_until = process.paused_until;
  process = {.name = name, .endpoint = name + std::to_string(instances_ + 1), .instance = instances_ + 1, .paused_until = paused_until};
  ++instances_;
  worker::StateOptions options;
  options.identity.name = process.name;
  options.identity.instance = process.instance;
  options.identity.slots = 1 + number % 3;
  options.identity.resources = {{"disk", 1}};
  options.identity.endpoint = process.endpoint;
  options.identity.secret = Bytes(16);
  options.identity.host = "host" + std::to_string(number % 2);
  process.state = std::make_unique<worker::State>(options);
  step_worker(number, {worker::Tick{}});
}

void Cluster::kill_worker(int number) {
  WorkerProcess& process = workers_[number];
  if (!process.state) return;
  process.state.reset();
  if (process.peer) cut(process.peer, false);
  process.peer = {};
  process.restart_at = now_ + 1s + 10 * delay();
}

void Cluster::step_worker(int number, std::vector<worker::Event> events) {
  ++report_.events;
  WorkerProcess& process = workers_[number];
  // Frames are read first, and news come in the order in which they happened.
  bool is_frame = !events.empty() && std::holds_alternative<worker::Message>(events.front());
  events.insert(is_frame ? events.end() : events.begin(), process.news.begin(), process.news.end());
  process.news.clear();
  std::vector<worker::Action> actions = process.state->step(now_, std::move(events));
  process.state->check();
  process.tick_at = process.state->wake_at();
  judge_heartbeats(number, actions);
  for (worker::Action& action : actions) {
    if (!process.state) return;  // it exited
    perform(number, action);
  }
  if (process.state) try_runs(number);
}

void Cluster::perform(int number, worker::Action& action) {
  WorkerProcess& process = workers_[number];
  if (auto* send = std::get_if<worker::Send>(&action)) {
    if (process.peer) to_scheduler(process.peer, std::move(send->messages));
  } else if (std::get_if<worker::Connect>(&action)) {
    process.peer = open_link(-1, number);
    at(now_ + delay(), worker_actor(number), [this, number, peer = process.peer] {
      WorkerProcess& p = workers_[number];
      if (!p.state || p.peer != peer) return;
      if (scheduler_) return step_worker(number, {worker::LinkUp{}});
      p.peer = {};
      links_[peer].open = false;  // nobody listens
      step_worker(number, {worker::LinkLost{}});
    });
  } else if (std::get_if<worker::HangUp>(&action)) {
    if (process.peer) cut(process.peer, false);
    process.peer = {};
  } else if (auto* run = std::get_if<worker::StartRun>(&action)) {
    begin_run(number, *run);
  } else if (auto* stop = std::get_if<worker::StopRun>(&action)) {
    // A run on a thread cannot be stopped, and one that was just ending is reported after all.
    if (process.running.contains(stop->attempt) && plan_.late_end_percent && random_.chance(plan_.late_end_percent)) {
      process.undead.insert(stop->attempt);
      return;
    }
    process.queue.erase(stop->attempt);
    process.running.erase(stop->attempt);
    std::erase(process.order, stop->attempt);
  } else if (auto* order = std::get_if<worker::StartFetch>(&action)) {
    process.fetching.insert(order->fetch);
    fetch(number, *order);
  } else if (auto* abort = std::get_if<worker::AbortFetch>(&action)) {
    process.fetching.erase(abort->fetch);
  } else if (auto* drop = std::get_if<worker::DropValue>(&action)) {
    process.store.erase(drop->key);
    process.rotten.erase(drop->key);
    process.stolen.erase(drop->key);
  } else if (auto* small = std::get_if<worker::StoreSmall>(&action)) {
    keep(process, small->key, hash_of(*Value::from(Buffer::own(small->value))));
  } else if (auto* await = std::get_if<worker::AwaitPut>(&action)) {
    process.puts.insert(await->put.token.nonce);
  } else if (std::get_if<worker::Exit>(&action)) {
    if (process.peer) cut(process.peer, false);
    process.peer = {};
    process.state.reset();
    process.restart_at = now_ + 2s;
  }
}

void Cluster::keep(WorkerProcess& process, const Key& key, Hash hash) {
  process.store[key] = hash;
  process.rotten.erase(key);
  process.stolen.erase(key);
}

/// What the executors are given must be runnable, and newer than what they had of the same key.
void Cluster::begin_run(int number, worker::StartRun& run) {
  WorkerProcess& process = workers_[number];
  for (const worker::RunInput& input : run.inputs)
    if (input.small.empty() && !process.store.contains(input.store_key) && !process.stolen.contains(input.store_key)) wrong("a run was started without its input in the store");
  AttemptId& newest = process.newest[run.key];
  if (newest >= run.attempt) wrong("attempt " + std::to_string(run.attempt.number) + " was started after a newer one of the same task");
  newest = run.attempt;
  ++truth_.at(run.key).begun;
  process.order.push_back(run.attempt);
  process.queue.emplace(run.attempt, std::move(run));
}

/// Executors: as many runs at once as there are slots, in the order given.
void Cluster::try_runs(int number) {
  WorkerProcess& process = workers_[number];
  std::size_t slots = 1 + number % 3;
  while (process.running.size() < slots && !process.order.empty()) {
    AttemptId id = process.order.front();
    process.order.erase(process.order.begin());
    std::uint64_t instance = process.instance;
    std::vector<Key> lost;
    for (const worker::RunInput& input : process.queue.at(id).inputs)
      if (input.small.empty() && process.stolen.erase(input.store_key)) lost.push_back(input.store_key);
    if (!lost.empty()) {
      process.queue.erase(id);
      step_worker(number, {worker::RunImpossible{id, std::move(lost)}});
      if (!process.state || process.instance != instance) return;
      continue;
    }
    process.running.insert(id);
    judge_start(process.queue.at(id).key);
    at(now_ + 1us, worker_actor(number), [this, number, instance, id] {
      WorkerProcess& p = workers_[number];
      if (p.state && p.instance == instance && p.running.contains(id)) step_worker(number, {worker::RunStarted{id}});
    }, static_cast<std::uint32_t>(id.number) | 0x80000000);
    bool is_short = random_.chance(70);
    std::uint64_t length = random_.between(1, is_short ? 200 : 300'000);
    Time end = std::max(now_ + 2us + Duration(static_cast<std::int64_t>(length)) * 1000, process.paused_until);
    at(end, worker_actor(number), [this, number, instance, id] { end_run(number, instance, id); },
       static_cast<std::uint32_t>(id.number) | 0x80000000);
  }
}

void Cluster::end_run(int number, std::uint64_t instance, AttemptId id) {
  WorkerProcess& process = workers_[number];
  if (!process.state || process.instance != instance || !process.running.contains(id)) return;
  worker::StartRun run = std::move(process.queue.at(id));
  process.queue.erase(id);
  process.running.erase(id);
  process.undead.erase(id);
  worker::RunEnded ended{.attempt = id, .key = run.key, .run_time = 100us};
  TrueTask& task = truth_.at(run.key);
  Random luck(mix(plan_.network_seed, id.number));
  bool first = run.try_number == 1, crashes_again = luck.chance(50), small = luck.chance(50);
  if (task.may_crash && (first || crashes_again)) {
    ++report_.faults;
    ended.failure = failure(ErrorKind::task_crashed, "simulated crash");
  } else if (task.may_throw && first) {
    ++report_.faults;
    ++task.thrown;
    ended.failure = failure(ErrorKind::task_error, "simulated exception");
  } else {
    Hash hash = mix(run.key.high, run.key.low);
    for (const worker::RunInput& input : run.inputs) {
      // A value may have been dropped while it ran: the run holds its own view of it. The truth stands in for the view.
      hash = mix(hash, input.small.empty() ? truth(input.store_key) : hash_of(*Value::from(Buffer::own(input.small))));
    }
    Value value = value_of(hash);
    keep(process, run.key, hash);
    ended.bytes = value.size();
    if (small) ended.small.assign(value.block().bytes().begin(), value.block().bytes().end());
    judge_run(run.key, task);
  }
  note(run.key.low);
  step_worker(number, {std::move(ended)});
}

void Cluster::fetch(int number, const worker::StartFetch& order) {
  std::uint64_t instance = workers_[number].instance;
  bool fails = !healed_ && plan_.fetch_fail_percent && random_.chance(plan_.fetch_fail_percent);
  if (fails) ++report_.faults;
  bool is_big = !healed_ && plan_.transfer_max > Duration{};
  Duration time = is_big ? random_.below(plan_.transfer_max) : delay() + delay();
  at(now_ + time, worker_actor(number), [this, number, instance, order, fails] {
    WorkerProcess& reader = workers_[number];
    if (!reader.state || reader.instance != instance || reader.fetching.erase(order.fetch) == 0) return;
    for (int i = 0; i < static_cast<int>(workers_.size()) && !fails; ++i) {
      const WorkerProcess& holder = workers_[i];
      bool there = holder.state && holder.endpoint == order.from.endpoint;
      if (!there) continue;
      remember(worker_actor(number), histories_[worker_actor(i)]);
      if (holder.paused_until > now_) {  // it does not answer, and patience ends
        at(now_ + 3s, worker_actor(number), [this, number, instance, order] {
          WorkerProcess& late = workers_[number];
          if (late.state && late.instance == instance) step_worker(number, {worker::FetchFailed{order.fetch}});
        });
        return;
      }
      auto held = holder.store.find(order.key);
      if (held == holder.store.end() || holder.rotten.contains(order.key)) continue;
      keep(reader, order.store_as, held->second);
      worker::FetchDone done{order.fetch, value_of(0).size()};
      if (chooser_ || random_.chance(80)) return step_worker(number, {done});
      // It lies in the store, and an order that was on its way is handled before that is said.
      reader.news.push_back(done);
      return at(now_ + delay(), worker_actor(number), [this, number, instance] {
        if (workers_[number].state && workers_[number].instance == instance) step_worker(number, {});
      });
    }
    step_worker(number, {worker::FetchFailed{order.fetch}});
  });
}

}  // namespace weft::simulation
