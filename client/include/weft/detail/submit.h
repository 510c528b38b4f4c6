// From a prepared call to futures: the one place where typed calls meet the untyped client.
#pragma once

#include <memory>
#include <vector>

#include <weft/call.h>
#include <weft/detail/handle.h>
#include <weft/options.h>

namespace weft::detail {

using ClientPointer = std::shared_ptr<client::ClientCore>;

struct DelayedNode;

/// What an input keeps alive: a lazy call, or a future.
struct Hold {
  std::shared_ptr<const DelayedNode> node;
  FutureHandle future;
};
std::shared_ptr<void> hold(FutureHandle future);
std::shared_ptr<void> hold(std::shared_ptr<const DelayedNode> node);

FutureHandle submit_call(const ClientPointer& client, const Options& options, PreparedCall call);

/// The tasks of one map: arguments of task i end at byte_ends[i], its own inputs at input_ends[i].
struct MapTasks {
  CallShape shape;
  const ArgumentSink* shared = nullptr;
  ArgumentSink own;
  std::vector<std::size_t> byte_ends, input_ends;
  std::vector<Key> keys;
};
std::vector<FutureHandle> submit_map(const ClientPointer& client, const Options& options, MapTasks tasks);

}  // namespace weft::detail
