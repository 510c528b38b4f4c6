// Keys to dense 32-bit numbers: open addressing with linear probing. Keys are uniformly distributed, so their bits are the hash.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <weft/key.h>

#include "common/check.h"

namespace weft {

class KeyIndex {
 public:
  static constexpr std::uint32_t none = 0xffffffff;

  std::uint32_t find(const Key& key) const {
    if (slots_.empty()) return none;
    for (std::size_t at = home(key);; at = (at + 1) & mask()) {
      if (slots_[at].number == none) return none;
      if (slots_[at].key == key) return slots_[at].number;
    }
  }

  /// The key must not be there yet.
  void insert(const Key& key, std::uint32_t number) {
    if (4 * (size_ + 1) > 3 * slots_.size()) grow();
    place(key, number);
    ++size_;
  }

  /// The key must be there. Later entries of the same run move up, so no tombstones are left.
  void erase(const Key& key) {
    std::size_t hole = home(key);
    while (slots_[hole].key != key) {
      WEFT_CHECK(slots_[hole].number != none);
      hole = (hole + 1) & mask();
    }
    for (std::size_t at = (hole + 1) & mask(); slots_[at].number != none; at = (at + 1) & mask()) {
      std::size_t wanted = home(slots_[at].key);
      if (((at - wanted) & mask()) >= ((at - hole) & mask())) {
        slots_[hole] = slots_[at];
        hole = at;
      }
    }
    slots_[hole] = {};
    --size_;
  }

  void clear() {
    slots_.clear();
    size_ = 0;
  }
  std::size_t size() const { return size_; }

 private:
  struct Slot {
    Key key;
    std::uint32_t number = none;
  };
  std::size_t mask() const { return slots_.size() - 1; }
  std::size_t home(const Key& key) const { return key.low & mask(); }
  void place(const Key& key, std::uint32_t number) {
    std::size_t at = home(key);
    while (slots_[at].number != none) at = (at + 1) & mask();
    slots_[at] = {key, number};
  }
  void grow() {
    std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.empty() ? 16 : 2 * slots_.size()));
    for (const Slot& slot : old)
      if (slot.number != none) place(slot.key, slot.number);
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace weft
