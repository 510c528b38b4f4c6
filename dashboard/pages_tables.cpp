// Tables by id: overview, workers, groups and their graph, memory, network, errors.
#include <algorithm>
#include <span>
#include <tuple>

#include "dashboard/pages.h"

namespace weft::dashboard {

namespace {

Json counts_of(const auto& counts) {
  Json json = Json::object();
  for (std::uint8_t i = 0; i < forgotten_state; ++i) json[name_of_state(i)] = counts[i];
  return json;
}
constexpr std::size_t progress_max = 100;   // rows, unless more are asked for

double at_least_zero(double value) { return std::max(value, 0.0); }
template <class N>
double difference(N now, N before) {
  return at_least_zero(static_cast<double>(now) - static_cast<double>(before));
}

/// Tasks that failed, also those that the scheduler has forgotten: of the ones that are neither open nor ever ended with a
/// value.
std::uint64_t failed_of(const GroupMoment& group, std::uint64_t open) {
  std::uint64_t others = group.total > open + group.finished ? group.total - open - group.finished : 0;
  return std::max<std::uint64_t>(group.counts[5], std::min(group.failed_tasks, others));
}

/// Small, stable, from the text alone: a label has the same colour on every page and in every run.
unsigned colour_of(std::string_view label) {
  std::uint32_t hash = 2166136261u;  // Source: FNV-1a
  for (unsigned char c : label) hash = (hash ^ c) * 16777619u;
  return hash % 12;
}

}  // namespace

Body Pages::overview(const Query&, const Range& range) const {
  Json json = header(range);
  const Totals& now = range.now.totals;
  const Totals& before = range.before.totals;
  double busy = 0, slots = 0;
  std::uint64_t managed = 0, spilled = 0, unmanaged = 0, process = 0, limit = 0, running = 0;
  std::array<std::uint32_t, 5> by_status{};
  for (const WorkerMoment& worker : range.now.workers) {
    if (worker.status > 3) continue;
    ++by_status[worker.status];
    const WorkerRow& row = feed_.workers().at(worker.worker);
    const WorkerMoment* old = range.before.worker(worker.worker);
    busy += at_least_zero(worker.busy_s - (old ? old->busy_s : 0));
    slots += row.slots, running += worker.running, limit += row.limit_bytes;
    managed += worker.managed, spilled += worker.spilled, unmanaged += worker.unmanaged(), process += worker.process;
  }
  json["tasks"] = counts_of(now.tasks);
  json["running"] = running;
  json["slots"] = slots;
  json["busy"] = slots > 0 && range.t1 > range.t0 ? std::min(busy / (slots * range.seconds()), 1.0) : 0;
  json["clients"] = now.clients;
  json["workers"] = {{"total", by_status[0] + by_status[1] + by_status[2] + by_status[3]},
                     {"running", by_status[0]},
                     {"paused", by_status[1]},
                     {"retiring", by_status[2]},
                     {"disconnected", by_status[3]}};
  json["memory"] = {{"managed_bytes", managed},
                    {"spilled_bytes", spilled},
                    {"unmanaged_bytes", unmanaged},
                    {"process_bytes", process},
                    {"limit_bytes", limit}};
  auto rate = [&](std::uint64_t a, std::uint64_t b) { return range.rate(difference(a, b)); };
  json["rates"] = {{"finished_per_s", rate(now.finished, before.finished)}, {"failed_tasks_per_s", rate(now.failed_tasks, before.failed_tasks)},
                   {"failed_attempts_per_s", rate(now.failed_attempts, before.failed_attempts)},
                   {"retried_per_s", rate(now.retried, before.retried)}, {"transitions_per_s", rate(now.transitions, before.transitions)},
                   {"transfer_bytes_per_s", rate(now.transfer_bytes, before.transfer_bytes)}};
  json["totals"] = {{"finished", now.finished}, {"failed_tasks", now.failed_tasks}, {"failed_attempts", now.failed_attempts}, {"retried", now.retried}, {"transitions", now.transitions},
                    {"transfer_bytes", now.transfer_bytes}, {"transfers", now.transfers}, {"recalls", now.recalls},
                    {"lost_workers", now.lost_workers}};
  json.update(progress_rows(range, "", progress_max));
  json["alerts"] = alerts(range);
  json["dropped"] = now.dropped;
  return {.json = std::move(json)};
}

Body Pages::progress(const Query& query, const Range& range) const {
  Json json = header(range);
  json.update(progress_rows(range, query.get("label"), static_cast<std::size_t>(query.number("limit", progress_max))));
  return {.json = std::move(json)};
}

/// Those with most to do first; of those with nothing to do the ones that changed last.
Json Pages::progress_rows(const Range& range, const std::string& part_of_label, std::size_t limit) const {
  std::vector<const GroupMoment*> order;
  for (const GroupMoment& group : range.now.groups)
    if (group.total > 0 && feed_.groups()[group.group].label.find(part_of_label) != std::string::npos) order.push_back(&group);
  std::size_t labels = order.size(), shown = std::min(limit, labels);
  auto rank = [&](const GroupMoment* group) { return std::tuple(group->counts[1] + group->counts[2] + group->counts[3], feed_.groups()[group->group].last, ~group->group); };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(), [&](auto* a, auto* b) { return rank(a) > rank(b); });
  order.resize(shown);
  Json json = Json::object();
  for (const GroupMoment* group : order) {
    const GroupMoment* old = range.before.group(group->group);
    std::uint64_t open = group->counts[1] + group->counts[2] + group->counts[3];
    std::uint64_t failed = failed_of(*group, open);
    double rate = range.rate(difference(group->finished, old ? old->finished : 0));
    json[std::to_string(group->group)] = {{"label", feed_.label_of(group->group)},
                                          {"total", group->total},
                                          {"done", group->total - std::min(group->total, open + failed)},
                                          {"failed", failed},
                                          {"open", open},
                                          {"assigned", group->counts[3]},
                                          {"rate_per_s", rate},
                                          {"eta_s", rate > 0    ? Json(static_cast<double>(open) / rate)
                                                    : open == 0 ? Json(0)
                                                                : Json(nullptr)}};
  }
  return {{"labels", labels}, {"progress", std::move(json)}};
}

