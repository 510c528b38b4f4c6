// A slice of fresh seeds in every test run, and what the simulator must promise of itself.
#include <doctest/doctest.h>

#include <cstdlib>
#include <random>

#include "simulation/world.h"

using namespace weft::simulation;

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
