// Verbs that look: status, workers, tasks, explain, logs.
#include <signal.h>

#include <algorithm>
#include <cstdio>

#include "client/cli/cli.h"
#include "client/symbols.h"
#include "common/exit_codes.h"

namespace weft::cli {

namespace {

std::string number(const Json& value) { return std::to_string(value.get<std::uint64_t>()); }
std::string word(const Json& value) { return harmless(value.get<std::string>()); }

std::string counts(const Json& by_state) {
  std::string out;
  for (const auto& [state, count] : by_state.items())
    if (count != 0) out += (out.empty() ? "" : ", ") + number(count) + ' ' + state;
  return out.empty() ? "none" : out;
}

std::string held_of(const Json& worker) {
  std::string limit = worker.at("memory_limit") == 0 ? "no limit" : show_bytes(worker.at("memory_limit"));
  return show_bytes(worker.at("managed_bytes")) + " of " + limit;
}

const char* level_name(std::uint64_t syslog_level) {
  return syslog_level <= 3 ? "error" : syslog_level == 4 ? "warning" : syslog_level <= 6 ? "info" : "debug";
}

/// The stack, with names where the files of the program are on this machine.
std::string traceback_of(const Json& error) {
  Failure failure{.traceback = error.value("traceback", "")};
  for (const Json& frame : error.value("frames", Json::array()))
    failure.frames.push_back({frame.at("image"), Key::from_hex(frame.at("build").get<std::string>()).value_or(Key{}), frame.at("offset"),
                              frame.at("symbol")});
  return symbolised(std::move(failure)).traceback;
}

std::string show_address(std::uint64_t address) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
  return text;
}

void print_failure(const Json& error) {
  print(word(error.at("kind")) + ": " + harmless(error.at("message"), true) + '\n');
  for (const char* name : {"type", "worker", "key"})
    if (error.contains(name) && error.at(name) != "") print(std::string("  ") + name + ": " + word(error.at(name)) + '\n');
  int signal = error.value("signal", 0);
  if (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE) print("  fault address: " + show_address(error.at("address")) + '\n');
  print(harmless(traceback_of(error), true));
  std::string output = error.value("output", "");
  if (output.empty()) return;
  print("its last output:\n" + harmless(output, true) + (output.ends_with('\n') ? "" : "\n"));
}

}  // namespace

int run_status(Arguments arguments) {
  VerbOptions options("status", "Show what the cluster does.");
  if (auto code = options.start(arguments)) return *code;
  Cluster cluster(options);
  Json status = cluster.ask("status");
  Json workers = cluster.ask("workers");
  Json groups = cluster.ask("groups");
  if (options.json()) {
    status["address"] = cluster.address();
    status["labels"] = groups;
    print_json("status", status);
    return exit_code::ok;
  }
  std::uint64_t slots = 0, running = 0;
  for (const Json& worker : workers) {
    slots += worker.at("slots").get<std::uint64_t>();
    running += worker.at("running").get<std::uint64_t>();
  }
  print("scheduler  " + cluster.address() + "\nworkers    " + number(status.at("workers")) + ", " + std::to_string(running) + " of " +
        std::to_string(slots) + " slots busy\nclients    " + number(status.at("clients")) + "\ntasks      " + counts(status.at("by_state")) +
        "\nruns       " + number(status.at("runs")) + " finished\n");
  Table table({"LABEL", "TASKS", "FINISHED", "FAILED TASKS", "RUN TIME", "BYTES"});
  for (const Json& group : groups)
    table.row({word(group.at("label")), counts(group.at("tasks")), number(group.at("finished")), number(group.at("failed_tasks")),
               show_seconds(group.at("run_seconds")), show_bytes(group.at("bytes"))});
  if (!table.empty()) {
    print("\n");
    table.print();
  }
  return exit_code::ok;
}