Json Pages::alerts(const Range& range) const {
  Json json = Json::object();
  auto add = [&](const std::string& id, const char* level, std::string text, const char* advice, std::string page) {
    json[id] = {{"level", level}, {"text", std::move(text)}, {"advice", advice}, {"page", std::move(page)}};
  };
  unsigned usable = 0;
  for (const auto& [id, worker] : feed_.workers()) {
    if (worker.lost >= 0 && worker.lost <= range.t1) {
      if (worker.lost_unexpectedly && range.t1 - worker.lost < 60'000'000)
        add("worker-lost-" + std::to_string(id), "error",
            worker.name + " was lost " + std::to_string((range.t1 - worker.lost) / 1'000'000) + " s ago: " + worker.lost_why,
            "Its tasks run again elsewhere. Look at its last log lines; if it ran out of memory, start it with a larger "
            "limit.",
            "workers/" + worker.name);
      continue;
    }
    const WorkerMoment* now = range.now.worker(id);
    if (!now) continue;
    usable += now->status == 0;
    if (now->status == static_cast<std::uint8_t>(WorkerStatus::paused))
      add("worker-paused-" + std::to_string(id), "warning", worker.name + " is paused: its memory is nearly full",
          "It takes no new work until values are released or spilled. Release futures, or add memory or workers.",
          "workers/" + worker.name);
    if (now->status == static_cast<std::uint8_t>(WorkerStatus::disconnected))
      add("worker-away-" + std::to_string(id), "warning", worker.name + " is not connected",
          "It is given some seconds to come back.", "workers/" + worker.name);
  }
  const auto& tasks = range.now.totals.tasks;
  if (tasks[2] > 0 && usable == 0)
    add("no-worker", "error", std::to_string(tasks[2]) + " tasks are ready and no worker takes work",
        "Start workers with weft-worker.", "workers");
  if (tasks[5] > 0)
    add("failed", "error", std::to_string(tasks[5]) + (tasks[5] == 1 ? " task has failed" : " tasks have failed"),
        "The Errors page groups them by their cause.", "errors");
  if (range.now.totals.dropped > range.before.totals.dropped)
    add("gap", "warning", std::to_string(range.now.totals.dropped - range.before.totals.dropped) + " records were dropped",
        "The picture has a gap; the work itself is not affected.", "system");
  return json;
}

