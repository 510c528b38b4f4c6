// B1 to B7: what tasks cost. Sizes, targets and moonshots are those of the reference (performance.md 5), ratios those we set
// ourselves. Where a peer runs a graph of which only the end is wanted, so do we.
#include "bench/workloads.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "bench/workload_parts.h"

namespace weft::bench {

namespace {

using Number = std::int64_t;
using Clock = std::chrono::steady_clock;

Number noop(Number x) { return x; }
Number inc(Number x) { return x + 1; }
Number add(Number a, Number b) { return a + b; }
Number sum(const std::vector<Number>& xs) { return std::accumulate(xs.begin(), xs.end(), Number(0)); }
Number last(const std::vector<Number>& xs) { return xs.back(); }

std::vector<Number> range(Number first, std::size_t count) {
  std::vector<Number> numbers(count);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

void bag(Run& run, std::size_t count) {
  auto numbers = range(run.first, count);
  run.start();
  auto results = gather(run.client.map(noop, numbers));
  run.stop();
  must(results == numbers, "the bag's results are wrong");
}

void merge(Run& run, std::size_t count) {
  auto numbers = range(run.first, count);
  run.start();
  Number result = run.client.submit(sum, run.client.map(inc, numbers)).result();
  run.stop();
  must(run.zero || result == sum(numbers) + static_cast<Number>(count), "the merged sum is wrong");
}

/// The same, and what the scheduler's heartbeats with so many workers cost when nothing else happens.
void merge_and_idle(Run& run, std::size_t count) {
  merge(run, count);
  if (run.quick) return;
  std::this_thread::sleep_for(std::chrono::seconds(1));  // what the run left behind
  double before = run.scheduler_cpu();
  std::this_thread::sleep_for(std::chrono::seconds(3));
  run.more["idle_cpu_percent"] = (run.scheduler_cpu() - before) / 3 * 100;
}

void tree(Run& run, std::size_t leaves) {
  run.start();
  std::vector<Delayed<Number>> level;
  for (Number x : range(run.first, leaves)) level.push_back(delayed(inc)(x));
  while (level.size() > 1) {
    for (std::size_t i = 0; i < level.size() / 2; ++i) level[i] = delayed(add)(level[2 * i], level[2 * i + 1]);
    level.erase(level.begin() + static_cast<std::ptrdiff_t>(level.size() / 2), level.end());
  }
  Number result = level[0].compute(run.client);
  run.stop();
  auto n = static_cast<Number>(leaves);
  must(result == n * run.first + n * (n + 1) / 2, "the tree's sum is wrong");
}

void stencil(Run& run, int width, int steps) {
  run.start();
  std::vector<Delayed<Number>> row;
  for (int i = 0; i < width; ++i) row.push_back(delayed(inc)(run.first + i));
  for (int t = 1; t < steps; ++t) {
    std::vector<Delayed<Number>> next;
    for (int i = 0; i < width; ++i)
      next.push_back(delayed(last)(std::vector(row.begin() + std::max(0, i - 1), row.begin() + std::min(width, i + 2))));
    row = std::move(next);
  }
  auto results = collect(run.client, row);
  run.stop();
  must(results.back() == run.first + width, "the stencil's last row is wrong");
}

void chain(Run& run, int hops) {
  run.start();
  auto link = delayed(inc)(run.first);
  for (int i = 1; i < hops; ++i) link = delayed(inc)(link);
  Number result = link.compute(run.client);
  run.stop();
  must(result == run.first + hops, "the chain's end is wrong");
}

/// From submit to the result in hand, one after the other.
void submit_one(Run& run, int count, Clock::duration idle) {
  std::vector<double> times;
  run.start();
  for (int i = 0; i < (run.quick ? count / 10 : count); ++i) {
    if (idle.count()) std::this_thread::sleep_for(idle);
    auto began = Clock::now();
    must(run.client.submit(noop, run.first + i).result() == run.first + i, "a result is wrong");
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - began).count());
  }
  run.stop();
  std::sort(times.begin(), times.end());
  run.value = times[times.size() / 2];
  run.more["p99_us"] = times[times.size() * 99 / 100];
}

/// Tasks that no worker may run: submitted, known to the scheduler, given up by the death of their futures.
void register_bag(Run& run, std::size_t count) {
  auto numbers = range(run.first, count);
  Options options;
  options.resources = {{"NONE", 1}};
  run.start();
  auto futures = run.client.map(options, noop, numbers);
  run.client.list_datasets();  // answered behind all that was submitted
  run.stop();
  auto began = Clock::now();
  futures.clear();
  run.client.list_datasets();
  run.more["release_s"] = std::chrono::duration<double>(Clock::now() - began).count();
}

void register_stencil(Run& run, int width, int steps) {
  Options options;
  options.resources = {{"NONE", 1}};
  run.start();
  std::vector<Delayed<Number>> row;
  for (int i = 0; i < width; ++i) row.push_back(delayed(inc, options)(run.first + i));
  for (int t = 1; t < steps; ++t) {
    std::vector<Delayed<Number>> next;
    for (int i = 0; i < width; ++i)
      next.push_back(delayed(last, options)(std::vector(row.begin() + std::max(0, i - 1), row.begin() + std::min(width, i + 2))));
    row = std::move(next);
  }
  auto futures = persist_all(run.client, row);
  run.client.list_datasets();
  run.stop();
}

}  // namespace

