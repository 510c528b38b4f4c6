// Stories for scheduler::State: builders for tasks, workers and clients, and one step per verb. After every step the state is
// recounted (`State::check`). Messages wait in mailboxes until the story looks at them.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "client/graph_builder.h"
#include "scheduler/state.h"

namespace weft::test {

using scheduler::TaskState;

/// A task of a story: `task("sum").on(x, y).retries(2)`. Its key is the hash of its name.
struct TaskSpec {
  Template shape;
  Key key;
  std::vector<client::TaskInput> inputs;
  bool wanted = true;

  template <class... K>
  TaskSpec& on(K... keys) {
    (inputs.push_back({keys}), ...);
    return *this;
  }
  TaskSpec& on_all(const std::vector<Key>& keys) {
    for (const Key& key : keys) inputs.push_back({key});
    return *this;
  }
  TaskSpec& label(std::string text) { return shape.label = std::move(text), *this; }
  TaskSpec& retries(std::uint32_t n, Duration delay = {}) { return shape.options.retries = n, shape.options.retry_delay = delay, *this; }
  TaskSpec& max_attempts(std::uint32_t n) { return shape.options.max_attempts = n, *this; }
  TaskSpec& priority(std::int32_t n) { return shape.options.priority = n, *this; }
  TaskSpec& cores(std::uint32_t n) { return shape.options.cores = n, *this; }
  TaskSpec& resource(std::string name, double amount) { return shape.options.resources[std::move(name)] = amount, *this; }
  TaskSpec& at(std::string worker, bool strict = true) {
    shape.options.workers.push_back(std::move(worker));
    shape.options.workers_strict = strict;
    return *this;
  }
  TaskSpec& unwanted() { return wanted = false, *this; }
};
inline Key key_of(std::string_view name) { return KeyHasher().add(name).finish(); }
inline TaskSpec task(std::string_view name) {
  TaskSpec spec;
  spec.shape.label = "task";
  spec.shape.function.kernel = 1;
  spec.key = key_of(name);
  return spec;
}

struct WorkerSpec {
  std::string name;
  std::uint32_t slots = 1;
  std::uint64_t memory_limit = 0;
  std::map<std::string, double> resources;
  std::vector<Held> held;
  std::vector<RunningAttempt> running;
  std::uint64_t instance = 0;  // 0: a new process
  std::uint64_t epoch = 0;
  bool user_code = true;
  Bytes secret = Bytes(16);
};

class SchedulerHarness {
 public:
  explicit SchedulerHarness(scheduler::Options options = {}) : state(options) { client(); }

