// Control verbs: what `Ask` carries to change something. Answers are JSON text.
#include <algorithm>
#include <cstdlib>

#include "common/json_text.h"
#include "scheduler/state.h"

namespace weft::scheduler {

using Json = nlohmann::ordered_json;

Result<std::string> State::retire_named(const Ask& ask, const std::string& by) {
  for (const std::string& name : ask.words)
    if (!find_worker(name))
      return failure(ErrorKind::invalid_argument, "no worker is named '" + name + "'; `weft workers` lists them");
  Json each = Json::array();
  std::set<WorkerId> going;
  for (const std::string& name : ask.words) going.insert(find_worker(name)->id);
  // What one hands over must not go to another that is told to go in the same breath.
  bool somebody_stays =
      std::any_of(alive_.begin(), alive_.end(), [&](WorkerId id) { return worker_ref(id).usable() && !going.contains(id); });
  for (const std::string& name : ask.words) {
    Worker& worker = worker_ref(find_worker(name)->id);
    auto held =
        std::count_if(worker.holding.begin(), worker.holding.end(), [&](TaskNumber n) { return tasks_[n].needed(); });
    bool already = worker.retiring, goes = already || ((somebody_stays || held == 0) && retire(worker, false));
    each.push_back({{"worker", worker.name}, {"retiring", goes}, {"already", already}});
    if (!goes)
      each.back()["reason"] = "it holds " + std::to_string(held) + (held == 1 ? " value that is" : " values that are") +
                              " wanted, and no other worker stays to take " + (held == 1 ? "it" : "them") +
                              "; start another one first";
    show_control("retire", by, {}, name,
                 goes ? (already ? "it retires already" : "") : "it stays: " + each.back()["reason"].get<std::string>());
  }
  return json_text(each);
}

Result<std::string> State::control(const Ask& ask, const std::string& by) {
  const std::string said = ask.words.empty() ? "" : ask.words[0];
  if (ask.verb == "retire") return retire_named(ask, by);
  if (ask.verb == "replicate") {
    std::uint32_t copies = static_cast<std::uint32_t>(std::strtoul(said.c_str(), nullptr, 10));
    show_control("replicate", by, ask.keys, "", std::to_string(copies) + " copies");
    for (const Key& key : ask.keys) {
      TaskNumber number = number_of(key);
      if (number == KeyIndex::none) continue;
      replicas_wanted_[number] = copies;
      if (tasks_[number].state == TaskState::stored) spread_replicas(number, copies);
    }
    return std::string("{}");
  }
  if (ask.verb == "cancel" || ask.verb == "retry") {
    const bool cancels = ask.verb == "cancel";
    std::vector<TaskNumber> changed;
    for (const Key& key : ask.keys)
      if (TaskNumber number = number_of(key);
          number != KeyIndex::none && (cancels ? is_open(tasks_[number].state) : tasks_[number].state == TaskState::failed))
        changed.push_back(number);
    const std::string reason = said.empty() ? "an operator" : said;
    show_control(ask.verb, by, ask.keys, "", changed.empty() ? "nothing to " + ask.verb : cancels ? said : "");
    if (cancels) show_ended(changed, reason);
    for (TaskNumber number : changed) {
      if (cancels) cancel_task(number, reason);
      else handle(HolderNumber{0}, Retry{0, {tasks_[number].key}});
    }
    return json_text(Json{{cancels ? "cancelled" : "retried", changed.size()}});
  }
  if (ask.verb == "rebalance") {
    std::size_t moved = rebalance();
    show_control("rebalance", by, {}, "of all values",
                 std::to_string(moved) + (moved == 1 ? " value is moved" : " values are moved"));
    return json_text(Json{{"moved", moved}});
  }
  if (ask.verb == "restart") return json_text(Json{{"ended", restart(said.empty() ? by : said, by)}});
  return failure(ErrorKind::invalid_argument, "the scheduler has no verb '" + ask.verb + "'");
}

/// End every task of everybody, stored values too, and have the workers start with fresh executors. Returns how many ended.
std::size_t State::restart(const std::string& who, const std::string& by) {
  std::size_t ended = 0;
  std::string why = "the cluster was restarted by " + who;
  std::vector<TaskNumber> ends;
  for (TaskNumber number = 0; number < tasks_.size(); ++number)
    if (const Task& task = tasks_[number]; task.key && (is_open(task.state) || task.state == TaskState::stored))
      ends.push_back(number);
  // First, so that a full ring drops what comes in thousands.
  show_control("restart", by, {}, "of the cluster",
               std::to_string(ends.size()) + (ends.size() == 1 ? " task was ended" : " tasks were ended"));
  show_ended(ends, why);
  for (TaskNumber number = 0; number < tasks_.size(); ++number) {
    if (!tasks_[number].key) continue;
    ++ended;
    cancel_task(number, why);
    if (tasks_[number].state != TaskState::stored) continue;
    while (!tasks_[number].replicas.empty()) {
      Worker& holder = worker_ref(tasks_[number].replicas.back().worker);
      remove_replica(number, holder.id);
      tell_drop(holder, tasks_[number].key, tasks_[number].bytes);
    }
    fail(number, std::make_shared<const Failure>(Failure{.kind = ErrorKind::cancelled,
                                                         .message = why,
                                                         .label = shape_of(tasks_[number]).label,
                                                         .key = tasks_[number].key}));
  }
  for (WorkerId id : alive_) tell(worker_ref(id), RestartExecutors{});
  log_line(5, "restarted by " + who);
  return ended;
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
      auto to =
          std::min_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
      Task& task = tasks_[number];
      if (task.replicas.size() > 1 || task.bytes == 0 || to->second + task.bytes > has) continue;
      Worker& reader = worker_ref(to->first);
      tell(reader,
           Replicate{AssignedInput{.key = task.key, .bytes = task.bytes, .locations = {locate(task, worker_ref(from))}}});
      moving_[number] = from;
      has -= task.bytes;
      to->second += task.bytes;
      ++moved;
    }
  }
  return moved;
}

}  // namespace weft::scheduler
