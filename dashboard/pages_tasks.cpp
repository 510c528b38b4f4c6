// Single tasks: search, detail, story, raster of a group, critical path.
#include <algorithm>
#include <map>

#include "dashboard/pages.h"

namespace weft::dashboard {

/// As it was at the cursor: what came later is not told.
Json Pages::task_row(const TaskRow& task, const Range& range) const {
  auto time = [&](Micros t) { return t < 0 || (!range.live && t > range.t1) ? Json(nullptr) : Json(t); };
  Json by = nullptr;
  if (task.unblocked_by < feed_.tasks().size()) by = feed_.tasks()[task.unblocked_by].key.hex();
  Json json = {{"key", task.key.hex()},
               {"label", feed_.label_of(task.group)},
               {"group", task.group},
               {"state", name_of_state(state_at(task, range))},
               {"running", range.live && task.running},
               {"worker", feed_.name_of_worker(task.worker)},
               {"worker_id", task.worker},
               {"attempts", task.attempts},
               {"created", task.created},
               {"start", time(task.start)},
               {"end", time(task.end)},
               {"run_s", task.run_s},
               {"bytes", task.bytes},
               {"unblocked_by", by},
               {"error", nullptr}};
  if (const FailureOfTask* failure = feed_.failure_of(task.key); failure && (range.live || failure->t <= range.t1))
    json["error"] = {{"kind", failure->kind},       {"type", failure->type},
                     {"message", failure->message}, {"traceback", failure->traceback},
                     {"output", failure->output},   {"worker", feed_.name_of_worker(failure->worker)},
                     {"attempt", failure->attempt}, {"t", failure->t}};
  return json;
}

/// Why it was as it was at the cursor, as far as records tell; the scheduler itself knows more, of the present.
Json Pages::explained(const TaskRow& task, const Range& range) const {
  const std::uint8_t state = state_at(task, range);
  const FailureOfTask* failure = feed_.failure_of(task.key);
  const std::string worker = feed_.name_of_worker(task.worker), only_live = " is known only while the scheduler lives";
  std::string why;
  switch (state) {
    case 0:
      why = "nobody needed it then";
      break;
    case 1:
      why = "it waited for its inputs; for which of them" + only_live;
      break;
    case 2:
      why = "its inputs were there, and it waited for a worker; for what sort of one" + only_live;
      break;
    case 3:
      why = worker.empty() ? "it was given to a worker" : "it was given to " + worker;
      break;
    case 4:
      why = "it had run" + (worker.empty() ? "" : " on " + worker) +
            ", and its value was kept for whoever wants it; who that was" + only_live;
      break;
    case 5:
      why = failure ? failure->kind + ": " + failure->message
                    : "it had failed, itself or one of its inputs; which" + only_live;
      break;
    default:
      why = task.created > range.t1 ? "it was not there yet" : "nobody wanted it any more, and it was forgotten";
  }
  Json json = {{"key", task.key.hex()},
               {"label", feed_.label_of(task.group)},
               {"state", name_of_state(state)},
               {"why", why},
               {"source", "log"}};
  if (task.unblocked_by < feed_.tasks().size()) json["last_input"] = feed_.tasks()[task.unblocked_by].key.hex();
  return json;
}

/// What it was at the cursor, as far as its times tell.
std::uint8_t Pages::state_at(const TaskRow& task, const Range& range) const {
  if (range.live) return task.state;
  if (task.created > range.t1) return forgotten_state;
  if (task.end >= 0 && task.end <= range.t1) return task.state;
  auto state = task.start >= 0 && task.start <= range.t1 ? TaskState::assigned : TaskState::waiting;
  return task.end >= 0 || task.start >= 0 ? static_cast<std::uint8_t>(state) : task.state;
}

Body Pages::tasks(const Query& query, const Range& range) const {
  Json json = header(range);
  if (query.path.size() > 1) {
    auto key = Key::from_hex(query.path[1]);
    const TaskRow* task = key ? feed_.find(*key) : nullptr;
    if (!key) return error_body(400, "a key has 32 hexadecimal digits");
    if (!task) return error_body(404, "no task of this key is held; it may have been forgotten long ago");
    if (query.path.size() > 2 && query.path[2] == "story") return story(query, range, *task);
    if (query.path.size() > 2 && query.path[2] == "explain") return {.json = explained(*task, range)};
    if (query.path.size() > 2 && !around_.live)
      return error_body(503,
                        "inputs and dependents of single tasks are known only while the scheduler lives; the Graph page has "
                        "those of the groups");
    if (query.path.size() > 2)
      return error_body(503, "the scheduler is not there to answer this: ask a live dashboard, over GET");
    json["task"] = task_row(*task, range);
    return {.json = std::move(json)};
  }
  const auto limit = static_cast<std::size_t>(query.number("limit", 100));
  std::string label = query.get("label"), state = query.get("state"), worker = query.get("worker"),
              prefix = query.get("key");
  std::transform(prefix.begin(), prefix.end(), prefix.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c; });
  std::uint32_t row = 0;
  if (auto after = Key::from_hex(query.get("after"))) {
    const TaskRow* last = feed_.find(*after);
    if (!last) return error_body(404, "the task that `after` names is held no more; begin again without it");
    row = static_cast<std::uint32_t>(last - feed_.tasks().data()) + 1;
  }
  Json& rows = json["tasks"] = Json::object();
  json["more"] = false;
  for (; row < feed_.tasks().size(); ++row) {
    const TaskRow& task = feed_.tasks()[row];
    std::uint8_t then = state_at(task, range);
    if (!state.empty() && state != name_of_state(then) && !(state == "running" && range.live && task.running)) continue;
    if (!worker.empty() && feed_.name_of_worker(task.worker) != worker) continue;
    if (!label.empty() && feed_.groups()[task.group].label.find(label) == std::string::npos) continue;
    if (!prefix.empty() && !task.key.hex().starts_with(prefix)) continue;
    if (!range.live && task.created > range.t1) continue;
    if (rows.size() >= limit) {
      json["more"] = true;
      break;
    }
    rows[task.key.hex()] = task_row(task, range);
  }
  return {.json = std::move(json)};
}

