// weft top, history, report, trace: what the dashboard knows, in a terminal and in files.
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>

#include "client/cli/cli.h"
#include "client/cli/http_get.h"
#include "common/exit_codes.h"
#include "common/process.h"
#include "common/scheduler_file.h"
#include "dashboard/dashboard.h"

namespace weft::cli {

namespace {

constexpr const char* start_help =
    "epoch of one start of the scheduler, of those that `weft history FOLDER` lists; 0: the newest";
constexpr const char* local_dashboard = "http://127.0.0.1:8787/";

/// Where the dashboard is, and the right to read it.
class DashboardPlace {
 public:
  explicit DashboardPlace(VerbOptions& options) : options_(options) {
    options.add().add("dashboard", url_,
                      "link to the dashboard; empty: that of the scheduler file, else http://127.0.0.1:8787/");
    options.add().add("token-file", token_file_, "file of the dashboard's token, off loopback");
  }
  dashboard::Source source() const {
    std::string url = url_, token;
    const char* named = std::getenv("WEFT_SCHEDULER_FILE");
    if (options_.names_a_cluster()) static_cast<void>(options_.address()), named = std::getenv("WEFT_SCHEDULER_FILE");
    if (url.empty() && named && *named) url = read_scheduler_file(named).value_or_throw().dashboard;
    if (url.empty()) url = local_dashboard;
    if (!token_file_.empty()) std::getline(std::ifstream(token_file_) >> std::ws, token);
    return [url, token, timeout = options_.timeout()](const std::string& target, std::string& type) {
      HttpAnswer answer = http_get(url, target, token, timeout);
      if (answer.status != 200) {
        Json json = Json::parse(answer.body, nullptr, false);
        if (answer.status == 401)
          throw InvalidArgument("the dashboard at " + url +
                                (token.empty() ? " wants a token" : " does not take this token") +
                                ": give its file with --token-file (weft-scheduler --dashboard-token-file says where it is, "
                                "else dashboard.token in its key folder; its log line 'dashboard' names it)");
        bool said = json.is_object() && json.contains("error");
        throw InvalidArgument("the dashboard at " + url +
                              " says: " + (said ? json["error"].value("text", "") : std::to_string(answer.status)));
      }
      type = answer.type;
      return answer.body;
    };
  }

 private:
  VerbOptions& options_;
  std::string url_, token_file_;
};

/// From a log when a folder is named, else from the cluster.
dashboard::Source source_of(const std::string& folder, std::uint64_t start, const DashboardPlace& place) {
  if (folder.empty() && start != 0)
    throw InvalidArgument("--start chooses one of an event log's; name its folder with --history");
  if (folder.empty()) return place.source();
  auto history = std::make_shared<dashboard::History>(dashboard::History::open(folder, start).value_or_throw());
  return [history](const std::string& target, std::string& type) { return history->get(target, type); };
}

std::string bar(double share, std::size_t width) {
  auto full = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width) + 0.5);
  return std::string(full, '#') + std::string(width - full, '.');
}

/// "1 failed task", "2 failed tasks".
std::string counted(std::uint64_t count, const char* noun) { return std::to_string(count) + ' ' + noun + (count == 1 ? "" : "s"); }

std::string percent(double share) { return std::to_string(static_cast<int>(share * 100 + 0.5)) + " %"; }

std::string progress_rows(const Json& overview, std::size_t rows_max) {
  Table table({"label", "done", "", "failed tasks", "rate", "left"});
  std::vector<const Json*> rows;
  for (const Json& row : overview["progress"]) rows.push_back(&row);
  std::stable_sort(rows.begin(), rows.end(), [](const Json* a, const Json* b) { return a->at("open") > b->at("open"); });
  for (const Json* row : rows) {
    if (rows_max-- == 0) break;
    double total = row->at("total"), done = row->at("done");
    table.row(
        {harmless(row->at("label")).substr(0, 30),
         std::to_string(row->at("done").get<std::uint64_t>()) + '/' + std::to_string(row->at("total").get<std::uint64_t>()),
         bar(total > 0 ? done / total : 0, 20), row->at("failed").dump(),
         std::to_string(row->at("rate_per_s").get<std::int64_t>()) + "/s",
         row->at("eta_s").is_number() ? show_seconds(row->at("eta_s")) : "?"});
  }
  return table.empty() ? "no tasks yet: submit some, and they appear here\n" : table.text(colours());
}