void add_task_workloads(std::vector<Workload>& all) {
  all.insert(all.end(), {
    {"B1", "bag-50k", "map(noop, range(50000)), wait, gather", 50'000, Metric::tasks_per_second, Rows::all, 300e3, 1e6, 90, 50, 0,
     [](Run& run) { bag(run, 50'000); }},
    {"B2", "merge-25k", "25,000 x inc and one sum of all", 25'001, Metric::tasks_per_second, Rows::all, 400e3, 1e6, 130, 50, 0,
     [](Run& run) { merge(run, 25'000); }},
    {"B3", "tree-14", "2^14 x inc, added in pairs to the root", 32'767, Metric::tasks_per_second, Rows::all, 400e3, 1e6, 110, 50, 0,
     [](Run& run) { tree(run, 1 << 14); }},
    {"B4", "stencil-32x200", "32 wide, 200 steps, each task reads its neighbours of the step before", 6'400, Metric::tasks_per_second,
     Rows::all, 150e3, 500e3, 70, 0, 0, [](Run& run) { stencil(run, 32, 200); }},
    {"B5", "chain-2k", "2,000 tasks, each reads the one before", 2'000, Metric::microseconds, Rows::one, 80, 2, 60, 0, 12,
     [](Run& run) { chain(run, 2'000); }},
    {"B6", "submit-1", "submit one no-op, take its result; 1,000 times; median (p99)", 1'000, Metric::microseconds, Rows::one, 250, 100,
     40, 0, 5, [](Run& run) { submit_one(run, 1'000, {}); }},
    {"B6i", "submit-1-idle", "the same after 25 ms idle, 300 times", 300, Metric::microseconds, Rows::one, 250, 100, 0, 0, 0,
     [](Run& run) { submit_one(run, 300, std::chrono::milliseconds(25)); }},
    {"B7", "graph-1M-bag", "register a map of 10^6 tasks that no worker may run", 1'000'000, Metric::tasks_per_second, Rows::one, 1e6, 2e6,
     35, 0, 0, [](Run& run) { register_bag(run, 1'000'000); }},
    {"B7s", "graph-1M-stencil", "register a stencil of 1000 x 1000 tasks that no worker may run", 1'000'000, Metric::tasks_per_second,
     Rows::one, 1e6, 2e6, 35, 0, 0, [](Run& run) { register_stencil(run, 1'000, 1'000); }},
    {"B11", "zero-workers", "100,000 x inc and one sum, on workers that are mere connections; then 3 s idle", 100'001,
     Metric::tasks_per_second, Rows::zero, 300e3, 1e6, 0, 0, 0, [](Run& run) { merge_and_idle(run, 100'000); }},
    {"B11x", "zero-workers-10k", "the same with 10,000 connections", 100'001, Metric::tasks_per_second, Rows::many_zero, 0, 0, 0, 0, 0,
     [](Run& run) { merge_and_idle(run, 100'000); }},
  });
}

const std::vector<Workload>& workloads() {
  static const std::vector<Workload> all = [] {
    std::vector<Workload> made;
    add_task_workloads(made);
    add_data_workloads(made);
    add_shape_workloads(made);
    return made;
  }();
  return all;
}

const char* unit_of(Metric metric) {
  switch (metric) {
    case Metric::tasks_per_second: return "tasks/s";
    case Metric::microseconds: return "us";
    case Metric::milliseconds: return "ms";
    case Metric::megabytes_per_second: return "MB/s";
  }
  return "";
}

}  // namespace weft::bench
