#include "simulation/exhaustive.h"

#include "simulation/random.h"
#include "simulation/world.h"

namespace weft::simulation {

Exhausted exhaust(std::uint32_t tasks, FaultKind fault, std::uint64_t runs_max) {
  Exhausted result;
  // Shapes of graphs are drawn: each seed whose graph has that many tasks is another one. Draws 0 to 3 hit each worker or link.
  for (std::uint64_t draw = 0; draw < 4; ++draw) {
    Plan plan{.seed = draw, .workers = 2, .clients = 1, .graphs = 1, .tasks = tasks, .faults_until = 1ms};
    plan.faults.push_back({Duration{}, fault, draw});
    Chooser chooser;
    do {
      ++result.runs;
      Report report = run(plan, &chooser);
      if (report.error.empty()) continue;
      result.error = report.error;
      return result;
    } while (chooser.next() && result.runs < runs_max);
    result.situations += chooser.situations();
    if (result.runs >= runs_max) return result;
  }
  result.complete = true;
  return result;
}

}  // namespace weft::simulation