  scheduler::State state;
  Time now{1'000'000'000};
  bool checked = true;  // recounting is for small stories
  std::function<void(Time, const std::vector<scheduler::Event>&)> before_step;

  // ---------------------------------------------------------------------------------------------- peers

  /// A new session; the first, number 0, is there from the start.
  int client(std::string name = "") {
    sessions_.push_back({{1, sessions_.size() + 1}, {}, 0, name.empty() ? "client" + std::to_string(sessions_.size()) : name, {}});
    int number = static_cast<int>(sessions_.size()) - 1;
    connect(number);
    return number;
  }
  /// Open a (new) connection of a session; `executed`: what its client has seen acknowledged.
  void connect(int number, std::uint64_t executed = 0) {
    Session& session = sessions_[number];
    session.peer = {++peers_};
    session.mail.clear();
    step(scheduler::FromClient{session.peer, ClientHello{1, 1, session.id, session.name, 1, executed}});
  }
  void disconnect(int number) { step(scheduler::LinkLost{std::exchange(sessions_[number].peer, {})}); }

  /// A worker joins, or comes back on a new connection.
  WorkerId join(WorkerSpec spec) {
    PeerId peer{++peers_};
    WorkerHello hello{.protocol_min = 1, .protocol_max = 1, .name = spec.name, .instance = spec.instance ? spec.instance : ++instances_,
                      .epoch = spec.epoch, .slots = spec.slots, .memory_limit = spec.memory_limit, .resources = spec.resources,
                      .endpoint = "tcp://" + spec.name, .secret = spec.secret, .host = "host-" + spec.name,
                      .runs_user_code = spec.user_code, .held = spec.held, .running = spec.running};
    step(scheduler::FromWorker{peer, hello});
    for (const WorkerBound& message : worker_mail_[peer])
      if (const auto* welcome = std::get_if<WorkerWelcome>(&message)) {
        peer_of_worker_[welcome->worker] = peer;
        return welcome->worker;
      }
    return {};
  }
  /// N workers w1, w2, ... of `slots` slots.
  template <std::size_t N>
  std::array<WorkerId, N> workers(std::uint32_t slots = 1) {
    std::array<WorkerId, N> ids;
    for (WorkerId& id : ids) id = join({.name = "w" + std::to_string(++named_), .slots = slots});
    return ids;
  }
  void cut(WorkerId worker) { step(scheduler::LinkLost{peer_of_worker_.at(worker)}); }
  /// Its process dies: the link breaks and it does not come back in time.
  void lose(WorkerId worker) {
    cut(worker);
    pass(state.options().reconnect_grace + 1ms);
  }
  PeerId peer_of(WorkerId worker) const { return peer_of_worker_.at(worker); }

  // ---------------------------------------------------------------------------------------------- clients' verbs

  std::vector<Key> submit(std::vector<TaskSpec> specs, int who = 0) {
    submit_chunk(chunk(specs), true, who);
    std::vector<Key> keys;
    for (const TaskSpec& spec : specs) keys.push_back(spec.key);
    return keys;
  }
  Key submit(const TaskSpec& spec, int who = 0) { return submit(std::vector<TaskSpec>{spec}, who)[0]; }
  void submit_chunk(GraphChunk chunk, bool last, int who = 0) { command(who, Submit{next(who), std::move(chunk), last}); }
  static GraphChunk chunk(const std::vector<TaskSpec>& specs) {
    client::GraphBuilder builder;
    for (const TaskSpec& spec : specs) builder.add(builder.add_template(spec.shape), spec.key, {}, spec.inputs, spec.wanted);
    return std::move(builder.take()[0]);
  }
  void want(Key key, int who = 0) { command(who, Want{next(who), {key}}); }
  void release(std::vector<Key> keys, int who = 0) { command(who, Release{next(who), std::move(keys)}); }
  void release(Key key, int who = 0) { release(std::vector<Key>{key}, who); }
  void cancel(std::vector<Key> keys, bool force = false, int who = 0) { command(who, Cancel{next(who), std::move(keys), force, ""}); }
  void cancel(Key key, bool force = false, int who = 0) { cancel(std::vector<Key>{key}, force, who); }
  void retry(Key key, int who = 0) { command(who, Retry{next(who), {key}}); }
  void scatter(Key key, std::uint64_t bytes, std::uint32_t replicas = 1, std::vector<std::string> workers = {}, int who = 0) {
    command(who, Scatter{next(who), {{key, bytes}}, std::move(workers), replicas});
  }
  void publish(std::string name, std::vector<Key> keys, int who = 0, bool replace = false) {
    command(who, Publish{next(who), std::move(name), std::move(keys), {}, replace});
  }
  void fire_and_forget(Key key, int who = 0) { command(who, FireAndForget{next(who), {key}}); }
  void goodbye(int who = 0) { command(who, ClientGoodbye{}); }
  Answer ask(std::string verb, std::vector<std::string> words = {}, std::vector<Key> keys = {}, int who = 0) {
    command(who, Ask{++requests_, std::move(verb), std::move(words), std::move(keys)});
    return heard<Answer>(who).back();
  }
  void command(int who, ClientMessage message) { step(scheduler::FromClient{sessions_[who].peer, std::move(message)}); }
  std::uint64_t next(int who) { return ++sessions_[who].sequence; }
  std::uint64_t& sequence(int who) { return sessions_[who].sequence; }

  // ---------------------------------------------------------------------------------------------- workers' verbs

  void say(WorkerId worker, WorkerMessage message) { step(scheduler::FromWorker{peer_of_worker_.at(worker), std::move(message)}); }
  void start(Key key) { say(assigned_to(key), AttemptStarted{attempt(key), key}); }
  void finish(Key key, std::uint64_t bytes = 8, Duration run_time = 10ms, Bytes small = {}) {
    say(assigned_to(key), AttemptFinished{attempt(key), key, bytes, run_time, std::move(small)});
  }
  void fail(Key key, ErrorKind kind = ErrorKind::task_error, std::string message = "boom") {
    Failure failure{.kind = kind, .message = std::move(message)};
    say(assigned_to(key), AttemptFailed{attempt(key), key, {failure}});
  }
  void give_back(Key key) { say(assigned_to(key), AttemptReturned{attempt(key), key}); }
  void hold(WorkerId worker, Key key, std::uint64_t bytes = 8) { say(worker, ValuesHeld{{{key, bytes}}}); }
  void beat(WorkerId worker, bool paused = false) {
    say(worker, WorkerHeartbeat{.tick = static_cast<std::uint64_t>(now.nanoseconds), .paused = paused});
  }

  // ---------------------------------------------------------------------------------------------- time and looking

  /// Time passes while everybody connected beats once a second, except `silent`.
  void pass(Duration time, std::vector<WorkerId> silent = {}) {
    for (Time until = now + time; now < until;) {
      now = std::min(until, now + 500ms);
      step(scheduler::Tick{});
      for (const auto& [worker, peer] : std::map(peer_of_worker_)) {
        const scheduler::Worker* known = state.worker(worker);
        if (known && known->peer == peer && std::find(silent.begin(), silent.end(), worker) == silent.end())
          beat(worker, known->paused);
      }
      for (const Session& session : sessions_)
        if (session.peer) step(scheduler::FromClient{session.peer, ClientHeartbeat{static_cast<std::uint64_t>(now.nanoseconds)}});
    }
  }
  void step(scheduler::Event event) { step(std::vector<scheduler::Event>{std::move(event)}); }
  void step(std::vector<scheduler::Event> events) {
    if (before_step) before_step(now, events);
    for (scheduler::Action& action : state.step(now, std::move(events))) {
      if (auto* frame = std::get_if<scheduler::ToClient>(&action)) {
        for (ClientBound& message : frame->messages)
          for (Session& session : sessions_)
            if (session.peer == frame->peer) session.mail.push_back(std::move(message));
      } else if (auto* order = std::get_if<scheduler::ToWorker>(&action)) {
        for (WorkerBound& message : order->messages) worker_mail_[order->peer].push_back(std::move(message));
      } else if (auto* close = std::get_if<scheduler::CloseLink>(&action)) {
        closed.push_back(close->peer);
      } else if (auto* probe = std::get_if<scheduler::Probe>(&action)) {
        probed.push_back(probe->worker);
      } else if (auto* note = std::get_if<scheduler::Note>(&action)) {
        notes.push_back(note->text);
      } else {
        persisted.push_back(std::move(std::get<scheduler::Persist>(action)));
      }
    }
    if (checked) state.check();
  }

  TaskState state_of(Key key) const {
    REQUIRE(state.find(key) != nullptr);
    return state.find(key)->state;
  }
  bool knows(Key key) const { return state.find(key) != nullptr; }
  WorkerId assigned_to(Key key) const { return knows(key) ? state.find(key)->worker : WorkerId{}; }
  AttemptId attempt(Key key) const { return state.find(key)->attempt; }
  std::size_t copies(Key key) const { return knows(key) ? state.find(key)->replicas.size() : 0; }
  bool holds(WorkerId worker, Key key) const {
    for (const scheduler::Replica& replica : state.find(key)->replicas)
      if (replica.worker == worker) return true;
    return false;
  }
  /// The messages of one type that this peer got since they were last looked at.
  template <class M>
  std::vector<M> heard(int who = 0) {
    return take<M>(sessions_[who].mail);
  }
  template <class M>
  std::vector<M> heard(WorkerId worker) {
    return take<M>(worker_mail_[peer_of_worker_.at(worker)]);
  }
  struct Failed {
    Key key;
    Failure failure;
  };
  /// The futures whose failure a client was told of, each as it sees it.
  std::vector<Failed> failures(int who = 0) {
    std::vector<Failed> failures;
    for (const TaskFailed& failed : heard<TaskFailed>(who))
      for (const Key& key : failed.keys) {
        failures.push_back({key, failed.failure.failure});
        if (!failures.back().failure.key) failures.back().failure.key = key;
      }
    return failures;
  }
  /// How the future of this key ended for a client, if news of it came: the last one counts.
  ErrorKind failure_of(Key key, int who = 0) {
    ErrorKind kind = ErrorKind::none;
    for (const Failed& failed : failures(who))
      if (failed.key == key) kind = failed.failure.kind;
    return kind;
  }
  void forget_mail() {
    for (Session& session : sessions_) session.mail.clear();
    worker_mail_.clear();
  }
  /// Nobody was told anything since the mail was last looked at, but for ticks and acknowledgements.
  void expect_nothing_else() {
    for (Session& session : sessions_)
      for (const ClientBound& message : session.mail)
        CHECK((std::holds_alternative<Executed>(message) || std::holds_alternative<SchedulerTick>(message) ||
               std::holds_alternative<ClientWelcome>(message)));
    for (const auto& [peer, mail] : worker_mail_)
      for (const WorkerBound& message : mail)
        CHECK((std::holds_alternative<SchedulerTick>(message) || std::holds_alternative<WorkerWelcome>(message) ||
               std::holds_alternative<DefineTemplate>(message)));
  }

  std::vector<PeerId> closed;
  std::vector<WorkerId> probed;
  std::vector<std::string> notes;
  std::vector<scheduler::Persist> persisted;  // by a state that is durable

 private:
  struct Session {
    SessionId id;
    PeerId peer;
    std::uint64_t sequence = 0;
    std::string name;
    std::vector<ClientBound> mail;
  };
  template <class M, class Mail>
  static std::vector<M> take(Mail& mail) {
    std::vector<M> found;
    for (auto& message : mail)
      if (auto* wanted = std::get_if<M>(&message)) found.push_back(std::move(*wanted));
    std::erase_if(mail, [](const auto& message) { return std::holds_alternative<M>(message); });
    return found;
  }

  std::deque<Session> sessions_;
  std::map<PeerId, std::vector<WorkerBound>> worker_mail_;
  std::map<WorkerId, PeerId> peer_of_worker_;
  std::uint64_t peers_ = 0, instances_ = 0, requests_ = 0;
  int named_ = 0;
};

}  // namespace weft::test
