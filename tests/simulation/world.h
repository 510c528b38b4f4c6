// A whole cluster in one thread: the real client, scheduler and worker states, virtual time, one generator, and a network that
// delays, cuts and half-opens links. Messages cross it as encoded bytes. Values are hashes of (key, inputs), so a wrong or stale
// result shows.
#pragma once

#include <string>

#include "simulation/chooser.h"
#include "simulation/plan.h"

namespace weft::simulation {

struct Report {
  std::uint64_t tasks = 0, runs = 0, faults = 0, events = 0;
  std::uint64_t repeats = 0;             // runs of keys that had run before
  std::uint64_t trace = 0;               // hash over everything that happened
  std::string error;                     // empty: every oracle was content
  Duration virtual_time{};
};

/// Run one plan to its end: faults, healing, everything answered, everything released, nothing left. With a chooser the order of
/// what happens is its decision, and so is the moment of the plan's faults; the report is then of no use but for its error.
Report run(const Plan& plan, Chooser* chooser = nullptr);

}  // namespace weft::simulation
