// Where executors write results: plain memory for threads, memory that can be passed on for processes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "common/result.h"
#include "worker/value_store.h"

namespace weft::worker {

/// Writable memory for one result.
struct Place {
  std::shared_ptr<const void> owner;
  std::span<std::byte> bytes;
};

/// Fresh memory aligned as values want it; throws std::bad_alloc.
Place heap_place(std::uint64_t bytes);

/// Where values lie in memory that processes can share. A segment's number is below 2^62 and never reused; number 0 is
/// memory for this one value.
struct ValueBridge {
  std::function<SegmentRange(const Value&)> locate;            // descriptor -1: not in shared memory
  /// A writable place of so many bytes for this executor; its descriptor lets it write all that it made, and nothing else.
  std::function<Result<SegmentRange>(std::uint64_t, std::uint32_t executor)> lease;
  std::function<Value(const SegmentRange&)> seal;              // a leased place is written; an empty value: it is damaged
  std::function<void(const SegmentRange&)> abandon;            // a leased place will not be used
};

/// A bridge without a store: every large result has memory of its own.
ValueBridge private_memory();

}  // namespace weft::worker
