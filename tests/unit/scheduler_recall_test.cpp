// What is taken back from a worker that has too much, and where it goes then; what crashed somewhere.
#include "support/mini_cluster.h"

using namespace weft;
using namespace weft::test;

static std::string number(std::string_view text, int i) { return std::string(text) + std::to_string(i); }

TEST_CASE("recall: what waits behind a task that runs longer than was thought goes to who is idle") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  for (int i = 0; i < 5; ++i) s.finish(s.submit(task(number("warm", i))), 8, 1ms);
  Key running = s.submit(task("long")), waiting = s.submit(task("short"));
  REQUIRE(s.assigned_to(waiting) == a);
  s.start(running);
  auto [b] = s.workers<1>();
  s.pass(2s);
  auto taken_back = s.heard<Revoke>(a);
  REQUIRE(taken_back.size() == 1);
  s.give_back(waiting);
  CHECK(s.assigned_to(waiting) == b);
}

TEST_CASE("recall: what was taken back is not given there again for the sake of its inputs") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  for (int i = 0; i < 5; ++i) s.finish(s.submit(task(number("warm", i))), 8, 1ms);
  Key big = s.submit(task("big"));
  s.finish(big, 100'000'000, 1ms);
  Key running = s.submit(task("long").on(big)), waiting = s.submit(task("short").on(big));
  REQUIRE(s.assigned_to(waiting) == a);
  s.start(running);
  auto [b] = s.workers<1>();
  s.pass(5s);
  REQUIRE(s.heard<Revoke>(a).size() == 1);
  s.give_back(waiting);
  CHECK(s.assigned_to(waiting) == b);
}

TEST_CASE("recall: what crashed at the idle worker goes back there only if it would wait long elsewhere, and then stays") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  for (int i = 0; i < 10; ++i) s.finish(s.submit(task(number("warm", i))), 8, 1ms);
  Key x = s.submit(task("x")), running = s.submit(task("long"));
  WorkerId crashed = s.assigned_to(x), other = crashed == a ? b : a;
  REQUIRE(s.assigned_to(running) == other);
  s.start(x);
  s.start(running);
  s.fail(x, ErrorKind::task_crashed);
  REQUIRE(s.assigned_to(x) == other);
  s.pass(900ms);
  CHECK(s.heard<Revoke>(other).empty());
  s.pass(5s);
  REQUIRE(s.heard<Revoke>(other).size() == 1);
  s.give_back(x);
  CHECK(s.assigned_to(x) == crashed);
  CHECK(s.heard<Revoke>(crashed).empty());
}

TEST_CASE("what crashed at a worker is not kept for it when its siblings are") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  for (int i = 0; i < 4; ++i) s.finish(s.submit(task(number("warm", i))), 8, 10s);  // of long tasks, one waits behind the one that runs
  Key first = s.submit(task("first").at("w2")), second = s.submit(task("second").at("w2"));
  Key x = key_of("x"), y = key_of("y"), z = key_of("z");
  s.submit({task("x").unwanted(), task("y").unwanted(), task("z").unwanted(), task("sum").on(x, y, z)});
  REQUIRE(s.assigned_to(x) == a);
  REQUIRE(s.assigned_to(y) == a);
  Key third = s.submit(task("third")), urgent = s.submit(task("urgent").priority(1));
  REQUIRE(s.state_of(third) == TaskState::ready);
  s.fail(x, ErrorKind::task_crashed);
  REQUIRE(s.assigned_to(urgent) == a);
  s.finish(y, 8, 10s);
  REQUIRE(s.assigned_to(z) == a);  // with it came its family
  REQUIRE(s.state_of(x) == TaskState::ready);
  s.finish(first, 8, 10s);
  s.finish(second, 8, 10s);
  CHECK(s.assigned_to(x) == b);
}

TEST_CASE("recall: what was sent ahead of its inputs keeps nobody from starting") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x"));
  Key y = s.submit(task("y").on(x));
  REQUIRE(s.assigned_to(y) == a);
  s.workers<1>();
  s.pass(2s);
  CHECK(s.heard<Revoke>(a).empty());
}
