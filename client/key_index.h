// A compact hash index from Key to a dense slot number, for tables that keep the key in the slot itself: 4 bytes an entry at
// half load. It answers look-ups only; nothing ever iterates it.
#pragma once

#include <cstdint>
#include <vector>

#include <weft/key.h>

#include "common/check.h"

namespace weft::client {

class KeyIndex {
 public:
  static constexpr std::uint32_t none = 0xffffffff;

  /// The slot of `key`, or `none`. `key_of(slot)` gives the key that a slot holds.
  template <class KeyOf>
  std::uint32_t find(const Key& key, const KeyOf& key_of) const {
    if (cells_.empty()) return none;
    for (std::size_t at = key.low & mask();; at = (at + 1) & mask()) {
      if (cells_[at] == none || key_of(cells_[at]) == key) return cells_[at];
    }
  }

  /// Add a key that is absent.
  template <class KeyOf>
  void insert(const Key& key, std::uint32_t slot, const KeyOf& key_of) {
    if (2 * (count_ + 1) > cells_.size()) grow(key_of);
    place(key, slot);
    ++count_;
  }

  /// Remove a key that is present; its slot must still hold it.
  template <class KeyOf>
  void erase(const Key& key, const KeyOf& key_of) {
    std::size_t at = key.low & mask();
    while (cells_[at] == none || key_of(cells_[at]) != key) {
      WEFT_CHECK(cells_[at] != none);
      at = (at + 1) & mask();
    }
    // Move later members of the run back over the hole, so that no tombstone is left.
    for (std::size_t next = (at + 1) & mask(); cells_[next] != none; next = (next + 1) & mask()) {
      std::size_t home = key_of(cells_[next]).low & mask();
      if (((next - home) & mask()) < ((next - at) & mask())) continue;
      cells_[at] = cells_[next];
      at = next;
    }
    cells_[at] = none;
    --count_;
  }

  void clear() {
    cells_.clear();
    count_ = 0;
  }
  std::size_t size() const { return count_; }

 private:
  std::size_t mask() const { return cells_.size() - 1; }
  void place(const Key& key, std::uint32_t slot) {
    std::size_t at = key.low & mask();
    while (cells_[at] != none) at = (at + 1) & mask();
    cells_[at] = slot;
  }
  template <class KeyOf>
  void grow(const KeyOf& key_of) {
    std::vector<std::uint32_t> old = std::move(cells_);
    cells_.assign(old.empty() ? 16 : 2 * old.size(), none);
    for (std::uint32_t slot : old)
      if (slot != none) place(key_of(slot), slot);
  }

  std::vector<std::uint32_t> cells_;
  std::size_t count_ = 0;
};

}  // namespace weft::client
