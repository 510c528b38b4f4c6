// Sessions: numbered commands, refusals, leaving and coming back, published names, scattered data, tasks' own clients.
#include "support/scheduler_harness.h"

using namespace weft;
using namespace weft::test;

TEST_CASE("a repeated command is acknowledged and not executed again") {
  SchedulerHarness s;
  s.workers<1>();
  Key x = s.submit(task("x"));
  REQUIRE(s.heard<Executed>().size() == 1);
  s.finish(x);
  s.release(x);
  s.forget_mail();
  s.command(0, Submit{1, SchedulerHarness::chunk({task("x")}), true});
  CHECK_FALSE(s.knows(x));
  CHECK(s.heard<Executed>().back().sequence == 2);
  s.command(0, Release{9, {x}});  // a gap: nothing is skipped
  CHECK(s.heard<Executed>().back().sequence == 2);
}

TEST_CASE("a client that comes back hears what was refused, and how the futures stand that it asks for") {
  SchedulerHarness s;
  s.workers<1>();
  Key x = s.submit(task("x"));
  Key bad = s.submit(task("bad").on(key_of("nothing")));
  CHECK(s.heard<Refused>().size() == 1);
  s.disconnect(0);
  s.finish(x);
  s.connect(0, 1);  // it has not seen the refusal acknowledged
  CHECK(s.heard<ClientWelcome>()[0].executed == 2);
  CHECK(s.heard<TaskStored>().empty());
  s.command(0, Locate{{x}});
  CHECK(s.heard<TaskStored>().size() == 1);
  auto refused = s.heard<Refused>();
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].sequence == 2);
  CHECK_FALSE(s.knows(bad));
  SUBCASE("until it has heard it") {
    s.pass(2s);
    s.disconnect(0);
    s.connect(0, 2);
    CHECK(s.heard<Refused>().empty());
  }
}

TEST_CASE("a vanished client keeps its futures for the grace period") {
  SchedulerHarness s;
  Key x = s.submit(task("x"));
  SUBCASE("its link was lost") { s.disconnect(0); }
  SUBCASE("it was silent for a lease, though nobody said that the link is gone") {
    for (int i = 0; i < 15; ++i) {
      s.now = s.now + 1s;
      s.step(scheduler::Tick{});
    }
    CHECK(s.closed.size() == 1);
  }
  s.pass(59s);
  CHECK(s.knows(x));
  s.pass(2s);
  CHECK(s.state.empty());
}

TEST_CASE("a connection speaks for one session only") {
  SchedulerHarness s;
  s.workers<1>();
  s.submit(task("x"));
  int other = s.client();
  // The first session's connection greets as a third one: the first is as if its link was lost.
  s.command(0, ClientHello{1, 1, {9, 9}, "liar", 1, 0});
  s.command(0, ClientGoodbye{});
  s.pass(61s);
  CHECK(s.state.counts().sessions == 1);
  CHECK(s.state.counts().tasks == 0);
  s.goodbye(other);
  CHECK(s.state.empty());
}

TEST_CASE("a refused later chunk ends the graph with its cause and names the key") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  int other = s.client();
  s.submit(task("shared"), other);
  s.submit_chunk(SchedulerHarness::chunk({task("x"), task("shared")}), false);
  s.submit_chunk(SchedulerHarness::chunk({task("y").on(key_of("nothing"))}), false);
  auto refused = s.heard<Refused>();
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].failure.failure.message.find(key_of("nothing").hex()) != std::string::npos);
  CHECK(s.failure_of(key_of("x")) == ErrorKind::protocol_error);
  CHECK(s.assigned_to(key_of("shared")) == a);  // another client's
  s.submit_chunk(SchedulerHarness::chunk({task("z")}), true);
  CHECK(s.heard<Refused>().size() == 1);
  CHECK_FALSE(s.knows(key_of("z")));
  s.submit(task("next"));  // the next graph is judged by itself
  CHECK(s.knows(key_of("next")));
}

TEST_CASE("tasks of an unfinished graph are kept for its later chunks") {
  SchedulerHarness s;
  s.workers<1>();
  s.submit_chunk(SchedulerHarness::chunk({task("x").unwanted()}), false);
  s.finish(key_of("x"));
  CHECK(s.state_of(key_of("x")) == TaskState::stored);
  s.submit_chunk(SchedulerHarness::chunk({task("y").on(key_of("x"))}), true);
  CHECK(s.state.finished_runs() == 1);
  s.finish(key_of("y"));
  CHECK(s.state_of(key_of("x")) == TaskState::released);
}

TEST_CASE("a task without a key is refused") {
  SchedulerHarness s;
  TaskSpec spec = task("x");
  spec.key = {};
  s.submit(spec);
  CHECK(s.heard<Refused>().size() == 1);
}

TEST_CASE("wanting an unknown key is answered") {
  SchedulerHarness s;
  s.want(key_of("x"));
  CHECK(s.failure_of(key_of("x")) == ErrorKind::data_lost);
}

