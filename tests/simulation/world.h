// A whole cluster in one thread: the real client, scheduler and worker states, virtual time, one generator, and a network that
// delays, cuts and half-opens links. Messages cross it as encoded bytes. Values are hashes of (key, inputs), so a wrong or stale
// result shows. Each seed draws which faults exist and how often, how big the graphs are, and who takes part.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "client/session_state.h"
#include "scheduler/state.h"
#include "scheduler/store.h"
#include "simulation/random.h"
#include "worker/state.h"

namespace weft::simulation {

/// What a seed decides before anything runs. Shrinking a failing run means making this smaller.
struct Plan {
  std::uint64_t seed = 0;
  std::uint32_t workers = 2;
  std::uint32_t clients = 1;
  std::uint32_t graphs = 2;              // per client
  std::uint32_t tasks = 12;              // per graph, at most
  Duration faults_until = 20s;

  // Mean time between faults of one kind, 0: none.
  Duration worker_kill{};
  Duration link_cut{};
  Duration link_freeze{};                // nothing gets through for a while, nobody is told
  Duration worker_pause{};
  Duration value_damage{};
  Duration worker_retire{};
  std::uint32_t throw_percent = 0;       // of tasks, on their first try
  std::uint32_t crash_percent = 0;
  std::uint32_t fetch_fail_percent = 0;
  std::uint32_t cancel_percent = 0;      // of graphs
  std::uint32_t release_early_percent = 0;
  std::uint32_t scatter_percent = 0;
  std::uint32_t late_end_percent = 0;    // of stopped runs: they end nevertheless
  std::uint32_t bad_chunk_percent = 0;   // of graphs: a second chunk that is refused
  std::uint32_t scheduler_crash_permille = 0;  // at each persist, commit, acknowledge and send
  bool impure = false;                   // tasks do something: no run may be repeated needlessly
  bool trees = false;                    // values of any size are spread as trees
  Duration delay_min = 1us;
  Duration delay_max = 2ms;

  static Plan draw(std::uint64_t seed);
  std::string text() const;
};

struct Report {
  std::uint64_t tasks = 0, runs = 0, faults = 0, events = 0;
  std::uint64_t repeats = 0;             // runs of keys that had run before
  std::uint64_t trace = 0;               // hash over everything that happened
  std::string error;                     // empty: every oracle was content
  Duration virtual_time{};
};

/// Run one plan to its end: faults, healing, everything answered, everything released, nothing left.
Report run(const Plan& plan);

}  // namespace weft::simulation
