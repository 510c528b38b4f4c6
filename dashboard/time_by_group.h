// How much time the runs of each group took: sums over columns of time, 10 ms to 1 min wide, so that the sum over any range is a
// few additions, however many runs there were. Only the two columns at the ends of a range can be parts.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "dashboard/moments.h"

namespace weft::dashboard {

class TimeByGroup {
 public:
  static constexpr std::array<Micros, 5> widths{10'000, 100'000, 1'000'000, 10'000'000, 60'000'000};

  struct Sum {
    std::map<std::uint32_t, Micros> groups;
    std::vector<std::pair<Micros, Micros>> parts;   // of columns: not in the sum yet
    Micros within = 0;                              // the sum may be wrong by so much: what `add_share` guessed
  };

  void add(Micros start, Micros end, std::uint32_t group);
  /// Whole columns of [t0, t1); the rest is named in `parts`.
  Sum between(Micros t0, Micros t1) const;
  /// The share of its column that this part is.
  void add_share(Micros from, Micros to, Sum& sum) const;
  /// The finest width that is no finer than `wanted` and still has what was at `t0`.
  Micros width_for(Micros t0, Micros wanted) const;
  std::size_t bytes() const;

 private:
  struct Row {
    std::uint32_t group = 0;
    Micros time = 0;
  };
  using Column = std::vector<Row>;   // by group
  struct Level {
    std::int64_t first = 0;          // column of columns.front()
    std::size_t rows = 0;
    bool left_out = false;           // something older than `first`
    std::deque<Column> columns;
  };
  const Column* column(std::size_t level, std::int64_t number) const;
  bool has(std::size_t level, Micros t) const;
  void make_room(std::size_t level, std::int64_t last);

  std::array<Level, widths.size()> levels_;
};

}  // namespace weft::dashboard
