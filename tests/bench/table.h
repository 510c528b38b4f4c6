// The table that is printed and the JSON that is written: one line for each workload and kind of cluster, with its verdict.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/peers.h"
#include "bench/runner.h"

namespace weft::bench {

/// What is known about one workload in one kind of cluster.
struct Line {
  const Workload* workload = nullptr;
  Row row;
  std::vector<Sample> samples;
  std::string failure;                              // why there are none
  std::map<std::string, std::vector<PeerSample>> peers;  // of the same run, by peer
  double foreign_cores = 0;                         // used by other programs just before
};

/// "met", "MISS …" with what was missed, or "not measured".
std::string verdict_of(const Line& line);

/// Tasks and bytes have one table, shapes another.
void print_head(bool shapes);
void print(const Line& line);
/// Everything that was printed, and where, with what and when it was measured.
void write_json(const std::string& path, const std::vector<Line>& lines);

}  // namespace weft::bench