Body Pages::story(const Query&, const Range& range, const TaskRow& task) const {
  Json json = header(range);
  Json& steps = json["story"] = Json::array();
  std::map<std::uint64_t, std::size_t> attempts{{0, 0}};  // by their ids: the how manyth
  for (const StoryRow& step : feed_.story())
    if (step.key == task.key && step.t <= range.t1)
      steps.push_back({{"t", step.t},
                       {"from", name_of_state(step.from)},
                       {"to", name_of_state(step.to)},
                       {"worker", feed_.name_of_worker(step.worker)},
                       {"attempt", attempts.emplace(step.attempt, attempts.size()).first->second}});
  return {.json = std::move(json)};
}

Body Pages::raster(const Query& query, const Range& range) const {
  const auto wanted = static_cast<std::size_t>(query.number("group", 0));
  if (wanted >= feed_.groups().size()) return error_body(404, "there is no such group; /api/v1/groups lists them");
  const GroupRow& group = feed_.groups()[wanted];
  if (query.has("at")) {
    const auto place = static_cast<std::size_t>(query.number("at", 0));
    if (place >= group.members.size() || group.members[place] == no_group)
      return error_body(404, "that task is held no more");
    Json row = task_row(feed_.tasks()[group.members[place]], range);
    row["index"] = place;
    return {.json = std::move(row)};
  }
  Body body{.bytes = std::string(group.members.size(), '\0'), .type = "application/octet-stream"};
  for (std::size_t i = 0; i < group.members.size(); ++i) {
    if (group.members[i] == no_group) {
      body.bytes[i] = static_cast<char>(forgotten_state);
      continue;
    }
    const TaskRow& task = feed_.tasks()[group.members[i]];
    unsigned pixel = state_at(task, range) | (task.running ? 8u : 0u) | (task.attempts > 1 ? 16u : 0u);
    body.bytes[i] = static_cast<char>(pixel);
  }
  body.headers.emplace_back("X-Weft-First", std::to_string(group.members_left_out));
  return body;
}

/// Back from the task that ended last, each time to the input that arrived last.
Body Pages::critical_path(const Query&, const Range& range) const {
  constexpr std::size_t steps_max = 10'000;
  std::uint32_t row = no_group;
  const auto& tasks = feed_.tasks();
  for (std::uint32_t i = 0; i < tasks.size(); ++i) {
    const TaskRow& task = tasks[i];
    if (task.end < range.t0 || task.end > range.t1 || task.start < 0) continue;
    if (row == no_group || task.end > tasks[row].end) row = i;
  }
  std::vector<const TaskRow*> path;
  for (; row < tasks.size() && path.size() < steps_max; row = tasks[row].unblocked_by) {
    // A row that was taken over by another task, or ran again since, is no cause.
    if (!path.empty() && tasks[row].end > path.back()->end) break;
    path.push_back(&tasks[row]);
    if (tasks[row].unblocked_by == row) break;
  }
  Json json = header(range);
  Json& steps = json["path"] = Json::array();
  double run = 0, wait = 0;
  Micros before = path.empty() ? 0 : path.back()->created;
  for (auto place = path.rbegin(); place != path.rend(); ++place) {
    const TaskRow& task = **place;
    double waited = static_cast<double>(std::max<Micros>(task.start - before, 0)) * 1e-6;
    steps.push_back({{"key", task.key.hex()},
                     {"label", feed_.label_of(task.group)},
                     {"group", task.group},
                     {"worker", feed_.name_of_worker(task.worker)},
                     {"start", task.start},
                     {"end", task.end},
                     {"run_s", task.run_s},
                     {"wait_s", waited}});
    before = task.end;
    run += task.run_s, wait += waited;
  }
  json["span_s"] = path.empty() ? 0 : static_cast<double>(path.front()->end - path.back()->created) * 1e-6;
  json["run_s"] = run;
  json["wait_s"] = wait;
  return {.json = std::move(json)};
}

}  // namespace weft::dashboard
