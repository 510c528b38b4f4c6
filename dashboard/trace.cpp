// A range of time as a file for other viewers: Chrome's trace JSON, and Perfetto's TrackEvent protobuf written by hand.
// Source: perfetto/trace/trace_packet.proto and track_event/track_event.proto; field numbers are named beside their use.
#include <algorithm>

#include "dashboard/assets.h"
#include "dashboard/pages.h"

namespace weft::dashboard {

static constexpr std::size_t rectangles_max = 1'000'000;

namespace {

/// Protobuf's wire form: varints, and messages by length.
class Message {
 public:
  void number(unsigned field, std::uint64_t value) {
    varint(field << 3);
    varint(value);
  }
  void text(unsigned field, std::string_view value) {
    varint(field << 3 | 2);
    varint(value.size());
    bytes_ += value;
  }
  void message(unsigned field, const Message& inner) { text(field, inner.bytes_); }
  std::string take() { return std::move(bytes_); }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>(value | 128);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

constexpr std::uint64_t slice_begin = 1, slice_end = 2;  // TrackEvent.Type
constexpr std::uint64_t process_tracks = 1ull << 40, lane_tracks = 2ull << 40;

class PerfettoTrace {
 public:
  void track(std::uint64_t id, std::uint64_t parent, const std::string& name, std::uint32_t pid) {
    Message descriptor;
    descriptor.number(1, id);                  // TrackDescriptor.uuid
    descriptor.text(2, name);                  // .name
    if (parent) descriptor.number(5, parent);  // .parent_uuid
    if (pid) {
      Message process;
      process.number(1, pid);          // ProcessDescriptor.pid
      process.text(6, name);           // .process_name
      descriptor.message(3, process);  // TrackDescriptor.process
    }
    Message packet;
    packet.number(10, 1);            // TracePacket.trusted_packet_sequence_id
    packet.message(60, descriptor);  // .track_descriptor
    trace_.message(1, packet);       // Trace.packet
  }
  void event(Micros t, std::uint64_t track, std::uint64_t type, const std::string& name, const std::string& key) {
    Message event;
    event.number(9, type);                    // TrackEvent.type
    event.number(11, track);                  // .track_uuid
    if (!name.empty()) event.text(23, name);  // .name
    if (!key.empty()) {
      Message note;
      note.text(10, "key");    // DebugAnnotation.name
      note.text(6, key);       // .string_value
      event.message(4, note);  // TrackEvent.debug_annotations
    }
    Message packet;
    packet.number(8, static_cast<std::uint64_t>(t) * 1000);  // TracePacket.timestamp, nanoseconds
    packet.number(10, 1);
    packet.message(11, event);  // .track_event
    trace_.message(1, packet);
  }
  std::string take() { return trace_.take(); }

 private:
  Message trace_;
};

}  // namespace

std::string Pages::trace(bool perfetto, Micros t0, Micros t1) const {
  const Timeline& timeline = feed_.timeline();
  std::vector<Rectangle> rects;
  timeline.newest(t0, t1, rectangles_max, rects);
  std::sort(rects.begin(), rects.end(),
            [](const Rectangle& a, const Rectangle& b) { return std::pair(a.lane, a.start) < std::pair(b.lane, b.start); });
  std::vector<TransferMark> transfers = timeline.transfers(t0, t1, rectangles_max);
  if (perfetto) {
    PerfettoTrace out;
    for (const auto& [id, worker] : feed_.workers()) out.track(process_tracks + id, 0, worker.name, id);
    for (std::uint32_t lane : timeline.ordered_lanes())
      out.track(lane_tracks + lane, process_tracks + timeline.lanes()[lane].worker,
                "slot " + std::to_string(timeline.lanes()[lane].slot), 0);
    Micros end = -1;
    std::uint32_t lane = no_group;
    for (const Rectangle& r : rects) {
      Micros start = r.lane == lane ? std::max(r.start, end) : r.start;  // slices of a track nest or follow each other
      lane = r.lane, end = std::max(r.end, start);
      out.event(start, lane_tracks + r.lane, slice_begin, feed_.label_of(r.group), r.key.hex());
      out.event(end, lane_tracks + r.lane, slice_end, {}, {});
    }
    return out.take();
  }
  std::string text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  const char* before = "";
  auto add = [&](const Json& event) {
    text += before + to_text(event);
    before = ",\n";
  };
  for (const auto& [id, worker] : feed_.workers())
    add({{"ph", "M"}, {"name", "process_name"}, {"pid", id}, {"args", {{"name", worker.name}}}});
  for (const Rectangle& r : rects)
    add({{"ph", "X"},
         {"name", feed_.label_of(r.group)},
         {"cat", "task"},
         {"pid", timeline.lanes()[r.lane].worker},
         {"tid", timeline.lanes()[r.lane].slot},
         {"ts", r.start},
         {"dur", r.end - r.start},
         {"args", {{"key", r.key.hex()}}}});
  for (const TransferMark& m : transfers)
    add({{"ph", "X"},
         {"name", "transfer"},
         {"cat", "transfer"},
         {"pid", m.to},
         {"tid", 100'000},
         {"ts", m.start},
         {"dur", std::max<Micros>(m.end - m.start, 1)},
         {"args", {{"bytes", m.bytes}, {"from", feed_.name_of_worker(m.from)}}}});
  return text + "\n]}\n";
}

Body Pages::trace_page(const Query& query, const Range& range) const {
  const bool perfetto = query.get("format") == "perfetto";
  Body body{.bytes = trace(perfetto, range.t0, range.t1),
            .type = perfetto ? "application/octet-stream" : "application/json"};
  body.headers.emplace_back("Content-Disposition",
                            std::string("attachment; filename=\"weft-trace.") + (perfetto ? "pftrace" : "json") + '"');
  return body;
}

Body Pages::schema(const Query&, const Range&) const {
  for (const EmbeddedFile* file = embedded_files; file->path; ++file)
    if (std::string_view(file->path) == "/schema.json") return {.bytes = std::string(file->begin, file->end)};
  return error_body(404, "this weft was built without the schema; it is dashboard/schema.json in the sources");
}

}  // namespace weft::dashboard
