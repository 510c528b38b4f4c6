// Makes a failing plan smaller while it still fails.
#pragma once

#include "simulation/world.h"

namespace weft::simulation {

struct Shrunk {
  Plan plan;
  Report report;
};

/// The smallest failing plan found within so many runs. A part that is left out changes when the rest happens: other seeds of the
/// network are tried before a smaller plan is given up.
Shrunk shrink(const Plan& failing, std::uint32_t runs_max = 4'000);

}  // namespace weft::simulation
