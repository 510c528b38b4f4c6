// Questions and control verbs: what `Ask` carries. Answers are JSON text; this file is the only one here that knows JSON.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "scheduler/state.h"

namespace weft::scheduler {

using Json = nlohmann::ordered_json;

static double seconds(Duration d) { return static_cast<double>(d.count()) / 1e9; }

static std::string text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

static Json describe_worker(const Worker& worker, Time now) {
  return {{"name", worker.name}, {"id", worker.id.number}, {"address", worker.endpoint}, {"host", worker.host},
          {"pid", worker.pid}, {"slots", worker.slots}, {"resources", worker.resources},
          {"status", worker.retiring ? "retiring" : !worker.peer ? "disconnected" : worker.paused ? "paused" : "running"},
          {"assigned", worker.assigned.size()}, {"running", worker.last.running}, {"values", worker.holding.size()},
          {"value_bytes", worker.holding_bytes}, {"managed_bytes", worker.last.managed_bytes},
          {"spilled_bytes", worker.last.spilled_bytes}, {"process_bytes", worker.last.process_bytes},
          {"memory_limit", worker.memory_limit}, {"heard_seconds_ago", seconds(now - worker.heard)}};
}

Result<std::string> State::query(const Ask& ask) {
  auto known = [&](const Key& key) { return index_.find(key); };
  Json body = Json::object();
  if (ask.verb == "status") {
    Counts c = counts();
    body = {{"epoch", options_.epoch}, {"workers", c.workers}, {"clients", c.sessions}, {"tasks", c.tasks}, {"runs", finished_runs_}};
    for (int i = 0; i < task_state_count; ++i) body["by_state"][name_of(static_cast<TaskState>(i))] = c.by_state[i];
  } else if (ask.verb == "workers") {
    body = Json::array();
    for (WorkerId id : alive_) body.push_back(describe_worker(worker_ref(id), now_));
  } else if (ask.verb == "groups") {
    body = Json::array();
    for (const Group& group : groups_) {
      Json counts = Json::object();
      for (int i = 0; i < task_state_count; ++i) counts[name_of(static_cast<TaskState>(i))] = group.counts[i];
      body.push_back({{"label", group.label}, {"tasks", counts}, {"finished", group.finished}, {"errors", group.errors},
                      {"run_seconds", group.run_time_total / 1e9}, {"bytes", group.bytes_total}});
    }
  } else if (ask.verb == "who_has") {
    for (const Key& key : ask.keys) {
      Json& holders = body[key.hex()] = Json::array();
      if (TaskNumber number = known(key); number != KeyIndex::none)
        for (const Replica& replica : tasks_[number].replicas) holders.push_back(worker_ref(replica.worker).name);
    }
  } else if (ask.verb == "has_what" || ask.verb == "processing") {
    for (WorkerId id : alive_) {
      const Worker& worker = worker_ref(id);
      if (!ask.words.empty() && std::find(ask.words.begin(), ask.words.end(), worker.name) == ask.words.end()) continue;
      Json& keys = body[worker.name] = Json::array();
      for (TaskNumber number : ask.verb == "has_what" ? worker.holding : worker.assigned) keys.push_back(tasks_[number].key.hex());
    }
  } else if (ask.verb == "tasks") {
    body = Json::array();
    std::string state = ask.words.empty() ? "" : ask.words[0];
    for (const Task& task : tasks_) {
      if (!task.key || (!state.empty() && state != name_of(task.state))) continue;
      if (body.size() >= 10'000) break;  // a screen, not an export
      body.push_back({{"key", task.key.hex()}, {"label", shape_of(task).label}, {"state", name_of(task.state)}, {"bytes", task.bytes},
                      {"worker", task.worker ? worker_ref(task.worker).name : ""}});
    }
  } else if (ask.verb == "story") {
    body = Json::array();
    for (const Transition& t : story_) {
      if (std::find(ask.keys.begin(), ask.keys.end(), t.key) == ask.keys.end()) continue;
      const Worker* where = worker(t.worker);
      body.push_back({{"seconds_ago", seconds(now_ - t.when)}, {"key", t.key.hex()}, {"from", name_of(t.from)}, {"to", name_of(t.to)},
                      {"worker", where ? where->name : ""}, {"attempt", t.attempt.number}});
    }
  } else if (ask.verb == "explain") {
    if (ask.keys.empty() || known(ask.keys[0]) == KeyIndex::none)
      return failure(ErrorKind::invalid_argument, "the scheduler knows no task of this key; `weft tasks` lists those it knows");
    return explain(tasks_[known(ask.keys[0])]);
  } else if (ask.verb == "datasets") {
    for (const auto& [name, holder] : names_) {
      Json keys = Json::array();
      for (TaskNumber number : holders_[holder].wanted) keys.push_back(tasks_[number].key.hex());
      std::string note(reinterpret_cast<const char*>(holders_[holder].note.data()), holders_[holder].note.size());
      body[name] = {{"keys", keys}, {"note", note}};
    }
  } else if (ask.verb == "logs") {
    body = Json::array();
    for (const LoggedLine& line : log_)
      body.push_back({{"seconds_ago", seconds(now_ - line.when)}, {"level", line.level}, {"worker", line.worker},
                      {"key", line.key ? line.key.hex() : ""}, {"text", line.text}});
  } else {
    return control(ask);
  }
  return text(body);
}

/// Verbs that change something.
Result<std::string> State::control(const Ask& ask) {
  if (ask.verb == "retire") {
    Json retired = Json::array();
    for (const std::string& name : ask.words) {
      const Worker* found = find_worker(name);
      if (!found) return failure(ErrorKind::invalid_argument, "no worker is named '" + name + "'; `weft workers` lists them");
      if (retire(worker_ref(found->id), false)) retired.push_back(found->name);
    }
    return text(retired);
  }
  if (ask.verb == "replicate") {
    std::uint32_t copies = ask.words.empty() ? 0 : static_cast<std::uint32_t>(std::strtoul(ask.words[0].c_str(), nullptr, 10));
    for (const Key& key : ask.keys) {
      TaskNumber number = index_.find(key);
      if (number == KeyIndex::none) continue;
      replicas_wanted_[number] = copies;
      if (tasks_[number].state == TaskState::stored) spread_replicas(number, copies);
    }
    return std::string("{}");
  }
  if (ask.verb == "rebalance") return text(Json{{"moved", rebalance()}});
  if (ask.verb == "restart") {
    std::string who = ask.words.empty() ? "a client" : ask.words[0];
    std::size_t ended = 0;
    for (TaskNumber number = 0; number < tasks_.size(); ++number) {
      if (!tasks_[number].key) continue;
      if (is_open(tasks_[number].state)) cancel_task(number, "the cluster was restarted by " + who);
      else if (tasks_[number].state == TaskState::stored && tasks_[number].needed()) {
        while (!tasks_[number].replicas.empty()) {
          Worker& holder = worker_ref(tasks_[number].replicas.back().worker);
          remove_replica(number, holder.id);
          tell(holder, Drop{{tasks_[number].key}});
        }
        fail(number, std::make_shared<const Failure>(Failure{.kind = ErrorKind::cancelled,
                                                             .message = "the cluster was restarted by " + who,
                                                             .label = shape_of(tasks_[number]).label, .key = tasks_[number].key}));
      }
      ++ended;
    }
    log_line(5, "restarted by " + who);
    return text(Json{{"ended", ended}});
  }
  return failure(ErrorKind::invalid_argument, "the scheduler has no verb '" + ask.verb + "'");
}

/// Copy values from the fullest workers to the emptiest until none is far from the mean.
std::size_t State::rebalance() {
  std::size_t moved = 0;
  std::uint64_t total = 0, usable = 0;
  for (WorkerId id : alive_)
    if (worker_ref(id).usable()) total += worker_ref(id).holding_bytes, ++usable;
  if (usable < 2) return 0;
  std::map<WorkerId, std::uint64_t> bytes;
  for (WorkerId id : alive_)
    if (worker_ref(id).usable()) bytes[id] = worker_ref(id).holding_bytes;
  for (auto& [from, has] : bytes) {
    for (TaskNumber number : std::vector<TaskNumber>(worker_ref(from).holding)) {
      if (has * usable <= total) break;
      auto to = std::min_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
      Task& task = tasks_[number];
      if (task.replicas.size() > 1 || task.bytes == 0 || to->second + task.bytes > has) continue;
      Worker& reader = worker_ref(to->first);
      tell(reader, Replicate{AssignedInput{.key = task.key, .bytes = task.bytes, .locations = {locate(task, worker_ref(from))}}});
      moving_[number] = from;
      has -= task.bytes;
      to->second += task.bytes;
      ++moved;
    }
  }
  return moved;
}

/// Why a task is where it is: what it waits for, who could run it, and what would happen next.
Result<std::string> State::explain(const Task& task) const {
  Json body = {{"key", task.key.hex()}, {"label", shape_of(task).label}, {"state", name_of(task.state)}, {"bytes", task.bytes},
               {"wanted_by", task.wants.size()}, {"dependents", task.dependents.size()},
               {"exceptions_and_timeouts", task.errors}, {"crashes_and_losses", task.losses}};
  std::string why;
  if (task.state == TaskState::waiting) {
    Json inputs = Json::array();
    for (const InputEdge& edge : task.inputs) {
      const Task& input = tasks_[edge.task];
      if (input.state != TaskState::stored && inputs.size() < 100)
        inputs.push_back({{"key", input.key.hex()}, {"label", shape_of(input).label}, {"state", name_of(input.state)}});
    }
    body["waits_for"] = inputs;
    why = "it waits for " + std::to_string(task.missing) + " inputs that are not stored yet";
  } else if (task.state == TaskState::ready) {
    Json workers = Json::array();
    bool any = false;
    for (WorkerId id : alive_) {
      const Worker& worker = *workers_[id.number];
      std::string reason = !may_run(task, worker) ? "its restrictions, resources or cores do not match"
                           : worker.retiring      ? "retiring"
                           : worker.paused        ? "paused: memory is nearly full"
                           : !worker.peer         ? "disconnected"
                           : !fits_now(task, worker) ? "the resources it asks for are taken"
                                                     : "its queue is full; the next free credit is for the first task of the queue";
      any |= may_run(task, worker);
      workers.push_back({{"worker", worker.name}, {"reason", reason}});
    }
    body["workers"] = workers;
    why = alive_.empty() ? "there is no worker; start one with weft-worker"
          : any          ? "every worker that may run it is busy or full"
                         : "no worker here may ever run it; start one with the resources, cores or name it asks for";
  } else if (task.state == TaskState::assigned) {
    const Worker& worker = *workers_[task.worker.number];
    body["worker"] = worker.name;
    body["attempt"] = task.attempt.number;
    body["expected_start_seconds"] = {{"queue", seconds(worker.load / worker.slots)}};
    why = task.recalling ? "it was asked back from " + worker.name + " for an idle worker"
          : task.started ? "it runs on " + worker.name
          : task.missing ? "it was sent ahead to " + worker.name + ", which makes its inputs"
                         : "it is in the queue of " + worker.name + ": least expected start of the workers considered";
  } else if (task.state == TaskState::stored) {
    Json holders = Json::array();
    for (const Replica& replica : task.replicas) holders.push_back(workers_[replica.worker.number]->name);
    body["holders"] = holders;
    why = "its value is stored";
  } else if (task.state == TaskState::failed) {
    body["error"] = {{"kind", weft::name_of(task.failure->kind)}, {"message", task.failure->message}, {"type", task.failure->type},
                     {"key", task.failure->key.hex()}, {"worker", task.failure->worker}, {"traceback", task.failure->traceback}};
    why = "it failed; `weft story` shows each attempt";
  } else {
    why = "nobody needs its value now; it is remembered because a later task depends on it";
  }
  body["why"] = why;
  return text(body);
}

}  // namespace weft::scheduler
