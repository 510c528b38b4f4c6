// Questions: what `Ask` carries and changes nothing. Answers are JSON text; verbs that change something are in control.cpp.
#include <algorithm>
#include <cstdlib>

#include "common/image_files.h"
#include "common/json_text.h"
#include "common/option_values.h"
#include "common/task_description.h"
#include "scheduler/state.h"

namespace weft::scheduler {

using Json = nlohmann::ordered_json;

static constexpr std::size_t rows_max = 10'000;          // of one list: a screen, not an export
static constexpr std::size_t dump_bytes_max = 8u << 20;
static constexpr std::size_t dump_failures_max = 200;

static double seconds(Duration d) { return static_cast<double>(d.count()) / 1e9; }
static std::string percent(double fraction) { return std::to_string(static_cast<int>(100 * fraction)) + '%'; }

static bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

static Json describe_worker(const Worker& worker, Time now) {
  return {{"name", worker.name}, {"id", worker.id.number}, {"address", worker.endpoint}, {"host", worker.host},
          {"pid", worker.pid}, {"slots", worker.slots}, {"resources", worker.resources}, {"runs_user_code", worker.runs_user_code},
          {"status", worker.retiring ? "retiring" : !worker.peer ? "disconnected" : worker.paused ? "paused" : "running"},
          {"assigned", worker.assigned.size()}, {"running", worker.last.running}, {"values", worker.holding.size()},
          {"value_bytes", worker.holding_bytes}, {"managed_bytes", worker.last.managed_bytes},
          {"spilled_bytes", worker.last.spilled_bytes}, {"process_bytes", worker.last.process_bytes},
          {"memory_limit", worker.memory_limit}, {"heard_seconds_ago", seconds(now - worker.heard)}};
}

static Json describe_failure(const Failure& failure) {
  Json frames = Json::array();  // for whoever has the program's files
  for (const Frame& frame : failure.frames)
    frames.push_back({{"image", frame.image}, {"build", frame.build.hex()}, {"offset", frame.offset}, {"symbol", frame.symbol}});
  return {{"kind", name_of(failure.kind)}, {"message", failure.message}, {"type", failure.type}, {"key", failure.key.hex()},
          {"worker", failure.worker}, {"frames", std::move(frames)}, {"traceback", failure.traceback}, {"try", failure.attempt},
          {"signal", failure.signal}, {"exit_code", failure.exit_code}, {"address", failure.address}, {"output", failure.output}};
}

/// Looks at a state and describes it. One function for each verb that can be asked.
struct Questions {
  const State& state;

  std::string name_of_worker(WorkerId id) const {
    const Worker* worker = state.worker(id);
    return worker ? worker->name : std::string();
  }

