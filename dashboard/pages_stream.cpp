// The task stream in its binary form (feed.md, section 3) and in its JSON form.
#include <algorithm>
#include <bit>
#include <cstring>

#include "dashboard/pages.h"

namespace weft::dashboard {

static_assert(std::endian::native == std::endian::little, "frames are written as the machine has them");

static constexpr std::size_t frame_rectangles_max = 20'000;  // of one frame; more are drawn as columns
static constexpr std::size_t lanes_max = 4'096;

namespace {

class FrameWriter {
 public:
  template <class T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void pad() { bytes_.resize((bytes_.size() + 7) / 8 * 8); }
  template <class Rows, class Field>
  void column(const Rows& rows, Field field) {
    for (const auto& row : rows) put(field(row));
    pad();
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

std::uint8_t share(double part) { return static_cast<std::uint8_t>(std::clamp(part * 255 + 0.5, 0.0, 255.0)); }

}  // namespace

std::vector<std::uint32_t> Pages::lanes_of(const Query& query) const {
  std::vector<std::uint32_t> lanes = feed_.timeline().ordered_lanes();
  std::optional<LaneRange> wanted = query.has("lanes") ? lanes_in(query.get("lanes")) : LaneRange{};
  if (!wanted || wanted->first >= lanes.size()) return {};
  const std::size_t first = wanted->first, last = std::min({wanted->last, first + lanes_max - 1, lanes.size() - 1});
  return {lanes.begin() + static_cast<std::ptrdiff_t>(first), lanes.begin() + static_cast<std::ptrdiff_t>(last + 1)};
}

std::string Pages::stream(const Query& query, Micros t0, Micros t1, std::uint32_t id, double seq, bool delta) const {
  const Timeline& timeline = feed_.timeline();
  std::vector<std::uint32_t> lanes = lanes_of(query);
  std::vector<std::uint32_t> index(timeline.lanes().size(), no_group);
  for (std::uint32_t i = 0; i < lanes.size(); ++i) index[lanes[i]] = i;
  auto px = static_cast<Micros>(std::clamp(query.number("px", 1100), 1.0, 10'000.0));
  // The level follows from the span that the viewer sees, so that a delta has the level of its snapshot.
  const double span = query.number("span", static_cast<double>(t1 - t0));
  std::vector<Rectangle> rects;
  bool exact = timeline.rectangles(t1 - static_cast<Micros>(span), t1, frame_rectangles_max, rects);
  std::erase_if(rects, [&](const Rectangle& r) { return index[r.lane] == no_group || r.end <= t0; });
  std::size_t level = timeline.level_for(t1 - static_cast<Micros>(span), static_cast<Micros>(span) / px);
  Micros width = Timeline::widths[level];
  std::int64_t first = t0 / width, last = std::max(t1 - 1, t0) / width;
  std::uint32_t columns = static_cast<std::uint32_t>(std::clamp<std::int64_t>(last - first + 1, 0, 20'000));
  std::vector<TransferMark> transfers = timeline.transfers(t0, t1, frame_rectangles_max);
  std::vector<OpenRun> open = timeline.open(t1);
  std::erase_if(open, [&](const OpenRun& run) { return index[run.lane] == no_group; });
  open.resize(std::min<std::size_t>(open.size(), 0xffff));

  FrameWriter frame;
  frame.put(std::uint32_t{0x31465457});
  frame.put(id);
  frame.put(seq);
  frame.put(static_cast<double>(exact ? t0 : first * width));
  frame.put(static_cast<double>(t1));
  frame.put(static_cast<std::uint8_t>(exact ? 0 : 1));
  frame.put(static_cast<std::uint8_t>(delta));
  frame.put(static_cast<std::uint16_t>(open.size()));
  frame.put(static_cast<std::uint32_t>(lanes.size()));
  frame.put(exact ? static_cast<std::uint32_t>(rects.size()) : columns);
  frame.put(static_cast<std::uint32_t>(transfers.size()));
  frame.put(static_cast<double>(width));
  frame.column(lanes, [&](std::uint32_t lane) { return timeline.lanes()[lane].worker; });
  frame.column(lanes, [&](std::uint32_t lane) { return timeline.lanes()[lane].slot; });
  if (exact) {
    frame.column(rects, [](const Rectangle& r) { return static_cast<double>(r.start); });
    frame.column(rects, [](const Rectangle& r) { return static_cast<double>(r.end); });
    frame.column(rects, [&](const Rectangle& r) { return index[r.lane]; });
    frame.column(rects, [](const Rectangle& r) { return r.group; });
    frame.column(rects, [](const Rectangle& r) { return r.key.high; });
  } else {
    std::vector<Cell> cells;
    cells.reserve(lanes.size() * columns);
    for (std::uint32_t lane : lanes)
      for (std::int64_t column = first; column < first + columns; ++column)
        cells.push_back(timeline.cell(lane, level, column));
    double full = static_cast<double>(width) * 1e-6;
    frame.column(cells, [](const Cell& c) { return c.group; });
    frame.column(cells, [&](const Cell& c) { return share(c.busy / full); });
    frame.column(cells, [&](const Cell& c) { return share(c.transfer / full); });
  }
  frame.column(transfers, [](const TransferMark& m) { return static_cast<double>(m.start); });
  frame.column(transfers, [](const TransferMark& m) { return static_cast<double>(m.end); });
  frame.column(transfers, [](const TransferMark& m) { return m.from; });
  frame.column(transfers, [](const TransferMark& m) { return m.to; });
  frame.column(transfers, [](const TransferMark& m) { return m.bytes; });
  frame.column(open, [](const OpenRun& run) { return static_cast<double>(run.start); });
  frame.column(open, [&](const OpenRun& run) { return index[run.lane]; });
  frame.column(open, [](const OpenRun& run) { return run.group; });
  frame.column(open, [](const OpenRun& run) { return run.key.high; });
  return frame.take();
}

Body Pages::stream_page(const Query& query, const Range& range) const {
  // Asked for times, not those of moments.
  const auto t0 = static_cast<Micros>(query.number("t0", static_cast<double>(range.t1 - 30'000'000)));
  return {.bytes = stream(query, std::clamp<Micros>(t0, 0, range.t1), range.t1, 0, 0, false),
          .type = "application/octet-stream"};
}

Body Pages::timeline(const Query& query, const Range& range) const {
  if (query.path.size() > 1) return time_by_group(query, range);
  constexpr std::size_t rows_max = 5'000;
  Json json = header(range);
  const Timeline& timeline = feed_.timeline();
  std::vector<std::uint32_t> lanes = lanes_of(query);
  auto name = [&](std::uint32_t lane) {
    return std::to_string(timeline.lanes()[lane].worker) + '/' + std::to_string(timeline.lanes()[lane].slot);
  };
  Json& names = json["lanes"] = Json::object();
  for (std::uint32_t lane : lanes)
    names[name(lane)] = {{"worker", timeline.lanes()[lane].worker}, {"slot", timeline.lanes()[lane].slot}};
  std::vector<Rectangle> rects;
  json["cut"] = timeline.newest(range.t0, range.t1, rows_max, rects);
  Json& list = json["rects"] = Json::array();
  for (const Rectangle& r : rects)
    if (names.contains(name(r.lane))) list.push_back({{"lane", name(r.lane)}, {"key", r.key.hex()}, {"group", r.group}, {"start", r.start}, {"end", r.end}});
  Json& running = json["running"] = Json::array();
  for (const OpenRun& run : timeline.open(range.t1))
    if (names.contains(name(run.lane))) running.push_back({{"lane", name(run.lane)}, {"key", run.key.hex()}, {"group", run.group}, {"start", run.start}});
  return {.json = std::move(json)};
}

/// Of all workers together, in [t0, t1).
double Pages::slot_seconds(Micros t0, Micros t1) const {
  double sum = 0;
  for (const auto& [id, worker] : feed_.workers()) {
    Micros there = std::min(worker.lost >= 0 ? worker.lost : t1, t1) - std::max(worker.joined, t0);
    if (there > 0) sum += static_cast<double>(there) * 1e-6 * worker.slots;
  }
  return sum;
}

Body Pages::time_by_group(const Query& query, const Range& range) const {
  double t0 = query.number("t0", -1), span = query.number("span", 30e6), px = query.number("px", 0);
  // Asked for times, not those of moments.
  Micros from = std::clamp<Micros>(query.has("t0") ? static_cast<Micros>(t0) : range.t1 - static_cast<Micros>(span), 0, range.t1);
  std::uint64_t slots = 0;
  for (const auto& [id, worker] : feed_.workers())
    if (worker.joined < range.t1 && (worker.lost < 0 || worker.lost > from)) slots += worker.slots;
  TimeByGroup::Sum sum = feed_.timeline().time_by_group(from, range.t1);
  Json groups = Json::object();
  Micros busy = 0;
  for (const auto& [group, time] : sum.groups) {
    if (time <= 0) continue;
    busy += time;
    groups[std::to_string(group)] = {{"label", feed_.label_of(group)}, {"run_s", static_cast<double>(time) * 1e-6}};
  }
  double slot_s = slot_seconds(from, range.t1), busy_s = static_cast<double>(busy) * 1e-6;
  Json json = {{"t0", from}, {"t1", range.t1}, {"live", range.live}, {"slots", slots}, {"slot_s", slot_s}, {"busy_s", busy_s}, {"idle_s", std::max(slot_s - busy_s, 0.0)},
               {"within_s", static_cast<double>(sum.within) * 1e-6}, {"groups", std::move(groups)}};
  if (px >= 1) json["columns"] = time_columns(from, range.t1, static_cast<Micros>(px));
  return {.json = std::move(json)};
}

// Of each group only the columns that it has: number, seconds, number, seconds, …
Json Pages::time_columns(Micros t0, Micros t1, Micros px) const {
  Micros width = feed_.timeline().width_for(t0, (t1 - t0) / px);
  Json groups = Json::object(), slots = Json::array();
  for (std::int64_t column = t0 / width; column * width < t1; ++column) {
    Micros from = std::max(column * width, t0), to = std::min((column + 1) * width, t1);
    slots.push_back(slot_seconds(from, to));
    for (const auto& [group, time] : feed_.timeline().time_by_group(from, to).groups) {
      if (time <= 0) continue;
      Json& list = groups[std::to_string(group)];
      list.push_back(column);
      list.push_back(static_cast<double>(time) * 1e-6);
    }
  }
  return {{"width", width}, {"first", t0 / width}, {"slot_s", std::move(slots)}, {"groups", std::move(groups)}};
}

}  // namespace weft::dashboard