Json Pages::worker_row(const WorkerMoment& moment, const WorkerRow& row, const Range& range) const {
  static const WorkerMoment none;
  const WorkerMoment* old = range.before.worker(moment.worker);
  if (!old) old = &none;
  bool lost = row.lost >= 0 && row.lost <= range.t1;
  double span = range.seconds() * row.slots;
  return {{"name", row.name}, {"host", row.host}, {"address", row.address}, {"pid", std::strtoull(row.pid.c_str(), nullptr, 10)},
          {"status", name_of_status(lost ? 4 : moment.status)}, {"alive", !lost}, {"joined", row.joined},
          {"lost", lost ? Json(row.lost) : Json(nullptr)}, {"slots", row.slots}, {"running", moment.running}, {"queued", moment.queued},
          {"assigned", moment.assigned}, {"busy", span > 0 ? std::min(at_least_zero(moment.busy_s - old->busy_s) / span, 1.0) : 0},
          {"managed_bytes", moment.managed}, {"spilled_bytes", moment.spilled}, {"unmanaged_bytes", moment.unmanaged()},
          {"process_bytes", moment.process}, {"limit_bytes", row.limit_bytes}, {"finished", moment.finished}, {"failed_attempts", moment.failed_attempts},
          {"finished_per_s", range.rate(difference(moment.finished, old->finished))}, {"received_bytes", moment.received},
          {"sent_bytes", moment.sent}, {"received_bytes_per_s", range.rate(difference(moment.received, old->received))},
          {"sent_bytes_per_s", range.rate(difference(moment.sent, old->sent))}, {"heard", moment.heard}};
}

Body Pages::workers(const Query& query, const Range& range) const {
  Json json = header(range);
  Json& rows = json["workers"] = Json::object();
  for (const WorkerMoment& worker : range.now.workers) {
    const WorkerRow& row = feed_.workers().at(worker.worker);
    if (query.path.size() > 1 && row.name != query.path[1]) continue;
    rows[std::to_string(worker.worker)] = worker_row(worker, row, range);
    if (query.path.size() < 2 || !range.live) continue;
    Json& tasks = json["tasks"] = Json::object();
    for (const auto& [task, since] : row.running) {
      if (tasks.size() >= 1000) break;
      const TaskRow& its = feed_.tasks()[task];
      tasks[its.key.hex()] = {{"label", feed_.label_of(its.group)}, {"state", name_of_state(its.state)}, {"started", since}};
    }
  }
  if (query.path.size() > 1 && rows.empty())
    return error_body(404, "no worker is named '" + query.path[1] + "'; /api/v1/workers lists them");
  return {.json = std::move(json)};
}

Body Pages::groups(const Query&, const Range& range) const {
  Json json = header(range);
  Json& rows = json["groups"] = Json::object();
  for (const GroupMoment& group : range.now.groups) {
    if (group.total == 0) continue;
    const GroupRow& row = feed_.groups()[group.group];
    auto mean = [&](double sum) { return group.finished ? sum / static_cast<double>(group.finished) : 0; };
    rows[std::to_string(group.group)] = {
        {"label", row.label}, {"counts", counts_of(group.counts)}, {"total", group.total}, {"finished", group.finished},
        {"failed_tasks", group.failed_tasks}, {"failed_attempts", group.failed_attempts}, {"retried", group.retried},
        {"run_s", {{"sum", group.run_s}, {"mean", mean(group.run_s)}, {"p50", row.run_quantile(0.5)}, {"p99", row.run_quantile(0.99)}, {"max", row.run_max_s}}},
        {"bytes", {{"sum", group.bytes}, {"mean", mean(static_cast<double>(group.bytes))}}}, {"transfer_bytes", group.transfer_bytes},
        {"first", row.first}, {"last", row.last}, {"colour", colour_of(row.label)}};
  }
  return {.json = std::move(json)};
}

