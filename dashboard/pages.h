// The resources of /api/v1 (feed.md, section 2) made from a Feed: pure functions of (feed, path, parameters). No socket, no
// clock, no thread; the same code answers for a live cluster and for a log.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/result.h"
#include "dashboard/feed.h"
#include "dashboard/log_start.h"
#include "dashboard/query.h"

namespace weft::dashboard {

using Json = nlohmann::json;

/// Text for a wire: what is not UTF-8 is replaced.
std::string to_text(const Json& json);

struct Body {
  int status = 200;
  Json json;
  std::string bytes;  // not JSON: what `type` says
  std::string type = "application/json";
  const char* list = nullptr;  // the field that grows when followed by `after`
  std::vector<std::pair<std::string, std::string>> headers;
  std::string text() const { return bytes.empty() ? to_text(json) : bytes; }
};
Body error_body(int code, const std::string& text);
Body error_body(const Refusal& refusal);

/// What the server knows and the feed does not.
struct Surroundings {
  bool live = true;  // false: a history, no scheduler behind it
  bool control = false;
  std::int64_t origin_unix_us = 0;
  std::uint64_t epoch = 0;
  std::string version, host;
  std::uint64_t pid = 0;
  std::string reader;             // the version that shows a history
  std::string prefix;             // before every path
  std::vector<LogStart> starts;   // of schedulers, in the folder of the log
  Json options = Json::object();  // effective configuration: {name: {value, default, origin}}
  std::uint64_t queue = 0, log_bytes = 0, sessions = 0, sent_bytes = 0, cut = 0;
};

/// Texts of log_about records that say it.
std::vector<std::string> about_texts(const Surroundings& around);
/// What a log says of the scheduler that wrote it.
void take_about(Surroundings& around, const LogStart& start, const AboutScheduler& about);

/// The part of time that an answer is about.
struct Range {
  Micros t0 = 0, t1 = 0;
  bool live = true;
  Moment now, before;  // at t1 and t0
  double seconds() const { return static_cast<double>(t1 - t0) * 1e-6; }
  double rate(double difference) const { return t1 > t0 ? difference / seconds() : 0; }
};

class Pages {
 public:
  Pages(const Feed& feed, const Surroundings& around) : feed_(feed), around_(around) {}

  /// Answer a query; errors are bodies too.
  Body get(const Query& query) const;
  /// The binary frame of the task stream over (t0, t1]. `level`: of a frame before it, to stay with; -1: free.
  std::string stream(const Query& query, Micros t0, Micros t1, std::uint32_t id, double seq, bool delta) const;
  std::string metrics() const;
  /// Chrome's JSON or Perfetto's protobuf of a range.
  std::string trace(bool perfetto, Micros t0, Micros t1) const;

 private:
  using Page = Body (Pages::*)(const Query&, const Range&) const;
  Range range(const Query& query, bool all_time) const;
  Json header(const Range& range) const;

  Body overview(const Query&, const Range&) const;
  Body progress(const Query&, const Range&) const;
  Body workers(const Query&, const Range&) const;
  Body groups(const Query&, const Range&) const;
  Body graph(const Query&, const Range&) const;
  Body raster(const Query&, const Range&) const;
  Body tasks(const Query&, const Range&) const;
  Json explained(const TaskRow& task, const Range& range) const;
  Body story(const Query&, const Range&, const TaskRow& task) const;
  Body critical_path(const Query&, const Range&) const;
  Body memory(const Query&, const Range&) const;
  Body memory_by_group(const Range&) const;
  Body memory_by_key(const Range&) const;
  Body network(const Query&, const Range&) const;
  Body profile(const Query&, const Range&) const;
  Body errors(const Query&, const Range&) const;
  Body events(const Query&, const Range&) const;
  Body logs(const Query&, const Range&) const;
  Body series(const Query&, const Range&) const;
  Body runs(const Query&, const Range&) const;
  Body system(const Query&, const Range&) const;
  Body config(const Query&, const Range&) const;
  Body starts(const Query&, const Range&) const;
  Body scale(const Query&, const Range&) const;
  Body timeline(const Query&, const Range&) const;
  Body time_by_group(const Query&, const Range&) const;
  Json time_columns(Micros t0, Micros t1, Micros px) const;
  double slot_seconds(Micros t0, Micros t1) const;
  Body stream_page(const Query&, const Range&) const;
  Body trace_page(const Query&, const Range&) const;
  Body schema(const Query&, const Range&) const;

  Json worker_row(const WorkerMoment& moment, const WorkerRow& row, const Range& range) const;
  Json task_row(const TaskRow& task, const Range& range) const;
  Json alerts(const Range& range) const;
  Json progress_rows(const Range& range, const std::string& part_of_label, std::size_t limit) const;
  std::uint8_t state_at(const TaskRow& task, const Range& range) const;
  std::vector<std::uint32_t> lanes_of(const Query& query) const;

  const Feed& feed_;
  const Surroundings& around_;
};

/// The merge patch (RFC 7396) that makes `to` from `from`; an empty object when they are equal.
Json merge_patch(const Json& from, const Json& to);

}  // namespace weft::dashboard
