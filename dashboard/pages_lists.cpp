// Lists in the order of time, and the system itself: events, logs, runs, system, configuration, scale, profile.
#include <algorithm>

#include <weft/version.h>

#include "dashboard/pages.h"

namespace weft::dashboard {

namespace {

/// The rows that a list query asks for: the newest of the range, or those behind `after`.
template <class Rows, class Matches, class Describe>
Body listed(const Query& query, const Range& range, Json json, const char* field, const Rows& rows, Matches matches,
            Describe describe) {
  const double after = query.number("after", -1);
  const auto most = static_cast<std::size_t>(query.number("limit", 1'000));
  std::vector<const typename Rows::value_type*> found;
  auto in_range = [&](const auto& row) { return row.t > range.t0 - 1 && row.t <= range.t1 && matches(row); };
  if (after >= 0) {
    for (const auto& row : rows)
      if (static_cast<double>(row.number) >= after && in_range(row) && found.size() < most) found.push_back(&row);
  } else {
    for (auto row = rows.rbegin(); row != rows.rend() && found.size() < most; ++row)
      if (in_range(*row)) found.push_back(&*row);
    std::reverse(found.begin(), found.end());
  }
  Json& list = json[field] = Json::array();
  for (const auto* row : found) list.push_back(describe(*row));
  bool cut = after >= 0 && found.size() == most;
  json["next"] = cut            ? found.back()->number + 1
                 : rows.empty() ? static_cast<std::uint64_t>(std::max(after, 0.0))
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
        Json json{{"n", row.number},
                  {"t", row.t},
                  {"kind", row.kind},
                  {"text", row.text},
                  {"worker", feed_.name_of_worker(row.worker)},
                  {"key", row.key ? row.key.hex() : ""}};
        if (!row.verb.empty()) json.update({{"verb", row.verb}, {"by", row.by}});
        return json;
      });
}

Body Pages::logs(const Query& query, const Range& range) const {
  const double level = query.number("level", 7);
  std::string worker = query.get("worker"), text = query.get("q");
  auto matches = [&](const LineRow& row) {
    return row.level <= level && (worker.empty() || feed_.name_of_worker(row.worker) == worker) &&
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
    return Json{{"name", "run " + std::to_string(i + 1)}, {"start", run.start}, {"end", run.end < 0 ? Json(nullptr) : Json(run.end)},
                {"tasks", run.tasks}, {"finished", run.finished}, {"failed_tasks", run.failed_tasks}, {"bytes", run.bytes}, {"groups", run.groups.size()},
                {"busy", slots > 0 && span > 0 ? std::min(1.0, run.run_s / (slots * span)) : 0}, {"file", nullptr}, {"current", run.end < 0}};
  };
  Json json = header(range);
  if (query.path.size() < 2) {
    Json& rows = json["runs"] = Json::object();
    for (std::size_t i = 0; i < runs.size(); ++i) rows[std::to_string(i)] = describe(i);
    return {.json = std::move(json)};
  }
  for (const char* side : {"a", "b"}) {
    const auto index = static_cast<std::size_t>(query.number(side, 0));
    if (index >= runs.size()) return error_body(404, std::string(side) + " names no run; /api/v1/runs lists them");
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
  if (!around_.live) json["reader"] = around_.reader;
  return {.json = std::move(json)};
}

Body Pages::config(const Query&, const Range& range) const {
  Json json = header(range);
  json["options"] = around_.options;
  return {.json = std::move(json)};
}

Body Pages::starts(const Query&, const Range& range) const {
  Json json = header(range);
  Json& rows = json["starts"] = Json::object();
  for (const LogStart& start : around_.starts) {
    const std::string epoch = std::to_string(start.epoch);
    rows[epoch] = {{"began_unix_us", start.origin_unix_us},
                   {"written_unix_us", start.written_unix_us},
                   {"bytes", start.bytes},
                   {"shown", start.epoch == around_.epoch},
                   {"path", around_.live ? Json(nullptr) : Json(around_.prefix + "/starts/" + epoch + '/')}};
  }
  return {.json = std::move(json)};
}

std::vector<std::string> about_texts(const Surroundings& around) {
  const std::string end(1, '\0');
  std::vector<std::string> texts{end + around.version + end + around.host + end + std::to_string(around.pid) + end};
  for (const auto& [name, option] : around.options.items())
    if (option.is_object())
      texts.push_back(name + end + option.value("value", "") + end + option.value("default", "") + end +
                      option.value("origin", "") + end);
  return texts;
}

void take_about(Surroundings& around, const LogStart& start, const AboutScheduler& about) {
  around.live = false;
  around.epoch = start.epoch;
  around.origin_unix_us = start.origin_unix_us;
  around.reader = WEFT_VERSION_STRING;
  around.version = about.version, around.host = about.host;
  around.pid = std::strtoull(about.pid.c_str(), nullptr, 10);
  around.options = Json::object();
  for (const auto& [name, option] : about.options)
    around.options[name] = {{"value", option.value}, {"default", option.default_value}, {"origin", option.origin}};
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
  const auto group = static_cast<std::uint32_t>(query.number("group", 0));
  if (query.has("group") && group >= feed_.groups().size())
    return error_body(404, "there is no such group; /api/v1/groups lists them");
  const std::string label = feed_.label_of(group);
  const auto span = static_cast<Micros>(query.number("span", 0));
  const Micros from = span > 0 ? std::max<Micros>(range.t1 - span, 0) : range.t0;
  Samples::Answer found = feed_.samples().find(from, range.t1, worker, query.has("group") ? &label : nullptr);
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