TEST_CASE("a published name keeps its keys for everybody until it is taken back") {  // cases 18, 19
  SchedulerHarness s;
  s.workers<1>();
  Key x = s.submit(task("x"));
  s.finish(x);
  s.publish("data", {x});
  s.goodbye();
  CHECK(s.knows(x));
  int other = s.client();
  CHECK(s.ask("datasets", {}, {}, other).body.find(x.hex()) != std::string::npos);
  s.publish("data", {x}, other);
  CHECK(s.heard<Refused>(other)[0].failure.failure.message.find("'data'") != std::string::npos);
  s.publish("none", {}, other);
  CHECK(s.heard<Refused>(other)[0].failure.failure.message.find("'none'") != std::string::npos);
  Key y = s.submit(task("y"), other);
  s.publish("data", {y}, other, true);
  CHECK_FALSE(s.knows(x));
  s.publish("data", {}, other);
  s.release(y, other);
  CHECK(s.state.counts().tasks == 0);
}

TEST_CASE("fire and forget runs to the end without its client, and keeps nothing") {
  SchedulerHarness s;
  s.workers<1>();
  Key x = s.submit(task("x"));
  s.fire_and_forget(x);
  s.goodbye();
  CHECK(s.state_of(x) == TaskState::assigned);
  s.finish(x);
  CHECK(s.state.empty());
}

TEST_CASE("scattered data goes where it was asked to, in as many copies") {  // case 17
  SchedulerHarness s;
  auto [a, b, c] = s.workers<3>();
  s.scatter(key_of("d"), 100, 0, {"w2"});
  auto places = s.heard<ScatterTo>();
  REQUIRE(places.size() == 1);
  CHECK(places[0].location.worker == b);
  s.hold(b, key_of("d"), 100);
  CHECK(s.heard<Replicate>(a).size() == 1);
  CHECK(s.heard<Replicate>(c).size() == 1);
  s.hold(a, key_of("d"), 100);
  s.hold(c, key_of("d"), 100);
  CHECK(s.copies(key_of("d")) == 3);
  s.lose(a);
  s.lose(b);
  CHECK(s.state_of(key_of("d")) == TaskState::stored);
  s.lose(c);
  CHECK(s.failure_of(key_of("d")) == ErrorKind::data_lost);
}

TEST_CASE("losing the only copy of scattered data ends it and its readers, with the reason") {  // case 64
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key d = key_of("d");
  s.scatter(d, 100);
  s.hold(a, d, 100);
  Key y = s.submit(task("y").on(d));
  s.lose(a);
  auto failed = s.failures();
  REQUIRE(failed.size() == 2);
  for (const auto& f : failed) CHECK(f.failure.key == d);
  auto [b] = s.workers<1>();
  s.scatter(d, 100);  // it may be scattered again
  s.hold(b, d, 100);
  s.retry(y);
  CHECK(s.assigned_to(y) == b);
}

TEST_CASE("a put that failed is tried at another worker; a client that comes back is told the place again") {
  SchedulerHarness s;
  s.workers<2>();
  Key d = key_of("d");
  s.scatter(d, 100);
  WorkerId first = s.heard<ScatterTo>()[0].location.worker;
  s.scatter(d, 100);
  WorkerId second = s.heard<ScatterTo>()[0].location.worker;
  CHECK(second != first);
  s.disconnect(0);
  s.connect(0, 2);
  CHECK(s.heard<ScatterTo>().size() == 1);
}

TEST_CASE("data whose last offer is gone before its bytes came is lost to its readers after a client's grace") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  int reader = s.client();
  Key d = key_of("d");
  s.scatter(d, 100);
  Key y = s.submit(task("y").on(d), reader);
  s.goodbye();
  SUBCASE("unless the put had been done") {
    s.hold(a, d, 100);
    CHECK(s.assigned_to(y) == a);
  }
  SUBCASE("unless somebody else offers it") {
    s.scatter(d, 100, 1, {}, reader);
    s.pass(2s);
    CHECK(s.heard<ScatterTo>(reader).size() == 1);
    s.hold(a, d, 100);
    CHECK(s.assigned_to(y) == a);
  }
  SUBCASE("and not before") {
    s.pass(59s);
    CHECK(s.failures(reader).empty());
    s.pass(3s);
    auto failed = s.failures(reader);
    REQUIRE(failed.size() == 1);
    CHECK(failed[0].key == y);
    CHECK(failed[0].failure.kind == ErrorKind::data_lost);
  }
}

