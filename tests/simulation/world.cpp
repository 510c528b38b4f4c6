#include "simulation/world.h"

#include <algorithm>
#include <functional>

namespace weft::simulation {

Plan Plan::draw(std::uint64_t seed) {
  Random random(seed ^ 0x5eed);
  Plan plan{.seed = seed};
  plan.workers = static_cast<std::uint32_t>(random.between(1, 4));
  plan.clients = static_cast<std::uint32_t>(random.between(1, 2));
  plan.graphs = static_cast<std::uint32_t>(random.between(1, 3));
  plan.tasks = static_cast<std::uint32_t>(random.below(100) == 0 ? 400 : random.between(1, 30));
  // Swarm: each seed has a random subset of the faults, each at a random rate.
  auto rate = [&](std::uint64_t percent, Duration low, Duration high) {
    bool on = random.chance(percent);
    std::uint64_t spread = random.below(static_cast<std::uint64_t>((high - low).count()));
    return on ? low + Duration(static_cast<std::int64_t>(spread)) : Duration{};
  };
  plan.worker_kill = rate(40, 20ms, 5s);
  plan.link_cut = rate(40, 10ms, 3s);
  plan.link_freeze = rate(30, 50ms, 10s);
  plan.worker_pause = rate(20, 100ms, 10s);
  plan.value_damage = rate(30, 5ms, 1s);
  plan.worker_retire = rate(20, 100ms, 10s);
  auto percent = [&](std::uint64_t on, std::uint64_t max) {
    bool is_on = random.chance(on);
    std::uint64_t value = random.between(1, max);
    return static_cast<std::uint32_t>(is_on ? value : 0);
  };
  plan.throw_percent = percent(30, 30);
  plan.crash_percent = percent(30, 30);
  plan.fetch_fail_percent = percent(30, 40);
  plan.cancel_percent = percent(30, 40);
  plan.release_early_percent = percent(30, 40);
  plan.scatter_percent = percent(30, 50);
  plan.late_end_percent = percent(30, 100);
  plan.trees = random.chance(30);
  std::uint64_t slow = random.below(3);
  plan.delay_max = slow == 0 ? 200us : slow == 1 ? 5ms : 300ms;
  plan.scheduler_crash_permille = percent(40, 20);
  plan.impure = random.chance(30);
  return plan;
}

std::string Plan::text() const {
  auto ms = [](Duration d) { return std::to_string(d.count() / 1'000'000) + "ms"; };
  return "seed=" + std::to_string(seed) + " workers=" + std::to_string(workers) + " clients=" + std::to_string(clients) +
         " graphs=" + std::to_string(graphs) + " tasks=" + std::to_string(tasks) + " kill=" + ms(worker_kill) + " cut=" + ms(link_cut) +
         " freeze=" + ms(link_freeze) + " pause=" + ms(worker_pause) + " damage=" + ms(value_damage) + " retire=" + ms(worker_retire) +
         " throw%=" + std::to_string(throw_percent) + " crash%=" + std::to_string(crash_percent) + " fetchfail%=" +
         std::to_string(fetch_fail_percent) + " cancel%=" + std::to_string(cancel_percent) + " release%=" +
         std::to_string(release_early_percent) + " scatter%=" + std::to_string(scatter_percent) + " late%=" + std::to_string(late_end_percent) + (trees ? " trees" : "") + " schedulercrash=" + std::to_string(scheduler_crash_permille) + (impure ? " impure" : "") + " delay=" + ms(delay_max);
}

namespace {

using Hash = std::uint64_t;

Hash mix(Hash a, Hash b) {
  a = (a ^ b) * 0x9fb21c651e98df25;
  return a ^ (a >> 28);
}

/// What a task's value is, as bytes that travel.
Value value_of(Hash hash) {
  auto bytes = std::as_bytes(std::span(&hash, 1));
  std::span<const std::byte> parts[] = {bytes};
  return Value::make(1, parts);
}
Hash hash_of(const Value& value) {
  Hash hash = 0;
  if (value.part_count() == 1 && value.part(0).size() == 8) std::memcpy(&hash, value.part(0).data(), 8);
  return hash;
}

// A task as the oracle knows it.
struct TrueTask {
  std::vector<Key> inputs;
  Hash value = 0;
  bool data = false;
  bool may_throw = false, may_crash = false, cancelled = false;
};

struct Link {
  bool open = true;
  Time frozen_until;
  Time last_up, last_down;          // FIFO: no frame overtakes another
  int client = -1, worker = -1;
};

struct ClientProcess {
  std::unique_ptr<client::SessionState> state;
  PeerId peer;
  std::map<Key, std::shared_ptr<const client::Outcome>> ended;
  std::set<Key> wanted;
  std::uint32_t graphs_left = 0;
  Time tick_at;
  bool finished = false;
  std::map<Key, Hash> scattered;
};

struct WorkerProcess {
  std::unique_ptr<worker::State> state;  // empty: not running
  std::string name;
  std::uint64_t instance = 0;
  PeerId peer;
  Time paused_until;
  Time restart_at;
  Time tick_at;
  std::map<Key, Hash> store;
  std::map<AttemptId, worker::StartRun> queue;   // in hand, not running yet
  std::vector<AttemptId> order;
  std::set<AttemptId> running;
  std::set<FetchId> fetching;
  std::set<std::uint64_t> puts;                  // nonces
  Duration slept{};
};

struct Pending {
  Time when;
  std::uint64_t sequence;
  std::function<void()> act;
  bool operator<(const Pending& other) const { return std::tie(when, sequence) > std::tie(other.when, other.sequence); }
};

class World {
 public:
  explicit World(const Plan& plan) : plan_(plan), random_(plan.seed), fault_random_(plan.seed ^ 0xfa17), graph_random_(plan.seed ^ 0x96af) {}

