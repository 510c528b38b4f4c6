#include "worker/value_store.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <map>
#include <unordered_map>

#include "worker/job_thread.h"
#include "worker/spill.h"
#include "worker/store_news.h"
#include "worker/value_places.h"

namespace weft::worker {

namespace {

constexpr std::uint64_t heap_below = 4096;             // smaller values live on the heap
constexpr std::uint64_t packed_below = 256 * 1024;     // smaller values share spill files
constexpr std::uint64_t packed_bytes = 4u << 20;       // of one shared file, about
constexpr std::size_t packed_values = 1024;
constexpr std::size_t passed_over_max = 256;           // values in use that one call passes over
constexpr std::uint64_t idle_kept = 64 * 1024;         // less idle memory is not worth a system call

struct Entry {
  std::uint64_t serial = 0;              // tells this value from an earlier one of the same key
  std::uint64_t bytes = 0;
  std::uint64_t content = 0;
  std::optional<Value> value;            // in memory or mapped
  std::optional<SpillRecord> record;     // a good copy on disk
  std::shared_ptr<SpillPlace> mapped;    // the value is a mapped spill file
  bool loading = false;
  bool used = false;                     // since writing began
  std::uint64_t last_use = 0;            // rises with every use of any value
  std::optional<std::list<Key>::iterator> place;  // in `clean` if it has a record, else in `dirty`

  bool only_on_disk() const { return mapped || !value; }
  // The entry's own Value is one owner; a second one means that dropping ours would free nothing.
  bool in_use() const { return value && value->block().owner().use_count() > 1; }
};

}  // namespace

class ValueStore::Impl {
 public:
  explicit Impl(StoreOptions given) : options(std::move(given)), segments(options.segment_bytes) {
    if (options.memory_limit == 0 || options.spill_directory.empty()) return;
    auto opened = SpillFolder::open(options.spill_directory, options.spill_limit);
    if (opened) folder = *opened;
    else complain(opened.error().message);
  }

  Result<std::unique_ptr<Reservation>> reserve(std::uint64_t bytes);
  void insert(const Key& key, Value value, std::uint64_t content, std::shared_ptr<SpillPlace> mapped);
  void erase(const Key& key);
  void touch(Entry& entry);
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
  std::unordered_map<Key, Entry> entries;
  std::uint64_t on_disk = 0;             // bytes of entries that are only on disk
  NewsBox news;
  StoreEvents waiting;                   // news that needs no thread