int run_workers(Arguments arguments) {
  VerbOptions options("workers", "List the workers.");
  if (auto code = options.start(arguments)) return *code;
  Json workers = Cluster(options).ask("workers");
  if (options.json()) return print_json("workers", workers), exit_code::ok;
  if (workers.empty()) return print("no workers; start one with weft-worker\n"), exit_code::ok;
  Table table({"NAME", "STATUS", "SLOTS", "RUNNING", "ASSIGNED", "VALUES", "MEMORY", "SPILLED", "HOST", "PID", "HEARD"});
  for (const Json& worker : workers)
    table.row({word(worker.at("name")), word(worker.at("status")), number(worker.at("slots")), number(worker.at("running")),
               number(worker.at("assigned")), number(worker.at("values")), held_of(worker), show_bytes(worker.at("spilled_bytes")),
               word(worker.at("host")), number(worker.at("pid")), show_seconds(worker.at("heard_seconds_ago")) + " ago"});
  table.print();
  return exit_code::ok;
}

int run_tasks(Arguments arguments) {
  VerbOptions options("tasks", "List tasks, at most 10,000.");
  TextList states;
  std::string label;
  options.add().positional("STATE", states, 0, 1, "only those in this state: waiting, ready, assigned, stored, failed, released");
  options.add().add("label", label, "only those with this label");
  if (auto code = options.start(arguments)) return *code;
  Json tasks = Cluster(options).ask("tasks", states);
  if (!label.empty())
    tasks.erase(std::remove_if(tasks.begin(), tasks.end(), [&](const Json& task) { return task.at("label") != label; }), tasks.end());
  if (options.json()) return print_json("tasks", tasks), exit_code::ok;
  if (tasks.empty()) return print("no tasks\n"), exit_code::ok;
  Table table({"KEY", "LABEL", "STATE", "DONE", "BYTES", "WORKER"});
  for (const Json& task : tasks) {
    std::string done = task.contains("progress") ? std::to_string(static_cast<int>(100 * task.at("progress").get<double>())) + '%' : "";
    table.row({word(task.at("key")), word(task.at("label")), word(task.at("state")), done, show_bytes(task.at("bytes")), word(task.at("worker"))});
  }
  table.print();
  return exit_code::ok;
}

int run_explain(Arguments arguments) {
  VerbOptions options("explain", "Say why a task waits, is where it is, or failed.");
  TextList texts;
  options.add().positional("KEY", texts, 1, 1, "a key, or its first digits");
  if (auto code = options.start(arguments)) return *code;
  Cluster cluster(options);
  Json answer = cluster.ask("explain", {}, {cluster.find_key(texts[0])});
  if (options.json()) return print_json("explain", answer), exit_code::ok;
  print(word(answer.at("label")) + ' ' + word(answer.at("key")) + " is " + word(answer.at("state")) + ": " + word(answer.at("why")) + '\n');
  if (answer.contains("error")) print_failure(answer.at("error"));
  for (const Json& input : answer.value("waits_for", Json::array()))
    print("  waits for " + word(input.at("label")) + ' ' + word(input.at("key")) + " (" + word(input.at("state")) + ")\n");
  for (const Json& worker : answer.value("workers", Json::array()))
    print("  " + word(worker.at("worker")) + ": " + word(worker.at("reason")) + '\n');
  return exit_code::ok;
}

int run_logs(Arguments arguments) {
  VerbOptions options("logs", "Show the last log lines that the scheduler keeps.");
  TextList workers;
  std::string text;
  options.add().positional("WORKER", workers, 0, 1000, "only lines of these workers");
  options.add().add("task", text, "only lines of this task: a key, or its first digits");
  if (auto code = options.start(arguments)) return *code;
  Cluster cluster(options);
  std::string key = text.empty() ? "" : cluster.find_key(text).hex();
  Json kept = Json::array();
  for (Json& line : cluster.ask("logs", workers)) {
    bool of_worker = workers.empty() || std::find(workers.begin(), workers.end(), line.at("worker").get<std::string>()) != workers.end();
    if (of_worker && (key.empty() || line.at("key") == key)) kept.push_back(std::move(line));
  }
  if (options.json()) return print_json("logs", kept), exit_code::ok;
  for (const Json& line : kept)
    print(show_seconds(line.at("seconds_ago")) + " ago  " + level_name(line.at("level")) + "  " + word(line.at("worker")) + "  " +
          harmless(line.at("text"), true) + '\n');
  return exit_code::ok;
}

}  // namespace weft::cli
