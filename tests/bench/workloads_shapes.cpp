// P1 to P8: how well work is placed, on the shapes where Dask is criticised (scheduler.md 5.2). Tasks sleep for a given time and
// return a given number of bytes, so that cores do not matter; what matters is where they run. Each shape states the least time
// and the fewest bytes that any schedule needs: W workers, d a task's time, S a value's size, transfers taking no time.
#include <algorithm>
#include <chrono>
#include <thread>

#include <weft/this_task.h>

#include "bench/workload_parts.h"

namespace weft::bench {

namespace {

using Node = Delayed<Buffer>;
using Nodes = std::vector<Node>;

constexpr std::int64_t megabyte = 1'000'000;

/// Sleeps, and returns so many bytes whatever its inputs are.
Buffer work(std::int64_t bytes, std::int64_t micros, std::int64_t seed, const std::vector<Buffer>&) {
  std::this_thread::sleep_for(std::chrono::microseconds(micros));
  return Buffer::own(Bytes(static_cast<std::size_t>(bytes), std::byte(seed)));
}
/// The same, on a machine where one worker is five times as slow.
Buffer work_unevenly(std::int64_t bytes, std::int64_t micros, std::int64_t seed, const std::vector<Buffer>& inputs) {
  return work(bytes, this_task().worker() == "worker-0" ? 5 * micros : micros, seed, inputs);
}

/// Makes nodes with distinct keys.
class Graph {
 public:
  explicit Graph(Run& run) : run_(run), seed_(run.first) {}
  Node task(std::int64_t bytes, std::int64_t micros, const Nodes& inputs = {}) { return delayed(work)(bytes, micros, ++seed_, inputs); }
  Node uneven(std::int64_t micros) { return delayed(work_unevenly)(std::int64_t(8), micros, ++seed_, Nodes()); }
  void run(const Nodes& ends) {
    run_.start();
    auto futures = persist_all(run_.client, ends);
    wait(futures);
    run_.stop();
    for (const auto& future : futures) must(!future.exception(), "a task of the shape failed");
  }

 private:
  Run& run_;
  std::int64_t seed_;
};

void root_heavy(Run& run) {
  Graph graph(run);
  Nodes ends;
  for (int i = 0; i < 40; ++i) ends.push_back(graph.task(8, 20'000, {graph.task(50 * megabyte, 20'000)}));
  graph.run({graph.task(8, 1'000, ends)});
}

void tree_reduction(Run& run) {
  Graph graph(run);
  Nodes level;
  for (int i = 0; i < 64; ++i) level.push_back(graph.task(10 * megabyte, 20'000));
  while (level.size() > 1) {
    Nodes next;
    for (std::size_t i = 0; i < level.size(); i += 2) next.push_back(graph.task(10 * megabyte, 20'000, {level[i], level[i + 1]}));
    level = next;
  }
  graph.run(level);
}

void shuffle(Run& run) {
  Graph graph(run);
  std::vector<Nodes> pieces(16);
  for (int map = 0; map < 16; ++map) {
    Node whole = graph.task(16 * megabyte, 40'000);
    for (Nodes& column : pieces) column.push_back(graph.task(megabyte, 0, {whole}));
  }
  Nodes ends;
  for (const Nodes& column : pieces) ends.push_back(graph.task(8, 40'000, column));
  graph.run(ends);
}

void diamond(Run& run) {
  Graph graph(run);
  Node source = graph.task(10 * megabyte, 20'000);
  Nodes middle;
  for (int i = 0; i < 32; ++i) middle.push_back(graph.task(megabyte, 40'000, {source}));
  graph.run({graph.task(8, 20'000, middle)});
}

void fan_out(Run& run) {
  Graph graph(run);
  Node source = graph.task(200 * megabyte, 20'000);
  Nodes ends;
  for (int i = 0; i < 64; ++i) ends.push_back(graph.task(8, 40'000, {source}));
  graph.run(ends);
}

void unequal_workers(Run& run) {
  Graph graph(run);
  Nodes ends;
  for (int i = 0; i < 140; ++i) ends.push_back(graph.task(8, 40'000));
  graph.run(ends);
}

void slow_worker(Run& run) {
  Graph graph(run);
  Nodes ends;
  for (int i = 0; i < 96; ++i) ends.push_back(graph.uneven(40'000));
  graph.run(ends);
}

void unequal_times(Run& run) {
  Graph graph(run);
  Nodes ends;
  for (int i = 0; i < 200; ++i) ends.push_back(graph.task(8, i % 20 == 19 ? 200'000 : 10'000));
  graph.run(ends);
}

}  // namespace

void add_shape_workloads(std::vector<Workload>& all) {
  auto add = [&](const char* name, const char* title, const char* what, Rows rows, void (*run)(Run&), const char* bound, double ms, double megabytes) {
    Workload workload{name, title, what, 1, Metric::milliseconds, rows};
    workload.run = run;
    workload.bound = bound;
    workload.bound_ms = ms;
    workload.bound_megabytes = megabytes;
    all.push_back(std::move(workload));
  };
  add("P1", "root-heavy", "40 roots of 50 MB (4 times the memory), each read by one task; bytes: the most held", Rows::tight, root_heavy,
      "n(d+d)/W + 1 = 40*40/2 + 1 ms; held: W*S = 2*50 MB", 801, 100);
  add("P2", "tree-reduction", "64 leaves of 10 MB, combined in pairs", Rows::shape, tree_reduction,
      "(2n-1)d/W = 127*20/4 ms; moved: (W-1)S = 3*10 MB", 635, 30);
  add("P3", "shuffle", "16 outputs of 16 MB, each cut into 16, each column read by one task", Rows::shape, shuffle,
      "(m+r)d/W = 32*40/4 ms; moved: m*r*S(W-1)/W = 256*1*3/4 MB", 320, 192);
  add("P4", "diamond", "one value of 10 MB, read by 32 tasks of 1 MB each, which one task reads", Rows::shape, diamond,
      "d + n*d/W + d = 20 + 32*40/4 + 20 ms; moved: (W-1)S + n*s(W-1)/W = 30 + 24 MB", 360, 54);
  add("P5", "fan-out", "one value of 200 MB, read by 64 tasks", Rows::shape, fan_out, "d + n*d/W = 20 + 64*40/4 ms; moved: (W-1)S = 3*200 MB", 660,
      600);
  add("P6", "unequal-workers", "140 tasks on workers with 4, 1, 1 and 1 slots", Rows::unequal, unequal_workers,
      "n*d/slots = 140*40/7 ms; moved: 0", 800, 0);
  add("P7", "slow-worker", "96 tasks on four workers, of which one is five times as slow", Rows::shape, slow_worker,
      "n*d/(3 + 1/5) = 96*40/3.2 ms; moved: 0", 1200, 0);
  add("P8", "unequal-times", "190 tasks of 10 ms and 10 of 200 ms", Rows::shape, unequal_times, "sum/W = 3900/4 ms; moved: 0", 975, 0);
}

}  // namespace weft::bench