  Report run();

 private:
  // Time.
  void at(Time when, std::function<void()> act) { agenda_.push({std::max(when, now_), ++sequence_, std::move(act)}); }
  void note(std::uint64_t what) { report_.trace = mix(report_.trace, mix(what, static_cast<std::uint64_t>(now_.nanoseconds))); }
  void wrong(std::string what) {
    if (report_.error.empty()) report_.error = "t=" + std::to_string(now_.nanoseconds / 1'000'000) + "ms: " + std::move(what);
  }
  Duration delay() {
    std::uint64_t spread = static_cast<std::uint64_t>((plan_.delay_max - plan_.delay_min).count());
    return plan_.delay_min + Duration(static_cast<std::int64_t>(random_.below(spread)));
  }

  // Network.
  PeerId open_link(int client, int worker);
  void cut(PeerId peer, bool tell_both);
  template <class Message>
  void to_scheduler(PeerId peer, std::vector<Message> messages);
  template <class Message>
  void from_scheduler(PeerId peer, std::vector<Message> messages);

  // Processes.
  void step_scheduler(std::vector<scheduler::Event> events);
  void perform(scheduler::Action& action);
  bool crashes_here();
  void start_scheduler();
  void kill_scheduler();
  void persist(const scheduler::Persist& persist);
  void commit(std::uint64_t ticket);
  void commit_rows(const std::vector<scheduler::Row>& rows);
  bool store_is_empty() const;
  void step_client(int number, std::vector<client::Event> events);
  void step_worker(int number, std::vector<worker::Event> events);
  void perform(int number, worker::Action& action);
  void start_worker(int number);
  void kill_worker(int number);
  void try_runs(int number);
  void end_run(int number, std::uint64_t instance, AttemptId attempt);
  void fetch(int number, const worker::StartFetch& order);
  void put_value(int number, const Key& key, const Location& location);
  void tick_all();

  // Story.
  void submit_graph(int number);
  void schedule_faults();
  void every(Duration mean, std::function<void()> act);
  void judge(int number, const Key& key, const client::Outcome& outcome);
  bool all_ended() const;
  Hash truth(const Key& key);