  Json status(const Ask&) const {
    Counts c = state.counts();
    Json body = {{"epoch", state.options_.epoch}, {"workers", c.workers}, {"clients", c.sessions}, {"tasks", c.tasks},
                 {"runs", state.finished_runs_}};
    for (int i = 0; i < task_state_count; ++i) body["by_state"][name_of(static_cast<TaskState>(i))] = c.by_state[i];
    return body;
  }
  Json workers(const Ask&) const {
    Json body = Json::array();
    for (WorkerId id : state.alive_) body.push_back(describe_worker(*state.worker(id), state.now_));
    return body;
  }
  Json groups(const Ask&) const {
    Json body = Json::array();
    for (const Group& group : state.groups_) {
      if (group.shapes == 0) continue;
      Json counts = Json::object();
      for (int i = 0; i < task_state_count; ++i) counts[name_of(static_cast<TaskState>(i))] = group.counts[i];
      body.push_back({{"label", group.label}, {"tasks", counts}, {"finished", group.finished}, {"failed_tasks", group.errors},
                      {"run_seconds", group.run_time_total / 1e9}, {"bytes", group.bytes_total}});
    }
    return body;
  }
  Json who_has(const Ask& ask) const {
    Json body = Json::object();
    for (const Key& key : ask.keys) {
      Json& holders = body[key.hex()] = Json::array();
      if (const Task* task = state.find(key))
        for (const Replica& replica : task->replicas) holders.push_back(name_of_worker(replica.worker));
    }
    return body;
  }
  void add_progress(Json& body, TaskNumber number) const {
    if (auto said = state.progress_.find(number); said != state.progress_.end()) body["progress"] = said->second;
  }
  Json has_what(const Ask& ask) const {
    return at_workers(ask, &Worker::holding, [&](TaskNumber number) { return Json(state.tasks_[number].key.hex()); });
  }
  Json processing(const Ask& ask) const {
    return at_workers(ask, &Worker::assigned, [&](TaskNumber number) {
      const Task& task = state.tasks_[number];
      Json body = {{"key", task.key.hex()}, {"label", state.shape_of(task).label}, {"started", task.started != 0}};
      add_progress(body, number);
      return body;
    });
  }
  template <class Describe>
  Json at_workers(const Ask& ask, std::vector<TaskNumber> Worker::*list, Describe describe) const {
    Json body = Json::object();
    for (WorkerId id : state.alive_) {
      const Worker& worker = *state.worker(id);
      if (!ask.words.empty() && !contains(ask.words, worker.name) && !contains(ask.words, worker.endpoint)) continue;
      Json& tasks = body[worker.name] = Json::array();
      for (TaskNumber number : worker.*list) tasks.push_back(describe(number));
    }
    return body;
  }
  Json tasks(const Ask& ask) const {
    Json body = Json::array();
    std::string wanted = ask.words.empty() ? "" : ask.words[0];
    for (TaskNumber number = 0; number < state.tasks_.size(); ++number) {
      const Task& task = state.tasks_[number];
      if (!task.key || (!wanted.empty() && wanted != name_of(task.state))) continue;
      if (body.size() >= rows_max) break;
      body.push_back({{"key", task.key.hex()}, {"label", state.shape_of(task).label}, {"state", name_of(task.state)},
                      {"bytes", task.bytes}, {"worker", task.worker ? name_of_worker(task.worker) : ""}});
      add_progress(body.back(), number);
    }
    return body;
  }

  Json describe(const Transition& t) const {
    Json body = {{"seconds_ago", seconds(state.now_ - t.when)}, {"key", t.key.hex()}, {"from", name_of(t.from)}, {"to", name_of(t.to)},
                 {"worker", name_of_worker(t.worker)}, {"attempt", t.attempt.number}};
    if (t.why) body["why"] = *t.why;
    return body;
  }
  Json describe(const LoggedLine& line) const {
    return {{"seconds_ago", seconds(state.now_ - line.when)}, {"level", line.level}, {"worker", line.worker},
            {"key", line.key ? line.key.hex() : ""}, {"text", line.text}};
  }
  Json story(const Ask& ask) const {
    Json body = Json::array();
    for (const Transition& t : state.story_)
      if (std::find(ask.keys.begin(), ask.keys.end(), t.key) != ask.keys.end()) body.push_back(describe(t));
    return body;
  }
  Json logs(const Ask& ask) const {
    Json body = Json::array();
    for (const auto& line : state.log_)
      if (ask.words.empty() || contains(ask.words, line.worker)) body.push_back(describe(line));
    return body;
  }
  /// Log lines and transitions in the order of time. A topic is "log", "task", or the name of a worker or of a label.
  Json events(const Ask& ask) const {
    std::string topic = ask.words.empty() ? "" : ask.words[0];
    std::vector<std::pair<Time, Json>> found;
    auto add = [&](Time when, const char* kind, const std::string& label, Json event) {
      if (!topic.empty() && topic != kind && topic != label && event["worker"] != Json(topic)) return;
      event["topic"] = kind;
      if (!label.empty()) event["label"] = label;
      found.emplace_back(when, std::move(event));
    };
    for (const auto& line : state.log_) add(line.when, "log", "", describe(line));
    std::size_t skip = topic.empty() && state.story_.size() > rows_max ? state.story_.size() - rows_max : 0;
    for (std::size_t i = skip; i < state.story_.size(); ++i) {
      const Transition& t = state.story_[i];
      const Group& group = state.groups_[t.group];  // another one may have its number now
      add(t.when, "task", group.born <= t.when ? group.label : "", describe(t));
    }
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    Json body = Json::array();
    for (std::size_t i = found.size() > rows_max ? found.size() - rows_max : 0; i < found.size(); ++i)
      body.push_back(std::move(found[i].second));
    return body;
  }

