// What the workloads' files share.
#pragma once

#include <cstring>
#include <stdexcept>
#include <vector>

#include <weft/delayed.h>

#include "bench/workloads.h"

namespace weft::bench {

inline void must(bool good, const char* otherwise) {
  if (!good) throw std::runtime_error(otherwise);
}

/// Start many lazy calls as one graph.
template <class T>
std::vector<Future<T>> persist_all(Client& client, const std::vector<Delayed<T>>& roots) {
  std::vector<detail::DelayedPointer> nodes;
  for (const auto& root : roots) nodes.push_back(root.node());
  std::vector<Future<T>> futures;
  for (auto& handle : detail::submit_graph(client.core(), nodes)) futures.emplace_back(std::move(handle));
  return futures;
}
template <class T>
std::vector<T> collect(Client& client, const std::vector<Delayed<T>>& roots) {
  return gather(persist_all(client, roots));
}

// Each file's part of the table.
void add_task_workloads(std::vector<Workload>& all);
void add_data_workloads(std::vector<Workload>& all);
void add_shape_workloads(std::vector<Workload>& all);

}  // namespace weft::bench
