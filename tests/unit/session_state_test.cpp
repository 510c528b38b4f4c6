#include <doctest/doctest.h>

#include <algorithm>

#include "client/graph_builder.h"
#include "client/session_state.h"
#include "common/codec.h"

using namespace weft;
using namespace weft::client;

namespace {

Key key(std::uint64_t n) { return {7, n * 0x9e3779b97f4a7c15}; }

GraphChunk chunk_of(std::vector<Key> keys, std::vector<Key> inputs = {}) {
  GraphBuilder builder;
  auto shape = builder.add_template({.label = "t"});
  std::vector<TaskInput> in;
  for (const Key& k : inputs) in.push_back({k});
  for (const Key& k : keys) builder.add(shape, k, {}, in, true);
  return std::move(builder.take()[0]);
}
Value value_of(std::string text) {
  std::span<const std::byte> part = std::as_bytes(std::span(text.data(), text.size()));
  return Value::make(1, {&part, 1});
}
Bytes block_of(const Value& value) { return {value.block().bytes().begin(), value.block().bytes().end()}; }

// A session and a scheduler played by the test; messages pass through the codec.
struct Story {
  Time now{1'000'000'000};
  SessionState state{SessionOptions{.session = {1, 2}, .name = "test"}, now};
  std::vector<Action> actions;
  std::vector<ClientMessage> sent;
  std::uint64_t epoch = 5;

  void step(std::vector<Event> events) {
    actions = state.step(now, std::move(events));
    sent.clear();
    for (const Action& action : actions) {
      if (auto* send = std::get_if<Send>(&action)) {
        auto copy = decode<ClientMessage>(encode(*send->message));
        REQUIRE(static_cast<bool>(copy));
        sent.push_back(*copy);
      }
    }
  }
  template <class E>
  void on(E event) {
    std::vector<Event> events;
    events.emplace_back(std::move(event));
    step(std::move(events));
  }
  template <class... M>
  void hear(M... messages) {
    std::vector<Event> events;
    (events.emplace_back(FromScheduler{ClientBound{std::move(messages)}}), ...);
    step(std::move(events));
  }
  void pass(Duration time) {
    now = now + time;
    on(Tick{});
  }
  ClientWelcome welcome(std::uint64_t executed) { return {1, epoch, executed, std::chrono::seconds(1), std::chrono::seconds(15)}; }
  void connect(std::uint64_t executed = 0) {
    on(Tick{});
    on(LinkUp{});
    hear(welcome(executed));
  }
  void reconnect(std::uint64_t executed) {
    on(LinkLost{"cut"});
    pass(std::chrono::milliseconds(500));
    REQUIRE(all<Reconnect>().size() == 1);
    on(LinkUp{});
    hear(welcome(executed));
  }
  void submit(std::uint64_t n) { on(SubmitGraph{chunk_of({key(n)})}); }
  void stored_small(std::uint64_t n, std::string text = "v") {
    Value value = value_of(text);
    hear(TaskStored{key(n), value.size(), block_of(value), {}});
  }
  void stored_away(std::uint64_t n, std::uint32_t worker = 1) { hear(TaskStored{key(n), 1 << 20, {}, {Location{WorkerId{worker}}}}); }
  template <class A>
  std::vector<A> all() const {
    std::vector<A> out;
    for (const Action& action : actions)
      if (auto* a = std::get_if<A>(&action)) out.push_back(*a);
    return out;
  }
  template <class M>
  std::vector<M> messages() const {
    std::vector<M> out;
    for (const ClientMessage& message : sent)
      if (auto* m = std::get_if<M>(&message)) out.push_back(*m);
    return out;
  }
  ErrorKind failed(std::uint64_t n) const {
    for (const Complete& done : all<Complete>())
      if (done.key == key(n) && done.outcome->failure) return done.outcome->failure->kind;
    return ErrorKind::none;
  }
  bool has_value(std::uint64_t n) const {
    for (const Complete& done : all<Complete>())
      if (done.key == key(n) && done.outcome->value.part_count() > 0) return true;
    return false;
  }
};

}  // namespace

TEST_CASE("a session says hello first and its commands after the welcome, in order") {
  Story s;
  s.on(Tick{});
  CHECK(s.all<Reconnect>().size() == 1);
  s.on(LinkUp{});
  REQUIRE(s.messages<ClientHello>().size() == 1);
  CHECK(s.messages<ClientHello>()[0].epoch == 0);
  s.submit(1);
  s.submit(2);
  CHECK(s.sent.empty());
  s.hear(s.welcome(0));
  auto submits = s.messages<Submit>();
  REQUIRE(submits.size() == 2);
  CHECK(submits[0].sequence == 1);
  CHECK(submits[1].sequence == 2);
}

TEST_CASE("a small result completes its key at once") {
  Story s;
  s.connect();
  s.submit(1);
  s.stored_small(1);
  CHECK(s.has_value(1));
}

TEST_CASE("after a reconnect only what was not executed is sent again, and open keys are asked for") {
  Story s;
  s.connect();
  s.submit(1);
  s.submit(2);
  s.submit(3);
  s.hear(Executed{1});
  s.reconnect(2);
  auto submits = s.messages<Submit>();
  REQUIRE(submits.size() == 1);
  CHECK(submits[0].sequence == 3);
  auto locates = s.messages<Locate>();
  REQUIRE(locates.size() == 1);
  CHECK(locates[0].keys == std::vector<Key>{key(1), key(2)});
}

TEST_CASE("the hello after a reconnect carries epoch and what was acknowledged") {
  Story s;
  s.connect();
  s.submit(1);
  s.hear(Executed{1});
  s.on(LinkLost{"cut"});
  s.pass(std::chrono::milliseconds(500));
  s.on(LinkUp{});
  auto hello = s.messages<ClientHello>();
  REQUIRE(hello.size() == 1);
  CHECK(hello[0].epoch == 5);
  CHECK(hello[0].executed == 1);
}

TEST_CASE("a scheduler that forgot acknowledged commands resets what was lost and keeps what is here") {
  Story s;
  s.connect();
  s.submit(1);
  s.submit(2);
  s.submit(3);
  s.hear(Executed{3});
  s.stored_small(2);
  s.submit(4);  // not acknowledged
  s.epoch = 6;
  s.reconnect(1);
  CHECK(s.failed(3) == ErrorKind::scheduler_reset);
  CHECK(s.failed(1) == ErrorKind::none);
  CHECK(s.failed(2) == ErrorKind::none);
  auto submits = s.messages<Submit>();
  REQUIRE(submits.size() == 1);
  CHECK(submits[0].sequence == 2);  // numbered from where the scheduler stands
  CHECK(submits[0].chunk.key(0) == key(4));
  REQUIRE(s.messages<Locate>().size() == 1);
  CHECK(s.messages<Locate>()[0].keys == std::vector<Key>{key(1)});
  s.hear(Executed{2});
  s.submit(3);  // lost work can be submitted again
  CHECK(s.all<Pending>().size() == 1);
  REQUIRE(s.messages<Submit>().size() == 1);
  CHECK(s.messages<Submit>()[0].sequence == 3);
}

TEST_CASE("equal work is submitted once and released once") {
  Story s;
  s.connect();
  s.submit(1);
  s.submit(1);
  CHECK(s.sent.empty());
  s.on(ReleaseKeys{{key(1)}});
  CHECK(s.sent.empty());
  s.on(ReleaseKeys{{key(1)}});
  REQUIRE(s.messages<Release>().size() == 1);
  CHECK(s.state.held() == 0);
}

TEST_CASE("a late release of an old future does not release a new one of the same key") {
  Story s;
  s.connect();
  s.submit(1);
  std::vector<Event> events;
  events.emplace_back(ReleaseKeys{{key(1)}});
  events.emplace_back(SubmitGraph{chunk_of({key(1)})});
  s.step(std::move(events));
  CHECK(s.messages<Release>().empty());
  CHECK(s.state.held() == 1);
  s.stored_small(1);
  CHECK(s.has_value(1));
}

TEST_CASE("releases of one step travel in one message, behind the submits of that step") {
  Story s;
  s.connect();
  s.on(SubmitGraph{chunk_of({key(1), key(2)})});
  std::vector<Event> events;
  events.emplace_back(ReleaseKeys{{key(1)}});
  events.emplace_back(ReleaseKeys{{key(2)}});
  events.emplace_back(SubmitGraph{chunk_of({key(3)}, {key(1)})});
  s.step(std::move(events));
  REQUIRE(s.sent.size() == 2);
  CHECK(std::holds_alternative<Submit>(s.sent[0]));
  CHECK(std::get<Release>(s.sent[1]).keys == std::vector<Key>{key(1), key(2)});
}

TEST_CASE("a refused chunk fails the keys that waited for it and no others") {
  Story s;
  s.connect();
  s.submit(1);
  s.submit(2);
  s.hear(Executed{2}, Refused{1, {failure(ErrorKind::protocol_error, "bad")}});
  CHECK(s.failed(1) == ErrorKind::protocol_error);
  CHECK(s.failed(2) == ErrorKind::none);
}

TEST_CASE("a refused hello ends every future with its reason") {
  Story s;
  s.on(Tick{});
  s.on(LinkUp{});
  s.submit(1);
  s.hear(Refused{0, {failure(ErrorKind::protocol_error, "speaks another protocol")}});
  CHECK(s.failed(1) == ErrorKind::protocol_error);
  s.submit(2);
  CHECK(s.failed(2) == ErrorKind::protocol_error);
  CHECK(s.state.wake_at() == Time::never());
}

TEST_CASE("a big result is fetched when somebody reads it, and located again when the fetch fails") {
  Story s;
  s.connect();
  s.submit(1);
  s.stored_away(1);
  CHECK(s.all<Complete>().size() == 1);
  CHECK(s.all<Fetch>().empty());
  s.on(ReadValue{key(1)});
  REQUIRE(s.all<Fetch>().size() == 1);
  s.on(FetchFailed{key(1), failure(ErrorKind::io_error, "gone")});
  REQUIRE(s.messages<Locate>().size() == 1);
  s.stored_away(1, 2);
  REQUIRE(s.all<Fetch>().size() == 1);
  CHECK(s.all<Fetch>()[0].locations[0].worker == WorkerId{2});
  s.on(FetchDone{key(1), value_of("big")});
  CHECK(s.has_value(1));
}

TEST_CASE("a result that is lost while it is read is pending, and read when it is back") {
  Story s;
  s.connect();
  s.submit(1);
  s.stored_away(1);
  s.on(ReadValue{key(1)});
  s.hear(TaskPending{key(1)});
  CHECK(s.all<Pending>().size() == 1);
  s.on(FetchFailed{key(1), failure(ErrorKind::io_error, "gone")});
  CHECK(s.actions.empty());
  s.stored_away(1, 2);
  CHECK(s.all<Fetch>().size() == 1);
}

TEST_CASE("a worker that cannot be reached at all fails the read, not the program") {
  Story s;
  s.connect();
  s.submit(1);
  s.stored_away(1);
  s.on(ReadValue{key(1)});
  bool failed = false;
  for (int i = 0; i < 40 && !failed; ++i) {
    s.on(FetchFailed{key(1), failure(ErrorKind::io_error, "refused")});
    failed = s.failed(1) == ErrorKind::connection_failed;
    s.pass(std::chrono::seconds(3));
    s.hear(SchedulerTick{1});
    s.stored_away(1);
  }
  CHECK(failed);
}

TEST_CASE("a silent scheduler is lost after its lease; heartbeats echo the last tick") {
  Story s;
  s.connect();
  s.hear(SchedulerTick{41});
  s.pass(std::chrono::seconds(1));
  REQUIRE(s.messages<ClientHeartbeat>().size() == 1);
  CHECK(s.messages<ClientHeartbeat>()[0].tick == 41);
  s.pass(std::chrono::seconds(14));
  CHECK(!s.state.connected());
  CHECK(s.all<Reconnect>().size() == 1);
}

TEST_CASE("attempts to connect come at least every half second, until the first connection fails") {
  Story s;
  s.submit(1);
  s.on(Tick{});
  for (int i = 0; i < 19; ++i) {
    s.on(LinkLost{"connection refused"});
    CHECK(s.state.wake_at() - s.now <= std::chrono::milliseconds(500));
    s.pass(std::chrono::milliseconds(500));
    CHECK(s.all<Reconnect>().size() == 1);
  }
  s.on(LinkLost{"connection refused"});
  s.pass(std::chrono::milliseconds(500));
  CHECK(s.failed(1) == ErrorKind::connection_failed);
  CHECK(s.state.closed());
}

TEST_CASE("a lost scheduler is looked for as long as the patience lasts, then open futures fail and small results stay") {
  Story s;
  s.connect();
  s.submit(1);
  s.submit(2);
  s.stored_small(2);
  s.on(LinkLost{"cut"});
  s.pass(std::chrono::seconds(59));
  CHECK(!s.state.closed());
  s.on(LinkLost{"cut"});
  s.pass(std::chrono::seconds(1));
  CHECK(s.failed(1) == ErrorKind::connection_failed);
  CHECK(s.failed(2) == ErrorKind::none);
}

TEST_CASE("graph bytes in flight are bounded") {
  Story s;
  s.connect();
  CHECK(s.state.ready_for_more());
  GraphChunk chunk = chunk_of({key(1)});
  chunk.arguments.resize(40u << 20);
  chunk.argument_ends = {40u << 20};
  GraphChunk again = chunk;
  Key other = key(2);
  std::memcpy(again.keys.data(), &other, 16);
  s.on(SubmitGraph{chunk});
  CHECK(s.state.ready_for_more());
  s.on(SubmitGraph{again});
  CHECK(!s.state.ready_for_more());
  s.hear(Executed{1});
  CHECK(s.state.ready_for_more());
}

TEST_CASE("scattered values are put where the scheduler says, placed anew when that fails, and after a reconnect") {
  Story s;
  s.connect();
  s.on(ScatterValues{{{key(1), 100}}, {"w1"}, 2});
  REQUIRE(s.messages<Scatter>().size() == 1);
  CHECK(s.messages<Scatter>()[0].replicas == 2);
  s.hear(Executed{1}, ScatterTo{key(1), Location{WorkerId{3}}});
  REQUIRE(s.all<PutValue>().size() == 1);
  s.on(PutFailed{key(1), failure(ErrorKind::io_error, "gone")});
  CHECK(s.messages<Scatter>().size() == 1);
  s.reconnect(2);
  CHECK(s.messages<Locate>().empty());
  REQUIRE(s.messages<Scatter>().size() == 1);
  CHECK(s.messages<Scatter>()[0].sequence == 3);
  s.stored_away(1);
  s.on(PutFailed{key(1), failure(ErrorKind::io_error, "late")});
  CHECK(s.actions.empty());
}

TEST_CASE("scattered bytes that are released before they are placed are placed first, since others may read them") {
  Story s;
  s.connect();
  s.on(ScatterValues{{{key(1), 100}}, {}, 1});
  s.on(ReleaseKeys{{key(1)}});
  CHECK(s.messages<Release>().empty());
  SUBCASE("at once") {}
  SUBCASE("after a reconnect") {
    s.reconnect(1);
    REQUIRE(s.messages<Scatter>().size() == 1);
  }
  s.hear(ScatterTo{key(1), Location{WorkerId{3}}});
  CHECK(s.all<PutValue>().size() == 1);
  s.stored_away(1);
  CHECK(s.messages<Release>().size() == 1);
  CHECK(s.state.held() == 0);
}

TEST_CASE("questions are asked again after a reconnect; deeds are answered with an honest unknown") {
  Story s;
  s.connect();
  s.on(AskScheduler{{1, "workers"}, true});
  s.on(AskScheduler{{2, "run"}, false});
  CHECK(s.messages<Ask>().size() == 1);
  s.on(LinkLost{"cut"});
  auto answers = s.all<AnswerReady>();
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].request == 2);
  CHECK(answers[0].failure.kind == ErrorKind::connection_failed);
  s.pass(std::chrono::milliseconds(500));
  s.on(LinkUp{});
  s.hear(s.welcome(0));
  REQUIRE(s.messages<Ask>().size() == 1);
  s.hear(Answer{1, {}, "[]"}, Answer{1, {}, "[]"});
  CHECK(s.all<AnswerReady>().size() == 1);
}

