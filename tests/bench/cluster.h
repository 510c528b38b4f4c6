// One cluster to measure, started fresh: in this process, or as real processes over loopback TCP. A row of the table says which.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <weft/weft.h>

#include "bench/usage.h"
#include "common/process.h"

namespace weft::bench {

/// Where functions run. Numbers of different places are never mixed.
enum class Place : std::uint8_t {
  embedded,    // scheduler, worker and client are threads of one process
  threads,     // on threads of the worker: the way of built-in functions
  executors,   // in the worker's executor processes: the way of user functions
  nowhere,     // workers are mere connections that say "done" at once
};
const char* name_of(Place place);

/// How values move between processes.
enum class Values : std::uint8_t {
  mapped,      // as by default: readers on one host map them where they lie
  clear,       // through TCP, as in a trusted network
  encrypted,   // through TCP, as between hosts
};

struct Row {
  Place place = Place::threads;
  int workers = 1;          // each with one slot; an embedded cluster has one worker with a slot per core
  bool store = false;       // the scheduler keeps its intents on disk
  Values values = Values::mapped;
  int first_slots = 1;      // of worker 0
  std::uint64_t memory = 8ull << 30;  // of each worker
};
/// Such as "threads W=2 store".
std::string name_of(const Row& row);

class Cluster {
 public:
  explicit Cluster(const Row& row);
  ~Cluster();
  Cluster(const Cluster&) = delete;

  Client& client() { return *client_; }
  const Processes& processes() const { return processes_; }
  /// End a worker at once, as a crash would.
  void kill_worker(int number);

 private:
  void start_scheduler(const Row& row);
  void start_worker(int number, const Row& row);

  std::string folder_;
  std::optional<ChildProcess> scheduler_;
  std::vector<ChildProcess> workers_;
  Processes processes_;
  std::optional<Client> client_;
};

}  // namespace weft::bench