  Plan plan_;
  Random random_, fault_random_, graph_random_;
  Report report_;
  Time now_{1'000'000'000};
  std::uint64_t sequence_ = 0;
  std::priority_queue<Pending> agenda_;

  std::unique_ptr<scheduler::State> scheduler_;  // empty: not running
  Time scheduler_tick_at_;
  std::uint64_t epoch_ = 0;
  scheduler::Gate gate_;
  std::map<scheduler::RowId, Bytes> store_;      // what the disk has
  struct Commit {
    std::uint64_t ticket;
    std::vector<scheduler::Row> rows;
  };
  std::vector<Commit> unflushed_;                // what a crash may lose
  Time disk_free_at_;
  std::vector<std::unique_ptr<scheduler::State>> dead_;
  std::vector<ClientProcess> clients_;
  std::vector<WorkerProcess> workers_;
  std::map<PeerId, Link> links_;
  std::uint64_t peers_ = 0, instances_ = 0;
  std::map<Key, TrueTask> truth_;
  std::vector<Key> known_keys_;
  std::set<Key> ran_;
  bool workers_died_ = false;
  bool healed_ = false;
};

// ------------------------------------------------------------------------------------------------ network

PeerId World::open_link(int client, int worker) {
  PeerId peer{++peers_};
  links_[peer] = Link{.client = client, .worker = worker};
  return peer;
}

void World::cut(PeerId peer, bool tell_both) {
  auto found = links_.find(peer);
  if (found == links_.end() || !found->second.open) return;
  found->second.open = false;
  note(peer.number);
  int client = found->second.client, worker = found->second.worker;
  at(now_ + delay(), [this, peer] { step_scheduler({scheduler::LinkLost{peer}}); });
  if (!tell_both) return;
  at(now_ + delay(), [this, peer, client, worker] {
    if (client >= 0 && clients_[client].peer == peer) {
      clients_[client].peer = {};
      step_client(client, {client::LinkLost{"cut"}});
    }
    if (worker >= 0 && workers_[worker].state && workers_[worker].peer == peer) {
      workers_[worker].peer = {};
      step_worker(worker, {worker::LinkLost{}});
    }
  });
}

template <class Message>
void World::to_scheduler(PeerId peer, std::vector<Message> messages) {
  auto found = links_.find(peer);
  if (found == links_.end() || !found->second.open) return;
  Link& link = found->second;
  Time arrival = std::max({now_ + delay(), link.last_up, link.frozen_until});
  link.last_up = arrival;
  at(arrival, [this, peer, frame = encode(messages)] {
    if (!links_[peer].open) return;
    auto decoded = decode<std::vector<Message>>(frame);
    if (!decoded) return wrong(std::string("a frame of ours does not decode: ") + decoded.error().message);
    std::vector<scheduler::Event> events;
    for (Message& message : *decoded) {
      note(message.index() + 100);
      if constexpr (std::is_same_v<Message, ClientMessage>) events.push_back(scheduler::FromClient{peer, std::move(message)});
      else events.push_back(scheduler::FromWorker{peer, std::move(message)});
    }
    step_scheduler(std::move(events));
  });
}

template <class Message>
void World::from_scheduler(PeerId peer, std::vector<Message> messages) {
  auto found = links_.find(peer);
  if (found == links_.end() || !found->second.open) return;
  Link& link = found->second;
  Time arrival = std::max({now_ + delay(), link.last_down, link.frozen_until});
  if (link.worker >= 0) arrival = std::max(arrival, workers_[link.worker].paused_until);
  link.last_down = arrival;
  at(arrival, [this, peer, frame = encode(messages)] {
    Link& to = links_[peer];
    if (!to.open) return;
    auto decoded = decode<std::vector<Message>>(frame);
    if (!decoded) return wrong(std::string("a frame of ours does not decode: ") + decoded.error().message);
    if constexpr (std::is_same_v<Message, ClientBound>) {
      std::vector<client::Event> events;
      for (Message& message : *decoded) events.push_back(client::FromScheduler{std::move(message)});
      if (clients_[to.client].peer == peer) step_client(to.client, std::move(events));
    } else {
      std::vector<worker::Event> events;
      for (Message& message : *decoded) events.push_back(worker::Message{std::move(message)});
      if (workers_[to.worker].state && workers_[to.worker].peer == peer) step_worker(to.worker, std::move(events));
    }
  });
}

// ------------------------------------------------------------------------------------------------ processes

void World::step_scheduler(std::vector<scheduler::Event> events) {
  ++report_.events;
  if (!scheduler_) return;
  std::vector<scheduler::Action> actions = scheduler_->step(now_, std::move(events));
  if (plan_.tasks <= 60 || report_.events % 64 == 0) scheduler_->check();
  scheduler_tick_at_ = std::min(scheduler_->wake_at(), now_ + 1s);
  gate_.pass(actions, [this](scheduler::Action& action) { perform(action); });
}

void World::perform(scheduler::Action& action) {
  if (crashes_here()) return;
  if (auto* frame = std::get_if<scheduler::ToClient>(&action)) from_scheduler(frame->peer, std::move(frame->messages));
  else if (auto* order = std::get_if<scheduler::ToWorker>(&action)) from_scheduler(order->peer, std::move(order->messages));
  else if (auto* records = std::get_if<scheduler::Persist>(&action)) persist(*records);
  else if (auto* close = std::get_if<scheduler::CloseLink>(&action)) {
    PeerId peer = close->peer;
    // The closing travels behind what was said last.
    Time when = std::max(now_ + delay(), links_[peer].last_down);
    at(when, [this, peer] { cut(peer, true); });
  }
  crashes_here();
}

/// A boundary at which a scheduler may die. True if it is dead.
bool World::crashes_here() {
  if (!scheduler_) return true;
  bool crash = plan_.scheduler_crash_permille && now_ < Time{1'000'000'000} + plan_.faults_until &&
               fault_random_.below(1000) < plan_.scheduler_crash_permille;
  if (!crash) return false;
  ++report_.faults;
  // The step goes on in a dead process, and nothing that it does is seen.
  kill_scheduler();
  return true;
}

void World::kill_scheduler() {
  note(0xdead);
  // Of what was on its way to the disk, some may have arrived: always the first.
  std::uint64_t arrived = fault_random_.below(unflushed_.size() + 1);
  for (std::uint64_t i = 0; i < arrived; ++i) commit_rows(unflushed_[i].rows);
  unflushed_.clear();
  dead_.push_back(std::move(scheduler_));  // its own step may still be on our stack
  std::vector<PeerId> open;
  for (const auto& [peer, link] : links_)
    if (link.open) open.push_back(peer);
  for (PeerId peer : open) cut(peer, true);
  scheduler_tick_at_ = now_ + 10 * delay();
}

void World::start_scheduler() {
  dead_.clear();
  gate_ = {};
  scheduler::Options options;
  options.story_max = 0;
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
  step_scheduler({scheduler::Tick{}});
}

void World::persist(const scheduler::Persist& persist) {
  Commit commit{persist.ticket, {}};
  for (const scheduler::Record& record : persist.records) commit.rows.push_back(scheduler::row_of(record));
  unflushed_.push_back(std::move(commit));
  disk_free_at_ = std::max(disk_free_at_, now_) + delay();
  at(disk_free_at_, [this, ticket = persist.ticket, epoch = epoch_] {
    if (scheduler_ && epoch == epoch_) this->commit(ticket);
  });
}

void World::commit_rows(const std::vector<scheduler::Row>& rows) {
  for (const scheduler::Row& row : rows) {
    if (row.body) store_[row.id] = *row.body;
    else if (!row.all) store_.erase(row.id);
    else std::erase_if(store_, [&](const auto& kept) { return kept.first.kind == row.id.kind && kept.first.a == row.id.a; });
  }
}

void World::commit(std::uint64_t ticket) {
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
bool World::store_is_empty() const {
  return unflushed_.empty() && std::all_of(store_.begin(), store_.end(), [](const auto& row) { return row.first.kind == scheduler::RowKind::worker; });
}

void World::step_client(int number, std::vector<client::Event> events) {
  ++report_.events;
  ClientProcess& process = clients_[number];
  std::vector<client::Action> actions = process.state->step(now_, std::move(events));
  process.tick_at = process.state->wake_at();
  std::vector<ClientMessage> frame;
  for (client::Action& action : actions) {
    if (auto* send = std::get_if<client::Send>(&action)) {
      frame.push_back(*send->message);
    } else if (std::get_if<client::Reconnect>(&action)) {
      if (process.peer) cut(process.peer, false);
      frame.clear();
      process.peer = open_link(number, -1);
      at(now_ + delay(), [this, number, peer = process.peer] {
        if (clients_[number].peer == peer) step_client(number, {client::LinkUp{}});
      });
    } else if (auto* fetch = std::get_if<client::Fetch>(&action)) {
      // Straight to the first place named; the holder may be gone.
      at(now_ + delay(), [this, number, key = fetch->key, from = fetch->locations.empty() ? Location{} : fetch->locations[0]] {
        for (WorkerProcess& worker : workers_) {
          bool there = worker.state && worker.name + std::to_string(worker.instance) == from.endpoint;
          if (there && worker.paused_until > now_) {
            at(now_ + 3s, [this, number, key] {
              step_client(number, {client::FetchFailed{key, failure(ErrorKind::connection_failed, "holder silent")}});
            });
            return;
          }
          if (!there || !worker.store.contains(key)) continue;
          return step_client(number, {client::FetchDone{key, value_of(worker.store.at(key))}});
        }
        step_client(number, {client::FetchFailed{key, failure(ErrorKind::connection_failed, "holder gone")}});
      });
    } else if (auto* put = std::get_if<client::PutValue>(&action)) {
      put_value(number, put->key, put->location);
    } else if (auto* complete = std::get_if<client::Complete>(&action)) {
      if (process.wanted.contains(complete->key)) {
        process.ended[complete->key] = complete->outcome;
        judge(number, complete->key, *complete->outcome);
      }
    } else if (auto* pending = std::get_if<client::Pending>(&action)) {
      process.ended.erase(pending->key);
    } else if (std::get_if<client::Finished>(&action)) {
      process.finished = true;
    }
  }
  if (!frame.empty() && process.peer) to_scheduler(process.peer, std::move(frame));
}

void World::put_value(int number, const Key& key, const Location& location) {
  Time arrival = now_ + delay();
  for (WorkerProcess& worker : workers_)
    if (worker.name + std::to_string(worker.instance) == location.endpoint) arrival = std::max(arrival, worker.paused_until);
  at(arrival, [this, number, key, location] {
    for (int i = 0; i < static_cast<int>(workers_.size()); ++i) {
      WorkerProcess& worker = workers_[i];
      if (!worker.state || worker.name + std::to_string(worker.instance) != location.endpoint || worker.paused_until > now_) continue;
      if (worker.puts.erase(location.token.nonce) == 0) break;
      worker.store[key] = clients_[number].scattered.at(key);
      return step_worker(i, {worker::PutArrived{key, value_of(0).size()}});
    }
    step_client(number, {client::PutFailed{key, failure(ErrorKind::connection_failed, "worker gone")}});
  });
}

void World::start_worker(int number) {
  WorkerProcess& process = workers_[number];
  process.instance = ++instances_;
  process.store.clear();
  process.queue.clear();
  process.order.clear();
  process.running.clear();
  process.fetching.clear();
  process.puts.clear();
  process.peer = {};
  worker::StateOptions options;
  options.identity.name = process.name;
  options.identity.instance = process.instance;
  options.identity.slots = 1 + number % 3;
  options.identity.endpoint = process.name + std::to_string(process.instance);
  options.identity.secret = Bytes(16);
  options.identity.host = "host" + std::to_string(number % 2);
  process.state = std::make_unique<worker::State>(options);
  step_worker(number, {worker::Tick{}});
}

void World::kill_worker(int number) {
  WorkerProcess& process = workers_[number];
  if (!process.state) return;
  workers_died_ = true;
  process.state.reset();
  if (process.peer) cut(process.peer, false);
  process.peer = {};
  process.restart_at = now_ + 1s + 10 * delay();
}

void World::step_worker(int number, std::vector<worker::Event> events) {
  ++report_.events;
  WorkerProcess& process = workers_[number];
  std::vector<worker::Action> actions = process.state->step(now_, std::move(events));
  process.state->check();
  process.tick_at = process.state->wake_at();
  for (worker::Action& action : actions) {
    if (!process.state) return;  // it exited
    perform(number, action);
  }
  if (process.state) try_runs(number);
}

void World::perform(int number, worker::Action& action) {
  WorkerProcess& process = workers_[number];
  if (auto* send = std::get_if<worker::Send>(&action)) {
    if (process.peer) to_scheduler(process.peer, std::move(send->messages));
  } else if (std::get_if<worker::Connect>(&action)) {
    process.peer = open_link(-1, number);
    at(now_ + delay(), [this, number, peer = process.peer] {
      if (workers_[number].state && workers_[number].peer == peer) step_worker(number, {worker::LinkUp{}});
    });
  } else if (std::get_if<worker::HangUp>(&action)) {
    if (process.peer) cut(process.peer, false);
    process.peer = {};
  } else if (auto* run = std::get_if<worker::StartRun>(&action)) {
    for (const worker::RunInput& input : run->inputs)
      if (input.small.empty() && !process.store.contains(input.store_key)) wrong("a run was started without its input in the store");
    process.order.push_back(run->attempt);
    process.queue.emplace(run->attempt, std::move(*run));
  } else if (auto* stop = std::get_if<worker::StopRun>(&action)) {
    // A run on a thread cannot be stopped, and one that was just ending is reported after all.
    if (process.running.contains(stop->attempt) && plan_.late_end_percent && random_.chance(plan_.late_end_percent)) return;
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
  } else if (auto* small = std::get_if<worker::StoreSmall>(&action)) {
    process.store[small->key] = hash_of(*Value::from(Buffer::own(small->value)));
  } else if (auto* await = std::get_if<worker::AwaitPut>(&action)) {
    process.puts.insert(await->put.token.nonce);
  } else if (std::get_if<worker::Exit>(&action)) {
    if (process.peer) cut(process.peer, false);
    process.peer = {};
    process.state.reset();
    process.restart_at = now_ + 2s;
  }
}

/// Executors: as many runs at once as there are slots, in the order given.
void World::try_runs(int number) {
  WorkerProcess& process = workers_[number];
  std::size_t slots = 1 + number % 3;
  while (process.running.size() < slots && !process.order.empty()) {
    AttemptId id = process.order.front();
    process.order.erase(process.order.begin());
    process.running.insert(id);
    std::uint64_t instance = process.instance;
    at(now_ + 1us, [this, number, instance, id] {
      WorkerProcess& p = workers_[number];
      if (p.state && p.instance == instance && p.running.contains(id)) step_worker(number, {worker::RunStarted{id}});
    });
    Duration time = random_.chance(70) ? Duration(random_.between(1, 200)) * 1000 : Duration(random_.between(1, 300)) * 1'000'000;
    at(std::max(now_ + 2us + time, process.paused_until), [this, number, instance, id] { end_run(number, instance, id); });
  }
}

void World::end_run(int number, std::uint64_t instance, AttemptId id) {
  WorkerProcess& process = workers_[number];
  if (!process.state || process.instance != instance || !process.running.contains(id)) return;
  worker::StartRun run = std::move(process.queue.at(id));
  process.queue.erase(id);
  process.running.erase(id);
  worker::RunEnded ended{.attempt = id, .key = run.key, .run_time = 100us};
  const TrueTask& task = truth_.at(run.key);
  bool first = run.try_number == 1;
  if (task.may_crash && (first || random_.chance(50))) {
    ++report_.faults;
    ended.failure = failure(ErrorKind::task_crashed, "simulated crash");
  } else if (task.may_throw && first) {
    ++report_.faults;
    ended.failure = failure(ErrorKind::task_error, "simulated exception");
  } else {
    Hash hash = mix(run.key.high, run.key.low);
    for (const worker::RunInput& input : run.inputs) {
      // A value may have been dropped while it ran: the run holds its own view of it. The truth stands in for the view.
      hash = mix(hash, input.small.empty() ? truth(input.store_key) : hash_of(*Value::from(Buffer::own(input.small))));
    }
    Value value = value_of(hash);
    process.store[run.key] = hash;
    ended.bytes = value.size();
    if (random_.chance(50)) ended.small.assign(value.block().bytes().begin(), value.block().bytes().end());
    ++report_.runs;
    if (!ran_.insert(run.key).second) ++report_.repeats;
  }
  note(run.key.low);
  step_worker(number, {std::move(ended)});
}

void World::fetch(int number, const worker::StartFetch& order) {
  std::uint64_t instance = workers_[number].instance;
  bool fails = !healed_ && fault_random_.chance(plan_.fetch_fail_percent);
  if (fails) ++report_.faults;
  at(now_ + delay() + delay(), [this, number, instance, order, fails] {
    WorkerProcess& reader = workers_[number];
    if (!reader.state || reader.instance != instance || reader.fetching.erase(order.fetch) == 0) return;
    if (!fails) {
      for (WorkerProcess& holder : workers_) {
        bool there = holder.state && holder.name + std::to_string(holder.instance) == order.from.endpoint;
        if (there && holder.paused_until > now_) {  // it does not answer, and patience ends
          at(now_ + 3s, [this, number, instance, order] {
            WorkerProcess& late = workers_[number];
            if (late.state && late.instance == instance) step_worker(number, {worker::FetchFailed{order.fetch}});
          });
          return;
        }
        if (!there || !holder.store.contains(order.key)) continue;
        reader.store[order.store_as] = holder.store.at(order.key);
        return step_worker(number, {worker::FetchDone{order.fetch, value_of(0).size()}});
      }
    }
    step_worker(number, {worker::FetchFailed{order.fetch}});
  });
}

void World::tick_all() {
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

// ------------------------------------------------------------------------------------------------ story

Hash World::truth(const Key& key) { return truth_.at(key).value; }

/// A graph of a random shape: each task reads some of the earlier ones, of this graph or of earlier graphs.
void World::submit_graph(int number) {
  ClientProcess& process = clients_[number];
  if (process.graphs_left == 0 || process.state->closed()) return;
  --process.graphs_left;
  Random& r = graph_random_;
  GraphChunk chunk;
  chunk.templates.push_back(Template{.label = "task", .function = {.kernel = 1}, .options = {.pure = !plan_.impure, .retries = 1}});
  std::vector<Key> keys;
  std::vector<client::Event> events;
  std::vector<Held> data;
  std::uint64_t count = r.between(1, plan_.tasks);
  if (r.chance(plan_.scatter_percent)) {
    Key key = KeyHasher().add("data").add(std::uint64_t(truth_.size())).finish();
    Hash hash = mix(key.high, 77);
    truth_[key] = TrueTask{.value = hash, .data = true};
    process.scattered[key] = hash;
    process.wanted.insert(key);
    data.push_back({key, value_of(hash).size()});
    chunk.externals.push_back(key);
    events.push_back(client::ScatterValues{data, {}, static_cast<std::uint32_t>(r.between(1, 2))});
  }
  Bytes key_bytes;
  std::uint64_t shape = r.below(4);
  for (std::uint64_t row = 0; row < count; ++row) {
    Key key = KeyHasher().add("task").add(plan_.seed).add(std::uint64_t(truth_.size())).finish();
    TrueTask task;
    std::set<std::uint32_t> inputs;
    std::uint64_t fan_in = shape == 0 ? 1 : shape == 1 ? r.below(3) : shape == 2 ? (row + 1 == count ? row : 0) : r.below(5);
    for (std::uint64_t i = 0; i < fan_in && row > 0; ++i) {
      std::uint64_t source = shape == 0 ? row - 1 : shape == 2 ? i : r.below(row);
      inputs.insert(static_cast<std::uint32_t>(chunk.externals.size() + source));
    }
    if (!chunk.externals.empty() && r.chance(30)) inputs.insert(0);
    Hash hash = mix(key.high, key.low);
    for (std::uint32_t input : inputs) {
      Key source = input < chunk.externals.size() ? chunk.externals[input] : keys[input - chunk.externals.size()];
      task.inputs.push_back(source);
      hash = mix(hash, truth(source));
    }
    task.value = hash;
    task.may_throw = r.chance(plan_.throw_percent);
    task.may_crash = r.chance(plan_.crash_percent);
    truth_[key] = task;
    keys.push_back(key);
    known_keys_.push_back(key);
    auto bytes = std::as_bytes(std::span(&key, 1));
    chunk.keys.insert(chunk.keys.end(), bytes.begin(), bytes.end());
    chunk.template_of.push_back(0);
    chunk.argument_ends.push_back(0);
    chunk.inputs.insert(chunk.inputs.end(), inputs.begin(), inputs.end());
    chunk.input_ends.push_back(static_cast<std::uint32_t>(chunk.inputs.size()));
    if (row + 1 == count || r.chance(20)) {
      chunk.wanted.push_back(static_cast<std::uint32_t>(row));
      process.wanted.insert(key);
    }
    ++report_.tasks;
  }
  bool cancel = r.chance(plan_.cancel_percent);
  bool release = r.chance(plan_.release_early_percent);
  events.push_back(client::SubmitGraph{std::move(chunk)});
  step_client(number, std::move(events));
  Key last = keys.back();
  for (const Key& key : keys)
    if (process.wanted.contains(key)) at(now_ + 1ms, [this, number, key] { step_client(number, {client::ReadValue{key}}); });
  if (cancel) {
    for (const Key& key : keys) truth_[key].cancelled = true;
    at(now_ + 20 * delay(), [this, number, last] { step_client(number, {client::CancelKeys{{last}, false, "simulated"}}); });
  } else if (release) {
    at(now_ + 20 * delay(), [this, number, last] {
      if (clients_[number].wanted.erase(last)) {
        clients_[number].ended.erase(last);
        step_client(number, {client::ReleaseKeys{{last}}});
      }
    });
  }
  at(now_ + Duration(static_cast<std::int64_t>(graph_random_.below(3'000))) * 1'000'000, [this, number] { submit_graph(number); });
}

void World::judge(int number, const Key& key, const client::Outcome& outcome) {
  const TrueTask& task = truth_.at(key);
  if (!outcome.failure) {
    if (outcome.value.block().empty()) return;  // stored, not read yet
    if (hash_of(outcome.value) != task.value) wrong("client " + std::to_string(number) + " got a wrong value of " + key.hex());
    return;
  }
  // A failure must be one that the faults allow.
  std::set<Key> seen;
  std::vector<Key> work{key};
  bool throws = false, crashes = false, cancelled = false, data = false;
  while (!work.empty()) {
    Key next = work.back();
    work.pop_back();
    if (!seen.insert(next).second) continue;
    const TrueTask& t = truth_.at(next);
    throws |= t.may_throw;
    crashes |= t.may_crash;
    cancelled |= t.cancelled;
    data |= t.data;
    work.insert(work.end(), t.inputs.begin(), t.inputs.end());
  }
  bool lossy = plan_.worker_kill > Duration{} || plan_.value_damage > Duration{} || plan_.worker_pause > Duration{} ||
               plan_.link_freeze > Duration{} || plan_.link_cut > Duration{} || plan_.worker_retire > Duration{} ||
               plan_.fetch_fail_percent > 0 || plan_.scheduler_crash_permille > 0;
  bool allowed = false;
  switch (outcome.failure->kind) {
    case ErrorKind::task_error: allowed = throws; break;
    case ErrorKind::task_crashed: allowed = crashes; break;
    case ErrorKind::task_poisoned: allowed = workers_died_ || lossy || crashes; break;
    case ErrorKind::cancelled:
      allowed = cancelled || (data && lossy && outcome.failure->message.starts_with("its data could not be put"));
      break;
    case ErrorKind::data_lost: allowed = data && lossy; break;
    case ErrorKind::connection_failed: allowed = task.data && lossy; break;  // no worker took the client's bytes
    default: allowed = false;
  }
  if (outcome.failure->kind == ErrorKind::task_error && throws) {
    // One retry is allowed and the second try does not throw.
    wrong("a task that throws once with one retry failed: " + key.hex());
  }
  if (!allowed)
    wrong("client " + std::to_string(number) + " got " + name_of(outcome.failure->kind) + " (" + outcome.failure->message + ") for " + key.hex());
}

void World::every(Duration mean, std::function<void()> act) {
  if (mean == Duration{}) return;
  Duration wait(static_cast<std::int64_t>(fault_random_.below(static_cast<std::uint64_t>(2 * mean.count()))));
  at(now_ + wait, [this, mean, act] {
    if (now_ >= Time{1'000'000'000} + plan_.faults_until) return;
    ++report_.faults;
    act();
    every(mean, act);
  });
}

void World::schedule_faults() {
  auto some_worker = [this] { return static_cast<int>(fault_random_.below(workers_.size())); };
  auto some_link = [this]() -> PeerId {
    std::vector<PeerId> open;
    for (const auto& [peer, link] : links_)
      if (link.open) open.push_back(peer);
    return open.empty() ? PeerId{} : open[fault_random_.below(open.size())];
  };
  every(plan_.worker_kill, [=, this] { kill_worker(some_worker()); });
  every(plan_.link_cut, [=, this] {
    bool both = fault_random_.chance(70);
    if (PeerId peer = some_link()) cut(peer, both);
  });
  every(plan_.link_freeze, [=, this] {
    Duration time(static_cast<std::int64_t>(fault_random_.below(25)) * 1'000'000'000);
    if (PeerId peer = some_link()) links_[peer].frozen_until = now_ + time;
  });
  every(plan_.worker_pause, [=, this] {
    Duration time(static_cast<std::int64_t>(fault_random_.below(25)) * 1'000'000'000);
    workers_[some_worker()].paused_until = now_ + time;
  });
  every(plan_.value_damage, [=, this] {
    int number = some_worker();
    WorkerProcess& process = workers_[number];
    if (!process.state || process.store.empty() || process.paused_until > now_) return;
    auto victim = process.store.begin();
    std::advance(victim, fault_random_.below(process.store.size()));
    Key key = victim->first;
    for (const auto& [id, run] : process.queue)
      for (const worker::RunInput& input : run.inputs)
        if (input.store_key == key) return;  // a run in hand has its own view of it
    process.store.erase(victim);
    step_worker(number, {worker::ValueDamaged{key}});
  });
  every(plan_.worker_retire, [=, this] {
    int number = some_worker();
    if (workers_[number].state && workers_[number].paused_until <= now_) step_worker(number, {worker::Terminate{}});
  });
}

bool World::all_ended() const {
  for (const ClientProcess& client : clients_) {
    if (client.graphs_left > 0) return false;
    for (const Key& key : client.wanted) {
      auto found = client.ended.find(key);
      if (found == client.ended.end()) return false;
      if (!found->second->failure && found->second->value.block().empty() && !truth_.at(key).data) return false;
    }
  }
  return true;
}

Report World::run() {
  for (std::uint32_t i = 0; i < plan_.workers; ++i) workers_.push_back(WorkerProcess{.name = "worker" + std::to_string(i)});
  for (std::uint32_t i = 0; i < plan_.clients; ++i) {
    ClientProcess process;
    client::SessionOptions options;
    options.session = {plan_.seed + 1, i + 1};
    options.name = "client" + std::to_string(i);
    options.patience = 100000s;
    options.connect_timeout = 100000s;
    process.state = std::make_unique<client::SessionState>(options, now_);
    process.graphs_left = plan_.graphs;
    process.tick_at = now_;
    clients_.push_back(std::move(process));
  }
  start_scheduler();
  for (std::uint32_t i = 0; i < plan_.workers; ++i) start_worker(static_cast<int>(i));
  for (std::uint32_t i = 0; i < plan_.clients; ++i) at(now_ + delay(), [this, i] { submit_graph(static_cast<int>(i)); });
  schedule_faults();

  Time healing = now_ + plan_.faults_until;
  Time deadline = healing + 300s;
  int phase = 0;
  while (report_.error.empty()) {
    Time next = scheduler_tick_at_;
    for (const ClientProcess& client : clients_) next = std::min(next, client.tick_at);
    for (const WorkerProcess& worker : workers_)
      next = std::min(next, worker.state ? std::max(worker.tick_at, worker.paused_until) : worker.restart_at);
    if (!agenda_.empty() && agenda_.top().when <= next) {
      Pending pending = agenda_.top();
      agenda_.pop();
      now_ = pending.when;
      pending.act();
    } else {
      now_ = std::max(now_, next);
      tick_all();
    }
    if (!healed_ && now_ >= healing) {
      healed_ = true;
      for (auto& [peer, link] : links_) link.frozen_until = {};
      for (WorkerProcess& worker : workers_) worker.paused_until = {};
    }
    if (phase == 0 && all_ended() && (plan_.faults_until == Duration{} || healed_ || report_.faults == 0)) {
      phase = 1;
      for (int i = 0; i < static_cast<int>(clients_.size()); ++i) {
        std::vector<Key> keys(clients_[i].wanted.begin(), clients_[i].wanted.end());
        clients_[i].wanted.clear();
        clients_[i].ended.clear();
        step_client(i, {client::ReleaseKeys{keys}, client::SayGoodbye{}});
      }
    }
    if (phase == 1) {
      bool finished = std::all_of(clients_.begin(), clients_.end(), [](const ClientProcess& c) { return c.finished; });
      bool clean = finished && scheduler_ && scheduler_->empty() && store_is_empty() &&
                   std::all_of(workers_.begin(), workers_.end(), [](const WorkerProcess& w) {
                     return !w.state || (w.state->empty() && w.store.empty());
                   });
      if (clean) break;
    }
    if (now_ > deadline) {
      std::string what = phase == 0 ? "not every future ended" : "something is left after everything was released";
      for (const ClientProcess& client : clients_)
        for (const Key& key : client.wanted)
          if (!client.ended.contains(key)) {
            const scheduler::Task* task = scheduler_ ? scheduler_->find(key) : nullptr;
            what += "; " + key.hex() + " is " + (task ? name_of(task->state) : "unknown");
          }
      if (!scheduler_) return wrong(what + "; the scheduler is down"), report_;
      scheduler::State::Counts counts = scheduler_->counts();
      for (const auto& [id, body] : store_) what += "; row of kind " + std::to_string(static_cast<int>(id.kind));
      what += "; scheduler: " + std::to_string(counts.tasks) + " tasks, " + std::to_string(counts.sessions) + " sessions, " +
              std::to_string(counts.workers) + " workers;";
      for (int i = 0; i < scheduler::task_state_count; ++i)
        what += std::string(" ") + name_of(static_cast<scheduler::TaskState>(i)) + "=" + std::to_string(counts.by_state[i]);
      for (const WorkerProcess& worker : workers_)
        what += "; " + worker.name + (worker.state ? worker.state->empty() ? ": empty" : ": not empty" : ": down") + " store=" + std::to_string(worker.store.size()) +
                (worker.state ? "\n" + worker.state->describe() : "");
      for (const ClientProcess& client : clients_)
        for (const Key& key : client.wanted)
          if (const scheduler::Task* task = scheduler_->find(key); task && !client.ended.contains(key)) {
            what += "\n" + key.hex() + " attempt " + std::to_string(task->attempt.number) + " worker " + std::to_string(task->worker.number) +
                    " missing " + std::to_string(task->missing) + (task->recalling ? " recalling" : "") + (task->started ? " started" : "") +
                    (task->is_data ? " data" : "");
          }
      wrong(what);
    }
  }
  report_.virtual_time = now_ - Time{1'000'000'000};
  return report_;
}

}  // namespace

Report run(const Plan& plan) { return World(plan).run(); }

}  // namespace weft::simulation
