// Workers that leave, fail to serve, and give up fetches (scheduler.md 6.3, group E).
#include "support/scheduler_harness.h"

using namespace weft;
using namespace weft::test;

TEST_CASE("a worker that was told to go is not blamed for what it was running") {  // case 63
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = s.submit(task("x").max_attempts(1).at("w1", false));
  s.start(x);
  s.say(a, WorkerLeaving{});
  s.lose(a);
  CHECK(s.assigned_to(x) == b);
  SUBCASE("one that dies unasked is") {
    s.start(x);
    s.lose(b);
    CHECK(s.failure_of(x) == ErrorKind::task_poisoned);
  }
}

TEST_CASE("a holder that could not serve twice in a row is not asked again") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = key_of("x");
  s.submit({task("x").at("w1"), task("y").on(x).at("w2")});
  s.finish(x, 1000);
  s.say(b, InputMissing{x, {a}});
  CHECK(s.state_of(x) == TaskState::stored);  // once may be chance
  s.say(b, InputMissing{x, {a}});
  CHECK(s.state_of(x) == TaskState::assigned);
}

TEST_CASE("a reader that is taken back frees its place at the source for the next") {
  scheduler::Options options;
  options.broadcast_fan_out = 1;
  SchedulerHarness s(options);
  auto [a, b, c] = s.workers<3>();
  Key x = key_of("x");
  s.submit({task("x").at("w1"), task("y").on(x).at("w2"), task("z").on(x).at("w3")});
  s.finish(x, 2u << 20);
  CHECK(s.heard<Assign>(b)[0].inputs[0].locations.size() == 1);
  CHECK(s.heard<Assign>(c)[0].inputs[0].locations.empty());
  s.release(key_of("y"));
  auto holders = s.heard<Holders>(c);
  REQUIRE(holders.size() == 1);
  CHECK(holders[0].input.locations.size() == 1);
}

TEST_CASE("an attempt that reads a value of which copies are wanted gives its place at the source back") {  // seeds 606, 101656
  scheduler::Options options;
  options.broadcast_fan_out = 1;
  SchedulerHarness s(options);
  auto [a, b, c] = s.workers<3>();
  Key x = key_of("x");
  s.submit(task("x").at("w1"));
  s.finish(x, 2u << 20);
  s.ask("replicate", {"1"}, {x});
  s.submit({task("y").on(x).at("w2"), task("z").on(x).at("w3")});
  CHECK(s.heard<Assign>(b)[0].inputs[0].locations.size() == 1);
  CHECK(s.heard<Assign>(c)[0].inputs[0].locations.empty());
  SUBCASE("at once") {}
  SUBCASE("after it had to ask again") { s.say(b, InputMissing{x, {a}}); }
  s.release(key_of("y"));
  auto holders = s.heard<Holders>(c);
  REQUIRE(holders.size() == 1);
  CHECK(holders[0].input.locations.size() == 1);
}

static TaskSpec once(std::string_view name) {
  TaskSpec spec = task(name).max_attempts(1);
  spec.shape.options.pure = false;
  return spec;
}

TEST_CASE("what may run once is not given to another when its worker is lost") {  // found by ten minutes of chaos
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = s.submit(once("x").at("w1", false));
  REQUIRE(s.assigned_to(x) == a);
  SUBCASE("and had not said that it runs") { s.lose(a); }
  SUBCASE("and was told to go") {
    s.start(x);
    s.say(a, WorkerLeaving{});
    s.lose(a);
  }
  SUBCASE("or comes back on a new link and does not know it") {
    s.cut(a);
    s.join({.name = "w1", .instance = 1});
  }
  CHECK(s.failure_of(x) == ErrorKind::worker_unavailable);
  CHECK(s.heard<Assign>(b).empty());
  s.retry(x);  // this is for the user to say
  CHECK(s.state_of(x) == TaskState::assigned);
}

TEST_CASE("what may run once goes to another when its worker gives it back") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = s.submit(once("x").at("w1", false));
  s.say(a, WorkerLeaving{});
  s.give_back(x);
  CHECK(s.assigned_to(x) == b);
}

TEST_CASE("what may run once is not sent ahead of its inputs") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  s.submit({task("x"), once("y").on(key_of("x"))});
  CHECK(s.heard<Assign>(a).size() == 1);
  s.finish(key_of("x"));
  CHECK(s.heard<Assign>(a).size() == 1);
}

TEST_CASE("a worker whose process is found gone is lost at once; one that is back, or may run something once, is not") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = s.submit(task("x").at("w1", false));
  REQUIRE(s.assigned_to(x) == a);
  SUBCASE("gone") {
    s.cut(a);
    CHECK(s.probed == std::vector<WorkerId>{a});
    CHECK(s.assigned_to(x) == a);  // it may come back
    s.step(scheduler::ProcessGone{a});
    CHECK(s.assigned_to(x) == b);
    s.step(scheduler::ProcessGone{a});  // said twice
    CHECK(s.assigned_to(x) == b);
  }
  SUBCASE("back in the meantime") {
    s.cut(a);
    s.join({.name = "w1", .running = {{s.attempt(x), x, true}}, .instance = 1});
    s.step(scheduler::ProcessGone{a});
    CHECK(s.assigned_to(x) == a);
  }
  SUBCASE("with what may run once") {
    Key y = s.submit(once("y").at("w1"));
    s.finish(x);
    REQUIRE(s.assigned_to(y) == a);
    s.cut(a);
    s.step(scheduler::ProcessGone{a});
    CHECK(s.assigned_to(y) == a);
  }
  s.step(scheduler::ProcessGone{{77}});  // nobody
}

TEST_CASE("a reader that has its input twice runs when the lost input is there again") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key input = s.submit(task("input").at("w1", false));
  s.finish(input);
  // Nobody has the room that the reader needs: it is ready when its input goes.
  Key reader = s.submit(task("reader").on(input, input).at("w3"));
  REQUIRE(s.state_of(reader) == TaskState::ready);
  s.lose(a);
  CHECK(s.state_of(reader) == TaskState::waiting);
  CHECK(s.assigned_to(input) == b);
  s.finish(input);
  s.join({.name = "w3"});
  CHECK(s.state_of(reader) == TaskState::assigned);
}
