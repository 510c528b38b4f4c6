// What is measured: the workloads of the suite, one table. They use the public API only, and lie in a library of their own that a
// worker can have mapped, so that it can run their functions on its own threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <weft/weft.h>

namespace weft::bench {

/// What a workload's number means.
enum class Metric : std::uint8_t { tasks_per_second, microseconds, milliseconds, megabytes_per_second };
const char* unit_of(Metric metric);
inline bool larger_is_better(Metric metric) { return metric == Metric::tasks_per_second || metric == Metric::megabytes_per_second; }

/// One execution of a workload. What lies between `start` and `stop` is measured.
struct Run {
  Client& client;
  std::int64_t first = 0;                 // no two runs in one cluster use the same numbers, so their keys differ
  bool quick = false;                     // a warm-up of a long workload: a tenth of it
  std::function<void()> start, stop;
  std::function<void(int)> kill_worker;
  int workers = 0;
  bool zero = false;                      // workers say "done" without doing anything: results are not checked
  std::function<double()> scheduler_cpu;  // its CPU seconds so far
  double value = 0;                       // the workload's own number; 0: made from the time
  std::map<std::string, double> more;     // what else it found
};

/// Which clusters a workload runs in.
enum class Rows : std::uint8_t {
  all,        // embedded; threads and executors with one and two workers, with two also with the store
  one,        // embedded; one worker on threads and in executors, with and without the store
  pair,       // two workers, on threads and in executors
  transfer,   // two workers: values through TCP in clear, encrypted, and mapped on the same host
  shape,      // four workers on threads, values through TCP
  unequal,    // the same, and the first has four slots
  zero,       // 1, 10, 100, 1,000 workers that are mere connections
  many_zero,  // 10,000 of them
  tight,      // two workers on threads with little memory
};

struct Workload {
  std::string name;                       // "B1"
  std::string title;                      // "bag-50k"
  std::string what;                       // one line for --list
  std::size_t tasks = 1;                  // that per-task numbers are divided by
  Metric metric = Metric::tasks_per_second;
  Rows rows = Rows::all;
  double target = 0, moonshot = 0;        // in the metric's unit; 0: none is set
  double ratio = 0;                       // to the best Dask of the same run; 0: none is set
  double ratio_executors = 0;             // for user functions; 0: as `ratio`, and the target holds there too
  double ratio_ray = 0;
  std::function<void(Run&)> run;
  double ratio_iperf = 0;                 // of values through TCP in clear to one iperf3 stream
  std::string bound;                      // of a shape: the formula of the least time; empty: not a shape
  double bound_ms = 0, bound_megabytes = 0;  // least time; least bytes moved between workers (or most held, where memory is the matter)
};

const std::vector<Workload>& workloads();

}  // namespace weft::bench
