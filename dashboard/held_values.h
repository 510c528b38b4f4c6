// Who holds the value of which task, and where: in memory or on disk, the first of its copies or one more. Sums by group are kept as
// copies come and go, so that nobody has to look at every task.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "common/small_vector.h"
#include "common/value_places.h"
#include "dashboard/moments.h"

namespace weft::dashboard {

class HeldValues {
 public:
  struct Copy {
    std::uint32_t worker = 0;
    ValuePlace place = ValuePlace::memory;
  };

  /// This worker holds the value of the task in this row. A second word about it changes nothing.
  void hold(std::uint32_t row, const Key& key, std::uint32_t group, std::uint32_t worker, std::uint64_t bytes);
  void drop(std::uint32_t row, std::uint32_t worker);
  void drop_all(std::uint32_t row);
  void lose(std::uint32_t worker);
  /// Where it lies there; may come before the word that it is there. `row`: no_row when the task is not known.
  void move(std::uint32_t row, const Key& key, std::uint32_t worker, ValuePlace place);

  static constexpr std::uint32_t no_row = 0xffffffff;
  /// In the order in which they came.
  const SmallVector<Copy>& copies(std::uint32_t row) const;
  HeldByGroup of_group(std::uint32_t group) const { return group < groups_.size() ? groups_[group] : HeldByGroup{}; }

 private:
  struct Value {
    std::uint32_t group = 0;
    std::uint64_t bytes = 0;
    SmallVector<Copy> copies;
  };
  void count(const Value& value, int sign);

  std::vector<Value> values_;   // by row
  std::vector<HeldByGroup> groups_;
  std::map<std::pair<Key, std::uint32_t>, ValuePlace> early_;   // said of copies that we have not heard of
};

}  // namespace weft::dashboard
