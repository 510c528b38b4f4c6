#include "bench/runner.h"

#include <algorithm>
#include <optional>

#include "common/time.h"

namespace weft::bench {

namespace {

/// Readings at the two ends of what is measured.
class Meter {
 public:
  explicit Meter(const Processes& processes) : processes_(processes) {}
  void start() {
    traffic_ = traffic_of(processes_.ports);
    values_ = traffic_of(processes_.value_ports);
    usage_ = usage_of(processes_);
    began_ = monotonic_now();
  }
  void stop() {
    sample.seconds = static_cast<double>((monotonic_now() - began_).count()) * 1e-9;
    sample.cpu = usage_of(processes_) - usage_;
    Traffic now = traffic_of(processes_.ports);
    // A link that ended meanwhile has taken its count with it.
    auto grown = [](std::uint64_t after, std::uint64_t before) { return after > before ? after - before : 0; };
    sample.traffic = {grown(now.bytes, traffic_.bytes), grown(now.packets, traffic_.packets)};
    sample.moved_bytes = static_cast<double>(grown(traffic_of(processes_.value_ports).bytes, values_.bytes));
  }
  Sample sample;

 private:
  const Processes& processes_;
  Traffic traffic_, values_;
  Usage usage_;
  Time began_;
};

void run_in(Cluster& cluster, const Workload& workload, Meter& meter, std::int64_t first, bool quick, bool zero) {
  Run run{.client = cluster.client(), .first = first, .quick = quick};
  run.workers = std::max<int>(1, static_cast<int>(cluster.processes().workers.size()));
  run.zero = zero;
  run.scheduler_cpu = [&] { return cpu_seconds_of(cluster.processes().scheduler); };
  run.start = [&] { meter.start(); };
  run.stop = [&] { meter.stop(); };
  run.kill_worker = [&](int number) { cluster.kill_worker(number); };
  workload.run(run);
  Sample& sample = meter.sample;
  sample.value = run.value;
  if (sample.value == 0) {
    double per_task = sample.seconds / static_cast<double>(workload.tasks);
    sample.value = workload.metric == Metric::tasks_per_second ? 1 / per_task : per_task * (workload.metric == Metric::milliseconds ? 1e3 : 1e6);
  }
  sample.more = std::move(run.more);
}

}  // namespace

Sample measure_once(const Workload& workload, const Row& row) {
  Cluster cluster(row);
  const int scheduler = cluster.processes().scheduler;
  double resident = 0;
  if (scheduler) {
    resident = static_cast<double>(resident_bytes(scheduler));
    forget_peak_memory(scheduler);
  }
  Meter warm(cluster.processes());
  run_in(cluster, workload, warm, 1'000'000'000, true, row.place == Place::nowhere);
  double grown = scheduler ? static_cast<double>(peak_resident_bytes(scheduler)) - resident : 0;
  Meter meter(cluster.processes());
  std::optional<MemoryPeak> peak;
  if (!workload.bound.empty()) peak.emplace(cluster.processes().workers);
  run_in(cluster, workload, meter, 2'000'000'000, false, row.place == Place::nowhere);
  if (peak) meter.sample.peak_bytes = static_cast<double>(peak->bytes());
  meter.sample.scheduler_bytes = grown;
  return meter.sample;
}

std::vector<Row> rows_of(Rows rows) {
  using enum Place;
  switch (rows) {
    case Rows::all:
      return {{embedded}, {threads, 1}, {threads, 2}, {threads, 2, true}, {executors, 1}, {executors, 2}, {executors, 2, true}};
    case Rows::one: return {{embedded}, {threads, 1}, {threads, 1, true}, {executors, 1}, {executors, 1, true}};
    case Rows::pair: return {{threads, 2}, {executors, 2}};
    case Rows::transfer:
      return {{threads, 2, false, Values::clear}, {executors, 2, false, Values::clear}, {threads, 2, false, Values::encrypted},
              {threads, 2}, {executors, 2}};
    case Rows::zero: return {{nowhere, 1}, {nowhere, 10}, {nowhere, 100}, {nowhere, 1'000}};
    case Rows::many_zero: return {{nowhere, 10'000}};
    case Rows::shape: return {{threads, 4, false, Values::clear}};
    case Rows::unequal: return {{threads, 4, false, Values::clear, 4}};
    case Rows::tight: return {{threads, 2, false, Values::clear, 1, 500'000'000}};
  }
  return {};
}

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  std::size_t half = values.size() / 2;
  double median = values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

}  // namespace weft::bench
