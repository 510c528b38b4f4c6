// The inside of the value store: its tables, for value_store.cpp (values and places) and value_store_spill.cpp (to disk and back).
#pragma once

#include <algorithm>
#include <cstring>
#include <map>

#include "common/key_table.h"
#include "worker/job_thread.h"
#include "worker/spill.h"
#include "worker/store_news.h"
#include "worker/value_places.h"
#include "worker/value_store.h"

namespace weft::worker {

inline constexpr std::uint64_t heap_below = 4096;      // smaller values live on the heap
inline constexpr std::size_t passed_over_max = 256;    // values in use that one call passes over

struct StoreEntry {
  enum class Listed : std::uint8_t { nowhere, dirty, clean };

  Key key;
  std::uint64_t serial = 0;              // tells this value from an earlier one of the same key
  std::uint64_t bytes = 0;
  std::uint64_t content = 0;
  std::optional<Value> value;            // in memory or mapped
  std::optional<SpillRecord> record;     // a good copy on disk
  std::shared_ptr<SpillPlace> mapped;    // the value is a mapped spill file
  std::uint64_t lender = 0;              // borrowed there: neither counted nor spilled here
  bool loading = false;                  // or being copied
  bool used = false;                     // since writing began
  Listed listed = Listed::nowhere;       // in `clean` if it has a record, else in `dirty`
  std::uint64_t last_use = 0;            // rises with every use of any value
  std::uint32_t older = KeyIndex::none, newer = KeyIndex::none;  // its neighbours there

  bool only_on_disk() const { return mapped || !value; }
  ValuePlace place() const { return lender ? ValuePlace::lent : only_on_disk() ? ValuePlace::disk : ValuePlace::memory; }
  // The entry's own Value is one owner; a second one means that dropping ours would free nothing.
  bool in_use() const { return value && value->block().owner().use_count() > 1; }
};

using StoreEntries = KeyTable<StoreEntry>;

/// Entries in the order of their last use, each linked to its neighbours.
class UseOrder {
 public:
  using Listed = StoreEntry::Listed;
  explicit UseOrder(Listed name) : name_(name) {}
  std::uint32_t oldest() const { return oldest_; }
  std::size_t size() const { return size_; }
  void add_newest(StoreEntries& entries, std::uint32_t number);
  void add_oldest(StoreEntries& entries, std::uint32_t number);
  void remove(StoreEntries& entries, std::uint32_t number);

 private:
  Listed name_;
  std::uint32_t oldest_ = StoreEntries::none, newest_ = StoreEntries::none;
  std::size_t size_ = 0;
};

class ValueStore::Impl {
 public:
  explicit Impl(StoreOptions given) : options(std::move(given)), segments(options.segment_bytes) {
    if (options.memory_limit == 0 || options.spill_directory.empty()) return;
    auto opened = SpillFolder::open(options.spill_directory, options.spill_limit);
    if (opened) folder = *opened;
    else complain(opened.error().message);
  }

  Result<std::unique_ptr<Reservation>> reserve(std::uint64_t bytes, std::uint32_t writer = 0);
  void insert(const Key& key, Value value, std::uint64_t content, std::shared_ptr<SpillPlace> mapped, std::uint64_t lender = 0);
  void copy_borrowed(std::uint64_t lender);
  void erase(const Key& key);
  void touch(std::uint32_t number);
  bool load(const Key& key);
  StoreEvents take();
  void balance();
  SegmentRange range_in_file(std::span<const std::byte> bytes) const;

  /// What has a copy on disk makes room.
  bool has_room_after_dropping(std::uint64_t bytes) {
    drop_clean([&] { return has_room(bytes); });
    return has_room(bytes);
  }
  std::uint64_t managed() const { return segments.leased_bytes() + *heap_bytes; }
  std::uint64_t part_of_limit(double part) const { return static_cast<std::uint64_t>(part * double(options.memory_limit)); }

  StoreOptions options;
  Segments segments;
  Counter heap_bytes = std::make_shared<std::atomic<std::uint64_t>>(0);
  std::shared_ptr<SpillFolder> folder;
  StoreEntries entries;
  std::uint64_t on_disk = 0;             // bytes of entries that are only on disk
  NewsBox news;
  StoreEvents waiting;                   // news that needs no thread
  std::vector<Key> moved;                // since the last `take`; one of them may be there twice

 private:
  bool has_room(std::uint64_t bytes) const {
    return options.memory_limit == 0 || (bytes <= options.memory_limit && managed() <= options.memory_limit - bytes);
  }
  bool may_write() const { return folder && monotonic_now() >= write_again; }
  void evict(std::uint32_t number);
  UseOrder& order_of(const StoreEntry& entry) { return entry.record ? clean : dirty; }
  void list(std::uint32_t number);
  void unlist(std::uint32_t number);
  bool is_older(const UseOrder& a, const UseOrder& b) const {
    return a.size() > 0 && b.size() > 0 && entries[a.oldest()].last_use < entries[b.oldest()].last_use;
  }
  /// Numbers for contents, of this store alone: no two are equal anywhere, but for luck of 1 in 2^64.
  std::uint64_t draw_content() { return KeyHasher().add(origin).add(++last_content).finish().low; }
  template <class Enough>
  void drop_clean(Enough enough);
  void write_dirty(std::uint64_t goal);
  void start_writing(std::vector<SpillItem> items, std::vector<Written::Item> names);
  void discard(SpillRecord record) {
    writer.run([record = std::make_shared<SpillRecord>(std::move(record))]() mutable { record.reset(); });
  }
  void complain(const std::string& why);
  /// The entry's number, if it is still of this value.
  std::uint32_t current(const Key& key, std::uint64_t serial) const {
    std::uint32_t number = entries.find(key);
    return number != StoreEntries::none && entries[number].serial == serial ? number : StoreEntries::none;
  }
  void on(Written& written);
  void on(Sealed& sealed);
  void on(Loaded& loaded);
  void on(Copied& copied);
  void on(Released&) { releasing = false; }

  UseOrder clean{StoreEntry::Listed::clean}, dirty{StoreEntry::Listed::dirty};  // values in memory with and without a copy on disk
  std::map<const std::byte*, SpillPlace*> mapped_at;
  std::vector<Value> just_loaded;        // kept until the next `take`, so that the caller can have what it asked for
  std::uint64_t last_serial = 0;
  const std::uint64_t origin = Key::random().low;  // tells contents of this store from all others
  std::uint64_t last_content = 0;
  std::uint64_t uses = 0;
  std::uint64_t writing_bytes = 0;       // on their way to disk
  bool releasing = false;                // idle memory is being given back
  Time write_again{};                    // no spilling before: the disk was full
  Time complain_again{};
  JobThread writer;                      // last, so that they end first; loads never wait behind writes
  JobThread reader;
};

// Costs nothing: these values have a good copy on disk already. What is in use is recently used, and passed over; not more
// than a few of them per call, so that a call stays short when everything is in use.
template <class Enough>
void ValueStore::Impl::drop_clean(Enough enough) {
  for (std::size_t left = clean.size(), passed = 0; left > 0 && passed < passed_over_max && !enough(); --left) {
    std::uint32_t number = clean.oldest();
    if (entries[number].in_use()) {
      touch(number);
      ++passed;
    } else {
      evict(number);
    }
  }
}

}  // namespace weft::worker
