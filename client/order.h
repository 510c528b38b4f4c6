// The order in which an explicit graph should run: dependencies first, and as little data alive at any time as a linear pass
// can arrange. Pure; knows indices only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weft::client {

/// Tasks 0 … n-1 in the order in which to run them.
///
/// Task i depends on inputs[ends[i-1] .. ends[i]) (task numbers). The graph must have no cycle: tasks on a cycle, and those
/// behind one, are missing from the answer, so a caller that may have one compares sizes.
///
/// Cost:   O(tasks log tasks + inputs), worklists only; a million tasks take well below a second.
/// Source: depth first with the hungriest subtree first, Sethi and Ullman (1970), J. ACM 17(4); running the last reader of a
///         value as soon as it can run is the idea of dask.order.
std::vector<std::uint32_t> order_tasks(std::span<const std::uint32_t> ends, std::span<const std::uint32_t> inputs);

}  // namespace weft::client
