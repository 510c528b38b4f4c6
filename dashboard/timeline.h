// What ran where and when: a lane for each slot of each worker. Exact rectangles as long as memory lasts, and a pyramid of
// columns (10 ms to 1 min) over them, so that any range can be drawn with as many columns as there are pixels.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include <weft/key.h>

#include "dashboard/moments.h"
#include "dashboard/time_by_group.h"

namespace weft::dashboard {

inline constexpr std::uint32_t no_group = 0xffffffff;

struct Rectangle {
  Micros start = 0, end = 0;
  std::uint32_t lane = 0, group = 0;
  Key key;
};
/// A run that has not ended.
struct OpenRun {
  Micros start = 0;
  std::uint32_t lane = 0, group = 0;
  Key key;
};
struct TransferMark {
  Micros start = 0, end = 0;
  std::uint32_t from = 0, to = 0;   // workers; 0: not known
  std::uint64_t bytes = 0;
};
struct LaneName {
  std::uint32_t worker = 0, slot = 0;
};

/// What a lane did over one column of time.
struct Cell {
  std::uint32_t group = no_group;   // that ran longest, by majority vote
  float lead = 0;                   // of that group in the vote, seconds
  float busy = 0;                   // seconds
  float transfer = 0;
};

class Timeline {
 public:
  static constexpr std::array<Micros, 5> widths{10'000, 100'000, 1'000'000, 10'000'000, 60'000'000};

  Timeline(std::size_t rectangles_max, std::size_t cells_bytes_max) : rectangles_max_(rectangles_max), cells_bytes_max_(cells_bytes_max) {}

  /// A run that began; its worker has so many slots. It keeps its lane until it ends: the one whose last run ended latest.
  void begin(std::uint32_t worker, std::uint32_t slots, Micros start, std::uint32_t group, const Key& key);
  /// Nobody will hear how the open run of this task ended.
  void abandon(const Key& key);
  /// A run that ended, in the lane in which it began, or in the one whose last run ended latest before `start`.
  void add(std::uint32_t worker, std::uint32_t slots, Micros start, Micros end, std::uint32_t group, const Key& key);
  void add_transfer(const TransferMark& mark);

  const std::vector<LaneName>& lanes() const { return lanes_; }
  /// Numbers of lanes in the order of worker and slot.
  std::vector<std::uint32_t> ordered_lanes() const;
  /// Rectangles that touch [t0, t1), or nothing if more than `max` do or some of them are held no more.
  bool rectangles(Micros t0, Micros t1, std::size_t max, std::vector<Rectangle>& out) const;
  /// The newest rectangles of the range, at most `max`; true if there were more.
  bool newest(Micros t0, Micros t1, std::size_t max, std::vector<Rectangle>& out) const;
  std::vector<TransferMark> transfers(Micros t0, Micros t1, std::size_t max) const;
  /// What began before `t1` and has not ended to this day.
  std::vector<OpenRun> open(Micros t1) const;
  /// The time that the runs of each group took of [t0, t1), open ones up to t1.
  TimeByGroup::Sum time_by_group(Micros t0, Micros t1) const;
  /// Of the columns that those sums are made of: no finer than `wanted`.
  Micros width_for(Micros t0, Micros wanted) const { return times_.width_for(t0, wanted); }
  /// The finest level that is no finer than `wanted` and still has the beginning of the range.
  std::size_t level_for(Micros t0, Micros wanted) const;
  Cell cell(std::uint32_t lane, std::size_t level, std::int64_t column) const;
  std::uint64_t rectangles_seen() const { return seen_; }
  std::size_t bytes() const;

 private:
  struct Level {
    std::int64_t first = 0;        // column of cells.front()
    std::deque<Cell> cells;
  };
  struct Lane {
    Micros free_at = 0;
    std::uint32_t open = 0;        // runs
    std::array<Level, widths.size()> levels;
  };
  std::uint32_t lane_for(std::uint32_t worker, std::uint32_t slots, Micros start);
  void paint(Lane& lane, Micros start, Micros end, std::uint32_t group, bool transfer);
  std::size_t columns_max(std::size_t level) const;

  std::size_t rectangles_max_, cells_bytes_max_;
  std::uint64_t seen_ = 0;
  Micros longest_ = 0;             // of all held: how far back a rectangle that touches a time may have begun
  Micros held_from_ = INT64_MIN;   // rectangles that ended before are held no more
  std::deque<Rectangle> rectangles_;   // in the order in which they ended (nearly)
  std::deque<TransferMark> transfers_;
  std::map<Key, OpenRun> open_;
  TimeByGroup times_;
  std::vector<LaneName> lanes_;
  std::vector<Lane> lane_data_;
  std::map<std::uint32_t, std::vector<std::uint32_t>> lanes_of_worker_;
};

}  // namespace weft::dashboard
