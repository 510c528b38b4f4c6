// Runs a workload in one kind of cluster and says what it cost.
#pragma once

#include "bench/cluster.h"
#include "bench/workloads.h"

namespace weft::bench {

/// One measured execution.
struct Sample {
  double seconds = 0;
  double value = 0;                      // in the workload's metric
  Usage cpu;                             // seconds
  Traffic traffic;                       // of control links
  double moved_bytes = 0;                // of links that carry values
  double peak_bytes = 0;                 // by which the workers' memory grew at most; of shapes only
  double scheduler_bytes = 0;            // by which its memory grew in the first run of a fresh scheduler; 0: not known
  std::map<std::string, double> more;
};

/// Start a cluster, run the workload once to warm it up, and once measured.
Sample measure_once(const Workload& workload, const Row& row);

/// The rows of a workload's table.
std::vector<Row> rows_of(Rows rows);

struct Spread {
  double median = 0, low = 0, high = 0;
};
Spread spread_of(std::vector<double> values);

}  // namespace weft::bench
