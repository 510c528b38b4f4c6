// A9 to A11, A15: a scheduler that dies, restarts and sleeps.
#include <signal.h>

#include <filesystem>
#include <random>

#include "reliability/check.h"
#include "reliability/cluster.h"
#include "reliability/tasks.h"

namespace weft::reliability {

namespace fs = std::filesystem;

namespace {

std::string seconds_text(Duration time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", static_cast<double>(time.count()) / 1e9);
  return text;
}

/// A graph whose tasks leave traces: `count` of them, and sums of pairs of their results.
struct TracedGraph {
  TracedGraph(Client& client, const std::string& folder, int first, int count, std::mt19937& random) : first(first) {
    for (int i = 0; i < count; ++i)
      tasks.push_back(client.submit(Options{.pure = false}, leave_trace, folder, first + i, static_cast<int>(random() % 2000)));
    for (int i = 0; i + 1 < count; i += 2) sums.push_back(client.submit(std::plus<int>(), tasks[i], tasks[i + 1]));
  }
  /// Number of results that are not right.
  int wrong() const {
    int count = 0;
    for (std::size_t i = 0; i < tasks.size(); ++i) count += tasks[i].result(120s) != first + static_cast<int>(i);
    for (std::size_t i = 0; i < sums.size(); ++i) count += sums[i].result(120s) != 2 * (first + 2 * static_cast<int>(i)) + 1;
    return count;
  }
  int first;
  std::vector<Future<int>> tasks, sums;
};

}  // namespace

// A9
Outcome scheduler_deaths(Scale scale) {
  const int deaths = scale == Scale::quick ? 4 : 100, graphs = scale == Scale::quick ? 1 : 10;
  const int size = scale == Scale::quick ? 600 : 10'000, slots = 2;
  unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  Cluster cluster({.workers = 2, .slots = slots});
  std::string folder = cluster.folder() + "/traces";
  fs::create_directory(folder);
  Client client(cluster.address());
  await_workers(client, 2);
  int wrong = 0, died = 0;
  for (int g = 0; g < graphs; ++g) {
    TracedGraph graph(client, folder, g * size, size, random);
    for (int d = 0; d < deaths / graphs; ++d, ++died) {
      std::uint64_t goal = static_cast<std::uint64_t>(g * size + size * d / (deaths / graphs)) + random() % 50;
      need(eventually(120s, [&] { return traces(folder) >= goal; }), "no progress between deaths");
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
      cluster.end_scheduler();
      cluster.start_scheduler();
    }
    wrong += graph.wrong();
  }
  std::uint64_t runs = traces(folder), tasks = static_cast<std::uint64_t>(graphs) * size;
  bool met = wrong == 0 && runs >= tasks && runs <= tasks + static_cast<std::uint64_t>(died) * slots * 2;
  return judged(met, std::to_string(died) + " deaths, " + std::to_string(tasks) + " tasks with traces, " + std::to_string(runs) +
                         " executions, " + std::to_string(wrong) + " wrong results, seed " + std::to_string(seed));
}

// A10
Outcome restart_with_live_tasks(Scale scale) {
  const int tasks = scale == Scale::quick ? 50'000 : 1'000'000;
  const std::size_t workers = scale == Scale::quick ? 2 : 8;
  Cluster cluster({.workers = static_cast<int>(workers)});
  Client client(cluster.address());
  await_workers(client, workers);
  std::vector<int> numbers(static_cast<std::size_t>(tasks));
  for (int i = 0; i < tasks; ++i) numbers[static_cast<std::size_t>(i)] = i;
  auto futures = client.map(rest, numbers, 1'000'000);
  client.list_datasets();  // answered behind everything that was submitted
  cluster.end_scheduler();
  Time began = monotonic_now();
  cluster.start_scheduler();
  Client fresh(cluster.address());
  fresh.list_datasets();
  Duration accepting = monotonic_now() - began;
  fresh.submit(Options{.priority = 100}, increment, 1).result(60s);
  Duration scheduling = monotonic_now() - began - 1s;
  Duration used = processor_time(cluster.scheduler_pid());
  std::uint64_t memory = resident_bytes(cluster.scheduler_pid());
  return judged(accepting < 1s && scheduling < 5s && memory < (2ull << 30),
                std::to_string(tasks) + " live tasks: answering after " + seconds_text(accepting) + ", a new task had run after " +
                    seconds_text(scheduling) + " more than the second its worker was busy, " + std::to_string(memory >> 20) +
                    " MiB, " + seconds_text(used) + " of processor time");
}

// A11
Outcome death_at_every_write(Scale scale) {
  std::string shim = fs::read_symlink("/proc/self/exe").parent_path().string() + "/libreliability_shim.so";
  const int step = scale == Scale::quick ? 40 : 1, wanted = 200, size = 6;
  std::mt19937 random(1);
  int points = 0, wrong = 0, twice = 0, number = 0;
  for (int point = 1; point <= wanted; point += step) {
    Cluster cluster({.workers = 1, .slots = 2, .start = false});
    std::string folder = cluster.folder() + "/traces";
    fs::create_directory(folder);
    setenv("LD_PRELOAD", shim.c_str(), 1);
    setenv("WEFT_DIE_AT_WRITE", std::to_string(point).c_str(), 1);
    cluster.start_scheduler();
    unsetenv("LD_PRELOAD");
    unsetenv("WEFT_DIE_AT_WRITE");
    cluster.start_worker(0);
    Client client(cluster.address());
    std::vector<TracedGraph> graphs;
    // The scheduler dies somewhere in here, unless it has no more to write.
    bool dead = false;
    for (int g = 0; g < 40 && !dead; ++g, number += size) {
      graphs.emplace_back(client, folder, number, size, random);
      dead = eventually(scale == Scale::quick ? 150ms : 100ms, [&] { return !cluster.fallen().empty(); });
    }
    need(dead, "the scheduler made fewer than " + std::to_string(point) + " writes");
    cluster.end_scheduler();
    cluster.start_scheduler();
    for (TracedGraph& graph : graphs) {
      wrong += graph.wrong();
      Traces seen(folder);
      for (int i = 0; i < size; ++i) twice += seen[graph.first + i] != 1;
    }
    ++points;
  }
  return judged(wrong == 0 && twice == 0, std::to_string(points) + " points, the last at the " + std::to_string(1 + (points - 1) * step) +
                                              "th write or sync; " + std::to_string(wrong) + " wrong results, " + std::to_string(twice) +
                                              " tasks that did not run exactly once");
}

// A15
Outcome stopped_scheduler(Scale scale) {
  // A worker is lost after a lease without a word; the pause is four leases, as 60 s are of 15 s.
  const Duration lease = scale == Scale::quick ? 2s : 15s, pause = 4 * lease;
  Cluster cluster({.workers = scale == Scale::quick ? 3 : 10, .slots = 1,
                   .scheduler = {"--worker-lease", std::to_string(lease / 1s) + "s", "--heartbeat-interval", "250ms"}});
  Client client(cluster.address());
  await_workers(client, cluster.size());
  std::string folder = cluster.folder() + "/traces";
  fs::create_directory(folder);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 200; ++i) futures.push_back(client.submit(Options{.pure = false}, leave_trace, folder, i, 200'000));
  eventually(60s, [&] { return traces(folder) >= cluster.size(); });
  kill(cluster.scheduler_pid(), SIGSTOP);
  std::this_thread::sleep_for(pause);
  kill(cluster.scheduler_pid(), SIGCONT);
  int wrong = 0;
  for (int i = 0; i < 200; ++i) wrong += futures[static_cast<std::size_t>(i)].result(120s) != i;
  std::string logs = client.logs();
  bool lost = logs.find("worker lost") != logs.npos;
  return judged(!lost && wrong == 0 && traces(folder) == 200,
                std::to_string(cluster.size()) + " busy workers, stopped for " + seconds_text(pause) + ": " +
                    (lost ? "workers were declared lost" : "no worker lost") + ", " + std::to_string(traces(folder)) +
                    " executions of 200 tasks, " + std::to_string(wrong) + " wrong");
}

}  // namespace weft::reliability
