// What tasks cost in the scheduler's state alone, by shape, and how that grows with their number. Prints nanoseconds and instructions
// (when the kernel lets us count) a task, and bytes a task while all of them live. `bench_states [TASKS]`, default 10^6;
// `bench_states growth [TASKS]`: a map and a chain of 10^4 tasks to TASKS, default 10^7, and maps over 10 to 10^4 workers.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench/state_bench.h"

using namespace weft;
using bench::numbered, bench::StateBench;

namespace {

void print(const std::string& what, const StateBench::Cost& cost, double first = 0) {
  std::printf("%-34s %8.0f ns %8.0f instructions %6.0f bytes", what.c_str(), cost.nanoseconds, cost.instructions, cost.bytes);
  if (first > 0) std::printf("   %.2f x the first", cost.nanoseconds / first);
  std::printf("\n");
  std::fflush(stdout);
}

std::vector<Template> shapes(std::size_t count, bool own_queue) {
  std::vector<Template> found(count);
  for (std::size_t i = 0; i < count; ++i) {
    found[i].label = "t" + std::to_string(own_queue ? i : 0);
    found[i].function.kernel = 1;
    if (own_queue && i) found[i].options.workers = {"w" + std::to_string(i % 8), "w0", "w1"}, found[i].options.workers_strict = false;
  }
  return found;
}

StateBench::Cost map(std::size_t tasks, std::uint32_t workers, std::uint32_t sessions = 1, std::size_t queues = 1) {
  StateBench bench(workers, 4, sessions);
  auto kinds = shapes(queues, queues > 1);
  bench.submit(kinds, tasks, [](auto, auto&) {}, 0);
  bench.run();
  bench.goodbye();
  return bench.cost(tasks);
}

StateBench::Cost chain(std::size_t tasks, std::uint32_t workers) {
  StateBench bench(workers, 4);
  auto kinds = shapes(1, false);
  bench.submit(kinds, tasks, [](std::uint64_t i, auto& in) { if (i) in.push_back({numbered(i - 1)}); }, tasks - 1);
  bench.run();
  bench.goodbye();
  return bench.cost(tasks);
}

/// What the caches explain is the rise from what fits into them to what does not; more than that would be ours.
void growth(std::size_t most) {
  double first_map = 0, first_chain = 0;
  for (std::size_t tasks = 10'000; tasks <= most; tasks *= 10) {
    auto cost = map(tasks, 8);
    if (!first_map) first_map = cost.nanoseconds;
    print("map of " + std::to_string(tasks), cost, first_map);
    cost = chain(tasks, 8);
    if (!first_chain) first_chain = cost.nanoseconds;
    print("chain of " + std::to_string(tasks), cost, first_chain);
  }
  double first = 0;
  for (std::uint32_t workers : {10u, 100u, 1'000u, 10'000u}) {
    auto cost = map(std::min<std::size_t>(most, 1'000'000), workers);
    if (!first) first = cost.nanoseconds;
    print("map over " + std::to_string(workers) + " workers", cost, first);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "growth") {
    growth(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 10'000'000);
    return 0;
  }
  std::size_t tasks = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000;
  print("map, 8 workers", map(tasks, 8));
  print("map of a tenth, 8 workers", map(tasks / 10, 8));
  print("map, 1000 workers", map(tasks, 1'000));
  print("map, 8 workers, 10^4 sessions", map(tasks, 8, 10'000));
  print("map, 8 workers, 200 queues", map(tasks, 8, 1, 200));
  print("chain, 8 workers", chain(tasks, 8));
  print("chain, 1000 workers", chain(tasks, 1'000));
}
