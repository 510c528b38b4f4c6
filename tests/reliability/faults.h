// The faults of a chaos run: what breaks, for how long, and how it is mended. All drawn from one seed and printed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "reliability/chaos_clients.h"
#include "reliability/cluster.h"

namespace weft::reliability {

/// What a fault may break.
struct Battlefield {
  Cluster& cluster;
  ChaosClients& clients;
  std::string spill_disk;                 // a small file system of the workers; empty if none could be made
  std::atomic<std::int64_t>& wall_clock;  // nanoseconds by which the daemons' wall clocks are wrong
};

/// A fault that happened and is to be mended.
struct Fault {
  std::string kind, what;
  Time mended_at;
  std::function<void()> mend;
};

/// One fault of a kind that is possible now.
Fault break_something(Battlefield& field, std::mt19937_64& random);

}  // namespace weft::reliability
