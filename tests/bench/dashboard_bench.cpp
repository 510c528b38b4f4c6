// What watching costs: CPU time of the scheduler's own thread for the same tasks with 0, 1 and 20 viewers, and without a
// dashboard. CPU time and not wall time, since viewers and scheduler share this machine's cores.
//   dashboard_bench [TASKS]
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <thread>

#include <weft/local_cluster.h>
#include <weft/weft.h>

#include "common/time.h"
#include "support/http_client.h"

using namespace weft;

namespace {

int plus_one(int x) { return x + 1; }

/// Of the main thread, which runs the scheduler's loop.
double scheduler_seconds(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/schedstat");
  double nanoseconds = 0;
  file >> nanoseconds;
  return nanoseconds * 1e-9;
}

/// Looks at the busiest pages until the connection ends.
void view(std::uint16_t port) {
  test::HttpClient viewer(port);
  if (viewer.open_websocket() != 101) return;
  viewer.say(R"({"sub":[{"id":1,"get":"/api/v1/overview","hz":10},{"id":2,"get":"/api/v1/stream?px=1100","hz":10},{"id":3,"get":"/api/v1/workers","hz":2},{"id":4,"get":"/api/v1/groups","hz":2}]})");
  while (!viewer.hear().empty()) {}
}

void measure(int tasks, int viewers, bool dashboard) {
  LocalCluster cluster({.workers = 1, .dashboard = dashboard});
  std::vector<std::thread> threads;
  for (int i = 0; i < viewers; ++i)
    threads.emplace_back(view, static_cast<std::uint16_t>(std::atoi(cluster.dashboard().c_str() + cluster.dashboard().rfind(':') + 1)));
  {
    Client client(cluster);
    client.submit(plus_one, -1).result();
    std::vector<int> numbers(static_cast<std::size_t>(tasks));
    for (int i = 0; i < tasks; ++i) numbers[static_cast<std::size_t>(i)] = i;
    double before = scheduler_seconds(cluster.scheduler_pid());
    Time began = monotonic_now();
    gather(client.map(plus_one, numbers));
    double wall = static_cast<double>((monotonic_now() - began).count()) * 1e-9;
    double used = scheduler_seconds(cluster.scheduler_pid()) - before;
    std::printf("%-12s viewers=%-3d scheduler_us_per_task=%.2f tasks_per_s=%.0f\n", dashboard ? "dashboard" : "none", viewers, used * 1e6 / tasks, tasks / wall);
    std::fflush(stdout);
  }
  cluster.close();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

int main(int argc, char** argv) {
  init(argc, argv);
  int tasks = argc > 1 ? std::atoi(argv[1]) : 50'000;
  measure(tasks, 0, false);
  for (int viewers : {0, 1, 20}) measure(tasks, viewers, true);
}
