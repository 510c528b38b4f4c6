// Verbs that change something, and the dump.
#include <cstdio>
#include <ctime>

#include "client/cli/cli.h"
#include "common/exit_codes.h"
#include "common/machine.h"

namespace weft::cli {

int run_retire(Arguments arguments) {
  VerbOptions options("retire", "Let workers hand over what only they hold, finish what runs, and end.");
  TextList names;
  options.add().positional("WORKER", names, 1, 10'000, "names of workers");
  if (auto code = options.start(arguments)) return *code;
  Json going = Json::array();
  bool all = true;
  for (const Json& row : Cluster(options).order("retire", names)) {
    const std::string name = row.at("worker");
    if (row.at("retiring")) {
      going.push_back(name);
      if (!options.json()) print(row.at("already") ? harmless(name) + " retires already\n" : "retiring " + harmless(name) + '\n');
    } else {
      all = false;
      std::fprintf(stderr, "weft retire: %s stays: %s\n", harmless(name).c_str(), harmless(row.at("reason")).c_str());
    }
  }
  if (options.json()) print_json("retire", going);
  return all ? exit_code::ok : exit_code::failure;
}

int run_cancel(Arguments arguments) {
  VerbOptions options("cancel", "Cancel tasks, whoever wants them, and what depends on them.");
  TextList texts;
  std::string label, reason = "cancelled by an operator";
  options.add().positional("KEY", texts, 0, 10'000, "keys, or their first digits");
  options.add().add("label", label, "cancel every task with this label");
  options.add().add("reason", reason, "what its users are told");
  if (auto code = options.start(arguments)) return *code;
  if (texts.empty() && label.empty()) throw InvalidArgument("which tasks? Give keys, or --label LABEL");
  Cluster cluster(options);
  std::vector<Key> keys;
  for (const std::string& text : texts) keys.push_back(cluster.find_key(text));
  if (!label.empty())
    for (const Json& task : cluster.ask("tasks"))
      if (bool open = task.at("state") != "stored" && task.at("state") != "failed"; open && task.at("label") == label)
        keys.push_back(*Key::from_hex(task.at("key").get<std::string>()));
  cluster.cancel(keys, reason);
  if (options.json()) print_json("cancel", {{"asked_for", keys.size()}});
  else print("asked for " + std::to_string(keys.size()) + " tasks to be cancelled\n");
  return exit_code::ok;
}

int run_restart(Arguments arguments) {
  VerbOptions options("restart", "Forget all tasks of all clients.");
  bool yes = false;
  options.add().add("yes", yes, "do it; without this nothing happens");
  if (auto code = options.start(arguments)) return *code;
  if (!yes) throw InvalidArgument("this cancels the work of every client and drops every result; add --yes to do it");
  Json done = Cluster(options).order("restart", {"an operator"});
  if (options.json()) print_json("restart", done);
  else print("restarted; " + std::to_string(done.at("ended").get<std::uint64_t>()) + " tasks ended\n");
  return exit_code::ok;
}

// ---------------------------------------------------------------------------------------------------- dump

namespace {

constexpr std::size_t dump_bytes_max = 64u << 20;
constexpr std::size_t dump_failures_max = 200;

// Add what the scheduler answers under `name`, unless the file would become too large.
void add_section(Json& dump, std::size_t& bytes, const std::string& name, const std::function<Json()>& ask) {
  Json section;
  try {
    section = ask();
  } catch (const Error& error) {
    section = {{"error", error.what()}};
  }
  std::size_t size = section.dump(-1, ' ', false, Json::error_handler_t::replace).size();
  if (bytes + size > dump_bytes_max) section = {{"left_out", "it has " + std::to_string(size) + " bytes, too many for one file"}};
  else bytes += size;
  dump[name] = std::move(section);
}

Json failures(Cluster& cluster) {
  Json out = Json::array();
  for (const Json& task : cluster.ask("tasks", {"failed"})) {
    if (out.size() == dump_failures_max) break;
    Key key = *Key::from_hex(task.at("key").get<std::string>());
    out.push_back({{"explain", cluster.ask("explain", {}, {key})}, {"story", cluster.ask("story", {}, {key})}});
  }
  return out;
}

}  // namespace

int run_dump(Arguments arguments) {
  VerbOptions options("dump", "Write one file, at most 64 MiB, with everything a bug report needs. It holds no values and no keys of links.");
  TextList files;
  options.add().positional("FILE", files, 0, 1, "where to; default weft-dump-TIME.json");
  OutputFile file(options);
  if (auto code = options.start(arguments)) return *code;
  std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char time[32];
  std::strftime(time, sizeof time, "%Y%m%dT%H%M%SZ", &parts);
  file.choose(files.empty() ? std::string("weft-dump-") + time + ".json" : files[0]);

  Cluster cluster(options);
  Json dump = {{"version", 1}, {"time", time}, {"weft", version_line("weft")}, {"address", cluster.address()}, {"from_host", host_name()}};
  std::size_t bytes = 0;
  for (const char* verb : {"status", "workers", "groups", "logs", "datasets", "processing"})
    add_section(dump, bytes, verb, [&] { return cluster.ask(verb); });
  add_section(dump, bytes, "failures", [&] { return failures(cluster); });
  add_section(dump, bytes, "tasks", [&] { return cluster.ask("tasks"); });
  return file.write("dump", dump.dump(1, ' ', false, Json::error_handler_t::replace) + '\n', 0600);
}

}  // namespace weft::cli