Body Pages::graph(const Query& query, const Range& range) const {
  if (query.path.size() > 1) return raster(query, range);
  Json json = header(range);
  std::map<std::uint32_t, unsigned> depth;
  // Depth by repeated passes; a cycle between labels stops growing after as many passes as there are groups, at most 64.
  for (unsigned pass = 0, changed = 1; changed && pass < 64; ++pass) {
    changed = 0;
    for (const auto& [edge, row] : feed_.edges())
      if (edge.first != edge.second && depth[edge.second] < depth[edge.first] + 1 && depth[edge.first] < 63)
        depth[edge.second] = depth[edge.first] + 1, changed = 1;
  }
  Json& nodes = json["nodes"] = Json::object();
  for (const GroupMoment& group : range.now.groups) {
    if (group.total == 0) continue;
    std::uint64_t open = group.counts[1] + group.counts[2] + group.counts[3];
    nodes[std::to_string(group.group)] = {
        {"label", feed_.label_of(group.group)},
        {"total", group.total},
        {"failed", failed_of(group, open)},
        {"open", open},
        {"done", group.total - std::min<std::uint64_t>(group.total, open + failed_of(group, open))},
        {"depth", depth[group.group]}};
  }
  Json& edges = json["edges"] = Json::object();
  for (const auto& [edge, row] : feed_.edges())
    edges[std::to_string(edge.first) + '>' + std::to_string(edge.second)] = {
        {"from", edge.first}, {"to", edge.second}, {"count", row.count}};
  return {.json = std::move(json)};
}

Body Pages::memory(const Query& query, const Range& range) const {
  Json json = header(range);
  Json& rows = json["rows"] = Json::object();
  const std::string by = query.get("by", "worker");
  if (by == "worker") {
    for (const WorkerMoment& worker : range.now.workers) {
      const WorkerRow& row = feed_.workers().at(worker.worker);
      rows[std::to_string(worker.worker)] = {{"name", row.name},
                                             {"managed_bytes", worker.managed},
                                             {"spilled_bytes", worker.spilled},
                                             {"unmanaged_bytes", worker.unmanaged()},
                                             {"limit_bytes", row.limit_bytes}};
    }
    return {.json = std::move(json)};
  }
  if (by == "group") return memory_by_group(range);
  return memory_by_key(range);
}

Body Pages::memory_by_group(const Range& range) const {
  Json json = header(range);
  Json& rows = json["rows"] = Json::object();
  std::uint64_t memory = 0, disk = 0, managed = 0, spilled = 0;
  for (const GroupMoment& group : range.now.groups) {
    const HeldByGroup& held = group.held;
    memory += held.memory, disk += held.disk;
    if (held.values > 0)
      rows[std::to_string(group.group)] = {{"name", feed_.label_of(group.group)}, {"managed_bytes", held.memory}, {"spilled_bytes", held.disk},
                                           {"copies_bytes", held.copies}, {"count", held.values}};
  }
  for (const WorkerMoment& worker : range.now.workers) managed += worker.managed, spilled += worker.spilled;
  auto more = [](std::uint64_t all, std::uint64_t part) { return all > part ? all - part : 0; };
  json["rest"] = {{"managed_bytes", more(managed, memory)}, {"spilled_bytes", more(spilled, disk)}};
  return {.json = std::move(json)};
}

Body Pages::memory_by_key(const Range& range) const {
  Json json = header(range);
  Json& rows = json["rows"] = Json::object();
  std::vector<const TaskRow*> largest;
  for (const TaskRow& task : feed_.tasks())
    if (state_at(task, range) == static_cast<std::uint8_t>(TaskState::stored)) largest.push_back(&task);
  std::size_t shown = std::min<std::size_t>(largest.size(), 200);
  std::partial_sort(largest.begin(), largest.begin() + static_cast<std::ptrdiff_t>(shown), largest.end(),
                    [](auto* a, auto* b) { return a->bytes > b->bytes; });
  for (const TaskRow* task : std::span(largest).first(shown)) {
    std::uint64_t here = 0, on_disk = 0;
    std::string holders;
    for (const HeldValues::Copy& copy : feed_.held().copies(static_cast<std::uint32_t>(task - feed_.tasks().data()))) {
      here += copy.place == ValuePlace::memory, on_disk += copy.place == ValuePlace::disk;
      holders += (holders.empty() ? "" : ", ") + feed_.name_of_worker(copy.worker);
    }
    rows[task->key.hex()] = {{"name", task->key.hex()}, {"label", feed_.label_of(task->group)}, {"worker", feed_.name_of_worker(task->worker)}, {"holders", holders},
                             {"bytes", task->bytes}, {"managed_bytes", here * task->bytes}, {"spilled_bytes", on_disk * task->bytes},
                             {"copies_bytes", here + on_disk > 1 ? (here + on_disk - 1) * task->bytes : 0}, {"count", here + on_disk}};
  }
  return {.json = std::move(json)};
}

