#include "worker/value_store_impl.h"

namespace weft::worker {

Result<std::unique_ptr<Reservation>> ValueStore::Impl::reserve(std::uint64_t bytes, std::uint32_t writer) {
  if (has_room_after_dropping(bytes)) {
    if (bytes < heap_below) return std::unique_ptr<Reservation>(std::make_unique<HeapReservation>(bytes, heap_bytes));
    auto lease = segments.lease(bytes, writer);
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

void ValueStore::Impl::insert(const Key& key, Value value, std::uint64_t content, std::shared_ptr<SpillPlace> mapped,
                              std::uint64_t lender) {
  if (entries.contains(key)) return;
  std::uint64_t bytes = value.size();
  std::uint32_t number = entries.insert({.key = key, .serial = ++last_serial, .bytes = bytes,
                                         .content = content ? content : draw_content(), .value = std::move(value),
                                         .mapped = std::move(mapped), .lender = lender});
  StoreEntry& entry = entries[number];
  if (entry.place() != ValuePlace::memory) moved.push_back(key);
  if (entry.lender) return;
  if (!entry.mapped) {
    list(number);
  } else {
    on_disk += entry.bytes;
    mapped_at[entry.value->block().data()] = entry.mapped.get();
    writer.run([this, key, serial = entry.serial, place = entry.mapped] { news.add(Sealed{key, serial, place->seal(key)}); });
  }
  balance();
}

void ValueStore::Impl::erase(const Key& key) {
  std::uint32_t number = entries.find(key);
  if (number == StoreEntries::none) return;
  unlist(number);
  StoreEntry& entry = entries[number];
  if (entry.only_on_disk()) on_disk -= entry.bytes;
  if (entry.mapped) mapped_at.erase(entry.value->block().data());
  if (entry.record) discard(std::move(*entry.record));
  entries.erase(number);
}

void ValueStore::Impl::list(std::uint32_t number) {
  entries[number].last_use = ++uses;
  order_of(entries[number]).add_newest(entries, number);
}

void ValueStore::Impl::unlist(std::uint32_t number) {
  StoreEntry& entry = entries[number];
  if (entry.listed != StoreEntry::Listed::nowhere) (entry.listed == StoreEntry::Listed::clean ? clean : dirty).remove(entries, number);
}

void ValueStore::Impl::touch(std::uint32_t number) {
  StoreEntry& entry = entries[number];
  entry.used = true;
  entry.last_use = ++uses;
  if (entry.listed == StoreEntry::Listed::nowhere) return;
  unlist(number);
  order_of(entry).add_newest(entries, number);
}

void UseOrder::add_newest(StoreEntries& entries, std::uint32_t number) {
  StoreEntry& entry = entries[number];
  entry.listed = name_;
  entry.older = newest_;
  entry.newer = StoreEntries::none;
  (newest_ == StoreEntries::none ? oldest_ : entries[newest_].newer) = number;
  newest_ = number;
  ++size_;
}

void UseOrder::add_oldest(StoreEntries& entries, std::uint32_t number) {
  StoreEntry& entry = entries[number];
  entry.listed = name_;
  entry.newer = oldest_;
  entry.older = StoreEntries::none;
  (oldest_ == StoreEntries::none ? newest_ : entries[oldest_].older) = number;
  oldest_ = number;
  ++size_;
}

void UseOrder::remove(StoreEntries& entries, std::uint32_t number) {
  StoreEntry& entry = entries[number];
  WEFT_CHECK(entry.listed == name_);
  (entry.older == StoreEntries::none ? oldest_ : entries[entry.older].newer) = entry.newer;
  (entry.newer == StoreEntries::none ? newest_ : entries[entry.newer].older) = entry.older;
  entry.listed = Listed::nowhere;
  --size_;
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
  std::sort(moved.begin(), moved.end());
  moved.erase(std::unique(moved.begin(), moved.end()), moved.end());
  for (const Key& key : std::exchange(moved, {}))
    if (const StoreEntry* entry = entries.look_up(key)) events.places.push_back({key, entry->place()});
  return events;
}

void ValueStore::tell_places_again() {
  impl_->entries.each([&](const StoreEntry& entry) {
    if (entry.place() != ValuePlace::memory) impl_->moved.push_back(entry.key);
  });
}

ValueStore::ValueStore(StoreOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
ValueStore::~ValueStore() = default;

Result<std::unique_ptr<Reservation>> ValueStore::reserve(std::uint64_t bytes, std::uint32_t writer) {
  return impl_->reserve(bytes, writer);
}

Result<void> ValueStore::commit(const Key& key, std::unique_ptr<Reservation> reservation, std::uint64_t content) {
  auto mapped = reservation->spill_place();
  auto value = Value::from(reservation->freeze());
  if (!value) return failure(ErrorKind::protocol_error, "the bytes stored for " + key.hex() + " are not a well-formed value");
  impl_->insert(key, std::move(*value), content, std::move(mapped));
  return {};
}

Result<void> ValueStore::put(const Key& key, Value value, std::uint64_t content) {
  if (contains(key)) return {};
  if (value.size() < heap_below && impl_->has_room_after_dropping(value.size())) {
    auto place = std::make_shared<HeapPlace>(value.block().bytes(), impl_->heap_bytes);
    std::span<const std::byte> bytes(place->bytes);
    impl_->insert(key, *Value::from(Buffer(std::move(place), bytes)), content, nullptr);
    return {};
  }
  if (value.size() >= heap_below && impl_->segments.range_of(value.block().bytes())) {
    impl_->insert(key, std::move(value), content, nullptr);
    return {};
  }
  auto place = reserve(value.size());
  if (!place) return place.error();
  std::memcpy((*place)->bytes().data(), value.block().data(), value.size());
  return commit(key, std::move(*place), content);
}

Result<void> ValueStore::keep_borrowed(const Key& key, Buffer bytes, std::uint64_t content, std::uint64_t lender) {
  WEFT_CHECK(lender != 0);
  auto value = Value::from(std::move(bytes));
  if (!value) return failure(ErrorKind::protocol_error, "the bytes borrowed for " + key.hex() + " are not a well-formed value");
  impl_->insert(key, std::move(*value), content, nullptr, lender);
  return {};
}
void ValueStore::copy_borrowed(std::uint64_t lender) { impl_->copy_borrowed(lender); }
SegmentRange ValueStore::lend(std::span<const std::byte> bytes) const { return impl_->segments.range_of(bytes); }
bool ValueStore::short_of_memory() const {
  return impl_->options.memory_limit > 0 && impl_->managed() > impl_->part_of_limit(impl_->options.spill_at);
}

bool ValueStore::contains(const Key& key) const { return impl_->entries.contains(key); }
std::uint64_t ValueStore::bytes_of(const Key& key) const {
  const StoreEntry* entry = std::as_const(impl_->entries).look_up(key);
  return entry ? entry->bytes : 0;
}
std::uint64_t ValueStore::content_of(const Key& key) const {
  const StoreEntry* entry = std::as_const(impl_->entries).look_up(key);
  return entry ? entry->content : 0;
}

std::optional<Value> ValueStore::find(const Key& key) {
  std::uint32_t number = impl_->entries.find(key);
  if (number == StoreEntries::none || !impl_->entries[number].value) return std::nullopt;
  impl_->touch(number);
  return impl_->entries[number].value;
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
