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
  int client(std::string name = "");
  /// Open a (new) connection of a session; `executed`: what its client has seen acknowledged.
  void connect(int number, std::uint64_t executed = 0);
  void disconnect(int number);

  /// A worker joins, or comes back on a new connection.
  WorkerId join(WorkerSpec spec);
  /// N workers w1, w2, ... of `slots` slots.
  template <std::size_t N>
  std::array<WorkerId, N> workers(std::uint32_t slots = 1) {
    std::array<WorkerId, N> ids;
    for (WorkerId& id : ids) id = join({.name = "w" + std::to_string(++named_), .slots = slots});
    return ids;
  }
  void cut(WorkerId worker);
  /// Its process dies: the link breaks and it does not come back in time.
  void lose(WorkerId worker);
  PeerId peer_of(WorkerId worker) const;

  // ---------------------------------------------------------------------------------------------- clients' verbs

  std::vector<Key> submit(std::vector<TaskSpec> specs, int who = 0);
  Key submit(const TaskSpec& spec, int who = 0);
  void submit_chunk(GraphChunk chunk, bool last, int who = 0);
  static GraphChunk chunk(const std::vector<TaskSpec>& specs);
  void want(Key key, int who = 0);
  void release(std::vector<Key> keys, int who = 0);
  void release(Key key, int who = 0);
  void cancel(std::vector<Key> keys, bool force = false, int who = 0);
  void cancel(Key key, bool force = false, int who = 0);
  void retry(Key key, int who = 0);
  void scatter(Key key, std::uint64_t bytes, std::uint32_t replicas = 1, std::vector<std::string> workers = {}, int who = 0);
  void publish(std::string name, std::vector<Key> keys, int who = 0, bool replace = false);
  void fire_and_forget(Key key, int who = 0);
  void goodbye(int who = 0);
  Answer ask(std::string verb, std::vector<std::string> words = {}, std::vector<Key> keys = {}, int who = 0);
  void command(int who, ClientMessage message);
  std::uint64_t next(int who) { return ++sessions_[who].sequence; }
  std::uint64_t& sequence(int who) { return sessions_[who].sequence; }

  // ---------------------------------------------------------------------------------------------- workers' verbs

  void say(WorkerId worker, WorkerMessage message);
  void start(Key key);
  void finish(Key key, std::uint64_t bytes = 8, Duration run_time = 10ms, Bytes small = {});
  void fail(Key key, ErrorKind kind = ErrorKind::task_error, std::string message = "boom");
  void give_back(Key key);
  void hold(WorkerId worker, Key key, std::uint64_t bytes = 8);
  void beat(WorkerId worker, bool paused = false);

  // ---------------------------------------------------------------------------------------------- time and looking

  /// Time passes while everybody connected beats once a second, except `silent`.
  void pass(Duration time, std::vector<WorkerId> silent = {});
  void step(scheduler::Event event);
  void step(std::vector<scheduler::Event> events);

  TaskState state_of(Key key) const;
  bool knows(Key key) const;
  WorkerId assigned_to(Key key) const;
  AttemptId attempt(Key key) const;
  std::size_t copies(Key key) const;
  bool holds(WorkerId worker, Key key) const;
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
  std::vector<Failed> failures(int who = 0);
  /// How the future of this key ended for a client, if news of it came: the last one counts.
  ErrorKind failure_of(Key key, int who = 0);
  void forget_mail();
  /// Nobody was told anything since the mail was last looked at, but for ticks and acknowledgements.
  void expect_nothing_else();

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
