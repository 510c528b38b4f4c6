// Rows by key and by number. Rows lie in pages and never move; the number of a row that left is used again.
#pragma once

#include <vector>

#include "common/key_index.h"

namespace weft {

/// A row without a key is free.
template <class Row>
class KeyTable {
 public:
  using Number = std::uint32_t;
  using K = std::decay_t<decltype(key_of(std::declval<const Row&>()))>;
  static constexpr Number none = 0xffffffff;

  Row& operator[](Number number) { return pages_[number / page_rows][number % page_rows]; }
  const Row& operator[](Number number) const { return pages_[number / page_rows][number % page_rows]; }

  Number find(const K& key) const { return index_.find(key, *this); }
  bool contains(const K& key) const { return find(key) != none; }
  /// Null: it is not there.
  Row* look_up(const K& key) {
    Number number = find(key);
    return number == none ? nullptr : &(*this)[number];
  }
  const Row* look_up(const K& key) const {
    Number number = find(key);
    return number == none ? nullptr : &(*this)[number];
  }
  /// It has a key that no row has yet.
  Number insert(Row row) {
    WEFT_CHECK(key_of(row));
    Number number = free_.empty() ? end_++ : free_.back();
    if (!free_.empty()) free_.pop_back();
    if (number / page_rows == pages_.size()) pages_.push_back(std::vector<Row>(page_rows));
    index_.insert(key_of(row), number);
    (*this)[number] = std::move(row);
    return number;
  }
  void erase(Number number) {
    index_.erase(key_of((*this)[number]), number);
    (*this)[number] = Row{};
    free_.push_back(number);
  }

  std::size_t size() const { return index_.size(); }
  bool empty() const { return size() == 0; }
  /// All numbers are below this one; in between are free rows.
  Number end() const { return end_; }
  template <class Each>
  void each(Each each) {
    for (Number number = 0; number < end_; ++number)
      if (Row& row = (*this)[number]; key_of(row)) each(row);
  }
  template <class Each>
  void each(Each each) const {
    for (Number number = 0; number < end_; ++number)
      if (const Row& row = (*this)[number]; key_of(row)) each(row);
  }

 private:
  static constexpr Number page_rows = 256;
  std::vector<std::vector<Row>> pages_;
  std::vector<Number> free_;
  RowIndex<K> index_;
  Number end_ = 0;
};

}  // namespace weft
