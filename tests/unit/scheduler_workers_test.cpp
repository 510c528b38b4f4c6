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
