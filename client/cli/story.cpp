// weft story: the steps of tasks, each with its try, its worker, and why it failed.
#include <map>

#include "client/cli/cli.h"
#include "common/exit_codes.h"

namespace weft::cli {

namespace {

constexpr std::size_t why_bytes_max = 160;   // of a cell; `weft explain` has all of it

std::string key_of(const Json& step) { return step.at("key"); }

/// What the scheduler says of a task now; nothing of one that it has forgotten.
Json explained(Cluster& cluster, const std::string& key) {
  try {
    return cluster.ask("explain", {}, {*Key::from_hex(key)});
  } catch (const InvalidArgument&) {
    return Json::object();
  }
}

/// The scheduler notes a step before it says to whom: the step to assigned is like the next one, which leaves it.
void complete(Json& story, const std::map<std::string, Json>& tasks) {
  std::map<std::string, Json*> assigned, last;
  for (Json& step : story) {
    std::string key = key_of(step);
    if (auto begun = assigned.find(key); step.at("from") == "assigned" && begun != assigned.end()) {
      for (const char* name : {"worker", "attempt"}) (*begun->second)[name] = step.at(name);
      assigned.erase(begun);
    }
    if (step.at("to") == "assigned") assigned[key] = &step;
    last[key] = &step;
  }
  for (auto& [key, step] : last) {
    const Json& task = tasks.at(key);
    if (!task.contains("state") || task.at("state") != step->at("to")) continue;
    if (step->at("to") == "assigned")
      for (const char* name : {"worker", "attempt"}) (*step)[name] = task.at(name);
    if (step->at("to") == "failed" && step->at("worker") == "" && task.at("error").at("key") == key)
      (*step)["worker"] = task.at("error").at("worker");
  }
}

/// 1, 2, 3 in the order of the story, for each task.
void number_tries(Json& story) {
  std::map<std::string, std::map<std::uint64_t, std::size_t>> tries;
  for (Json& step : story) {
    std::uint64_t attempt = step.at("attempt");
    if (attempt == 0) continue;
    auto& seen = tries[key_of(step)];
    step["try"] = seen.emplace(attempt, seen.size() + 1).first->second;
  }
}

}  // namespace

int run_story(Arguments arguments) {
  VerbOptions options("story", "Tell what happened to tasks.");
  TextList texts;
  options.add().positional("KEY", texts, 1, 100, "keys, or their first digits");
  if (auto code = options.start(arguments)) return *code;
  Cluster cluster(options);
  std::vector<Key> keys;
  for (const std::string& text : texts) keys.push_back(cluster.find_key(text));
  Json story = cluster.ask("story", {}, keys);
  if (story.empty()) throw InvalidArgument("the scheduler remembers nothing of " + texts[0] + "; `weft tasks` lists the keys it has");
  std::map<std::string, Json> tasks;
  for (const Json& step : story)
    if (std::string key = key_of(step); !tasks.contains(key)) tasks[key] = explained(cluster, key);
  complete(story, tasks);
  number_tries(story);
  if (options.json()) return print_json("story", story), exit_code::ok;
  Table table({"WHEN", "KEY", "FROM", "TO", "WORKER", "TRY", "WHY"});
  for (const Json& step : story) {
    auto text = [&](const char* name) { return harmless(step.value(name, "")); };
    std::string number = step.contains("try") ? std::to_string(step.at("try").get<std::size_t>()) : "", why = text("why");
    if (why.size() > why_bytes_max) why = why.substr(0, why_bytes_max) + "...";
    table.row({show_seconds(step.at("seconds_ago")) + " ago", text("key").substr(0, 12), text("from"), text("to"), text("worker"), number, why});
  }
  table.print();
  return exit_code::ok;
}

}  // namespace weft::cli