  Json describe_name(HolderNumber number, bool with_keys) const {
    const Holder& holder = state.holders_[number];
    Json keys = Json::array();
    std::uint64_t stored = 0, bytes = 0;
    for (TaskNumber wanted : holder.wanted) {
      const Task& task = state.tasks_[wanted];
      if (task.state == TaskState::stored) ++stored, bytes += task.bytes;
      if (with_keys) keys.push_back(task.key.hex());
    }
    Json body = Json::object();
    if (with_keys) body["keys"] = std::move(keys);
    body.update({{"tasks", holder.wanted.size()}, {"stored", stored}, {"bytes", bytes}, {"note", hex_of(holder.note)}});
    return body;
  }
  Json names(bool with_keys) const {
    Json body = Json::object();
    for (const auto& [name, holder] : state.names_) body[name] = describe_name(holder, with_keys);
    return body;
  }
  Json datasets(const Ask&) const { return names(true); }
  Json list_datasets(const Ask&) const { return names(false); }

  std::string why_ready(const Task& task, Json& workers) const;
  std::string what_keeps_it_from(const Worker& worker, const Task& task) const;  // a task that is ready
  Json lineage(const Ask&) const;
  Json dump(const Ask&) const;
};

/// What a task was made from and what is made from it, by distance: inputs are negative. words[0]: how far.
Json Questions::lineage(const Ask& ask) const {
  constexpr std::size_t nodes_max = 500, edges_max = 5'000;
  int hops = ask.words.empty() ? 2 : std::atoi(ask.words[0].c_str());
  Json nodes = Json::object(), edges = Json::array();
  bool cut = false;
  const Task* first = ask.keys.empty() ? nullptr : state.find(ask.keys[0]);
  auto visit = [&](const Task& task, int distance) {
    std::string key = task.key.hex();
    if (nodes.contains(key)) return false;
    if (nodes.size() >= nodes_max) return !(cut = true);
    nodes[key] = {{"label", state.shape_of(task).label}, {"state", name_of(task.state)}, {"distance", distance}};
    return true;
  };
  auto connect = [&](const Task& from, const Task& to) {
    if (edges.size() < edges_max) edges.push_back({from.key.hex(), to.key.hex()});
    else cut = true;
  };
  for (int direction : {-1, 1}) {
    std::vector<std::pair<const Task*, int>> work;
    if (first) visit(*first, 0), work.emplace_back(first, 0);
    for (std::size_t at = 0; at < work.size() && !cut; ++at) {
      auto [task, distance] = work[at];
      if (distance >= hops) continue;
      auto follow = [&](TaskNumber number) {
        const Task& other = state.tasks_[number];
        if (visit(other, direction * (distance + 1))) work.emplace_back(&other, distance + 1);
        if (nodes.contains(other.key.hex())) direction < 0 ? connect(other, *task) : connect(*task, other);
      };
      if (direction < 0)
        for (std::size_t i = 0; i < task->inputs.size() && !cut; ++i) follow(task->inputs[i].task);
      else
        for (std::size_t i = 0; i < task->dependents.size() && !cut; ++i) follow(task->dependents[i].task);
    }
  }
  return {{"nodes", std::move(nodes)}, {"edges", std::move(edges)}, {"cut", cut}};
}

/// Adds a section; of a list that is too long only the first rows that fit.
static void add_section(Json& body, std::size_t& left, const char* name, Json section) {
  std::size_t size = json_text(section).size();
  if (size > left && section.is_array()) {
    Json kept = Json::array();
    std::size_t bytes = 64;
    for (const Json& row : section) {
      bytes += json_text(row).size() + 1;
      if (bytes > left) break;
      kept.push_back(row);
    }
    body["left_out"][name] = section.size() - kept.size();
    section = std::move(kept);
    size = std::min(bytes, left);
  } else if (size > left) {
    body["left_out"][name] = std::to_string(size) + " bytes";
    return;
  }
  body[name] = std::move(section);
  left -= size;
}

/// Everything a bug report needs. The newest lines and transitions come first, so that the oldest are left out; each list takes
/// at most half of what is left, so that none starves the next.
Json Questions::dump(const Ask&) const {
  Json body = {{"status", status({})}};
  std::size_t left = dump_bytes_max - 4096;
  auto add = [&](const char* name, Json section) {
    std::size_t share = left / 2, rest = share;
    add_section(body, rest, name, std::move(section));
    left -= share - rest;
  };
  add("workers", workers({}));
  add("groups", groups({}));
  add("datasets", list_datasets({}));
  Json failures = Json::array();
  for (TaskNumber number = 0; number < state.tasks_.size() && failures.size() < dump_failures_max; ++number) {
    const Task& task = state.tasks_[number];
    if (!task.key || task.state != TaskState::failed) continue;
    if (auto explained = state.explain(task)) failures.push_back(Json::parse(explained.value()));
  }
  add("failures", std::move(failures));
  Json lines = Json::array(), transitions = Json::array();
  for (auto line = state.log_.rbegin(); line != state.log_.rend(); ++line) lines.push_back(describe(*line));
  add("logs", std::move(lines));
  for (auto t = state.story_.rbegin(); t != state.story_.rend() && transitions.size() < rows_max; ++t) transitions.push_back(describe(*t));
  add("transitions", std::move(transitions));
  add("tasks", tasks({}));
  return body;
}

Result<std::string> State::query(const Ask& ask, const std::string& by) {
  struct Verb {
    std::string_view name;
    Json (Questions::*answer)(const Ask&) const;
  };
  static constexpr Verb verbs[] = {
      {"status", &Questions::status}, {"workers", &Questions::workers}, {"groups", &Questions::groups},
      {"who_has", &Questions::who_has}, {"has_what", &Questions::has_what}, {"processing", &Questions::processing},
      {"tasks", &Questions::tasks}, {"story", &Questions::story}, {"logs", &Questions::logs}, {"events", &Questions::events},
      {"datasets", &Questions::datasets}, {"list_datasets", &Questions::list_datasets}, {"lineage", &Questions::lineage}, {"dump", &Questions::dump}};
  Questions questions{*this};
  for (const Verb& verb : verbs)
    if (verb.name == ask.verb) return json_text((questions.*verb.answer)(ask));
  if (ask.verb == "get_dataset") {
    auto named = ask.words.empty() ? names_.end() : names_.find(ask.words[0]);
    if (named == names_.end())
      return failure(ErrorKind::invalid_argument,
                     "nothing is published as '" + (ask.words.empty() ? "" : ask.words[0]) + "'; list_datasets() names what is");
    return json_text(questions.describe_name(named->second, true));
  }
  if (ask.verb == "explain" || ask.verb == "describe") {
    const Task* task = ask.keys.empty() ? nullptr : find(ask.keys[0]);
    if (task) return ask.verb == "explain" ? explain(*task) : describe(*task);
    return failure(ErrorKind::invalid_argument, "the scheduler knows no task of this key; `weft tasks` lists those it knows");
  }
  return control(ask, by);
}

/// What somebody needs who wants to run it himself: what `explain` says, and the task as a TaskDescription.
Result<std::string> State::describe(const Task& task) const {
  Result<std::string> explained = explain(task);
  if (!explained) return explained;
  TaskDescription description{.key = task.key, .shape = shape_of(task), .arguments = bytes_of(task.arguments)};
  for (const InputEdge& edge : task.inputs) {
    const Task& input = tasks_[edge.task];
    description.inputs.push_back({input.key, edge.part, input.bytes, shape_of(input).label, input.state == TaskState::stored});
  }
  if (auto program = programs_.find(description.shape.function.program); program != programs_.end()) description.program = program->second.files;
  Json body = Json::parse(*explained);
  body["description"] = hex_of(encode(description));
  return json_text(body);
}

std::string Questions::what_keeps_it_from(const Worker& worker, const Task& task) const {
  const TaskOptions& wishes = state.shape_of(task).options;
  if (state.may_run(task, worker))
    return worker.retiring                 ? "retiring"
           : worker.paused                 ? "paused: memory is nearly full"
           : !worker.peer                  ? "disconnected"
           : !state.fits_now(task, worker) ? "the resources it asks for are taken"
                                           : "its queue is full; the next free credit is for the first task of the queue";
  if (!worker.runs_user_code && state.shape_of(task).function.kernel == 0) return "it runs no functions of programs";
  if (wishes.cores > worker.slots) return "it has fewer than " + std::to_string(wishes.cores) + " cores";
  for (const auto& [name, amount] : wishes.resources)
    if (auto has = worker.resources.find(name); has == worker.resources.end() || has->second < amount)
      return "it does not offer " + name + '=' + show_option(amount);
  return "the task asks for " + wishes.workers.front() + (wishes.workers.size() > 1 ? " or others" : "");
}

std::string Questions::why_ready(const Task& task, Json& workers) const {
  bool any = false;
  for (WorkerId id : state.alive_) {
    const Worker& worker = *state.worker(id);
    any |= state.may_run(task, worker);
    workers.push_back({{"worker", worker.name}, {"reason", what_keeps_it_from(worker, task)}});
  }
  if (any) return "every worker that may run it is busy or full";
  return (workers.empty() ? "" : "no worker here may ever run it: ") + state.why_unrunnable(task);
}

/// Why a task is where it is: what it waits for, who could run it, and what would happen next.
Result<std::string> State::explain(const Task& task) const {
  Json body = {{"key", task.key.hex()}, {"label", shape_of(task).label}, {"state", name_of(task.state)}, {"bytes", task.bytes},
               {"wanted_by", task.wants.size()}, {"dependents", task.dependents.size()},
               {"exceptions_and_timeouts", task.errors}, {"crashes_and_losses", task.losses}};
  std::string why;
  if (task.state == TaskState::waiting) {
    Json& inputs = body["waits_for"] = Json::array();
    for (const InputEdge& edge : task.inputs) {
      const Task& input = tasks_[edge.task];
      if (input.state != TaskState::stored && inputs.size() < 100)
        inputs.push_back({{"key", input.key.hex()}, {"label", shape_of(input).label}, {"state", name_of(input.state)}});
    }
    why = "it waits for " + std::to_string(task.missing) + " inputs that are not stored yet";
  } else if (task.state == TaskState::ready) {
    why = Questions{*this}.why_ready(task, body["workers"] = Json::array());
  } else if (task.state == TaskState::assigned) {
    const Worker& worker = *workers_[task.worker.number];
    body["worker"] = worker.name;
    body["attempt"] = task.attempt.number;
    body["expected_start_seconds"] = {{"queue", seconds(worker.load / worker.slots)}};
    auto progress = progress_.find(number_of(task.key));
    if (progress != progress_.end()) body["progress"] = progress->second;
    why = task.recalling ? "it was asked back from " + worker.name + " for an idle worker"
          : progress != progress_.end() ? "it runs on " + worker.name + ", " + percent(progress->second) + " done"
          : task.started ? "it runs on " + worker.name
          : task.missing ? "it was sent ahead to " + worker.name + ", which makes its inputs"
                         : "it is in the queue of " + worker.name + ": least expected start of the workers considered";
  } else if (task.state == TaskState::stored) {
    Json& holders = body["holders"] = Json::array();
    for (const Replica& replica : task.replicas) holders.push_back(workers_[replica.worker.number]->name);
    why = "its value is stored";
  } else if (task.state == TaskState::failed) {
    body["error"] = describe_failure(*task.failure);
    why = "it failed; `weft story` shows each attempt";
  } else {
    why = "nobody needs its value now; it is remembered because a later task depends on it";
  }
  body["why"] = why;
  return json_text(body);
}

}  // namespace weft::scheduler
