// Numbers over time, for charts: levels as they were, counters as rates.
#include <algorithm>
#include <functional>

#include "dashboard/pages.h"

namespace weft::dashboard {

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
    {"failed_attempts_per_s", [](const WorkerMoment& w) { return static_cast<double>(w.failed_attempts); }, true},
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
    {"failed_tasks_per_s", [](const Moment& m) { return static_cast<double>(m.totals.failed_tasks); }, true},
    {"failed_attempts_per_s", [](const Moment& m) { return static_cast<double>(m.totals.failed_attempts); }, true},
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

std::vector<std::string_view> names_of_series(bool by_worker) {
  std::vector<std::string_view> names;
  for (const WorkerSeries& series : worker_series) names.push_back(series.name);
  if (by_worker) return names;
  names.push_back("limit_bytes");
  for (const TotalSeries& series : total_series)
    if (std::find(names.begin(), names.end(), series.name) == names.end()) names.push_back(series.name);
  return names;
}

Body Pages::series(const Query& query, const Range& range) const {
  const auto px = static_cast<std::size_t>(query.number("px", 600));
  std::vector<const Moment*> in_range, moments;
  for (const auto& moment : feed_.moments().all())
    if (moment->t >= range.t0 && moment->t <= range.t1) in_range.push_back(moment.get());
  std::size_t stride = std::max<std::size_t>(1, in_range.size() / px);
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
  const std::string names = query.get("names", "managed_bytes,busy,finished_per_s");
  for (std::size_t at = 0; at <= names.size();) {
    std::string name = names.substr(at, names.find(',', at) - at);
    at += name.size() + 1;
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
    if (name == "limit_bytes" && !by_worker) series[name] = Json(std::vector<double>(moments.size(), limit));
  }
  return {.json = std::move(json)};
}

}  // namespace weft::dashboard
