// What a session knows of its keys: results, releases, scattered values.
#include "support/session_story.h"

using namespace weft;
using namespace weft::client;
using namespace weft::test;

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

TEST_CASE("a name that was let go may stand for another call in the same step") {
  Story s;
  s.connect();
  Key name = Key::named("total");
  s.on(SubmitGraph{chunk_of({name})});
  std::vector<Event> events;
  events.emplace_back(ReleaseKeys{{name}});
  events.emplace_back(SubmitGraph{chunk_of({name})});
  s.step(std::move(events));
  REQUIRE(s.sent.size() == 2);
  CHECK(std::holds_alternative<Release>(s.sent[0]));
  CHECK(std::holds_alternative<Submit>(s.sent[1]));
}

TEST_CASE("a late result of the call that had a name before is not the result of the next one") {
  Story s;
  s.connect();
  Key name = Key::named("total");
  s.on(SubmitGraph{chunk_of({name})});   // command 1
  s.on(ReleaseKeys{{name}});             // command 2
  s.on(SubmitGraph{chunk_of({name})});   // command 3
  Value old = value_of("of the first"), fresh = value_of("of the second");
  s.hear(TaskStored{name, old.size(), block_of(old), {}, 1});
  CHECK(s.actions.empty());
  s.hear(TaskStored{name, fresh.size(), block_of(fresh), {}, 3});
  REQUIRE(s.all<Complete>().size() == 1);
  CHECK(block_of(s.all<Complete>()[0].outcome->value) == block_of(fresh));
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
  s.hear(Executed{1}, TaskFailed{{key(1)}, {failure(ErrorKind::task_error, "oops")}});
  CHECK(s.failed(1) == ErrorKind::task_error);
  s.on(RetryKeys{{key(1)}});
  CHECK(s.all<Pending>().size() == 1);
  CHECK(s.messages<Retry>().size() == 1);
  s.reconnect(1);
  CHECK(s.messages<Locate>().empty());  // the retry comes first; an answer to Locate would be the old failure
  CHECK(s.messages<Retry>().size() == 1);
}

TEST_CASE("what is released with the goodbye needs no words") {
  Story s;
  s.connect();
  s.submit(1);
  s.step({SayGoodbye{}, ReleaseKeys{{key(1)}}});
  CHECK(s.messages<Release>().empty());
  CHECK(s.state.held() == 0);
}

TEST_CASE("a call that is made again after its cancel is asked for anew, and the old cancel does not end it") {
  Story s;
  s.connect();
  s.submit(1);
  s.on(CancelKeys{{key(1)}, false, "enough"});
  s.submit(1);
  REQUIRE(s.messages<Submit>().size() == 1);
  CHECK(s.messages<Submit>()[0].sequence == 3);
  s.hear(TaskFailed{{key(1)}, {failure(ErrorKind::cancelled, "enough")}, 2}, Executed{2});
  CHECK(s.all<Complete>().empty());
  s.stored_small(1);
  CHECK(s.has_value(1));
}
