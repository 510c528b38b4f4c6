// Lifetime, sharing, cancelling and failing of tasks, as clients see them (scheduler.md 6.3, groups A and E).
#include "support/scheduler_harness.h"

using namespace weft;
using namespace weft::test;
using weft::scheduler::Options;

TEST_CASE("the last future dying releases the value everywhere and forgets the task") {  // case 1
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x"));
  CHECK(s.assigned_to(x) == a);
  s.finish(x);
  CHECK(s.heard<TaskStored>().size() == 1);
  s.release(x);
  CHECK(s.heard<Drop>(a)[0].keys[0] == x);
  CHECK_FALSE(s.knows(x));
  s.goodbye();
  CHECK(s.state.empty());
}

TEST_CASE("a released call is computed again when asked for again") {  // cases 2, 3
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x"));
  s.finish(x);
  s.release(x);
  s.submit(task("x"));
  CHECK(s.assigned_to(x) == a);
  SUBCASE("an input that was dropped after its reader ended, too") {
    Key y = s.submit({task("m").unwanted(), task("y").on(key_of("m"))})[1];
    s.finish(x);
    s.finish(key_of("m"));
    s.finish(y);
    CHECK(s.state_of(key_of("m")) == TaskState::released);
    Key z = s.submit(task("z").on(key_of("m")));
    CHECK(s.assigned_to(key_of("m")) == a);
    s.finish(key_of("m"));
    s.finish(z);
    CHECK(s.state_of(z) == TaskState::stored);
  }
}

TEST_CASE("a stored input of a new graph never loses its value") {  // cases 4, 5
  SchedulerHarness s;
  s.workers<1>();
  Key y = s.submit(task("y"));
  s.finish(y);
  s.forget_mail();
  Key z = s.submit({task("y"), task("z").on(y)})[1];
  CHECK(s.copies(y) == 1);
  CHECK(s.state.finished_runs() == 1);
  s.finish(z);
  CHECK(s.state.finished_runs() == 2);
  for (const Drop& drop : s.heard<Drop>(s.state.find_worker("w1")->id)) CHECK(drop.keys.empty());
}

TEST_CASE("a graph with a failed task reports the same error and runs nothing") {  // cases 6, 13
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x"));
  s.fail(x);
  s.failures();
  s.heard<Assign>(a);
  Key y = s.submit({task("x"), task("y").on(x)})[1];
  auto failed = s.failures();
  REQUIRE(failed.size() == 2);
  CHECK(failed[1].key == y);
  CHECK(failed[1].failure.key == x);  // blame is kept
  CHECK(s.heard<Assign>(a).empty());
}

TEST_CASE("a released task stays known while a dependent lives") {  // case 7
  SchedulerHarness s;
  s.workers<1>();
  s.submit({task("x").unwanted(), task("y").on(key_of("x")), task("z").on(key_of("x"))});
  s.finish(key_of("x"));
  s.finish(key_of("y"));
  s.finish(key_of("z"));
  s.release(key_of("y"));
  CHECK(s.knows(key_of("x")));
  s.release(key_of("z"));
  CHECK_FALSE(s.knows(key_of("x")));
}

TEST_CASE("releasing one of two outputs ends only what it alone needs") {  // case 8
  SchedulerHarness s;
  s.workers<2>(2);
  Key x = key_of("x"), only_y = key_of("only y"), y = key_of("y"), z = key_of("z");
  s.submit({task("x").unwanted(), task("only y").unwanted(), task("y").on(x, only_y), task("z").on(x)});
  s.release(y);
  CHECK_FALSE(s.knows(y));
  CHECK_FALSE(s.knows(only_y));
  CHECK(s.assigned_to(x));
  s.finish(x);
  s.finish(z);
  CHECK(s.state_of(z) == TaskState::stored);
}

TEST_CASE("cancel by one of two clients ends only its own future") {  // case 9
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  int other = s.client();
  Key x = s.submit(task("x"));
  s.submit(task("x"), other);
  s.cancel(x);
  CHECK(s.failure_of(x) == ErrorKind::cancelled);
  CHECK(s.assigned_to(x) == a);
  s.finish(x);
  CHECK(s.heard<TaskStored>(other).size() == 1);
  CHECK(s.heard<TaskStored>(0).empty());
}

TEST_CASE("cancel does not stop an input of another client's task") {
  SchedulerHarness s;
  s.workers<1>();
  int other = s.client();
  Key x = s.submit(task("x"));
  Key y = s.submit(task("y").on(x), other);
  s.cancel(x);
  CHECK(s.failure_of(x) == ErrorKind::cancelled);
  CHECK(s.failure_of(y, other) == ErrorKind::none);
  s.finish(x);
  s.finish(y);
  CHECK(s.heard<TaskStored>(other).size() == 1);
  SUBCASE("unless it is forced") {
    Key z = s.submit(task("z"));
    Key w = s.submit(task("w").on(z), other);
    s.cancel(z, true);
    CHECK(s.failure_of(w, other) == ErrorKind::cancelled);
  }
}

