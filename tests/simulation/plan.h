// What one run does, as data: the graphs' and the network's seeds, how often tasks misbehave, and each fault with its time. A failing
// plan can be made smaller by leaving parts of it out, since no part shifts the others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/time.h"

namespace weft::simulation {

enum class FaultKind : std::uint8_t {
  worker_kill,      // its values and runs are gone; a new process comes after a while
  link_cut,         // both ends hear of it
  link_half_cut,    // only the scheduler hears of it
  link_freeze,      // nothing gets through for a while, nobody is told
  link_one_way,     // the same in one direction
  worker_pause,     // the process stands still for a while
  value_damage,     // the store of a worker lost a value
  worker_retire,    // the process is told to end
  worker_pressure,  // its memory is nearly full for a while
  scheduler_death,  // at one of its next boundaries: persist, commit, acknowledge, send
  scheduler_pause,
  value_rot,         // a copy that no reader can use; its holder does not know
  worker_revoked,    // its key is taken back: the process ends, and comes back with another key
  scheduler_amnesia, // it dies, and its disk with it
  host_death,        // the scheduler dies as above, and at the same moment a worker on its machine
};
inline constexpr int fault_kinds = 15;

struct Fault {
  Duration when{};         // since the start
  FaultKind kind{};
  std::uint64_t draw = 0;  // decides whom it hits and for how long
};

struct Plan {
  std::uint64_t seed = 0;                // of the graphs
  std::uint64_t network_seed = 0;        // of delays, run times and whatever else is drawn while it runs
  std::uint32_t workers = 2;
  std::uint32_t clients = 1;
  std::uint32_t graphs = 2;              // per client
  std::uint32_t tasks = 12;              // per graph, at most
  Duration faults_until = 20s;
  std::uint32_t throw_percent = 0;       // of tasks, on their first try
  std::uint32_t crash_percent = 0;
  std::uint32_t fetch_fail_percent = 0;
  std::uint32_t cancel_percent = 0;      // of graphs
  std::uint32_t release_early_percent = 0;
  std::uint32_t scatter_percent = 0;
  std::uint32_t share_percent = 0;       // of graphs: another client's, submitted again
  std::uint32_t twice_percent = 0;       // of tasks: they read one of their inputs twice
  std::uint32_t reserve_percent = 0;     // of graphs: their tasks need two slots; and, drawn apart, a resource of which a worker has one
  std::uint32_t late_end_percent = 0;    // of stopped runs: they end nevertheless
  std::uint32_t late_frame_percent = 0;  // of frames on a link that was cut: they arrive all the same
  bool impure = false;                   // tasks do something: no run may be repeated needlessly
  bool once = false;                     // and half of them may begin once only
  bool trees = false;                    // values of any size are spread as trees
  std::uint32_t snapshot_every = 0;      // events; the scheduler's state goes through its bytes and back
  Duration join_until{};                 // workers start some time before, not all at once
  Duration transfer_max{};               // until healing, of a value between workers; 0: as long as two messages
  Duration delay_max = 2ms;
  std::vector<Fault> faults;             // by time

  /// What a seed decides. Swarm: a random subset of the faults, each at a random rate.
  /// Source: Groce, Zhang, Eide, Chen, Regehr (2012), Swarm testing, ISSTA.
  static Plan draw(std::uint64_t seed);
  bool has(FaultKind kind) const;
  /// No fault but this one, and no task misbehaves.
  bool only(FaultKind kind) const;
  std::string text() const;
  /// A test case for simulation_test.cpp that runs this plan.
  std::string as_test(const std::string& title) const;
};

}  // namespace weft::simulation
