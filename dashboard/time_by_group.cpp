#include "dashboard/time_by_group.h"

#include <algorithm>

namespace weft::dashboard {

// 1 min, 10 min, 2 h, a day, a week; fewer when many groups run at a time: at most 1.6 MB of each.
static constexpr std::array<std::int64_t, TimeByGroup::widths.size()> columns_max{6'000, 6'000, 7'200, 8'640, 10'080};
static constexpr std::size_t rows_max = 100'000;

void TimeByGroup::make_room(std::size_t i, std::int64_t last) {
  Level& level = levels_[i];
  auto leave_out = [&](std::int64_t before) {
    while (!level.columns.empty() && level.first < before) {
      level.rows -= level.columns.front().size();
      level.left_out |= !level.columns.front().empty();
      level.columns.pop_front();
      ++level.first;
    }
  };
  leave_out(last - columns_max[i] + 1);
  if (level.columns.empty()) level.first = std::max(level.first, std::max<std::int64_t>(0, last - columns_max[i] + 1));
  std::int64_t next = level.first + static_cast<std::int64_t>(level.columns.size());
  if (last >= next) level.columns.resize(level.columns.size() + static_cast<std::size_t>(last - next + 1));
  while (level.rows > rows_max && level.columns.size() > 1) leave_out(level.first + 1);
}

void TimeByGroup::add(Micros start, Micros end, std::uint32_t group) {
  start = std::max<Micros>(start, 0);
  for (std::size_t i = 0; i < widths.size() && end > start; ++i) {
    Level& level = levels_[i];
    std::int64_t last = (end - 1) / widths[i];
    make_room(i, last);
    std::int64_t first = start / widths[i];
    level.left_out |= first < level.first;
    for (std::int64_t number = std::max(first, level.first); number <= last; ++number) {
      Column& rows = level.columns[static_cast<std::size_t>(number - level.first)];
      auto place = std::lower_bound(rows.begin(), rows.end(), group, [](const Row& row, std::uint32_t wanted) { return row.group < wanted; });
      if (place == rows.end() || place->group != group) place = rows.insert(place, {group, 0}), ++level.rows;
      place->time += std::min(end, (number + 1) * widths[i]) - std::max(start, number * widths[i]);
    }
  }
}

const TimeByGroup::Column* TimeByGroup::column(std::size_t level, std::int64_t number) const {
  std::int64_t at = number - levels_[level].first;
  return at >= 0 && at < static_cast<std::int64_t>(levels_[level].columns.size()) ? &levels_[level].columns[static_cast<std::size_t>(at)] : nullptr;
}

bool TimeByGroup::has(std::size_t level, Micros t) const { return !levels_[level].left_out || t / widths[level] >= levels_[level].first; }

TimeByGroup::Sum TimeByGroup::between(Micros t0, Micros t1) const {
  Sum sum;
  for (Micros t = std::max<Micros>(t0, 0); t < t1;) {
    std::size_t level = widths.size();
    while (level > 0 && (t % widths[level - 1] != 0 || t + widths[level - 1] > t1 || !has(level - 1, t))) --level;
    if (level == 0) {   // no whole column begins here
      while (level + 1 < widths.size() && !has(level, t)) ++level;
      Micros end = std::min(t1, (t / widths[level] + 1) * widths[level]);
      sum.parts.emplace_back(t, end);
      t = end;
      continue;
    }
    --level;
    if (const Column* rows = column(level, t / widths[level]))
      for (const Row& row : *rows) sum.groups[row.group] += row.time;
    t += widths[level];
  }
  return sum;
}

void TimeByGroup::add_share(Micros from, Micros to, Sum& sum) const {
  std::size_t level = 0;
  while (level + 1 < widths.size() && !has(level, from)) ++level;
  const Column* rows = column(level, from / widths[level]);
  if (!rows) return;
  for (const Row& row : *rows) {
    Micros share = row.time * (to - from) / widths[level];
    sum.groups[row.group] += share;
    sum.within += std::max(share, row.time - share);
  }
}

Micros TimeByGroup::width_for(Micros t0, Micros wanted) const {
  std::size_t level = 0;
  while (level + 1 < widths.size() && (widths[level] < wanted || !has(level, t0))) ++level;
  return widths[level];
}

std::size_t TimeByGroup::bytes() const {
  std::size_t sum = 0;
  for (const Level& level : levels_) sum += level.rows * sizeof(Row) + level.columns.size() * sizeof(Column);
  return sum;
}

}  // namespace weft::dashboard