TEST_CASE("cancel ends the task and what depends on it, with a reason") {  // cases 10, 11
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x"));
  Key y = s.submit(task("y").on(x));
  s.fire_and_forget(y);
  s.start(x);
  SUBCASE("the client's own dependents") {
    s.cancel(x, true);
    auto failed = s.failures();
    REQUIRE(failed.size() == 2);
    CHECK(failed[1].failure.message.find("cancelled by client") != std::string::npos);
    CHECK(s.heard<Revoke>(a).size() == 2);
  }
  SUBCASE("a fire-and-forget output goes on until it is forced") {
    s.cancel(y);
    CHECK(s.assigned_to(x) == a);
    s.cancel(y, true);
    s.release({x, y});
    CHECK(s.state.counts().tasks == 0);
  }
}

TEST_CASE("what was cancelled may be asked for again, by anyone") {
  SchedulerHarness s;
  s.workers<1>();
  int other = s.client();
  Key x = s.submit(task("x"));
  s.cancel(x);
  s.forget_mail();
  s.submit({task("x").unwanted(), task("free")}, other);  // as a row that nobody of this client needs
  CHECK(s.heard<TaskPending>(0).size() == 1);
  s.finish(x);
  CHECK(s.heard<TaskStored>(0).size() == 1);
}

TEST_CASE("a stale release or end of an earlier task does not touch a new one of the same key") {  // cases 12, 62
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = Key::named("x");
  TaskSpec spec = task("x");
  spec.key = x;
  s.submit(spec);
  AttemptId old = s.attempt(x);
  s.release(x);
  spec.shape.shared_arguments = Bytes(3);
  s.submit(spec);
  AttemptId fresh = s.attempt(x);
  CHECK(fresh > old);
  s.say(a, AttemptFinished{old, x, 8});
  CHECK(s.state_of(x) == TaskState::assigned);
  s.say(a, AttemptFailed{old, x, {Failure{.kind = ErrorKind::task_error}}});
  CHECK(s.state_of(x) == TaskState::assigned);
  s.say(a, AttemptFinished{fresh, x, 8});
  CHECK(s.state_of(x) == TaskState::stored);
}

TEST_CASE("one key may not name two calls") {  // case 16
  SchedulerHarness s;
  s.workers<1>();
  TaskSpec spec = task("x");
  spec.key = Key::named("x");
  s.submit(spec);
  int other = s.client();
  spec.shape.function.kernel = 2;
  s.submit(spec, other);
  auto refused = s.heard<Refused>(other);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].failure.failure.message.find("already names another call") != std::string::npos);
  s.finish(spec.key);
  CHECK(s.state_of(spec.key) == TaskState::stored);
}

TEST_CASE("retries count exceptions and timeouts; the last attempt's error is told") {  // case 14
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x").retries(2));
  s.fail(x, ErrorKind::task_error, "one");
  s.fail(x, ErrorKind::task_timeout, "two");
  CHECK(s.heard<Assign>(a).back().try_number == 3);
  s.fail(x, ErrorKind::task_error, "three");
  auto failed = s.failures();
  REQUIRE(failed.size() == 1);
  CHECK(failed[0].failure.message == "three");
  CHECK(failed[0].failure.attempt == 3);
  CHECK(failed[0].failure.worker == "w1");
}

TEST_CASE("the story of a task says why each of its attempts left its worker, and why it failed") {
  SchedulerHarness s;
  WorkerId a = s.workers<1>()[0];
  Key x = s.submit(task("x").retries(1)), y = s.submit(task("y").on(x));
  s.fail(x, ErrorKind::task_error, "one\nand more");
  s.lose(a);
  s.workers<1>();
  s.fail(x, ErrorKind::task_error, "two");
  auto reasons = [&](Key key) {
    std::vector<std::string> all;
    for (const scheduler::Transition& step : s.state.story())
      if (step.key == key && step.why) all.push_back(*step.why);
    return all;
  };
  auto own = reasons(x), inherited = reasons(y);
  REQUIRE(own.size() == 3);
  CHECK(own[0] == "TaskError: one");
  CHECK(own[1].starts_with("worker 'w1' was lost: "));
  CHECK(own[2] == "TaskError: two");
  REQUIRE(!inherited.empty());
  CHECK(inherited.back() == "task " + x.hex().substr(0, 12) + ", which it depends on, failed: TaskError: two");
}

TEST_CASE("a retry waits for its delay, which doubles") {
  SchedulerHarness s;
  s.workers<2>();
  Key x = key_of("x");
  s.submit({task("x").retries(2, 1s).unwanted(), task("sibling").retries(2, 1s).unwanted(), task("sum").on(x, key_of("sibling"))});
  s.fail(x);
  CHECK(s.state_of(x) == TaskState::ready);
  s.finish(key_of("sibling"));  // dealing out siblings does not pull it forward
  CHECK_FALSE(s.assigned_to(x));
  s.pass(1s);
  CHECK(s.assigned_to(x));
  s.fail(x);
  s.pass(1s);
  CHECK_FALSE(s.assigned_to(x));
  s.pass(1s);
  CHECK(s.assigned_to(x));
  SUBCASE("a cancelled one does not come back") {
    s.fail(x);
    s.release(key_of("sum"));
    s.pass(10s);
    CHECK(s.state.counts().tasks == 0);
  }
}