std::string worker_rows(const Json& workers, std::size_t rows_max) {
  Table table({"worker", "status", "busy", "running", "queued", "values", "spilled", "other", "limit"});
  for (const Json& row : workers["workers"]) {
    if (row["status"] == "lost") continue;
    if (rows_max-- == 0) break;
    table.row({harmless(row["name"]).substr(0, 24), row["status"], percent(row["busy"]), row["running"].dump(),
               row["queued"].dump(), show_bytes(row["managed_bytes"]), show_bytes(row["spilled_bytes"]),
               show_bytes(row["unmanaged_bytes"]), show_bytes(row["limit_bytes"])});
  }
  return table.empty() ? "no workers: start some with weft-worker\n" : table.text(colours());
}

/// One screen, from the same answers that the page shows.
std::string screen(const dashboard::Source& source, std::size_t height) {
  std::string type;
  Json overview = Json::parse(source("/api/v1/overview", type)), workers = Json::parse(source("/api/v1/workers", type)),
       errors = Json::parse(source("/api/v1/errors", type));
  std::size_t rows = std::max<std::size_t>(3, (std::max<std::size_t>(height, 24) - 14) / 2);
  const Json& memory = overview["memory"];
  const Json& rates = overview["rates"];
  const Json& totals = overview["totals"];
  std::string out = "running " + overview["running"].dump() + " of " + std::to_string(overview["slots"].get<std::int64_t>()) + " slots, busy " + percent(overview["busy"]) + ", " +
                    std::to_string(rates["finished_per_s"].get<std::int64_t>()) + " tasks/s, " + show_bytes(rates["transfer_bytes_per_s"]) + "/s moved\n" + "memory: values " +
                    show_bytes(memory["managed_bytes"]) + ", spilled " + show_bytes(memory["spilled_bytes"]) + ", other " + show_bytes(memory["unmanaged_bytes"]) + " of " +
                    show_bytes(memory["limit_bytes"]) + "\n" + counted(totals["failed_tasks"], "failed task") + ", " + counted(totals["failed_attempts"], "failed attempt") + ", " +
                    totals["retried"].dump() + " run again\n\n";
  for (const Json& alert : overview["alerts"]) out += "! " + harmless(alert["text"]) + ". " + harmless(alert["advice"]) + '\n';
  if (!overview["alerts"].empty()) out += '\n';
  out += progress_rows(overview, rows) + '\n' + worker_rows(workers, rows);
  std::vector<const Json*> kinds;
  for (const Json& error : errors["errors"]) kinds.push_back(&error);
  std::sort(kinds.begin(), kinds.end(), [](const Json* a, const Json* b) { return a->at("last") > b->at("last"); });
  if (!kinds.empty()) out += "\nerrors\n";
  for (std::size_t i = 0; i < std::min<std::size_t>(kinds.size(), 3); ++i)
    out += "  " + counted(kinds[i]->at("failed_attempts"), "failed attempt") + ", " + counted(kinds[i]->at("failed_tasks"), "failed task") + ": " + harmless(kinds[i]->at("kind")) + ' ' + harmless(kinds[i]->at("type")) + ": " + harmless(kinds[i]->at("message")).substr(0, 90) + '\n';
  return out;
}

std::string wall_clock(std::int64_t unix_us) {
  std::time_t seconds = unix_us / 1'000'000;
  std::tm parts{};
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%F %T", localtime_r(&seconds, &parts)));
}

Json starts_as_json(const std::vector<dashboard::LogStart>& starts, const std::string& url) {
  Json list = Json::array();
  for (const auto& each : starts)
    list.push_back({{"epoch", each.epoch},
                    {"began_unix_us", each.origin_unix_us},
                    {"written_unix_us", each.written_unix_us},
                    {"bytes", each.bytes},
                    {"dashboard", url + "starts/" + std::to_string(each.epoch) + '/'}});
  return list;
}

/// Nothing when there is no choice.
std::string starts_as_text(const std::vector<dashboard::LogStart>& starts, std::uint64_t shown) {
  if (starts.size() < 2) return {};
  Table table({"start", "began", "last wrote", "size", ""});
  for (const auto& each : starts)
    table.row({std::to_string(each.epoch), wall_clock(each.origin_unix_us), wall_clock(each.written_unix_us),
               show_bytes(static_cast<double>(each.bytes)),
               each.epoch == (shown ? shown : starts.back().epoch) ? "shown first" : ""});
  return "The scheduler was started " + std::to_string(starts.size()) +
         " times; the Runs page opens each, --start chooses the first.\n" + table.text(colours());
}

}  // namespace

