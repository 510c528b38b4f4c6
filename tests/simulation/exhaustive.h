// A bounded model check of the real states: every order of what happens in a tiny cluster, with one fault at every moment.
#pragma once

#include <string>

#include "simulation/plan.h"

namespace weft::simulation {

struct Exhausted {
  std::uint64_t runs = 0, situations = 0;
  bool complete = false;    // no order was left out
  std::string error;        // of the first run that failed
};

/// Every order of messages, runs, fetches and commits of one graph of `tasks` tasks on two workers, from the moment of its submission
/// until a clock is needed, with this fault at every moment or not at all. What depends only on what each party has seen is
/// walked once.
Exhausted exhaust(std::uint32_t tasks, FaultKind fault, std::uint64_t runs_max);

}  // namespace weft::simulation