Body Pages::network(const Query&, const Range& range) const {
  Json json = header(range);
  Json& links = json["links"] = Json::object();
  const Moment* minute = feed_.moments().at(range.t1 - 60'000'000);
  for (const LinkMoment& link : range.now.links) {
    const LinkMoment* old = range.before.link(link.from, link.to);
    const LinkMoment* older = minute ? minute->link(link.from, link.to) : nullptr;
    double bytes = difference(link.bytes, old ? old->bytes : 0);
    links[std::to_string(link.from) + '>' + std::to_string(link.to)] = {
        {"from", link.from},
        {"to", link.to},
        {"bytes", bytes},
        {"transfers", link.transfers},
        {"bytes_per_s", range.rate(bytes)},
        {"bytes_1min", difference(link.bytes, older ? older->bytes : 0)},
        {"bytes_total", link.bytes}};
  }
  Json& names = json["workers"] = Json::object();
  for (const WorkerMoment& worker : range.now.workers)
    names[std::to_string(worker.worker)] = feed_.name_of_worker(worker.worker);
  std::uint64_t recalls = range.now.totals.recalls;
  json["recalls"] = {{"total", recalls}, {"per_s", range.rate(difference(recalls, range.before.totals.recalls))}};
  json["unknown_source_bytes"] = range.now.totals.unknown_source_bytes;
  Json& shuffles = json["shuffles"] = Json::object();
  for (const auto& [edge, row] : feed_.edges()) {
    const GroupMoment *from = range.now.group(edge.first), *to = range.now.group(edge.second),
                      *before = range.before.group(edge.first);
    if (row.parts == 0 || !from || !to) continue;
    shuffles[std::to_string(edge.first) + '>' + std::to_string(edge.second)] = {
        {"from", edge.first},
        {"to", edge.second},
        {"from_label", feed_.label_of(edge.first)},
        {"to_label", feed_.label_of(edge.second)},
        {"parts", row.parts},
        {"written", from->finished},
        {"writers", from->total},
        {"read", to->finished},
        {"readers", to->total},
        {"bytes", from->bytes},
        {"moved_bytes", from->transfer_bytes},
        {"moved_bytes_per_s", range.rate(difference(from->transfer_bytes, before ? before->transfer_bytes : 0))}};
  }
  return {.json = std::move(json)};
}

Body Pages::errors(const Query&, const Range& range) const {
  Json json = header(range);
  Json& rows = json["errors"] = Json::object();
  auto counted = [](const std::map<std::uint32_t, std::uint64_t>& counts) {
    Json object = Json::object();
    for (const auto& [id, count] : counts) object[std::to_string(id)] = count;
    return object;
  };
  for (const auto& [id, error] : feed_.errors()) {
    if (error.last < range.t0 || error.first > range.t1) continue;
    rows[id] = {{"kind", error.kind}, {"type", error.type}, {"frame", error.frame}, {"message", error.message}, {"failed_attempts", error.failed_attempts},
                {"failed_tasks", error.failed_tasks}, {"retried", error.retried}, {"first", error.first}, {"last", error.last}, {"groups", counted(error.groups)}, {"workers", counted(error.workers)},
                {"example", {{"key", error.key.hex()}, {"traceback", error.traceback}, {"output", error.output}, {"attempt", error.attempt}}}};
  }
  return {.json = std::move(json)};
}

}  // namespace weft::dashboard
