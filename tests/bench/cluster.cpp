#include "bench/cluster.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "common/programs.h"
#include "common/scheduler_file.h"
#include "common/time.h"

namespace weft::bench {

namespace {

constexpr Duration start_patience = 20s;

int port_of(const std::string& address) { return std::atoi(address.c_str() + address.rfind(':') + 1); }

/// The library that holds the workloads' functions: a worker that has it mapped can run them on its own threads.
std::string workloads_library() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().string() + "/libbench_workloads.so";
}

/// Where output goes that nobody reads.
int nowhere() {
  static const int descriptor = open("/dev/null", O_WRONLY | O_CLOEXEC);
  return descriptor;
}

ChildProcess start(const char* program, ChildOptions options) {
  return std::move(ChildProcess::start(find_program(program).value_or_throw(), options)).value_or_throw();
}

}  // namespace

const char* name_of(Place place) {
  switch (place) {
    case Place::embedded: return "embedded";
    case Place::threads: return "threads";
    case Place::executors: return "executors";
    case Place::nowhere: return "zero";
  }
  return "";
}
std::string name_of(const Row& row) {
  if (row.place == Place::embedded) return "embedded";
  return std::string(name_of(row.place)) + " W=" + std::to_string(row.workers) + (row.store ? " store" : "") +
         (row.values == Values::clear ? " tcp" : row.values == Values::encrypted ? " curve" : "");
}

Cluster::Cluster(const Row& row) {
  unsetenv("WEFT_ADDRESS");
  unsetenv("WEFT_SCHEDULER_FILE");
  if (row.place == Place::embedded) {
    client_.emplace();
    return;
  }
  char folder[] = "/tmp/weft-bench-XXXXXX";
  if (!mkdtemp(folder)) throw IoError("cannot make a folder in /tmp");
  folder_ = folder;
  start_scheduler(row);
  if (row.place == Place::nowhere) {
    workers_.push_back(start("zero_workers", {.arguments = {folder_ + "/scheduler.json", std::to_string(row.workers)}}));
    processes_.workers.push_back(workers_.back().pid());
  } else {
    for (int i = 0; i < row.workers; ++i) start_worker(i, row);
  }
  // Clients find their key through the file.
  setenv("WEFT_SCHEDULER_FILE", (folder_ + "/scheduler.json").c_str(), 1);
  client_.emplace(read_scheduler_file(folder_ + "/scheduler.json").value_or_throw().client_address);
  Time deadline = monotonic_now() + (row.workers > 100 ? 6 * start_patience : start_patience);
  while (static_cast<int>(client_->workers().size()) < row.workers) {
    if (monotonic_now() > deadline) throw IoError("the workers did not join in time; their last words are on stderr");
    std::this_thread::sleep_for(5ms);
  }
  if (row.place == Place::nowhere) return;
  for (const WorkerInfo& worker : client_->workers()) processes_.value_ports.push_back(port_of(worker.address));
}

Cluster::~Cluster() {
  client_.reset();
  workers_.clear();
  scheduler_.reset();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

void Cluster::start_scheduler(const Row& row) {
  std::string file = folder_ + "/scheduler.json";
  ChildOptions child;
  child.output = nowhere();  // its addresses are in the file
  child.arguments = {"--host", "127.0.0.1", "--port", "0", "--worker-port", "0", "--scheduler-file", file, "--keys", folder_ + "/keys",
                     "--store", row.store ? folder_ + "/store" : "none", "--dashboard=false", "--log-level", "error"};
  scheduler_.emplace(start("weft-scheduler", std::move(child)));
  Time deadline = monotonic_now() + start_patience;
  while (access(file.c_str(), F_OK) != 0) {
    if (scheduler_->wait(monotonic_now() + 5ms) || monotonic_now() > deadline)
      throw IoError("weft-scheduler did not start; its last words are on stderr");
  }
  SchedulerFile written = read_scheduler_file(file).value_or_throw();
  processes_.scheduler = scheduler_->pid();
  processes_.ports = {port_of(written.client_address), port_of(written.worker_address)};
}

void Cluster::start_worker(int number, const Row& row) {
  std::string name = "worker-" + std::to_string(number);
  ChildOptions child;
  child.arguments = {"--scheduler-file", folder_ + "/scheduler.json", "--name", name, "--nthreads", std::to_string(number ? 1 : row.first_slots),
                     "--memory-limit", std::to_string(row.memory), "--local-directory", folder_ + '/' + name, "--log-level", "error",
                     "--same-host-values", row.values == Values::mapped ? "on" : "off",
                     "--encrypt-values", row.values == Values::clear ? "off" : "on"};
  if (row.place == Place::threads) {
    child.arguments.insert(child.arguments.end(), {"--isolation", "thread"});
    child.environment["LD_PRELOAD"] = workloads_library();
  }
  workers_.push_back(start("weft-worker", std::move(child)));
  processes_.workers.push_back(workers_.back().pid());
}

void Cluster::kill_worker(int number) { workers_[static_cast<std::size_t>(number)].signal(SIGKILL); }

}  // namespace weft::bench
