// Control verbs: what `Ask` carries to change something. Answers are JSON text.
#include <algorithm>
#include <cstdlib>

#include "common/json_text.h"
#include "scheduler/state.h"

namespace weft::scheduler {

using Json = nlohmann::ordered_json;

Result<std::string> State::control(const Ask& ask) {
  if (ask.verb == "retire") {
    for (const std::string& name : ask.words)
      if (!find_worker(name))
        return failure(ErrorKind::invalid_argument, "no worker is named '" + name + "'; `weft workers` lists them");
    Json each = Json::array();
    std::set<WorkerId> going;
    for (const std::string& name : ask.words) going.insert(find_worker(name)->id);
    // What one hands over must not go to another that is told to go in the same breath.
    bool somebody_stays = std::any_of(alive_.begin(), alive_.end(),
                                      [&](WorkerId id) { return worker_ref(id).usable() && !going.contains(id); });
    for (const std::string& name : ask.words) {
      Worker& worker = worker_ref(find_worker(name)->id);
      auto held =
          std::count_if(worker.holding.begin(), worker.holding.end(), [&](TaskNumber n) { return tasks_[n].needed(); });
      bool already = worker.retiring, goes = already || ((somebody_stays || held == 0) && retire(worker, false));
      each.push_back({{"worker", worker.name}, {"retiring", goes}, {"already", already}});
      if (goes) continue;
      each.back()["reason"] = "it holds " + std::to_string(held) + (held == 1 ? " value that is" : " values that are") +
                              " wanted, and no other worker stays to take " + (held == 1 ? "it" : "them") +
                              "; start another one first";
    }
    return json_text(each);
  }
  if (ask.verb == "replicate") {
    std::uint32_t copies =
        ask.words.empty() ? 0 : static_cast<std::uint32_t>(std::strtoul(ask.words[0].c_str(), nullptr, 10));
    for (const Key& key : ask.keys) {
      TaskNumber number = number_of(key);
      if (number == KeyIndex::none) continue;
      replicas_wanted_[number] = copies;
      if (tasks_[number].state == TaskState::stored) spread_replicas(number, copies);
    }
    return std::string("{}");
  }
  if (ask.verb == "cancel" || ask.verb == "retry") {
    std::size_t changed = 0;
    for (const Key& key : ask.keys) {
      TaskNumber number = number_of(key);
      if (number == KeyIndex::none) continue;
      bool failed = tasks_[number].state == TaskState::failed;
      if (ask.verb == "cancel" && is_open(tasks_[number].state))
        cancel_task(number, ask.words.empty() ? "an operator" : ask.words[0]);
      else if (ask.verb == "retry" && failed) handle(HolderNumber{0}, Retry{0, {key}});
      else continue;
      ++changed;
    }
    return json_text(Json{{ask.verb == "cancel" ? "cancelled" : "retried", changed}});
  }
  if (ask.verb == "rebalance") return json_text(Json{{"moved", rebalance()}});
  if (ask.verb == "restart") return json_text(Json{{"ended", restart(ask.words.empty() ? "a client" : ask.words[0])}});
  return failure(ErrorKind::invalid_argument, "the scheduler has no verb '" + ask.verb + "'");
}

/// End every task of everybody, stored values too, and have the workers start with fresh executors. Returns how many ended.
std::size_t State::restart(const std::string& who) {
  std::size_t ended = 0;
  std::string why = "the cluster was restarted by " + who;
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
