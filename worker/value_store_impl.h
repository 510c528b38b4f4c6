// The inside of the value store: its tables, for value_store.cpp (values and places) and value_store_spill.cpp (to disk and back).
#pragma once

#include <algorithm>
#include <cstring>
#include <list>
#include <map>
#include <unordered_map>

#include "worker/job_thread.h"
#include "worker/spill.h"
#include "worker/store_news.h"
#include "worker/value_places.h"
#include "worker/value_store.h"

namespace weft::worker {

inline constexpr std::uint64_t heap_below = 4096;      // smaller values live on the heap
inline constexpr std::size_t passed_over_max = 256;    // values in use that one call passes over

struct StoreEntry {
  std::uint64_t serial = 0;              // tells this value from an earlier one of the same key
  std::uint64_t bytes = 0;
  std::uint64_t content = 0;
  std::optional<Value> value;            // in memory or mapped
  std::optional<SpillRecord> record;     // a good copy on disk
  std::shared_ptr<SpillPlace> mapped;    // the value is a mapped spill file
  std::uint64_t lender = 0;              // borrowed there: neither counted nor spilled here
  bool loading = false;                  // or being copied
  bool used = false;                     // since writing began
  std::uint64_t last_use = 0;            // rises with every use of any value
  std::optional<std::list<Key>::iterator> place;  // in `clean` if it has a record, else in `dirty`

  bool only_on_disk() const { return mapped || !value; }
  // The entry's own Value is one owner; a second one means that dropping ours would free nothing.
  bool in_use() const { return value && value->block().owner().use_count() > 1; }
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
  void touch(StoreEntry& entry);
  bool load(const Key& key);
  StoreEvents take();
  void balance();
  SegmentRange range_in_file(std::span<const std::byte> bytes) const;

  std::uint64_t managed() const { return segments.leased_bytes() + *heap_bytes; }
  std::uint64_t part_of_limit(double part) const { return static_cast<std::uint64_t>(part * double(options.memory_limit)); }

  StoreOptions options;
  Segments segments;
  Counter heap_bytes = std::make_shared<std::atomic<std::uint64_t>>(0);
  std::shared_ptr<SpillFolder> folder;
  std::unordered_map<Key, StoreEntry> entries;
  std::uint64_t on_disk = 0;             // bytes of entries that are only on disk
  NewsBox news;
  StoreEvents waiting;                   // news that needs no thread

 private:
  bool has_room(std::uint64_t bytes) const {
    return options.memory_limit == 0 || (bytes <= options.memory_limit && managed() <= options.memory_limit - bytes);
  }
  bool may_write() const { return folder && monotonic_now() >= write_again; }
  void evict(StoreEntry& entry);
  std::list<Key>& list_of(const StoreEntry& entry) { return entry.record ? clean : dirty; }
  void list(const Key& key, StoreEntry& entry) {
    entry.last_use = ++uses;
    entry.place = list_of(entry).insert(list_of(entry).end(), key);
  }
  void unlist(StoreEntry& entry) {
    if (entry.place) list_of(entry).erase(*entry.place);
    entry.place.reset();
  }
  bool is_older(const std::list<Key>& a, const std::list<Key>& b) const {
    return !a.empty() && !b.empty() && entries.at(a.front()).last_use < entries.at(b.front()).last_use;
  }
  template <class Enough>
  void drop_clean(Enough enough);
  void write_dirty(std::uint64_t goal);
  void start_writing(std::vector<SpillItem> items, std::vector<Written::Item> names);
  void discard(SpillRecord record) {
    writer.run([record = std::make_shared<SpillRecord>(std::move(record))]() mutable { record.reset(); });
  }
  void complain(const std::string& why);
  StoreEntry* current(const Key& key, std::uint64_t serial) {
    auto at = entries.find(key);
    return at != entries.end() && at->second.serial == serial ? &at->second : nullptr;
  }
  void on(Written& written);
  void on(Sealed& sealed);
  void on(Loaded& loaded);
  void on(Copied& copied);
  void on(Released&) { releasing = false; }

  std::list<Key> clean, dirty;           // values in memory with and without a copy on disk, least recently used first
  std::map<const std::byte*, SpillPlace*> mapped_at;
  std::vector<Value> just_loaded;        // kept until the next `take`, so that the caller can have what it asked for
  std::uint64_t last_serial = 0;
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
    StoreEntry& entry = entries.at(clean.front());
    if (entry.in_use()) {
      touch(entry);
      ++passed;
    } else {
      evict(entry);
    }
  }
}

}  // namespace weft::worker
