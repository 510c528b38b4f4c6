// A slice of fresh seeds in every test run, and what the simulator must promise of itself.
#include <doctest/doctest.h>

#include <cstdlib>
#include <random>

#include "simulation/exhaustive.h"
#include "simulation/world.h"

using namespace weft::simulation;
using weft::Duration;

TEST_CASE("a cluster without faults runs every task once") {
  Plan plan{.seed = 1, .workers = 3, .clients = 2, .graphs = 3, .tasks = 40};
  Report report = run(plan);
  CHECK(report.error == "");
  CHECK(report.runs > 0);
  CHECK(report.repeats == 0);
}

TEST_CASE("the same seed gives the same run") {
  Plan plan = Plan::draw(4711);
  CHECK(run(plan).trace == run(plan).trace);
}

TEST_CASE("a seed gives the same run in every build, with every compiler") {
  // What `simulate --seeds 1 --seed S --hash` prints. It changes with every change of the states or of the simulator, on purpose.
  CHECK(run(Plan::draw(1)).trace == 0xdc15b4aefe1ad3c4);
  CHECK(run(Plan::draw(4711)).trace == 0xcebdffd9a26f1216);
}

TEST_CASE("a state that goes through its bytes and back does what it would have done") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    Plan plan = Plan::draw(seed);
    Report plain = run(plan);
    plan.snapshot_every = 3;
    Report passed = run(plan);
    INFO("seed " << seed);
    CHECK(passed.error == "");
    CHECK(passed.trace == plain.trace);
  }
}

TEST_CASE("only the scheduler dies: an impure task runs at most once") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Plan deaths{.seed = seed, .network_seed = seed, .workers = 3, .graphs = 3, .tasks = 20, .impure = true};
    for (std::int64_t i = 1; i < 40; ++i) deaths.faults.push_back({Duration(i * 500'000'000), FaultKind::scheduler_death, seed * 64 + static_cast<std::uint64_t>(i)});
    Report report = run(deaths);
    INFO("seed " << seed);
    CHECK(report.error == "");
    CHECK(report.repeats == 0);
  }
}

TEST_CASE("every order of two tasks and a worker's death ends well") {
  Exhausted result = exhaust(2, FaultKind::worker_kill, 20'000);
  CHECK(result.error == "");
  CHECK(result.runs > 100);
}

TEST_CASE("fresh seeds: every future ends right, and nothing is left") {
  const char* chosen = std::getenv("WEFT_SIMULATION_SEED");
  std::uint64_t first = chosen ? std::strtoull(chosen, nullptr, 10) : std::random_device{}();
  MESSAGE("seeds from " << first << " (repeat with WEFT_SIMULATION_SEED=" << first << ")");
  for (std::uint64_t seed = first; seed < first + 1000; ++seed) {
    Plan plan = Plan::draw(seed);
    Report report = run(plan);
    INFO(plan.text());
    REQUIRE(report.error == "");
  }
}