int run_top(Arguments arguments) {
  VerbOptions options("top",
                      "Show progress, workers, memory and errors of a cluster, again every second until q or Ctrl-C.");
  DashboardPlace place(options);
  Duration interval = 1s;
  bool once = false;
  options.add().add("interval", interval, "between two looks");
  options.add().add("once", once, "show one screen and end; so it is when the output is no terminal");
  if (auto code = options.start(arguments)) return *code;
  dashboard::Source source = place.source();
  std::string type;
  if (options.json()) {
    Json data = {{"overview", Json::parse(source("/api/v1/overview", type))},
                 {"workers", Json::parse(source("/api/v1/workers", type))["workers"]},
                 {"errors", Json::parse(source("/api/v1/errors", type))["errors"]}};
    return print_json("top", data), exit_code::ok;
  }
  once |= !isatty(STDOUT_FILENO);
  for (;;) {
    winsize size{};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    std::string text = screen(source, size.ws_row);
    print(once ? text : "\x1b[H\x1b[2J" + text);
    if (once) return exit_code::ok;
    std::fflush(stdout);
    pollfd keys{STDIN_FILENO, POLLIN, 0};
    char key = 0;
    if (poll(&keys, 1, static_cast<int>(std::max<Duration>(interval, 100ms) / 1ms)) > 0 &&
        (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q'))
      return exit_code::ok;
  }
}

int run_history(Arguments arguments) {
  VerbOptions options(
      "history",
      "Serve the dashboard of a job from the event log in a folder (weft-scheduler --dashboard-history). Ends with Ctrl-C.");
  TextList words;
  std::uint16_t port = 8787;
  std::string assets;
  std::uint64_t start = 0;
  options.add().add("start", start, start_help);
  options.add().positional("FOLDER", words, 1, 1, "the folder of the log");
  options.add().add("port", port, "browsers' port; another free one when it is taken");
  options.add().add("assets", assets, "folder of the page's files, instead of those built in");
  if (auto code = options.start(arguments)) return *code;
  auto served = dashboard::Dashboard::open_history({.port = port, .assets = assets, .history = words[0], .epoch = start})
                    .value_or_throw();
  int ends[2];
  if (pipe(ends) != 0) throw IoError("cannot make a pipe");
  Signals signals({SIGINT, SIGTERM, SIGHUP}, [&](int) {
    if (write(ends[1], "x", 1) < 0) _exit(exit_code::interrupted);
  });
  const auto starts = dashboard::log_starts(words[0]);
  if (options.json())
    print_json("history", {{"dashboard", served->url()}, {"starts", starts_as_json(starts, served->url())}});
  else print("dashboard: " + served->url() + '\n' + starts_as_text(starts, start) + "Ctrl-C ends it.\n");
  std::fflush(stdout);
  char byte;
  while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {
  }
  return exit_code::ok;
}

int run_report(Arguments arguments) {
  VerbOptions options("report", "Write one HTML file that shows a job: a running one, or that of an event log.");
  DashboardPlace place(options);
  OutputFile file(options);
  TextList words;
  std::string folder, assets;
  std::uint64_t start = 0;
  options.add().positional("FILE", words, 1, 1, "the file to write");
  options.add().add("history", folder, "folder of an event log, instead of a cluster");
  options.add().add("start", start, start_help);
  options.add().add("assets", assets, "folder of the page's files, instead of those built in");
  if (auto code = options.start(arguments)) return *code;
  file.choose(words[0]);
  return file.write("report", dashboard::make_report(source_of(folder, start, place), assets).value_or_throw());
}

int run_trace(Arguments arguments) {
  VerbOptions options("trace", "Write what ran where and when: for ui.perfetto.dev, or as Chrome's JSON.");
  DashboardPlace place(options);
  OutputFile file(options);
  TextList words;
  std::string folder, format = "perfetto";
  std::uint64_t start = 0;
  double from = 0, to = 0;
  options.add().positional("FILE", words, 1, 1, "the file to write; one that ends in .json is Chrome's");
  options.add().add("history", folder, "folder of an event log, instead of a cluster");
  options.add().add("start", start, start_help);
  options.add().add("from", from, "seconds since the scheduler began");
  options.add().add("to", to, "likewise; 0: all");
  if (auto code = options.start(arguments)) return *code;
  if (from < 0 || (to > 0 && to <= from)) throw InvalidArgument("--to must come after --from");
  file.choose(words[0]);
  if (words[0].ends_with(".json")) format = "chrome";
  std::string target = "/api/v1/trace?format=" + format + "&t0=" + std::to_string(static_cast<std::int64_t>(from * 1e6));
  if (to > 0) target += "&t1=" + std::to_string(static_cast<std::int64_t>(to * 1e6));
  std::string type;
  return file.write("trace", source_of(folder, start, place)(target, type));
}

}  // namespace weft::cli
