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
};
const char* name_of(Place place);

struct Row {
  Place place = Place::threads;
  int workers = 1;          // each with one slot; an embedded cluster has one worker with a slot per core
  bool store = false;       // the scheduler keeps its intents on disk
  bool operator==(const Row&) const = default;
};
/// Such as "threads W=2 store".
std::string name_of(const Row& row);

struct ClusterOptions {
  /// Workers lend values to readers on this host; else everything goes through TCP.
  bool same_host_values = true;
  std::vector<std::string> scheduler_arguments, worker_arguments;
  bool encrypt_values = true;
};

class Cluster {
 public:
  explicit Cluster(const Row& row, const ClusterOptions& options = {});
  ~Cluster();
  Cluster(const Cluster&) = delete;

  Client& client() { return *client_; }
  const Processes& processes() const { return processes_; }
  /// "worker-0", …
  static Options on_worker(int number);
  /// End a worker at once, as a crash would.
  void kill_worker(int number);

 private:
  void start_scheduler(const Row& row, const ClusterOptions& options);
  void start_worker(int number, const Row& row, const ClusterOptions& options);

  std::string folder_;
  std::optional<ChildProcess> scheduler_;
  std::vector<ChildProcess> workers_;
  Processes processes_;
  std::optional<Client> client_;
};

}  // namespace weft::bench