 private:
  bool has_room(std::uint64_t bytes) const {
    return options.memory_limit == 0 || (bytes <= options.memory_limit && managed() <= options.memory_limit - bytes);
  }
  bool may_write() const { return folder && monotonic_now() >= write_again; }
  void evict(Entry& entry);
  std::list<Key>& list_of(const Entry& entry) { return entry.record ? clean : dirty; }
  void list(const Key& key, Entry& entry) {
    entry.last_use = ++uses;
    entry.place = list_of(entry).insert(list_of(entry).end(), key);
  }
  void unlist(Entry& entry) {
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
  Entry* current(const Key& key, std::uint64_t serial) {
    auto at = entries.find(key);
    return at != entries.end() && at->second.serial == serial ? &at->second : nullptr;
  }
  void on(Written& written);
  void on(Sealed& sealed);
  void on(Loaded& loaded);
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

Result<std::unique_ptr<Reservation>> ValueStore::Impl::reserve(std::uint64_t bytes) {
  drop_clean([&] { return has_room(bytes); });
  if (has_room(bytes)) {
    if (bytes < heap_below) return std::unique_ptr<Reservation>(std::make_unique<HeapReservation>(bytes, heap_bytes));
    auto lease = segments.lease(bytes);
    if (!lease) return failure(ErrorKind::memory_limit, lease.error().message);
    balance();
    return std::unique_ptr<Reservation>(std::make_unique<MappedReservation<SegmentLease>>(std::move(*lease)));
  }
  // Waiting for the spill thread would block the loop; the value itself goes to disk instead.
  std::string why = "spilling is off";
  if (may_write()) {
    auto place = SpillPlace::create(folder, bytes);
    if (place) return std::unique_ptr<Reservation>(std::make_unique<MappedReservation<SpillPlace>>(std::move(*place)));
    why = place.error().message;
    complain(why);
  } else if (folder) {
    why = "the spill disk was full a moment ago";
  }
  return failure(ErrorKind::memory_limit, "no room for a value of " + std::to_string(bytes) + " bytes: " +
                                              std::to_string(managed()) + " of " + std::to_string(options.memory_limit) +
                                              " bytes of memory are in use, and " + why);
}

void ValueStore::Impl::complain(const std::string& why) {
  Time now = monotonic_now();
  write_again = now + options.spill_retry;
  if (now < complain_again) return;
  complain_again = now + 60s;
  waiting.trouble = "spilling is off for " + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(options.spill_retry).count()) +
                    " s, values stay in memory: " + why;
  news.wake();
}

void ValueStore::Impl::insert(const Key& key, Value value, std::uint64_t content, std::shared_ptr<SpillPlace> mapped) {
  auto [at, is_new] = entries.try_emplace(key);
  if (!is_new) return;
  Entry& entry = at->second;
  entry.serial = ++last_serial;
  entry.bytes = value.size();
  entry.content = content ? content : Key::random().low;
  entry.value = std::move(value);
  entry.mapped = std::move(mapped);
  if (!entry.mapped) {
    list(key, entry);
  } else {
    on_disk += entry.bytes;
    mapped_at[entry.value->block().data()] = entry.mapped.get();
    writer.run([this, key, serial = entry.serial, place = entry.mapped] { news.add(Sealed{key, serial, place->seal(key)}); });
  }
  balance();
}

void ValueStore::Impl::erase(const Key& key) {
  auto at = entries.find(key);
  if (at == entries.end()) return;
  Entry& entry = at->second;
  unlist(entry);
  if (entry.only_on_disk()) on_disk -= entry.bytes;
  if (entry.mapped) mapped_at.erase(entry.value->block().data());
  if (entry.record) discard(std::move(*entry.record));
  entries.erase(at);
}

void ValueStore::Impl::touch(Entry& entry) {
  entry.used = true;
  entry.last_use = ++uses;
  if (entry.place) list_of(entry).splice(list_of(entry).end(), list_of(entry), *entry.place);
}

void ValueStore::Impl::evict(Entry& entry) {
  WEFT_CHECK(entry.record && entry.value && !entry.mapped);
  unlist(entry);
  entry.value.reset();
  on_disk += entry.bytes;
}

// Costs nothing: these values have a good copy on disk already. What is in use is recently used, and passed over; not more
// than a few of them per call, so that a call stays short when everything is in use.
template <class Enough>
void ValueStore::Impl::drop_clean(Enough enough) {
  for (std::size_t left = clean.size(), passed = 0; left > 0 && passed < passed_over_max && !enough(); --left) {
    Entry& entry = entries.at(clean.front());
    if (entry.in_use()) {
      touch(entry);
      ++passed;
    } else {
      evict(entry);
    }
  }
}

void ValueStore::Impl::balance() {
  if (options.memory_limit == 0) return;
  std::uint64_t start = part_of_limit(options.spill_at);
  // Under pressure memory that nobody uses goes back to the system.
  std::uint64_t resident = managed() + segments.idle_bytes();
  if (!releasing && resident > start && segments.idle_bytes() >= idle_kept) {
    releasing = true;
    writer.run([this, excess = resident - start] {
      segments.release_idle(excess);
      news.add(Released{});
    });
  }
  auto staying = [this] { return managed() - std::min(managed(), writing_bytes); };
  if (!folder || staying() <= start) return;
  std::uint64_t goal = part_of_limit(options.spill_until);
  bool write = may_write();
  drop_clean([&] { return staying() <= goal || (write && is_older(dirty, clean)); });
  if (staying() > goal && write) write_dirty(staying() - goal);
}

// Big values get a file each; small ones share files, so that a million of them is not a million files.
void ValueStore::Impl::write_dirty(std::uint64_t goal) {
  std::vector<SpillItem> items;
  std::vector<Written::Item> names;
  std::uint64_t packed = 0;
  for (std::size_t left = dirty.size(), passed = 0; left > 0 && passed < passed_over_max && goal > 0; --left) {
    Key key = dirty.front();
    Entry& entry = entries.at(key);
    if (entry.in_use()) {
      touch(entry);
      ++passed;
      continue;
    }
    goal -= std::min(goal, entry.bytes);
    unlist(entry);
    entry.used = false;
    writing_bytes += entry.bytes;
    if (entry.bytes >= packed_below) {
      start_writing({{key, entry.value->block()}}, {{key, entry.serial}});
      continue;
    }
    packed += entry.bytes;
    items.push_back({key, entry.value->block()});
    names.push_back({key, entry.serial});
    if (packed >= packed_bytes || items.size() >= packed_values) {
      start_writing(std::exchange(items, {}), std::exchange(names, {}));
      packed = 0;
    }
  }
  if (!items.empty()) start_writing(std::move(items), std::move(names));
}

void ValueStore::Impl::start_writing(std::vector<SpillItem> items, std::vector<Written::Item> names) {
  writer.run([this, items = std::move(items), names = std::move(names)]() mutable {
    std::uint64_t bytes = 0;
    for (const SpillItem& item : items) bytes += item.bytes.size();
    auto records = write_records(folder, items);
    items.clear();  // before the loop asks whether the values are in use
    news.add(Written{std::move(names), bytes, std::move(records)});
  });
}

void ValueStore::Impl::on(Written& written) {
  writing_bytes -= written.bytes;
  if (!written.records) complain(written.records.error().message);
  for (std::size_t i = written.items.size(); i-- > 0;) {
    const Key& key = written.items[i].key;
    Entry* entry = current(key, written.items[i].serial);
    if (!entry) {
      if (written.records) discard(std::move((*written.records)[i]));
      continue;
    }
    if (!written.records) {
      entry->place = dirty.insert(dirty.begin(), key);
      continue;
    }
    entry->record = std::move((*written.records)[i]);
    list(key, *entry);
    if (!entry->used && !entry->in_use()) evict(*entry);
  }
}

void ValueStore::Impl::on(Sealed& sealed) {
  Entry* entry = current(sealed.key, sealed.serial);
  if (!sealed.record) {
    complain(sealed.record.error().message);  // the mapping itself is good: the space was allocated before
  } else if (entry) {
    entry->record = std::move(*sealed.record);
  } else {
    discard(std::move(*sealed.record));
  }
}

bool ValueStore::Impl::load(const Key& key) {
  auto at = entries.find(key);
  if (at == entries.end()) {
    waiting.lost.push_back(key);
    news.wake();
    return false;
  }
  Entry& entry = at->second;
  if (entry.value) return true;
  if (entry.loading) return false;
  entry.loading = true;
  drop_clean([&] { return has_room(entry.bytes); });
  std::shared_ptr<Reservation> room;
  if (has_room(entry.bytes)) {
    auto reserved = reserve(entry.bytes);
    if (reserved) room = std::move(*reserved);
  }
  reader.run([this, key, serial = entry.serial, record = *entry.record, room]() mutable {
    Loaded loaded{key, serial, failure(ErrorKind::data_lost, "it is not a value"), nullptr};
    Result<void> done;
    Buffer block;
    if (room) {
      done = read_record(record, key, room->bytes());
      std::span<const std::byte> bytes = room->bytes();
      if (done) block = Buffer(std::move(room), bytes);
    } else {
      auto place = SpillPlace::open(record, key);
      if (!place) done = place.error();
      else block = Buffer(loaded.mapped = *place, (*place)->bytes());
    }
    room.reset();
    record = {};
    if (!done) loaded.value = done.error();
    else if (auto value = Value::from(std::move(block))) loaded.value = std::move(*value);
    news.add(std::move(loaded));
  });
  return false;
}

void ValueStore::Impl::on(Loaded& loaded) {
  Entry* entry = current(loaded.key, loaded.serial);
  if (!entry) return;
  entry->loading = false;
  if (!loaded.value) {
    erase(loaded.key);
    waiting.lost.push_back(loaded.key);
    return;
  }
  entry->value = std::move(*loaded.value);
  entry->mapped = std::move(loaded.mapped);
  if (!entry->mapped) {
    on_disk -= entry->bytes;
    list(loaded.key, *entry);
  } else {
    mapped_at[entry->value->block().data()] = entry->mapped.get();
  }
  just_loaded.push_back(*entry->value);
  waiting.loaded.push_back(loaded.key);
}

SegmentRange ValueStore::Impl::range_in_file(std::span<const std::byte> bytes) const {
  auto after = mapped_at.upper_bound(bytes.data());
  if (after == mapped_at.begin()) return {};
  const auto& [begin, place] = *std::prev(after);
  auto offset = static_cast<std::uint64_t>(bytes.data() - begin);
  if (offset + bytes.size() > place->bytes().size()) return {};
  SegmentRange range = place->shared_range();
  range.offset += offset;
  range.length = bytes.size();
  return range;
}

StoreEvents ValueStore::Impl::take() {
  just_loaded.clear();
  for (StoreNews& piece : news.take()) std::visit([this](auto& one) { on(one); }, piece);
  StoreEvents events = std::exchange(waiting, {});
  balance();
  return events;
}

ValueStore::ValueStore(StoreOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
ValueStore::~ValueStore() = default;

Result<std::unique_ptr<Reservation>> ValueStore::reserve(std::uint64_t bytes) { return impl_->reserve(bytes); }

Result<void> ValueStore::commit(const Key& key, std::unique_ptr<Reservation> reservation, std::uint64_t content) {
  auto mapped = reservation->spill_place();
  auto value = Value::from(reservation->freeze());
  if (!value) return failure(ErrorKind::protocol_error, "the bytes stored for " + key.hex() + " are not a well-formed value");
  impl_->insert(key, std::move(*value), content, std::move(mapped));
  return {};
}

Result<void> ValueStore::put(const Key& key, Value value, std::uint64_t content) {
  if (contains(key)) return {};
  if (value.size() >= heap_below && impl_->segments.range_of(value.block().bytes())) {
    impl_->insert(key, std::move(value), content, nullptr);
    return {};
  }
  auto place = reserve(value.size());
  if (!place) return place.error();
  std::memcpy((*place)->bytes().data(), value.block().data(), value.size());
  return commit(key, std::move(*place), content);
}

bool ValueStore::contains(const Key& key) const { return impl_->entries.contains(key); }
std::uint64_t ValueStore::bytes_of(const Key& key) const {
  auto at = impl_->entries.find(key);
  return at == impl_->entries.end() ? 0 : at->second.bytes;
}
std::uint64_t ValueStore::content_of(const Key& key) const {
  auto at = impl_->entries.find(key);
  return at == impl_->entries.end() ? 0 : at->second.content;
}

std::optional<Value> ValueStore::find(const Key& key) {
  auto at = impl_->entries.find(key);
  if (at == impl_->entries.end() || !at->second.value) return std::nullopt;
  impl_->touch(at->second);
  return at->second.value;
}

bool ValueStore::load(const Key& key) { return impl_->load(key); }
void ValueStore::erase(const Key& key) { impl_->erase(key); }

SegmentRange ValueStore::segment_of(const Value& value) const {
  auto bytes = value.block().bytes();
  SegmentRange range = impl_->segments.range_of(bytes);
  return range ? range : impl_->range_in_file(bytes);
}

std::uint64_t ValueStore::managed_bytes() const { return impl_->managed(); }
std::uint64_t ValueStore::spilled_bytes() const { return impl_->on_disk; }
bool ValueStore::paused() const {
  return impl_->options.memory_limit > 0 && impl_->managed() > impl_->part_of_limit(impl_->options.pause_at);
}
int ValueStore::descriptor() const { return impl_->news.descriptor(); }
StoreEvents ValueStore::take() { return impl_->take(); }

}  // namespace weft::worker
