// Values on their way to disk and back, and borrowed ones into memory of our own.
#include "worker/value_store_impl.h"

namespace weft::worker {

static constexpr std::uint64_t packed_below = 256 * 1024;     // smaller values share spill files
static constexpr std::uint64_t packed_bytes = 4u << 20;       // of one shared file, about
static constexpr std::size_t packed_values = 1024;
static constexpr std::uint64_t idle_kept = 64 * 1024;         // less idle memory is not worth a system call

void ValueStore::Impl::complain(const std::string& why) {
  Time now = monotonic_now();
  write_again = now + options.spill_retry;
  if (now < complain_again) return;
  complain_again = now + 60s;
  waiting.trouble = "spilling is off for " + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(options.spill_retry).count()) +
                    " s, values stay in memory: " + why;
  news.wake();
}

void ValueStore::Impl::evict(std::uint32_t number) {
  StoreEntry& entry = entries[number];
  WEFT_CHECK(entry.record && entry.value && !entry.mapped);
  unlist(number);
  entry.value.reset();
  on_disk += entry.bytes;
  moved.push_back(entry.key);
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
    std::uint32_t number = dirty.oldest();
    StoreEntry& entry = entries[number];
    Key key = entry.key;
    if (entry.in_use()) {
      touch(number);
      ++passed;
      continue;
    }
    goal -= std::min(goal, entry.bytes);
    unlist(number);
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
    std::uint32_t number = current(key, written.items[i].serial);
    if (number == StoreEntries::none) {
      if (written.records) discard(std::move((*written.records)[i]));
      continue;
    }
    if (!written.records) {
      dirty.add_oldest(entries, number);
      continue;
    }
    StoreEntry& entry = entries[number];
    entry.record = std::move((*written.records)[i]);
    list(number);
    if (!entry.used && !entry.in_use()) evict(number);
  }
}

void ValueStore::Impl::on(Sealed& sealed) {
  std::uint32_t number = current(sealed.key, sealed.serial);
  if (!sealed.record) {
    complain(sealed.record.error().message);  // the mapping itself is good: the space was allocated before
  } else if (number != StoreEntries::none) {
    entries[number].record = std::move(*sealed.record);
  } else {
    discard(std::move(*sealed.record));
  }
}

bool ValueStore::Impl::load(const Key& key) {
  StoreEntry* known = entries.look_up(key);
  if (!known) {
    waiting.lost.push_back(key);
    news.wake();
    return false;
  }
  StoreEntry& entry = *known;
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
  std::uint32_t number = current(loaded.key, loaded.serial);
  if (number == StoreEntries::none) return;
  StoreEntry* entry = &entries[number];
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
    list(number);
  } else {
    mapped_at[entry->value->block().data()] = entry->mapped.get();
  }
  moved.push_back(loaded.key);
  just_loaded.push_back(*entry->value);
  waiting.loaded.push_back(loaded.key);
}

// The owner needs its memory, or is gone and with it whoever would reuse the rest of the segment. What does not fit stays borrowed.
void ValueStore::Impl::copy_borrowed(std::uint64_t lender) {
  entries.each([&](StoreEntry& entry) {
    if (entry.lender != lender || entry.loading || !has_room_after_dropping(entry.bytes)) return;
    auto reserved = reserve(entry.bytes);
    if (!reserved) return;
    entry.loading = true;
    std::shared_ptr<Reservation> room = std::move(*reserved);
    reader.run([this, key = entry.key, serial = entry.serial, value = *entry.value, room]() mutable {
      std::span<std::byte> bytes = room->bytes();
      std::memcpy(bytes.data(), value.block().data(), bytes.size());
      value = {};
      auto copy = Value::from(Buffer(std::move(room), std::span<const std::byte>(bytes)));
      if (copy) news.add(Copied{key, serial, std::move(*copy)});
    });
  });
}

void ValueStore::Impl::on(Copied& copied) {
  std::uint32_t number = current(copied.key, copied.serial);
  if (number == StoreEntries::none) return;
  StoreEntry& entry = entries[number];
  entry.loading = false;
  entry.lender = 0;
  moved.push_back(copied.key);
  entry.value = std::move(copied.value);
  list(number);
}

}  // namespace weft::worker
