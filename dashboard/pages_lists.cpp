// Lists in the order of time, and the system itself: events, logs, series, runs, system, configuration, scale, profile.
#include <algorithm>
#include <functional>

#include <weft/version.h>

#include "dashboard/pages.h"

namespace weft::dashboard {

namespace {

/// The rows that a list query asks for: the newest of the range, or those behind `after`.
template <class Rows, class Matches, class Describe>
Body listed(const Query& query, const Range& range, Json json, const char* field, const Rows& rows, Matches matches,
            Describe describe) {
  Result<double> limit = query.number("limit", 1'000, 1, 10'000);
  Result<double> after = query.number("after", -1, -1, 9e15);
  for (const auto* number : {&limit, &after})
    if (!*number) return error_body(400, number->error().message);
  auto most = static_cast<std::size_t>(*limit);
  std::vector<const typename Rows::value_type*> found;
  auto in_range = [&](const auto& row) { return row.t > range.t0 - 1 && row.t <= range.t1 && matches(row); };
  if (*after >= 0) {
    for (const auto& row : rows)
      if (static_cast<double>(row.number) >= *after && in_range(row) && found.size() < most) found.push_back(&row);
  } else {
    for (auto row = rows.rbegin(); row != rows.rend() && found.size() < most; ++row)
      if (in_range(*row)) found.push_back(&*row);
    std::reverse(found.begin(), found.end());
  }
  Json& list = json[field] = Json::array();
  for (const auto* row : found) list.push_back(describe(*row));
  bool cut = *after >= 0 && found.size() == most;
  json["next"] = cut            ? found.back()->number + 1
                 : rows.empty() ? static_cast<std::uint64_t>(std::max(*after, 0.0))
                                : rows.back().number + 1;
  return {.json = std::move(json), .list = field};
}

}  // namespace

Body Pages::events(const Query& query, const Range& range) const {
  std::string kind = query.get("kind");
  return listed(
      query, range, header(range), "events", feed_.events(),
      [&](const EventRow& row) { return kind.empty() || kind == row.kind; },
      [&](const EventRow& row) {
        return Json{{"n", row.number},
                    {"t", row.t},
                    {"kind", row.kind},
                    {"text", row.text},
                    {"worker", feed_.name_of_worker(row.worker)},
                    {"key", row.key ? row.key.hex() : ""}};
      });
}

Body Pages::logs(const Query& query, const Range& range) const {
  Result<double> level = query.number("level", 7, 0, 7);
  if (!level) return error_body(400, level.error().message);
  std::string worker = query.get("worker"), text = query.get("q");
  auto matches = [&](const LineRow& row) {
    return row.level <= *level && (worker.empty() || feed_.name_of_worker(row.worker) == worker) &&
           (text.empty() || row.text.find(text) != std::string::npos);
  };
  return listed(query, range, header(range), "lines", feed_.lines(), matches, [&](const LineRow& row) {
    return Json{{"n", row.number},
                {"t", row.t},
                {"level", row.level},
                {"worker", feed_.name_of_worker(row.worker)},
                {"key", row.key ? row.key.hex() : ""},
                {"text", row.text}};
  });
}

// ------------------------------------------------------------------------------------------------ series

namespace {

struct WorkerSeries {
  std::string_view name;
  double (*level)(const WorkerMoment&);  // or a counter, shown as a rate
  bool is_counter;
};
constexpr WorkerSeries worker_series[] = {
    {"managed_bytes", [](const WorkerMoment& w) { return static_cast<double>(w.managed); }, false},
    {"spilled_bytes", [](const WorkerMoment& w) { return static_cast<double>(w.spilled); }, false},
    {"unmanaged_bytes", [](const WorkerMoment& w) { return static_cast<double>(w.unmanaged()); }, false},
    {"process_bytes", [](const WorkerMoment& w) { return static_cast<double>(w.process); }, false},
    {"running", [](const WorkerMoment& w) { return static_cast<double>(w.running); }, false},
    {"queued", [](const WorkerMoment& w) { return static_cast<double>(w.queued); }, false},
    {"busy", [](const WorkerMoment& w) { return w.busy_s; }, true},
    {"finished_per_s", [](const WorkerMoment& w) { return static_cast<double>(w.finished); }, true},
    {"failed_per_s", [](const WorkerMoment& w) { return static_cast<double>(w.errors); }, true},
    {"transfer_bytes_per_s", [](const WorkerMoment& w) { return static_cast<double>(w.received); }, true},
};

struct TotalSeries {
  std::string_view name;
  double (*level)(const Moment&);
  bool is_counter;
};
constexpr TotalSeries total_series[] = {
    {"transitions_per_s", [](const Moment& m) { return static_cast<double>(m.totals.transitions); }, true},
    {"finished_per_s", [](const Moment& m) { return static_cast<double>(m.totals.finished); }, true},
    {"failed_per_s", [](const Moment& m) { return static_cast<double>(m.totals.errors); }, true},
    {"transfer_bytes_per_s", [](const Moment& m) { return static_cast<double>(m.totals.transfer_bytes); }, true},
    {"waiting", [](const Moment& m) { return static_cast<double>(m.totals.tasks[1]); }, false},
    {"ready", [](const Moment& m) { return static_cast<double>(m.totals.tasks[2]); }, false},
    {"assigned", [](const Moment& m) { return static_cast<double>(m.totals.tasks[3]); }, false},
    {"stored", [](const Moment& m) { return static_cast<double>(m.totals.tasks[4]); }, false},
    {"failed", [](const Moment& m) { return static_cast<double>(m.totals.tasks[5]); }, false},
    {"workers",
     [](const Moment& m) {
       return static_cast<double>(std::count_if(m.workers.begin(), m.workers.end(), [](auto& w) { return w.status < 4; }));
     },
     false},
};

using Value = std::function<double(const Moment&)>;

/// A column: levels as they are, counters as rates per second between neighbours.
Json column(const std::vector<const Moment*>& moments, const Value& value, bool is_counter, double divisor) {
  Json list = Json::array();
  for (std::size_t i = 0; i < moments.size(); ++i) {
    double now = value(*moments[i]);
    if (!is_counter) {
      list.push_back(now);
      continue;
    }
    if (i == 0) continue;
    double seconds = static_cast<double>(moments[i]->t - moments[i - 1]->t) * 1e-6 * divisor;
    list.push_back(seconds > 0 ? std::max(0.0, now - value(*moments[i - 1])) / seconds : 0);
  }
  if (is_counter && !moments.empty()) list.insert(list.begin(), list.empty() ? Json(0) : list.front());
  return list;
}

Value of_worker(const WorkerSeries& series, std::uint32_t worker) {
  return [level = series.level, worker](const Moment& moment) {
    const WorkerMoment* row = moment.worker(worker);
    return row ? level(*row) : 0;
  };
}
Value of_all(const WorkerSeries& series) {
  return [level = series.level](const Moment& moment) {
    double sum = 0;
    for (const WorkerMoment& row : moment.workers) sum += level(row);
    return sum;
  };
}

}  // namespace

Body Pages::series(const Query& query, const Range& range) const {
  Result<double> px = query.number("px", 600, 2, 5'000);
  if (!px) return error_body(400, px.error().message);
  std::vector<const Moment*> in_range, moments;
  for (const auto& moment : feed_.moments().all())
    if (moment->t >= range.t0 && moment->t <= range.t1) in_range.push_back(moment.get());
  std::size_t stride = std::max<std::size_t>(1, in_range.size() / static_cast<std::size_t>(*px));
  for (std::size_t i = 0; i < in_range.size(); ++i)
    if (i % stride == 0 || i + 1 == in_range.size()) moments.push_back(in_range[i]);
  Json json = header(range);
  Json& times = json["t"] = Json::array();
  for (const Moment* moment : moments) times.push_back(moment->t);
  Json& series = json["series"] = Json::object();
  bool by_worker = query.get("by") == "worker";
  double slots = 0, limit = 0;
  for (const auto& [id, row] : feed_.workers())
    if (row.lost < 0) slots += row.slots, limit += static_cast<double>(row.limit_bytes);
  std::string names = query.has("names") ? query.get("names") : "managed_bytes,busy,finished_per_s";
  for (std::size_t at = 0; at <= names.size();) {
    std::string name = names.substr(at, names.find(',', at) - at);
    at += name.size() + 1;
    if (name.empty()) continue;
    bool known = false;
    for (const TotalSeries& total : total_series)
      if (!by_worker && total.name == name) series[name] = column(moments, total.level, total.is_counter, 1), known = true;
    for (const WorkerSeries& each : worker_series) {
      if (each.name != name || known) continue;
      known = true;
      if (!by_worker)
        series[name] = column(moments, of_all(each), each.is_counter, name == "busy" ? std::max(slots, 1.0) : 1);
      else
        for (const auto& [id, row] : feed_.workers())
          series[std::to_string(id)][name] =
              column(moments, of_worker(each, id), each.is_counter, name == "busy" ? row.slots : 1);
    }
    if (name == "limit_bytes" && !by_worker) series[name] = Json(std::vector<double>(moments.size(), limit)), known = true;
    if (!known) return error_body(400, "there is no series '" + name + "'; feed.md lists them");
  }
  return {.json = std::move(json)};
}

// ------------------------------------------------------------------------------------------------ runs

Body Pages::runs(const Query& query, const Range& range) const {
  const auto& runs = feed_.runs();
  auto describe = [&](std::size_t i) {
    const RunRow& run = runs[i];
    Micros end = run.end < 0 ? feed_.now() : run.end;
    double slots = 0;
    for (const auto& [id, row] : feed_.workers())
      if (row.joined <= end && (row.lost < 0 || row.lost > run.start)) slots += row.slots;
    double span = static_cast<double>(end - run.start) * 1e-6;
    return Json{{"name", "run " + std::to_string(i + 1)},
                {"start", run.start},
                {"end", run.end < 0 ? Json(nullptr) : Json(run.end)},
                {"tasks", run.tasks},
                {"finished", run.finished},
                {"errors", run.errors},
                {"bytes", run.bytes},
                {"groups", run.groups.size()},
                {"busy", slots > 0 && span > 0 ? std::min(1.0, run.run_s / (slots * span)) : 0},
                {"file", nullptr},
                {"current", run.end < 0}};
  };
  Json json = header(range);
  if (query.path.size() < 2) {
    Json& rows = json["runs"] = Json::object();
    for (std::size_t i = 0; i < runs.size(); ++i) rows[std::to_string(i)] = describe(i);
    return {.json = std::move(json)};
  }
  if (query.path[1] != "compare") return error_body(404, "write runs or runs/compare?a=0&b=1");
  for (const char* side : {"a", "b"}) {
    Result<double> number = query.number(side, -1, -1, 1e6);
    if (!number) return error_body(400, number.error().message);
    if (*number < 0 || *number >= static_cast<double>(runs.size()))
      return error_body(404, std::string(side) + " names no run; /api/v1/runs lists them");
    auto index = static_cast<std::size_t>(*number);
    json[side] = describe(index);
    for (const auto& [id, group] : runs[index].groups)
      json["groups"][feed_.label_of(id)][side] = {
          {"count", group.total},
          {"run_s", group.run_s},
          {"bytes", group.bytes},
          {"mean_s", group.finished ? group.run_s / static_cast<double>(group.finished) : 0}};
  }
  return {.json = std::move(json)};
}

// ------------------------------------------------------------------------------------------------ the system

Body Pages::system(const Query&, const Range& range) const {
  Json json = header(range);
  const Totals& now = range.now.totals;
  double steps = static_cast<double>(now.steps - range.before.totals.steps),
         seconds = now.step_s - range.before.totals.step_s;
  json["origin_unix_us"] = around_.origin_unix_us;
  json["version"] = around_.version;
  json["protocol"] = 1;
  json["mode"] = around_.live ? "live" : "history";
  json["scheduler"] = {{"epoch", around_.epoch},
                       {"pid", around_.pid},
                       {"host", around_.host},
                       {"loop",
                        {{"steps", now.steps},
                         {"mean_s", steps > 0 ? seconds / steps : 0},
                         {"p99_s", feed_.step_quantile(0.99)},
                         {"max_s", feed_.step_quantile(1)},
                         {"busy", range.rate(seconds)}}}};
  json["observer"] = {
      {"records", now.transitions},     {"dropped", now.dropped},
      {"queue", around_.queue},         {"history_bytes", feed_.moments().bytes() + feed_.timeline().bytes()},
      {"log_bytes", around_.log_bytes}, {"tasks_held", feed_.tasks().size()}};
  json["viewers"] = {{"sessions", around_.sessions}, {"sent_bytes", around_.sent_bytes}, {"cut", around_.cut}};
  json["control"] = around_.control;
  json["trace"] = "/api/v1/trace";
  return {.json = std::move(json)};
}

Body Pages::config(const Query&, const Range& range) const {
  Json json = header(range);
  json["options"] = around_.options;
  return {.json = std::move(json)};
}

Body Pages::scale(const Query&, const Range& range) const {
  // What open tasks would take on one slot, by the mean of their group; half a second is assumed of groups that never ended.
  double backlog = 0, slots = 0, running = 0;  // what runs holds a slot, however long it takes
  std::uint64_t open = 0;
  unsigned workers = 0;
  for (const GroupMoment& group : range.now.groups) {
    double mean = group.finished ? group.run_s / static_cast<double>(group.finished) : 0.5;
    std::uint64_t its = group.counts[1] + group.counts[2] + group.counts[3];
    open += its;
    backlog += static_cast<double>(its) * mean;
  }
  for (const WorkerMoment& worker : range.now.workers)
    if (worker.status < 2) slots += feed_.workers().at(worker.worker).slots, running += worker.running, ++workers;
  constexpr double aim_s = 5;  // the work there is should be done in so long
  Json json = header(range);
  json.update({{"workers", workers},
               {"slots", slots},
               {"backlog_s", backlog},
               {"wanted_slots", std::min(std::max({backlog / aim_s, running, 1.0}), static_cast<double>(open))}});
  return {.json = std::move(json)};
}

static Json tree_of(const std::string& name, const StackTree& tree, int depth = 0) {
  Json json{{"name", name}, {"value", tree.value}, {"children", Json::array()}};
  for (const auto& [below, child] : tree.children)
    if (depth < 256) json["children"].push_back(tree_of(below, child, depth + 1));
  return json;
}

Body Pages::profile(const Query& query, const Range& range) const {
  std::uint32_t worker = 0;
  if (!query.get("worker").empty()) {
    for (const auto& [id, row] : feed_.workers())
      if (row.name == query.get("worker")) worker = id;
    if (worker == 0) return error_body(404, "no worker is named '" + query.get("worker") + "'; /api/v1/workers lists them");
  }
  Result<double> group = query.number("group", -1, 0, 4e9);
  if (!group) return error_body(400, group.error().message);
  const std::string label = *group < 0 ? std::string() : feed_.label_of(static_cast<std::uint32_t>(*group));
  Result<double> span = query.number("span", 0, 0, 9e15);
  if (!span) return error_body(400, span.error().message);
  const Micros from = *span > 0 ? std::max<Micros>(range.t1 - static_cast<Micros>(*span), 0) : range.t0;
  Samples::Answer found = feed_.samples().find(from, range.t1, worker, *group < 0 ? nullptr : &label);
  Json json = header(range);
  json["t0"] = from;
  double samples = static_cast<double>(found.tree.value);
  json.update(
      {{"samples", found.tree.value},
       {"period_s", samples > 0 ? found.seconds / samples : 0.02},
       {"root", tree_of("all", found.tree)},
       {"note",
        found.tree.value > 0 ? ""
        : feed_.samples().empty()
            ? "Workers sample a task's stack after each 20 ms of CPU time (weft-worker --profile-period) and tell of it "
              "every 2 s. Tasks that "
              "only wait, tasks in threads (--isolation thread), and programs that use SIGPROF themselves give no samples."
            : "No task used CPU time here. Widen the time or the filter."}});
  return {.json = std::move(json)};
}

}  // namespace weft::dashboard
