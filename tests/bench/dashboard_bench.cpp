// What watching costs: CPU time of the scheduler's own thread for the same tasks without a dashboard, with 0, 1 and 20
// viewers, and with 100 that never read (A29 looks at how soon those are cut); and what probes of /healthz leave in memory. CPU time and not wall time, since viewers and scheduler share this machine's cores;
// rounds alternate, and the median counts, since caches are shared too. Nothing else may run meanwhile: a range wider than a
// per cent decides nothing.
//   dashboard_bench [TASKS [ROUNDS]]
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <thread>

#include <weft/local_cluster.h>
#include <weft/weft.h>

#include "common/time.h"
#include "support/http_client.h"

using namespace weft;
using Json = nlohmann::json;

namespace {

constexpr int deaf_viewers = 100, probes = 3'600;

int plus_one(int x) { return x + 1; }

/// Of the main thread, which runs the scheduler's loop.
double scheduler_seconds(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/schedstat");
  double nanoseconds = 0;
  file >> nanoseconds;
  return nanoseconds * 1e-9;
}
long resident_kb(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  long size = 0, resident = 0;
  file >> size >> resident;
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/// Looks at the busiest pages until the connection ends.
void view(std::uint16_t port) {
  test::HttpClient viewer(port);
  if (viewer.open_websocket() != 101) return;
  viewer.say(
      R"({"sub":[{"id":1,"get":"/api/v1/overview","hz":10},{"id":2,"get":"/api/v1/stream?px=1100","hz":10},{"id":3,"get":"/api/v1/workers","hz":2},{"id":4,"get":"/api/v1/groups","hz":2}]})");
  while (!viewer.hear().empty()) {
  }
}
struct Cost {
  double us_per_task = 0, tasks_per_s = 0;
};
Cost run(LocalCluster& cluster, Client& client, int tasks) {
  static int offset = 0;
  std::vector<int> numbers(static_cast<std::size_t>(tasks));
  for (int& number : numbers) number = ++offset;
  double before = scheduler_seconds(cluster.scheduler_pid());
  Time began = monotonic_now();
  gather(client.map(plus_one, numbers));
  double wall = static_cast<double>((monotonic_now() - began).count()) * 1e-9;
  return {(scheduler_seconds(cluster.scheduler_pid()) - before) * 1e6 / tasks, tasks / wall};
}

Cost measure(int tasks, int viewers, bool dashboard) {
  LocalCluster cluster({.workers = 1, .dashboard = dashboard});
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<test::HttpClient>> deaf_ones;
  Cost cost;
  {
    Client client(cluster);
    run(cluster, client, tasks / 10);
    for (int i = 0; i < viewers; ++i)
      if (viewers < deaf_viewers) threads.emplace_back(view, test::port_of(cluster.dashboard()));
      else deaf_ones.push_back(test::viewer_that_never_reads(test::port_of(cluster.dashboard())));
    cost = run(cluster, client, tasks);
  }
  cluster.close();
  for (std::thread& thread : threads) thread.join();
  return cost;
}

void measure_probes() {
  LocalCluster cluster({.workers = 1, .dashboard = true});
  auto probe = [&](int times) {
    for (int i = 0; i < times; ++i) test::HttpClient(test::port_of(cluster.dashboard())).get("/healthz");
  };
  probe(probes / 10);
  long before = resident_kb(cluster.scheduler_pid());
  probe(probes);
  std::printf("%d probes of /healthz, each a new connection: resident memory %ld kB, then %ld kB\n", probes, before,
              resident_kb(cluster.scheduler_pid()));
}

}  // namespace

int main(int argc, char** argv) {
  init(argc, argv);
  int tasks = argc > 1 ? std::atoi(argv[1]) : 50'000, rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  struct Row {
    const char* name;
    int viewers;
    bool dashboard;
    std::vector<double> us, rate;
  };
  Row rows[] = {{"no dashboard", 0, false},
                {"0 viewers", 0, true},
                {"1 viewer", 1, true},
                {"20 viewers", 20, true},
                {"100 that never read", deaf_viewers, true}};
  // Each round begins with another row, so that none always runs on the warmest machine.
  const std::size_t count = std::size(rows);
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < count; ++i) {
      Row& row = rows[(i + static_cast<std::size_t>(round)) % count];
      Cost cost = measure(tasks, row.viewers, row.dashboard);
      row.us.push_back(cost.us_per_task), row.rate.push_back(cost.tasks_per_s);
    }
  const Row alone = rows[1];
  for (Row& row : rows) {
    std::vector<double> shares;  // of the same round's rate without a viewer
    for (std::size_t i = 0; i < row.rate.size(); ++i) shares.push_back(100 * (row.rate[i] / alone.rate[i] - 1));
    for (std::vector<double>* values : {&row.us, &row.rate, &shares}) std::ranges::sort(*values);
    const std::size_t middle = row.us.size() / 2;
    std::printf(
        "%-20s scheduler: %.2f us of CPU a task (%.2f to %.2f); %.0f tasks/s (%.0f to %.0f), %+.1f %% of 0 viewers (%+.1f "
        "to %+.1f)\n",
        row.name, row.us[middle], row.us.front(), row.us.back(), row.rate[middle], row.rate.front(), row.rate.back(),
        shares[middle], shares.front(), shares.back());
  }
  std::fflush(stdout);
  measure_probes();
}
