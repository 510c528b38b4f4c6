// What the store costs, and how fast a killed scheduler is back. Usage: restart_bench [live tasks] [workers]
// Real processes: the same map with the store off and on; then many live tasks, kill -9, and the time until a new client is
// answered and until a new task has run.
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <thread>

#include <weft/weft.h>

#include "common/process.h"
#include "common/programs.h"

using namespace weft;

static int inc(int x) { return x + 1; }
static int slow(int x) {
  std::this_thread::sleep_for(std::chrono::seconds(2));
  return x;
}

static double seconds_since(Time began) { return static_cast<double>((monotonic_now() - began).count()) / 1e9; }

static ChildProcess start(const std::string& program, std::vector<std::string> arguments) {
  return std::move(ChildProcess::start(find_program(program).value_or_throw(), {.arguments = std::move(arguments)})).value_or_throw();
}

struct Cluster {
  Cluster(const std::string& folder, int count, std::string store) : folder(folder), store(std::move(store)) {
    std::filesystem::remove_all(folder);
    start_scheduler();
    for (int i = 0; i < count; ++i) {
      std::string name = "w" + std::to_string(i);
      workers.push_back(start("weft-worker", {"ipc://" + folder + "/worker", "--name", name, "--nthreads", "1", "--memory-limit", "1GiB",
                                              "--local-directory", folder + '/' + name, "--listen-address",
                                              "ipc://" + folder + '/' + name + ".values", "--log-level", "error"}));
    }
  }
  ~Cluster() {
    workers.clear();
    scheduler.reset();
    std::filesystem::remove_all(folder);
  }
  void start_scheduler() {
    scheduler.emplace(start("weft-scheduler", {"--folder", folder, "--store", store.empty() ? folder + "/store" : store, "--log-level", "info"}));
  }
  std::string folder, store;
  std::optional<ChildProcess> scheduler;
  std::vector<ChildProcess> workers;
};

static void throughput(const char* name, const std::string& store) {
  Cluster cluster("/tmp/weft-restart-bench", 2, store);
  Client client("ipc:///tmp/weft-restart-bench/client");
  client.submit(inc, -1).result();
  for (int round = 0; round < 3; ++round) {
    std::vector<int> numbers(100'000);
    for (int i = 0; i < 100'000; ++i) numbers[static_cast<std::size_t>(i)] = round * 100'000 + i;
    Time began = monotonic_now();
    auto futures = client.map(inc, numbers);
    wait(futures);
    double time = seconds_since(began);
    std::printf("map of 100,000, store %s: %.2f s, %.0f tasks/s\n", name, time, 100'000 / time);
    std::fflush(stdout);
  }
}

static void restart(int tasks, int workers) {
  Cluster cluster("/tmp/weft-restart-bench", workers, "");
  std::string address = "ipc://" + cluster.folder + "/client";
  Client client(address);
  std::vector<int> numbers(static_cast<std::size_t>(tasks));
  for (int i = 0; i < tasks; ++i) numbers[static_cast<std::size_t>(i)] = i;
  auto futures = client.map(slow, numbers);
  client.list_datasets();  // answered behind everything that was submitted
  std::printf("%d tasks are live on %d workers\n", tasks, workers);
  cluster.scheduler->signal(SIGKILL);
  cluster.scheduler->wait();
  Time began = monotonic_now();
  cluster.start_scheduler();
  Client fresh(address);
  fresh.list_datasets();
  std::printf("accepted again after %.2f s\n", seconds_since(began));
  fresh.submit(Options{.priority = 100}, inc, 1).result();
  std::printf("a new task had run after %.2f s (its worker was busy for up to 2 s)\n", seconds_since(began));
}

int main(int argc, char** argv) {
  init(argc, argv);
  int tasks = argc > 1 ? std::atoi(argv[1]) : 1'000'000, workers = argc > 2 ? std::atoi(argv[2]) : 8;
  throughput("off", "none");
  throughput("on", "");
  restart(tasks, workers);
}