TEST_CASE("publishing answers when it is executed or refused") {
  Story s;
  s.connect();
  s.on(PublishName{11, "a", {key(1)}});
  s.on(PublishName{12, "b", {key(1)}});
  s.hear(Refused{2, {failure(ErrorKind::invalid_argument, "taken")}}, Executed{2});
  auto answers = s.all<AnswerReady>();
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].request == 12);
  CHECK(answers[0].failure.kind == ErrorKind::invalid_argument);
  CHECK(answers[1].request == 11);
  CHECK(answers[1].failure.kind == ErrorKind::none);
}

TEST_CASE("a failed key can be retried and submitted again") {
  Story s;
  s.connect();
  s.submit(1);
  s.hear(Executed{1}, TaskFailed{key(1), {failure(ErrorKind::task_error, "oops")}});
  CHECK(s.failed(1) == ErrorKind::task_error);
  s.on(RetryKeys{{key(1)}});
  CHECK(s.all<Pending>().size() == 1);
  CHECK(s.messages<Retry>().size() == 1);
  s.reconnect(1);
  CHECK(s.messages<Locate>().empty());  // the retry comes first; an answer to Locate would be the old failure
  CHECK(s.messages<Retry>().size() == 1);
}

TEST_CASE("leaving waits for what was submitted, says goodbye, and finishes with the answer") {
  Story s;
  s.on(Tick{});
  s.submit(1);
  s.on(SayGoodbye{});
  CHECK(s.all<Finished>().empty());
  s.on(LinkUp{});
  s.hear(s.welcome(0));
  REQUIRE(s.sent.size() == 2);
  CHECK(std::holds_alternative<Submit>(s.sent[0]));
  CHECK(std::holds_alternative<ClientGoodbye>(s.sent[1]));
  s.hear(Goodbye{});
  CHECK(s.all<Finished>().size() == 1);
}