TEST_CASE("tasks that end together are one message") {
  SchedulerHarness s;
  s.workers<1>();
  std::vector<TaskSpec> readers;
  for (int i = 0; i < 1000; ++i) readers.push_back(task("t" + std::to_string(i)).on(key_of("x")));
  Key x = s.submit(task("x"));
  auto keys = s.submit(readers);
  s.forget_mail();
  SUBCASE("by one cause") {
    s.fail(x);
    auto messages = s.heard<TaskFailed>();
    REQUIRE(messages.size() == 2);
    CHECK(std::set(messages[1].keys.begin(), messages[1].keys.end()) == std::set(keys.begin(), keys.end()));
    CHECK(messages[1].failure.failure.key == x);
  }
  SUBCASE("each by itself") {
    s.cancel(keys);
    auto messages = s.heard<TaskFailed>();
    REQUIRE(messages.size() == 1);
    CHECK(messages[0].keys == keys);
    CHECK_FALSE(messages[0].failure.failure.key);
  }
}

TEST_CASE("restart ends every task with the reason; new work runs") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  auto keys = s.submit({task("x"), task("y").on(key_of("x")), task("z")});
  s.finish(keys[0]);
  s.heard<TaskStored>();
  s.ask("restart", {"me"});
  auto failed = s.failures();
  REQUIRE(failed.size() == 3);
  for (const auto& f : failed) CHECK(f.failure.message.find("restarted by me") != std::string::npos);
  CHECK_FALSE(s.heard<Drop>(a).empty());
  Key n = s.submit(task("n"));
  CHECK(s.assigned_to(n) == a);
  s.submit(task("x"));  // also what the restart ended
  CHECK(s.state_of(keys[0]) == TaskState::assigned);
}

TEST_CASE("a task's own client speaks through its worker, is served first, and ends with it") {  // case 34
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key parent = s.submit(task("parent").at("w1"));
  s.submit({task("q1").at("w2"), task("q2").at("w2"), task("q3").at("w2"), task("q4").at("w2")});
  ClientHello hello{1, 1, {7, 7}, "task", 1, 0};
  Submit submit{1, SchedulerHarness::chunk({task("child").at("w2")}), true};
  s.say(a, FromTask{s.attempt(parent).number, {hello, submit}});
  CHECK(s.heard<ToTask>(a).size() >= 1);
  s.finish(key_of("q1"));
  CHECK(s.assigned_to(key_of("child")) == b);
  CHECK_FALSE(s.assigned_to(key_of("q4")));
  s.lose(a);
  CHECK_FALSE(s.knows(key_of("child")));
}

TEST_CASE("a channel taken over by a new session ends the old one") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  std::uint64_t one = s.attempt(s.submit(task("parent"))).number;
  std::uint64_t other = s.attempt(s.submit(task("other parent"))).number;
  Submit submit{1, SchedulerHarness::chunk({task("x")}), true};
  s.say(a, FromTask{one, {ClientHello{1, 1, {7, 7}, "one", 1, 0}, submit}});
  CHECK(s.knows(key_of("x")));
  s.say(a, FromTask{one, {ClientHello{1, 1, {7, 8}, "two", 1, 0}}});
  CHECK_FALSE(s.knows(key_of("x")));
  s.say(a, FromTask{other, {ClientHello{1, 1, {7, 8}, "two", 1, 0}}});  // it moves
  s.say(a, FromTask{one, {submit}});  // nobody speaks there
  CHECK_FALSE(s.knows(key_of("x")));
}

TEST_CASE("a retry of what is not known here is answered") {
  SchedulerHarness s;
  s.retry(key_of("refused"));
  auto failed = s.heard<TaskFailed>();
  REQUIRE(failed.size() == 1);
  CHECK(failed[0].failure.failure.kind == ErrorKind::data_lost);
}

TEST_CASE("data for a worker that nobody is called is given up after a while, and only then") {
  SchedulerHarness s;
  s.workers<1>();
  Key x = key_of("x");
  s.scatter(x, 100, 1, {"typo"});
  s.scatter(key_of("y"), 100, 1, {"typo"});
  s.pass(20s);
  CHECK(s.state_of(x) == TaskState::ready);
  s.pass(20s);
  auto failed = s.heard<TaskFailed>();
  REQUIRE(failed.size() == 1);
  CHECK(failed[0].keys == std::vector<Key>{x, key_of("y")});
  CHECK(failed[0].failure.failure.kind == ErrorKind::worker_unavailable);
  CHECK(failed[0].failure.failure.message.find("typo") != std::string::npos);
}

TEST_CASE("a name that was released may stand for another call in the same step") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  TaskSpec first = task("x"), second = task("x").label("another");
  first.key = second.key = Key::named("total");
  second.shape.shared_arguments = Bytes(1);
  s.submit(first);
  s.finish(first.key);
  GraphChunk chunk = SchedulerHarness::chunk({second});
  std::uint64_t release = s.next(0), submit = s.next(0);
  s.step({scheduler::FromClient{{1}, Release{release, {first.key}}}, scheduler::FromClient{{1}, Submit{submit, chunk, true}}});
  CHECK(s.heard<Refused>().empty());
  CHECK(s.assigned_to(second.key) == a);
}
