// Keys to the numbers of the rows that carry them: open addressing with linear probing. A slot is 8 bytes: the row itself has the
// key, and says whether it is the one.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <weft/key.h>

#include "common/check.h"
#include "common/ids.h"

namespace weft {

/// The key of a row; rows that keep it elsewhere say so in an overload of their own.
template <class Row>
auto key_of(const Row& row) -> decltype(row.key) {
  return row.key;
}

/// Keys are uniformly distributed, so their bits are the hash; ids count up.
inline std::uint32_t index_bits(const Key& key) { return static_cast<std::uint32_t>(key.low); }
template <class Tag, class Number>
std::uint32_t index_bits(Id<Tag, Number> id) {
  return static_cast<std::uint32_t>(id.number * 0x9e3779b97f4a7c15u >> 32);
}

template <class K>
class RowIndex {
 public:
  static constexpr std::uint32_t none = 0xffffffff;

  template <class Rows>
  std::uint32_t find(const K& key, const Rows& rows) const {
    if (slots_.empty()) return none;
    const std::uint32_t bits = index_bits(key);
    for (std::size_t at = bits & mask();; at = (at + 1) & mask()) {
      if (slots_[at].number == none) return none;
      if (slots_[at].bits == bits && key_of(rows[slots_[at].number]) == key) return slots_[at].number;
    }
  }

  /// The key must not be there yet.
  void insert(const K& key, std::uint32_t number) {
    if (4 * (size_ + 1) > 3 * slots_.size()) grow();
    place({index_bits(key), number});
    ++size_;
  }

  /// This number must be there under this key. Later entries of the same run move up, so no tombstones are left.
  void erase(const K& key, std::uint32_t number) {
    std::size_t hole = index_bits(key) & mask();
    while (slots_[hole].number != number) {
      WEFT_CHECK(slots_[hole].number != none);
      hole = (hole + 1) & mask();
    }
    for (std::size_t at = (hole + 1) & mask(); slots_[at].number != none; at = (at + 1) & mask()) {
      std::size_t wanted = slots_[at].bits & mask();
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
    std::uint32_t bits = 0;
    std::uint32_t number = none;
  };
  std::size_t mask() const { return slots_.size() - 1; }
  void place(Slot slot) {
    std::size_t at = slot.bits & mask();
    while (slots_[at].number != none) at = (at + 1) & mask();
    slots_[at] = slot;
  }
  void grow() {
    std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.empty() ? 16 : 2 * slots_.size()));
    for (const Slot& slot : old)
      if (slot.number != none) place(slot);
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

using KeyIndex = RowIndex<Key>;

}  // namespace weft
