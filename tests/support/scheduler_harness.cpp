#include "tests/support/scheduler_harness.h"

#include <algorithm>

namespace weft::test {

int SchedulerHarness::client(std::string name) {
  sessions_.push_back({{1, sessions_.size() + 1}, {}, 0, name.empty() ? "client" + std::to_string(sessions_.size()) : name, {}});
  int number = static_cast<int>(sessions_.size()) - 1;
  connect(number);
  return number;
}

void SchedulerHarness::connect(int number, std::uint64_t executed) {
  Session& session = sessions_[number];
  session.peer = {++peers_};
  session.mail.clear();
  step(scheduler::FromClient{session.peer, ClientHello{1, 1, session.id, session.name, 1, executed}});
}

void SchedulerHarness::disconnect(int number) { step(scheduler::LinkLost{std::exchange(sessions_[number].peer, {})}); }

WorkerId SchedulerHarness::join(WorkerSpec spec) {
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

void SchedulerHarness::cut(WorkerId worker) { step(scheduler::LinkLost{peer_of_worker_.at(worker)}); }

void SchedulerHarness::lose(WorkerId worker) {
  cut(worker);
  pass(state.options().reconnect_grace + 1ms);
}

PeerId SchedulerHarness::peer_of(WorkerId worker) const { return peer_of_worker_.at(worker); }

std::vector<Key> SchedulerHarness::submit(std::vector<TaskSpec> specs, int who) {
  submit_chunk(chunk(specs), true, who);
  std::vector<Key> keys;
  for (const TaskSpec& spec : specs) keys.push_back(spec.key);
  return keys;
}

Key SchedulerHarness::submit(const TaskSpec& spec, int who) { return submit(std::vector<TaskSpec>{spec}, who)[0]; }
void SchedulerHarness::submit_chunk(GraphChunk chunk, bool last, int who) { command(who, Submit{next(who), std::move(chunk), last}); }

GraphChunk SchedulerHarness::chunk(const std::vector<TaskSpec>& specs) {
  client::GraphBuilder builder;
  for (const TaskSpec& spec : specs) builder.add(builder.add_template(spec.shape), spec.key, {}, spec.inputs, spec.wanted);
  return std::move(builder.take()[0]);
}

void SchedulerHarness::want(Key key, int who) { command(who, Want{next(who), {key}}); }
void SchedulerHarness::release(std::vector<Key> keys, int who) { command(who, Release{next(who), std::move(keys)}); }
void SchedulerHarness::release(Key key, int who) { release(std::vector<Key>{key}, who); }
void SchedulerHarness::cancel(std::vector<Key> keys, bool force, int who) { command(who, Cancel{next(who), std::move(keys), force, ""}); }
void SchedulerHarness::cancel(Key key, bool force, int who) { cancel(std::vector<Key>{key}, force, who); }
void SchedulerHarness::retry(Key key, int who) { command(who, Retry{next(who), {key}}); }

void SchedulerHarness::scatter(Key key, std::uint64_t bytes, std::uint32_t replicas, std::vector<std::string> workers, int who) {
  command(who, Scatter{next(who), {{key, bytes}}, std::move(workers), replicas});
}

void SchedulerHarness::publish(std::string name, std::vector<Key> keys, int who, bool replace) {
  command(who, Publish{next(who), std::move(name), std::move(keys), {}, replace});
}

void SchedulerHarness::fire_and_forget(Key key, int who) { command(who, FireAndForget{next(who), {key}}); }
void SchedulerHarness::goodbye(int who) { command(who, ClientGoodbye{}); }

Answer SchedulerHarness::ask(std::string verb, std::vector<std::string> words, std::vector<Key> keys, int who) {
  command(who, Ask{++requests_, std::move(verb), std::move(words), std::move(keys)});
  return heard<Answer>(who).back();
}

void SchedulerHarness::command(int who, ClientMessage message) { step(scheduler::FromClient{sessions_[who].peer, std::move(message)}); }
void SchedulerHarness::say(WorkerId worker, WorkerMessage message) { step(scheduler::FromWorker{peer_of_worker_.at(worker), std::move(message)}); }
void SchedulerHarness::start(Key key) { say(assigned_to(key), AttemptStarted{attempt(key), key}); }

void SchedulerHarness::finish(Key key, std::uint64_t bytes, Duration run_time, Bytes small) {
  say(assigned_to(key), AttemptFinished{attempt(key), key, bytes, run_time, std::move(small)});
}

void SchedulerHarness::fail(Key key, ErrorKind kind, std::string message) {
  Failure failure{.kind = kind, .message = std::move(message)};
  say(assigned_to(key), AttemptFailed{attempt(key), key, {failure}});
}

void SchedulerHarness::give_back(Key key) { say(assigned_to(key), AttemptReturned{attempt(key), key}); }
void SchedulerHarness::hold(WorkerId worker, Key key, std::uint64_t bytes) { say(worker, ValuesHeld{{{key, bytes}}}); }

void SchedulerHarness::beat(WorkerId worker, bool paused) {
  say(worker, WorkerHeartbeat{.tick = static_cast<std::uint64_t>(now.nanoseconds), .paused = paused});
}

void SchedulerHarness::pass(Duration time, std::vector<WorkerId> silent) {
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

void SchedulerHarness::step(scheduler::Event event) { step(std::vector<scheduler::Event>{std::move(event)}); }

void SchedulerHarness::step(std::vector<scheduler::Event> events) {
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

TaskState SchedulerHarness::state_of(Key key) const {
  REQUIRE(state.find(key) != nullptr);
  return state.find(key)->state;
}

bool SchedulerHarness::knows(Key key) const { return state.find(key) != nullptr; }
WorkerId SchedulerHarness::assigned_to(Key key) const { return knows(key) ? state.find(key)->worker : WorkerId{}; }
AttemptId SchedulerHarness::attempt(Key key) const { return state.find(key)->attempt; }
std::size_t SchedulerHarness::copies(Key key) const { return knows(key) ? state.find(key)->replicas.size() : 0; }

bool SchedulerHarness::holds(WorkerId worker, Key key) const {
  for (const scheduler::Replica& replica : state.find(key)->replicas)
    if (replica.worker == worker) return true;
  return false;
}

std::vector<SchedulerHarness::Failed> SchedulerHarness::failures(int who) {
  std::vector<Failed> failures;
  for (const TaskFailed& failed : heard<TaskFailed>(who))
    for (const Key& key : failed.keys) {
      failures.push_back({key, failed.failure.failure});
      if (!failures.back().failure.key) failures.back().failure.key = key;
    }
  return failures;
}

ErrorKind SchedulerHarness::failure_of(Key key, int who) {
  ErrorKind kind = ErrorKind::none;
  for (const Failed& failed : failures(who))
    if (failed.key == key) kind = failed.failure.kind;
  return kind;
}

void SchedulerHarness::forget_mail() {
  for (Session& session : sessions_) session.mail.clear();
  worker_mail_.clear();
}

void SchedulerHarness::expect_nothing_else() {
  for (Session& session : sessions_)
    for (const ClientBound& message : session.mail)
      CHECK((std::holds_alternative<Executed>(message) || std::holds_alternative<SchedulerTick>(message) ||
             std::holds_alternative<ClientWelcome>(message)));
  for (const auto& [peer, mail] : worker_mail_)
    for (const WorkerBound& message : mail)
      CHECK((std::holds_alternative<SchedulerTick>(message) || std::holds_alternative<WorkerWelcome>(message) ||
             std::holds_alternative<DefineTemplate>(message)));
}

}  // namespace weft::test
