#include "scheduler/observer.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "common/check.h"

namespace weft::scheduler {

Observer::Observer(std::size_t slots) : size_(slots), ring_(std::make_unique_for_overwrite<Sighting[]>(slots)) {
  WEFT_CHECK(std::has_single_bit(slots) && slots >= 512);
}

// A record and its text lie in consecutive slots of the ring's memory: what would wrap is preceded by empty records.
bool Observer::put(Sighting record, std::string_view text) {
  std::size_t text_slots = text.empty() ? 0 : (text.size() + 2 + sizeof(Sighting) - 1) / sizeof(Sighting);
  std::uint64_t at = written_.load(std::memory_order_relaxed);
  std::size_t behind = size_ - (at & (size_ - 1));  // slots up to the end of the memory
  std::size_t wanted = 1 + text_slots;
  bool tell_gap = untold_ != 0;
  std::size_t fill = behind < wanted + tell_gap ? behind : 0;
  if (size_ - (at - read_seen_) < fill + wanted + tell_gap) {
    read_seen_ = read_.load(std::memory_order_acquire);
    if (size_ - (at - read_seen_) < fill + wanted + tell_gap) {
      ++untold_;
      dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return false;
    }
  }
  for (; fill > 0; --fill) ring_[at++ & (size_ - 1)] = Sighting{};
  if (tell_gap) ring_[at++ & (size_ - 1)] = Sighting{.when = record.when, .amount = std::exchange(untold_, 0), .what = Seen::gap};
  record.text_slots = static_cast<std::uint8_t>(text_slots);
  Sighting* place = &ring_[at & (size_ - 1)];
  *place = record;
  if (text_slots > 0) {
    char* bytes = reinterpret_cast<char*>(place + 1);
    place[text_slots] = Sighting{};  // what the text leaves of its last slot
    std::uint16_t length = static_cast<std::uint16_t>(text.size());
    std::memcpy(bytes, &length, 2);
    std::memcpy(bytes + 2, text.data(), text.size());
  }
  written_.store(at + wanted, std::memory_order_release);
  return true;
}

void Observer::name_group(Time now, std::uint32_t group, std::string_view label) {
  if (group >= named_.size()) named_.resize(group + 1);
  if (!named_[group]) named_[group] = write(Sighting{.when = now, .group = group, .what = Seen::label}, label.empty() ? "(no label)" : label);
}

void Observer::flush_edges() {
  if (edge_.amount == 0) return;
  write(edge_);
  edge_.amount = 0;
}

std::size_t Observer::peek(const Sighting*& first) const {
  std::uint64_t from = read_.load(std::memory_order_relaxed), to = written_.load(std::memory_order_acquire);
  first = &ring_[from & (size_ - 1)];
  return std::min<std::size_t>(to - from, size_ - (from & (size_ - 1)));
}

std::string_view text_of(const Sighting* record) {
  if (record->text_slots == 0) return {};
  const char* bytes = reinterpret_cast<const char*>(record + 1);
  std::uint16_t length;
  std::memcpy(&length, bytes, 2);
  return {bytes + 2, std::min<std::size_t>(length, record->text_slots * sizeof(Sighting) - 2)};
}

}  // namespace weft::scheduler
