// A cluster of real processes whose parts and links can be broken one by one: a scheduler with a store, workers, and between
// all of them links over TCP that lead through proxies; or sockets in a folder where links do not matter.
#pragma once

#include <signal.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <weft/weft.h>

#include "common/process.h"
#include "reliability/processes.h"
#include "reliability/proxy.h"

namespace weft::reliability {

struct ClusterOptions {
  int workers = 2;
  int slots = 1;                                   // of each worker
  bool links = false;                              // TCP through proxies, instead of sockets in a folder
  std::string memory = "256MiB";                   // of each worker
  std::vector<std::string> scheduler, worker;      // more options
  std::map<std::string, std::string> environment;  // of all
  std::string spill_folder;                        // where workers' folders lie; empty: in the cluster's
  bool recorded = false;                           // each start of the scheduler, for `recordings_that_fail`
  bool start = true;
};

class Cluster {
 public:
  explicit Cluster(const ClusterOptions& options = {});
  ~Cluster();
  Cluster(const Cluster&) = delete;

  const std::string& folder() const { return folder_; }
  /// Where clients connect; with links, through the link of this number.
  std::string address(std::size_t link = 0) const;
  std::size_t size() const { return workers_.size(); }
  int scheduler_pid() const { return scheduler_ ? scheduler_->pid() : -1; }
  int worker_pid(std::size_t i) const { return workers_[i].process ? workers_[i].process->pid() : -1; }

  void start_scheduler();
  void start_worker(std::size_t i);
  /// The signal, and its end; the exit code.
  int end_scheduler(int signal = SIGKILL, Duration patience = 30s);
  int end_worker(std::size_t i, int signal = SIGKILL, Duration patience = 30s);
  /// What ended by itself, in words; empty: all still run.
  std::string fallen();

  Proxy& worker_link(std::size_t i) { return *workers_[i].link; }
  Proxy& value_link(std::size_t i) { return *workers_[i].values; }
  Proxy& client_link(std::size_t i) { return *client_links_[i]; }
  std::size_t client_links() const { return client_links_.size(); }

  /// SIGTERM to all, workers first; what is wrong afterwards, in words: exit codes, processes, files. Empty: nothing.
  std::string shut_down();
  /// What `weft replay` says of the recordings in which an invariant of the scheduler breaks. Empty: nothing.
  std::string recordings_that_fail() const;

 private:
  struct Worker {
    std::optional<ChildProcess> process;
    std::unique_ptr<Proxy> link, values;
    std::string folder;
  };
  ChildProcess start(const std::string& program, std::vector<std::string> arguments, const std::string& log);

  ClusterOptions options_;
  std::string folder_;
  std::optional<ChildProcess> scheduler_;
  int starts_ = 0;  // of the scheduler
  std::vector<Worker> workers_;
  std::vector<std::unique_ptr<Proxy>> client_links_;
};

/// Wait until so many workers are there and heard.
void await_workers(Client& client, std::size_t count, Duration patience = 60s);
/// Runs of tasks that the scheduler has seen end well.
std::uint64_t runs_of(Client& client);

}  // namespace weft::reliability
