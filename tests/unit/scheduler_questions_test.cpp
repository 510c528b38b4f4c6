// What the scheduler answers to those who ask why.
#include <signal.h>

#include <nlohmann/json.hpp>

#include "support/scheduler_harness.h"

using namespace weft;
using namespace weft::test;
using Json = nlohmann::json;

static Json explained(SchedulerHarness& s, Key key) { return Json::parse(s.ask("explain", {}, {key}).body); }

TEST_CASE("who retires and who stays is said of each, with the reason") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x")), y = s.submit(task("y"));
  s.finish(x);
  s.finish(y);
  Json refused = Json::parse(s.ask("retire", {"w1"}).body);
  CHECK(refused == Json::array({{{"worker", "w1"}, {"retiring", false}, {"already", false},
                                 {"reason", "it holds 2 values that are wanted, and no other worker stays to take them; start another one first"}}}));
  CHECK_FALSE(s.state.worker(a)->retiring);
  s.workers<1>();
  CHECK(Json::parse(s.ask("retire", {"w1"}).body) == Json::array({{{"worker", "w1"}, {"retiring", true}, {"already", false}}}));
  CHECK(s.state.worker(a)->retiring);
  CHECK(Json::parse(s.ask("retire", {"w1"}).body) == Json::array({{{"worker", "w1"}, {"retiring", true}, {"already", true}}}));
}

TEST_CASE("of all workers at once those stay that hold what is wanted") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = s.submit(task("x").at("w1"));
  s.finish(x);
  Json each = Json::parse(s.ask("retire", {"w1", "w2"}).body);
  CHECK_FALSE(each[0]["retiring"]);
  CHECK(each[1]["retiring"]);
  CHECK_FALSE(s.state.worker(a)->retiring);
}

TEST_CASE("nobody retires when one of the names is wrong") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  s.ask("retire", {"w1", "nobody"});
  CHECK_FALSE(s.state.worker(a)->retiring);
  CHECK_FALSE(s.state.worker(b)->retiring);
}

TEST_CASE("of a task that nobody may run it is said what is missing, and at whom") {
  SchedulerHarness s;
  s.workers<1>();
  Json gpu = explained(s, s.submit(task("x").resource("GPU", 1)));
  CHECK(gpu["why"] == "no worker here may ever run it: no worker offers GPU=1; start one with --resources GPU=1");
  CHECK(gpu["workers"] == Json::array({{{"worker", "w1"}, {"reason", "it does not offer GPU=1"}}}));
  Json wide = explained(s, s.submit(task("y").cores(8)));
  CHECK(wide["why"] == "no worker here may ever run it: no worker has 8 cores; start one with --nthreads 8");
  CHECK(wide["workers"][0]["reason"] == "it has fewer than 8 cores");
  Json named = explained(s, s.submit(task("z").at("w9")));
  CHECK(named["why"] == "no worker here may ever run it: no worker is called w9; start one with --name w9");
  CHECK(named["workers"][0]["reason"] == "the task asks for w9");
}

TEST_CASE("of a task that nobody is there to run no more is said than that") {
  SchedulerHarness s;
  CHECK(explained(s, s.submit(task("x")))["why"] == "there is no worker; start one with weft-worker");
}

TEST_CASE("of a crash it is said by which signal, where and after which words") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x").max_attempts(1));
  s.say(a, AttemptFailed{s.attempt(x), x, {Failure{.kind = ErrorKind::task_crashed, .message = "boom", .output = "last words\n", .signal = SIGSEGV, .address = 0x10}}});
  Json error = explained(s, x)["error"];
  CHECK(error["signal"] == SIGSEGV);
  CHECK(error["address"] == 0x10);
  CHECK(error["output"] == "last words\n");
  CHECK(error["try"] == 1);
}
