// A cluster of real processes on this machine: one scheduler, some workers, sockets in a private folder.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace weft {

/// Say what a LocalCluster consists of: `weft::LocalCluster cluster({.workers = 4});`.
struct LocalClusterOptions {
  /// Worker processes. Default 0: one for each core.
  unsigned workers = 0;
  /// Tasks that each worker runs at once. Default 1.
  unsigned threads_per_worker = 1;
  /// Bytes of values that each worker keeps in memory before it spills. Default 0: this machine's memory, shared evenly.
  std::uint64_t memory_limit = 0;
  /// Bytes that one task's process may allocate; a task that wants more fails with MemoryLimit. Default 0: `memory_limit`.
  std::uint64_t executor_memory = 0;
  /// What each worker offers, such as `{{"GPU", 1}}`.
  std::map<std::string, double> resources{};
  /// Words put before the program of each executor, such as "valgrind -q".
  std::string executor_wrapper{};
  /// Where processes of tasks that crash leave core files; TaskCrashed names them. Default: nowhere.
  std::string executor_core_files{};
  /// Folder where the scheduler keeps what must outlive it: graphs, futures, published names. Default "none".
  std::string store = "none";
  /// What the processes write to this program's stderr: "debug", "info", "warning", "error" or "off". Default "warning".
  std::string log_level = "warning";
  /// Serve the dashboard on 127.0.0.1:8787, or on a free port when that is taken; `dashboard()` says where. Default false.
  bool dashboard = false;
};

/// Start the processes, and wait until all workers are there; the destructor ends them. They also end when this process dies,
/// however it dies.
///
/// The programs weft-scheduler and weft-worker are looked for in $WEFT_SCHEDULER_PROGRAM and $WEFT_WORKER_PROGRAM, beside the
/// running program, beside libweft.so and in $PATH.
/// Errors: throws IoError if they cannot be found or started, InvalidArgument if `weft::init` was not called first in main; every
/// use of one that was moved from throws InvalidArgument.
/// Threads: not thread-safe; the cluster itself may be used from many clients.
class LocalCluster {
 public:
  explicit LocalCluster(const LocalClusterOptions& options = {});
  ~LocalCluster();
  LocalCluster(LocalCluster&&) noexcept;
  LocalCluster& operator=(LocalCluster&&) noexcept;

  /// Where clients connect: `ipc:///folder/client`.
  const std::string& address() const;
  /// Link to the dashboard: `http://127.0.0.1:8787/`; empty without one.
  const std::string& dashboard() const;
  /// Process ids, for tests and for tools: the scheduler's, and the workers' in the order of their names.
  int scheduler_pid() const;
  std::vector<int> worker_pids() const;
  /// Start one more worker; returns its name.
  std::string add_worker();
  /// End all processes now and wait for them. Idempotent.
  void close();

 private:
  class Impl;
  Impl& impl() const;  // throws when moved from
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft
