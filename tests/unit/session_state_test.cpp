// A client's session: its link, its commands, its end.
#include "support/session_story.h"

using namespace weft;
using namespace weft::client;
using namespace weft::test;

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
  s.submit(1);
  SUBCASE("to which it owes a release") {
    s.hear(Executed{1});
    s.on(ReleaseKeys{{key(1)}});
  }
  SUBCASE("to which it owes work that ends with it") {}
  SUBCASE("unless it owes work that lasts") {
    owes = true;
    s.on(RunAlone{1, {key(1)}});
  }
  s.on(LinkLost{"its process ended"});
  s.on(SayGoodbye{});
  CHECK(s.all<Finished>().empty());
  s.now = s.state.wake_at();
  while (s.step({}), s.all<Finished>().empty()) s.now = s.state.wake_at();
  CHECK((s.now - Time{1'000'000'000} == std::chrono::seconds(1)) == !owes);
}

TEST_CASE("stale and unknown messages change nothing") {
  Story s;
  s.connect();
  s.hear(TaskStored{key(8)}, TaskFailed{{key(8)}}, TaskPending{key(8)}, ScatterTo{key(8)}, Answer{9}, Executed{77},
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
