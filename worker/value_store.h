// The memory of values on one worker: exact managed bytes, shared-memory segments for big values, heap for small ones, and
// spill to disk under pressure with checksums. The store decides nothing about who needs a value; the worker's State does.
//
// Thread: one loop owns the store; spill IO runs on the store's own threads and its results arrive through `take`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <weft/value.h>

#include "common/result.h"

namespace weft::worker {

struct StoreOptions {
  std::uint64_t memory_limit = 0;        // bytes of values in memory; 0 is no limit
  double spill_at = 0.7;                 // of the limit: move least recently used values to disk
  double pause_at = 0.8;                 // of the limit: the worker takes no more work
  std::string spill_directory;           // empty: never spill
  std::uint64_t spill_limit = 0;         // bytes on disk; 0 is no limit
  std::uint64_t segment_bytes = 64u << 20;
};

/// A writable place for a value that is being made or received. Committing it makes the value visible; dropping it frees it.
class Reservation;

/// Where a stored value lies in shared memory, so that another process can map it. Empty for heap values.
struct SegmentRange {
  int descriptor = -1;                   // owned by the store; sealed read-only for others
  std::uint64_t segment = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// News from the store's threads.
struct StoreEvents {
  std::vector<Key> loaded;               // now in memory: `find` has it
  std::vector<Key> lost;                 // its spill block is damaged or unreadable; it is forgotten here
  std::string trouble;                   // disk full or failing: one sentence for the operator, at most one a minute
};

class ValueStore {
 public:
  explicit ValueStore(StoreOptions options);
  ~ValueStore();

  /// A place for `bytes`; spills others to make room. Fails with memory_limit only when nothing can be spilled.
  Result<std::unique_ptr<Reservation>> reserve(std::uint64_t bytes);
  /// Keep the value under the key. A second value for the same key is dropped.
  void commit(const Key& key, std::unique_ptr<Reservation> reservation);
  /// Keep a value that already has its bytes (small results, executor output in a leased range).
  void put(const Key& key, Value value);

  bool contains(const Key& key) const;
  std::uint64_t bytes_of(const Key& key) const;
  /// The value if it is in memory. The view keeps the memory until it is dropped, also after `erase`.
  std::optional<Value> find(const Key& key);
  /// Bring a spilled value back; `loaded` or `lost` follows. True if it is already in memory.
  bool load(const Key& key);
  void erase(const Key& key);
  /// Where a value lies, for executors and same-host workers.
  SegmentRange segment_of(const Value& value) const;

  std::uint64_t managed_bytes() const;   // in memory, exact, reservations included
  std::uint64_t spilled_bytes() const;
  bool paused() const;                   // above `pause_at`, with nothing left to spill quickly
  int descriptor() const;                // readable when `take` has news
  StoreEvents take();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

class Reservation {
 public:
  virtual ~Reservation() = default;
  virtual std::span<std::byte> bytes() = 0;
  virtual SegmentRange range() const = 0;
};

}  // namespace weft::worker
