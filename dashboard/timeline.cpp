#include "dashboard/timeline.h"

#include <algorithm>

namespace weft::dashboard {

// Attempts of one slot follow each other closely, and their times are reported in microseconds of two clocks.
static constexpr Micros lane_slack = 200;
// Ends are nearly sorted: a report may be late by so much.
static constexpr Micros order_slack = 2'000'000;
static constexpr std::size_t rectangles_of_part_max = 100'000;
static constexpr std::array<std::size_t, Timeline::widths.size()> columns_wanted{6'000, 6'000, 7'200, 8'640, 10'080};

std::size_t Timeline::columns_max(std::size_t level) const {
  std::size_t sum = 0;
  for (std::size_t columns : columns_wanted) sum += columns;
  double share = static_cast<double>(cells_bytes_max_) / (static_cast<double>(sum * sizeof(Cell)) * std::max<double>(1, static_cast<double>(lanes_.size())));
  return std::max<std::size_t>(64, static_cast<std::size_t>(static_cast<double>(columns_wanted[level]) * std::min(share, 1.0)));
}

/// A lane for each slot. Of those that are free the one that was busy last; if reports overlap (their times are those of two clocks,
/// and who waits for its children runs beside them), the one that is free first.
std::uint32_t Timeline::lane_for(std::uint32_t worker, std::uint32_t slots, Micros start) {
  std::vector<std::uint32_t>& mine = lanes_of_worker_[worker];
  auto taken = [&](std::uint32_t lane) { return std::pair(lane_data_[lane].open, lane_data_[lane].free_at); };
  std::uint32_t best = no_group, soonest = no_group;
  for (std::uint32_t lane : mine) {
    if (soonest == no_group || taken(lane) < taken(soonest)) soonest = lane;
    if (lane_data_[lane].open > 0 || lane_data_[lane].free_at > start + lane_slack) continue;
    if (best == no_group || lane_data_[lane].free_at > lane_data_[best].free_at) best = lane;
  }
  if (best != no_group) return best;
  if (mine.size() >= std::clamp<std::size_t>(slots, 1, 1024)) return soonest;
  lanes_.push_back({worker, static_cast<std::uint32_t>(mine.size())});
  lane_data_.emplace_back();
  return mine.emplace_back(static_cast<std::uint32_t>(lanes_.size() - 1));
}

void Timeline::begin(std::uint32_t worker, std::uint32_t slots, Micros start, std::uint32_t group, const Key& key) {
  abandon(key);
  std::uint32_t lane = lane_for(worker, slots, start);
  ++lane_data_[lane].open;
  open_[key] = {start, lane, group, key};
}

void Timeline::abandon(const Key& key) {
  auto open = open_.find(key);
  if (open == open_.end()) return;
  --lane_data_[open->second.lane].open;
  open_.erase(open);
}

void Timeline::add(std::uint32_t worker, std::uint32_t slots, Micros start, Micros end, std::uint32_t group, const Key& key) {
  auto open = open_.find(key);
  bool begun_here = open != open_.end() && lanes_[open->second.lane].worker == worker;
  std::uint32_t lane = begun_here ? open->second.lane : lane_for(worker, slots, start);
  abandon(key);
  lane_data_[lane].free_at = std::max(lane_data_[lane].free_at, end);
  ++seen_;
  longest_ = std::max(longest_, end - start);
  rectangles_.push_back({start, end, lane, group, key});
  if (rectangles_.size() > rectangles_max_) {
    held_from_ = std::max(held_from_, rectangles_.front().end);
    rectangles_.pop_front();
  }
  paint(lane_data_[lane], start, end, group, false);
  times_.add(start, end, group);
}

void Timeline::add_transfer(const TransferMark& mark) {
  transfers_.push_back(mark);
  if (transfers_.size() > rectangles_max_ / 4) transfers_.pop_front();
  std::vector<std::uint32_t>& mine = lanes_of_worker_[mark.to];
  if (!mine.empty()) paint(lane_data_[mine.front()], mark.start, mark.end, no_group, true);
}

// Each level keeps a sliding range of columns; what is older than the range is on the coarser ones.
void Timeline::paint(Lane& lane, Micros start, Micros end, std::uint32_t group, bool transfer) {
  for (std::size_t i = 0; i < widths.size(); ++i) {
    Level& level = lane.levels[i];
    std::int64_t first = std::max<Micros>(start, 0) / widths[i], last = std::max<Micros>(end - 1, std::max<Micros>(start, 0)) / widths[i];
    std::int64_t most = static_cast<std::int64_t>(columns_max(i));
    std::int64_t next = level.first + static_cast<std::int64_t>(level.cells.size());
    if (last - next > most || level.cells.empty()) {
      level.cells.clear();
      level.first = std::max(first, last - most + 1);
      next = level.first;
    }
    for (; next <= last; ++next) level.cells.emplace_back();
    while (static_cast<std::int64_t>(level.cells.size()) > most) level.cells.pop_front(), ++level.first;
    for (std::int64_t column = std::max(first, level.first); column <= last; ++column) {
      Cell& cell = level.cells[static_cast<std::size_t>(column - level.first)];
      Micros from = std::max(start, column * widths[i]), to = std::min(end, (column + 1) * widths[i]);
      float seconds = static_cast<float>(std::max<Micros>(to - from, 0)) * 1e-6f;
      if (transfer) {
        cell.transfer += seconds;
        continue;
      }
      cell.busy += seconds;
      // Source: Boyer and Moore (1981), majority vote; a weight instead of a count.
      if (cell.group == group) cell.lead += seconds;
      else if (cell.lead >= seconds && cell.group != no_group) cell.lead -= seconds;
      else cell = {group, seconds - (cell.group == no_group ? 0 : cell.lead), cell.busy, cell.transfer};
    }
  }
}

std::vector<std::uint32_t> Timeline::ordered_lanes() const {
  std::vector<std::uint32_t> order;
  for (const auto& [worker, mine] : lanes_of_worker_) order.insert(order.end(), mine.begin(), mine.end());
  return order;
}

bool Timeline::rectangles(Micros t0, Micros t1, std::size_t max, std::vector<Rectangle>& out) const {
  if (t0 < held_from_) return false;
  auto place = std::lower_bound(rectangles_.begin(), rectangles_.end(), t0 - order_slack,
                                [](const Rectangle& r, Micros t) { return r.end < t; });
  for (; place != rectangles_.end(); ++place) {
    if (place->end <= t0 || place->start >= t1) {
      if (place->end > t1 + longest_ + order_slack) break;
      continue;
    }
    if (out.size() == max) return false;
    out.push_back(*place);
  }
  return true;
}

bool Timeline::newest(Micros t0, Micros t1, std::size_t max, std::vector<Rectangle>& out) const {
  for (auto place = rectangles_.rbegin(); place != rectangles_.rend(); ++place) {
    if (place->end < t0 - order_slack) break;
    if (place->end <= t0 || place->start >= t1) continue;
    if (out.size() == max) return true;
    out.push_back(*place);
  }
  return t0 < held_from_;
}

std::vector<TransferMark> Timeline::transfers(Micros t0, Micros t1, std::size_t max) const {
  std::vector<TransferMark> found;
  for (auto place = transfers_.rbegin(); place != transfers_.rend() && found.size() < max; ++place) {
    if (place->end < t0 - order_slack) break;
    if (place->end > t0 && place->start < t1) found.push_back(*place);
  }
  std::reverse(found.begin(), found.end());
  return found;
}

std::vector<OpenRun> Timeline::open(Micros t1) const {
  std::vector<OpenRun> found;
  for (const auto& [key, run] : open_)
    if (run.start < t1) found.push_back(run);
  return found;
}

TimeByGroup::Sum Timeline::time_by_group(Micros t0, Micros t1) const {
  TimeByGroup::Sum sum = times_.between(t0, t1);
  // Parts of columns: exact where the rectangles are held.
  for (const auto& [from, to] : sum.parts) {
    std::vector<Rectangle> rects;
    if (!rectangles(from, to, rectangles_of_part_max, rects)) {
      times_.add_share(from, to, sum);
      continue;
    }
    for (const Rectangle& r : rects) sum.groups[r.group] += std::min(r.end, to) - std::max(r.start, from);
  }
  for (const OpenRun& run : open(t1)) sum.groups[run.group] += t1 - std::max(run.start, t0);
  return sum;
}

std::size_t Timeline::level_for(Micros t0, Micros wanted) const {
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    if (widths[i] < wanted && widths[i + 1] <= wanted) continue;
    bool held = std::all_of(lane_data_.begin(), lane_data_.end(), [&](const Lane& lane) {
      return lane.levels[i].cells.size() < columns_max(i) || lane.levels[i].first * widths[i] <= t0;
    });
    if (held) return i;
  }
  return widths.size() - 1;
}

Cell Timeline::cell(std::uint32_t lane, std::size_t level, std::int64_t column) const {
  const Level& data = lane_data_[lane].levels[level];
  std::int64_t at = column - data.first;
  return at >= 0 && at < static_cast<std::int64_t>(data.cells.size()) ? data.cells[static_cast<std::size_t>(at)] : Cell{};
}

std::size_t Timeline::bytes() const {
  std::size_t sum = times_.bytes() + rectangles_.size() * sizeof(Rectangle) + transfers_.size() * sizeof(TransferMark);
  for (const Lane& lane : lane_data_)
    for (const Level& level : lane.levels) sum += level.cells.size() * sizeof(Cell);
  return sum;
}

}  // namespace weft::dashboard
