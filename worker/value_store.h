// The memory of values on one worker: exact managed bytes, shared-memory segments for big values, heap for small ones, and
// spill to disk under pressure with checksums. The store decides nothing about who needs a value; the worker's State does.
//
// Thread: one loop owns the store; spill IO runs on the store's own threads and its results arrive through `take`. Views of
// values (Buffer, Value) may be read and dropped on any thread, also after the store is gone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <weft/value.h>

#include "common/data/segments.h"
#include "common/result.h"
#include "common/time.h"
#include "common/value_places.h"

namespace weft::worker {

using weft::SegmentRange;

struct StoreOptions {
  std::uint64_t memory_limit = 0;        // bytes of values in memory; 0 is no limit
  double spill_at = 0.7;                 // of the limit: move least recently used values to disk
  double spill_until = 0.6;              // of the limit: and stop there
  double pause_at = 0.8;                 // of the limit: the worker takes no more work
  std::string spill_directory;           // empty: never spill
  std::uint64_t spill_limit = 0;         // bytes on disk; 0 is no limit
  std::uint64_t segment_bytes = 64u << 20;
  Duration spill_retry = 30s;            // how long a full disk is left alone
};

/// A writable place for a value that is being made or received. Committing it makes the value visible; dropping it frees it.
/// Small places are heap memory, big ones shared memory, and those that do not fit into memory are mapped spill files.
class Reservation {
 public:
  virtual ~Reservation() = default;
  virtual std::span<std::byte> bytes() = 0;
  /// The place as another process can map it, writable; empty for heap memory.
  virtual SegmentRange range() const = 0;
  /// Give back the end: the value turned out smaller.
  virtual void shrink(std::uint64_t bytes) = 0;

 private:
  friend class ValueStore;
  /// View the place as an immutable value's bytes; the view owns it.
  virtual Buffer freeze() = 0;
  virtual std::shared_ptr<class SpillPlace> spill_place() const { return nullptr; }
};

/// News from the store's threads.
struct StoreEvents {
  std::vector<Key> loaded;               // now in memory: `find` has it
  std::vector<Key> lost;                 // its spill block is damaged or unreadable; it is forgotten here
  std::vector<PlacedValue> places;       // values that came to lie elsewhere than in our memory, or came back
  std::string trouble;                   // disk full or failing: one sentence for the operator, at most one a minute
};

class ValueStore {
 public:
  /// An unusable spill directory is told by `take().trouble`; the store then works without spilling.
  explicit ValueStore(StoreOptions options);
  ~ValueStore();

  /// A place for `bytes`; spills others to make room. A value larger than what is free gets a mapped spill file. Fails with
  /// memory_limit only when neither memory nor disk has room.
  /// `writer` as in Segments::lease.
  Result<std::unique_ptr<Reservation>> reserve(std::uint64_t bytes, std::uint32_t writer = 0);
  /// Keep the value under the key. Fails with protocol_error if the bytes are not one well-formed value. A second value for
  /// the same key is dropped. `content`: of a copy, the number of its origin (`content_of` there); 0 draws one.
  Result<void> commit(const Key& key, std::unique_ptr<Reservation> reservation, std::uint64_t content = 0);
  /// Keep a value that already has its bytes. A view of a place of this store is shared, others are copied into one, so this
  /// can fail as `reserve` does.
  Result<void> put(const Key& key, Value value, std::uint64_t content = 0);

  /// Keep a value that lies in the memory of another worker on this host, as long as the view lasts. It is not counted here (its
  /// owner counts it until it comes back) and never spilled here.
  Result<void> keep_borrowed(const Key& key, Buffer bytes, std::uint64_t content, std::uint64_t lender);
  /// Replace what was borrowed there by copies, on the store's thread, as far as memory has room.
  void copy_borrowed(std::uint64_t lender);
  /// Where these bytes lie in our shared memory, to be lent; empty if they do not.
  SegmentRange lend(std::span<const std::byte> bytes) const;
  bool short_of_memory() const;          // above `spill_at`: what is lent cannot be spilled, so nothing more is

  bool contains(const Key& key) const;
  std::uint64_t bytes_of(const Key& key) const;
  /// Drawn when a value is made and carried by its copies: equal numbers mean equal bytes. 0 if it is not here.
  std::uint64_t content_of(const Key& key) const;
  /// The value if it is in memory. The view keeps the memory until it is dropped, also after `erase`.
  std::optional<Value> find(const Key& key);
  /// Bring a spilled value back; `loaded` or `lost` follows. True if it is already in memory. A value that does not fit is
  /// mapped from its file. A loaded value stays at least until the next `take`; to keep it longer, hold it.
  bool load(const Key& key);
  void erase(const Key& key);
  /// Where a value lies, for executors and same-host workers; cannot be mapped writable. Empty for heap values.
  SegmentRange segment_of(const Value& value) const;

  /// In memory, exact: values, reservations, and erased values that somebody still looks at. Mapped spill files do not count.
  std::uint64_t managed_bytes() const;
  std::uint64_t spilled_bytes() const;   // of values that are only on disk or mapped from there
  /// Tell of every value that lies elsewhere again, with the next `take`: who knew it is not there any more.
  void tell_places_again();
  bool paused() const;                   // above `pause_at`
  int descriptor() const;                // readable when `take` has news
  /// News since the last call; also continues spilling, so call it once a heartbeat in any case.
  StoreEvents take();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::worker
