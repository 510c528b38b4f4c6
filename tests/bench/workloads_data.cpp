// B8 to B13: what bytes cost, how small tasks may be, and what a loss costs.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>

#include "bench/workload_parts.h"

namespace weft::bench {

namespace {

using Clock = std::chrono::steady_clock;

Buffer make(std::size_t bytes, std::int64_t seed) { return Buffer::own(Bytes(bytes, std::byte(seed % 251))); }
/// Looks at both ends.
std::size_t touch(const Buffer& bytes) { return bytes.size() + 0 * static_cast<std::size_t>(bytes.data()[0] ^ bytes.data()[bytes.size() - 1]); }
std::size_t total(const std::vector<Buffer>& all) {
  return std::accumulate(all.begin(), all.end(), std::size_t(0), [](std::size_t sum, const Buffer& each) { return sum + each.size(); });
}
Buffer back(const Buffer& bytes) { return bytes; }

Options on_worker(int number, bool strict = true) {
  Options options;
  options.workers = {"worker-" + std::to_string(number)};
  options.workers_strict = strict;
  return options;
}

double seconds_since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

/// Runs `body` between start and stop, and takes its speed for so many bytes as the workload's number.
template <class Body>
void at_speed(Run& run, std::size_t bytes, Body body) {
  run.start();
  auto began = Clock::now();
  body();
  double seconds = seconds_since(began);
  run.stop();
  run.value = static_cast<double>(bytes) / 1e6 / seconds;
  run.more["ms"] = seconds * 1e3;
}

void between_workers(Run& run, std::size_t bytes) {
  auto there = run.client.submit(on_worker(0), make, bytes, run.first);
  wait(there);
  at_speed(run, bytes, [&] { must(run.client.submit(on_worker(1), touch, there).result() == bytes, "the moved value is wrong"); });
}

void gather_one(Run& run, std::size_t bytes) {
  auto there = run.client.submit(on_worker(0), make, bytes, run.first);
  wait(there);
  at_speed(run, bytes, [&] { must(touch(*there.view()) == bytes, "the gathered value is wrong"); });
}

void scatter_one(Run& run, std::size_t bytes) {
  Buffer here = make(bytes, run.first / 1'000'000'000);
  at_speed(run, bytes, [&] { wait(run.client.scatter(here, {.workers = {"worker-0"}})); });
}

void many_small(Run& run, std::size_t count, std::size_t bytes) {
  std::vector<std::int64_t> seeds(count);
  std::iota(seeds.begin(), seeds.end(), run.first);
  auto there = run.client.map(on_worker(0), make, bytes, seeds);
  wait(there);
  run.start();
  std::size_t got = run.client.submit(on_worker(1), total, there).result();
  run.stop();
  must(got == count * bytes, "a small value is missing");
}

// --- how small a task may be ---

std::int64_t spin(std::int64_t nanoseconds, std::int64_t, const std::vector<std::int64_t>&) {
  auto end = Clock::now() + std::chrono::nanoseconds(nanoseconds);
  while (Clock::now() < end) {}
  return 0;
}

std::vector<Delayed<std::int64_t>> busy_stencil(std::int64_t first, int width, int steps, std::int64_t nanoseconds,
                                                std::vector<Delayed<std::int64_t>>* middle = nullptr) {
  std::vector<Delayed<std::int64_t>> row;
  for (int t = 0; t < steps; ++t) {
    std::vector<Delayed<std::int64_t>> next, none;
    for (int i = 0; i < width; ++i)
      next.push_back(delayed(spin)(nanoseconds, first + t * width + i,
                                   t ? std::vector(row.begin() + std::max(0, i - 1), row.begin() + std::min(width, i + 2)) : none));
    row = std::move(next);
    if (middle && t == steps / 2) *middle = row;
  }
  return row;
}

/// The shortest task of a stencil at which half of the ideal rate is reached.
/// Source: METG(50 %), Slaughter et al., Task Bench (SC'20).
void smallest_task(Run& run, int width) {
  std::int64_t first = run.first;
  run.start();
  for (double micros = 5; micros < 50'000; micros *= std::sqrt(2)) {
    double row_seconds = micros * 1e-6 * width / run.workers;
    int steps = static_cast<int>(std::clamp((run.quick ? 0.05 : 0.3) / row_seconds, 20.0, 1000.0));
    auto graph = busy_stencil(first, width, steps, static_cast<std::int64_t>(micros * 1e3));
    first += width * steps;
    auto began = Clock::now();
    collect(run.client, graph);
    run.value = micros;
    if (row_seconds * steps >= 0.5 * seconds_since(began)) break;
  }
  run.stop();
}

// --- losses ---

/// Half of a stencil of 1 ms tasks is done when one of two workers is killed; by how much its end is later than one worker needs.
void lose_half_way(Run& run) {
  constexpr int width = 32, steps = 50;
  if (run.quick) return run.start(), run.stop();  // a killed worker does not come back
  std::vector<Delayed<std::int64_t>> middle;
  auto graph = busy_stencil(run.first, width, steps, 1'000'000, &middle);
  std::vector<Delayed<std::int64_t>> both = middle;
  both.insert(both.end(), graph.begin(), graph.end());
  run.start();
  auto futures = persist_all(run.client, both);
  wait(std::vector(futures.begin(), futures.begin() + width));
  auto began = Clock::now();
  run.kill_worker(0);
  gather(std::vector(futures.begin() + width, futures.end()));
  run.value = std::max(0.001, seconds_since(began) * 1e3 - width * (steps - steps / 2 - 1));
  run.stop();
}

/// 10,000 results too big for messages lie on one worker, which is killed; how long until one of them is there again.
void lose_results(Run& run) {
  if (run.quick) return run.start(), run.stop();
  std::vector<std::int64_t> seeds(10'000);
  std::iota(seeds.begin(), seeds.end(), run.first);
  auto there = run.client.map(on_worker(0, false), make, std::size_t(5'000), seeds);
  wait(there);
  run.start();
  auto began = Clock::now();
  run.kill_worker(0);
  must(run.client.submit(touch, there.back()).result() == 5'000, "a recomputed value is wrong");
  run.value = seconds_since(began) * 1e3;
  wait(there);
  run.more["all_ms"] = seconds_since(began) * 1e3;
  run.stop();
}

void payload(Run& run, std::size_t count, std::size_t bytes) {
  if (run.quick) count /= 10;
  std::vector<Buffer> data;
  for (std::size_t i = 0; i < count; ++i) {
    Bytes block(bytes, std::byte(i));
    std::int64_t number = run.first + static_cast<std::int64_t>(i);
    std::memcpy(block.data(), &number, sizeof number);
    data.push_back(Buffer::own(std::move(block)));
  }
  at_speed(run, 2 * count * bytes, [&] {
    auto results = run.client.map(back, data);
    for (std::size_t i = 0; i < count; ++i) must(*results[i].view() == data[i], "a payload came back wrong");
  });
}

}  // namespace

void add_data_workloads(std::vector<Workload>& all) {
  using enum Metric;
  constexpr std::size_t small = 100'000'000, large = 500'000'000;
  auto add = [&](Workload workload, double ratio_iperf = 0) {
    workload.ratio_iperf = ratio_iperf;
    all.push_back(std::move(workload));
  };
  add({"B8w", "w2w-100M", "100 MB made on worker 0, read on worker 1", 1, megabytes_per_second, Rows::transfer, 2500, 2800, 1.5, 0, 0,
       [](Run& run) { between_workers(run, small); }}, 0.85);
  add({"B8W", "w2w-500M", "500 MB made on worker 0, read on worker 1", 1, megabytes_per_second, Rows::transfer, 2500, 2800, 1.5, 0, 0,
       [](Run& run) { between_workers(run, large); }}, 0.85);
  add({"B8g", "gather-100M", "100 MB made on worker 0, taken by the client", 1, megabytes_per_second, Rows::transfer, 2500, 2800, 1.5, 0, 0,
       [](Run& run) { gather_one(run, small); }}, 0.85);
  add({"B8s", "scatter-100M", "100 MB of the client put on worker 0", 1, megabytes_per_second, Rows::transfer, 2500, 2800, 1.5, 0, 0,
       [](Run& run) { scatter_one(run, small); }}, 0.85);
  add({"B9", "w2w-small", "1,000 results of 10 kB on worker 0, read by one task on worker 1", 1, milliseconds, Rows::transfer, 10, 5, 8, 0, 0,
       [](Run& run) { many_small(run, 1'000, 10'000); }});
  add({"B10", "metg-stencil", "shortest task of a stencil as wide as there are workers, at half of the ideal rate", 1, microseconds,
       Rows::pair, 300, 100, 20, 0, 0, [](Run& run) { smallest_task(run, run.workers); }});
  add({"B10w", "metg-stencil-wide", "the same, 16 times as wide", 1, microseconds, Rows::pair, 30, 10, 20, 0, 0,
       [](Run& run) { smallest_task(run, 16 * run.workers); }});
  add({"B12", "failover", "a stencil of 1 ms tasks, one of two workers killed half-way: time above the ideal of the other", 1, milliseconds,
       Rows::pair, 100, 20, 0, 0, 0, lose_half_way});
  add({"B12r", "failover-results", "10,000 results on one worker, killed: until the first is there again", 1, milliseconds, Rows::pair, 100,
       20, 0, 0, 0, lose_results});
  add({"B13", "payload", "10,000 tasks with an argument and a result of 100 kB", 10'000, megabytes_per_second, Rows::transfer, 1000, 0, 0, 0,
       0, [](Run& run) { payload(run, 10'000, 100'000); }});
}

}  // namespace weft::bench