TEST_CASE("retry runs the failed ancestors again, and every wanted task among them") {  // case 15
  SchedulerHarness s;
  s.workers<1>();
  auto keys = s.submit({task("x"), task("y").on(key_of("x")), task("ok")});
  s.fail(keys[0]);
  s.finish(keys[2]);
  s.forget_mail();
  s.retry(keys[2]);  // finished: nothing happens
  s.expect_nothing_else();
  SUBCASE("from the end of the chain") { s.retry(keys[1]); }
  SUBCASE("also when the one that is named is not wanted any more") {
    Key z = s.submit(task("z").on(keys[1]));
    s.release(keys[1]);
    s.retry(keys[1]);
    s.release(z);
    s.finish(keys[0]);
    CHECK(s.state_of(keys[0]) == TaskState::stored);
    return;
  }
  CHECK(s.heard<TaskPending>().size() == 2);
  s.finish(keys[0]);
  s.finish(keys[1]);
  CHECK(s.state_of(keys[1]) == TaskState::stored);
}

TEST_CASE("crashes count apart from exceptions, up to max_attempts") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = s.submit(task("x").max_attempts(2));
  WorkerId first = s.assigned_to(x);
  s.fail(x, ErrorKind::task_crashed);
  CHECK(s.assigned_to(x) == (first == a ? b : a));  // somewhere else
  s.fail(x, ErrorKind::task_crashed);
  CHECK(s.failure_of(x) == ErrorKind::task_crashed);
}

TEST_CASE("an input that fails for good fails each reader once, and late results of failed tasks are freed") {  // case 61
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = key_of("x"), y = key_of("y"), z = key_of("z");
  s.submit({task("x").at("w1").unwanted(), task("y").on(x).at("w2"), task("z").on(x).at("w1")});
  s.finish(x);
  AttemptId attempt = s.attempt(y);
  s.start(y);
  s.say(a, ValuesLost{{x}});
  s.fail(x, ErrorKind::task_error);
  CHECK(s.failure_of(z) == ErrorKind::task_error);
  CHECK(s.state_of(y) == TaskState::failed);
  s.heard<Drop>(b);
  s.say(b, AttemptFinished{attempt, y, 8});
  CHECK(s.state_of(y) == TaskState::failed);
  CHECK(s.heard<Drop>(b).size() == 1);
}

TEST_CASE("a worker is told to forget what it reported before, never what it reports meanwhile") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = s.submit(task("x").at("w1")), busy = s.submit(task("busy").at("w1"));
  s.finish(x);
  s.release(x);
  SUBCASE("the word says how much was heard before it") {
    s.finish(busy);
    std::vector<Drop> drops = s.heard<Drop>(a);
    REQUIRE(drops.size() == 1);
    CHECK(drops[0].keys == std::vector{x});
    CHECK(drops[0].reports == 2);
  }
  SUBCASE("a word that waits for others is taken back") {
    s.submit({task("x").at("w2")});
    s.say(a, ValuesHeld{{{x, 8}}});
    CHECK(s.state_of(x) == TaskState::stored);
    s.finish(busy);
    CHECK(s.heard<Drop>(a).empty());
  }
}

TEST_CASE("the last future of a running task stops it") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x"));
  s.start(x);
  s.release(x);
  auto revoked = s.heard<Revoke>(a);
  REQUIRE(revoked.size() == 1);
  CHECK(revoked[0].hard);
  s.say(a, AttemptFinished{revoked[0].attempt, x, 8});  // it was just ending
  CHECK(s.heard<Drop>(a).size() == 1);
}

TEST_CASE("a task that failed by itself keeps what it was given until it is forgotten") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = s.submit(task("x"));
  s.finish(x);
  WorkerId holder = s.holds(a, x) ? a : b;
  Key y = s.submit(task("y").on(x));
  Key z = s.submit(task("z").on(y));
  s.release(x);
  s.fail(y);
  s.forget_mail();
  CHECK(s.state_of(x) == TaskState::stored);
  CHECK(s.ask("describe", {}, {y}).failure.failure.kind == ErrorKind::none);
  SUBCASE("and lets go of it then") {
    s.release({y, z});
    CHECK(s.heard<Drop>(holder)[0].keys[0] == x);
  }
  SUBCASE("or when it is tried again and ends") {
    s.retry(y);
    CHECK(s.assigned_to(y));
    s.finish(y);
    CHECK(s.heard<Drop>(holder)[0].keys[0] == x);
    s.release({y, z});
  }
  SUBCASE("but nothing is computed again for it") {
    s.lose(holder);
    CHECK(s.state_of(x) == TaskState::released);
    s.release({y, z});
  }
  s.goodbye();
  CHECK(s.state.empty());
}

TEST_CASE("a worker that has nothing left to do hears what it may forget") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x"));
  Key y = s.submit(task("y"));
  s.finish(x);
  s.release(x);
  CHECK(s.heard<Drop>(a).empty());  // it will be spoken to soon
  s.finish(y);
  CHECK(s.heard<Drop>(a).size() == 1);
}