TEST_CASE("a goodbye does not wait long for a scheduler that went away") {
  Story s;
  s.connect();
  bool owes = false;
  SUBCASE("to which it owes a release") {}
  SUBCASE("unless work waits for it") { owes = true; }
  s.submit(1);
  if (!owes) {
    s.hear(Executed{1});
    s.on(ReleaseKeys{{key(1)}});
  }
  s.on(LinkLost{"its process ended"});
  s.on(SayGoodbye{});
  CHECK(s.all<Finished>().empty());
  s.now = s.state.wake_at();
  while (s.step({}), s.all<Finished>().empty()) s.now = s.state.wake_at();
  CHECK((s.now - Time{1'000'000'000} == std::chrono::seconds(1)) == !owes);
}

TEST_CASE("what is released with the goodbye needs no words") {
  Story s;
  s.connect();
  s.submit(1);
  s.step({SayGoodbye{}, ReleaseKeys{{key(1)}}});
  CHECK(s.messages<Release>().empty());
  CHECK(s.state.held() == 0);
}

TEST_CASE("stale and unknown messages change nothing") {
  Story s;
  s.connect();
  s.hear(TaskStored{key(8)}, TaskFailed{key(8)}, TaskPending{key(8)}, ScatterTo{key(8)}, Answer{9}, Executed{77},
         Refused{55, {}}, Goodbye{}, s.welcome(3));
  CHECK(s.actions.empty());
  s.submit(1);
  CHECK(s.messages<Submit>()[0].sequence == 1);
}

TEST_CASE("a copy of a session takes the same steps") {
  Story s;
  s.connect();
  s.submit(1);
  Story copy = s;
  s.stored_small(1);
  copy.stored_small(1);
  CHECK(copy.has_value(1));
  CHECK(copy.actions.size() == s.actions.size());
}
