#include "bench/table.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <thread>

#include <nlohmann/json.hpp>

#include <weft/version.h>

#include "common/process.h"

namespace weft::bench {

namespace {

using Json = nlohmann::ordered_json;

Spread over(const Line& line, double (*of)(const Sample&, double tasks)) {
  std::vector<double> values;
  for (const Sample& sample : line.samples) values.push_back(of(sample, static_cast<double>(line.workload->tasks)));
  return spread_of(std::move(values));
}
Spread value_of(const Line& line) {
  return over(line, [](const Sample& sample, double) { return sample.value; });
}

/// The best of these peers by its median; its name begins so.
struct Peer {
  std::string name;
  Spread value;
};
Peer best_peer(const Line& line, std::string_view prefix) {
  Peer best;
  bool larger = larger_is_better(line.workload->metric);
  for (const auto& [name, values] : line.peers) {
    Spread spread = spread_of(values);
    if (values.empty() || !name.starts_with(prefix)) continue;
    if (best.name.empty() || (larger ? spread.median > best.value.median : spread.median < best.value.median)) best = {name, spread};
  }
  return best;
}

/// How many times better we are than the peer.
double ratio_to(const Line& line, const Peer& peer) {
  if (peer.name.empty() || line.samples.empty()) return 0;
  double ours = value_of(line).median, theirs = peer.value.median;
  return larger_is_better(line.workload->metric) ? ours / theirs : theirs / ours;
}

/// "1.23 M", "456 k", "78.9": three digits that matter.
std::string number(double x) {
  char text[32];
  const char* unit = "";
  if (std::abs(x) >= 1e6) x /= 1e6, unit = "M";
  else if (std::abs(x) >= 1e4) x /= 1e3, unit = "k";
  std::snprintf(text, sizeof text, "%.*f%s", std::abs(x) >= 100 ? 0 : std::abs(x) >= 10 ? 1 : 2, x, unit);
  return text;
}

struct Wanted {
  double target, ratio;
};
Wanted wanted_of(const Line& line) {
  const Workload& workload = *line.workload;
  bool executors = line.row.place == Place::executors && workload.ratio_executors > 0;
  return {executors ? 0 : workload.target, executors ? workload.ratio_executors : workload.ratio};
}

std::string machine() {
  utsname name{};
  uname(&name);
  std::ifstream file("/proc/cpuinfo");
  std::string model;
  for (std::string line; std::getline(file, line) && model.empty();)
    if (line.starts_with("model name")) model = line.substr(line.find(':') + 2);
  return std::to_string(std::thread::hardware_concurrency()) + " x " + model + ", " +
         std::to_string(static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) >> 30) +
         " GiB, " + name.sysname + ' ' + name.release;
}

Json json_of(const Spread& spread) { return {{"median", spread.median}, {"low", spread.low}, {"high", spread.high}}; }

Json json_of(const Line& line) {
  const Workload& workload = *line.workload;
  Json json{{"workload", workload.name}, {"title", workload.title}, {"what", workload.what}, {"row", name_of(line.row)},
            {"place", name_of(line.row.place)}, {"workers", line.row.workers}, {"store", line.row.store}, {"variant", line.variant},
            {"transport", line.row.place == Place::embedded ? "in process" : "tcp"}, {"tasks", workload.tasks},
            {"unit", unit_of(workload.metric)}, {"target", workload.target}, {"moonshot", workload.moonshot},
            {"wanted_ratio", wanted_of(line).ratio}, {"other_programs_cores", line.foreign_cores}};
  if (!line.failure.empty()) json["failure"] = line.failure;
  json["weft"] = json_of(value_of(line));
  for (const Sample& sample : line.samples) json["weft"]["all"].push_back(sample.value);
  for (const auto& [name, values] : line.peers) {
    json["peers"][name] = json_of(spread_of(values));
    json["peers"][name]["all"] = values;
  }
  Peer dask = best_peer(line, "dask"), ray = best_peer(line, "ray");
  if (!dask.name.empty()) json["ratio"] = ratio_to(line, dask), json["best_dask"] = dask.name;
  if (!ray.name.empty()) json["ratio_ray"] = ratio_to(line, ray);
  json["wall_seconds"] = json_of(over(line, [](const Sample& s, double) { return s.seconds; }));
  json["cpu_us_per_task"] = {{"client", json_of(over(line, [](const Sample& s, double n) { return s.cpu.client * 1e6 / n; }))},
                             {"scheduler", json_of(over(line, [](const Sample& s, double n) { return s.cpu.scheduler * 1e6 / n; }))},
                             {"workers", json_of(over(line, [](const Sample& s, double n) { return s.cpu.workers * 1e6 / n; }))},
                             {"executors", json_of(over(line, [](const Sample& s, double n) { return s.cpu.executors * 1e6 / n; }))}};
  json["bytes_per_task"] = json_of(over(line, [](const Sample& s, double n) { return static_cast<double>(s.traffic.bytes) / n; }));
  json["packets_per_task"] = json_of(over(line, [](const Sample& s, double n) { return static_cast<double>(s.traffic.packets) / n; }));
  json["scheduler_bytes_per_task"] = json_of(over(line, [](const Sample& s, double n) { return s.scheduler_bytes / n; }));
  std::map<std::string, std::vector<double>> more;
  for (const Sample& sample : line.samples)
    for (const auto& [name, value] : sample.more) more[name].push_back(value);
  for (const auto& [name, values] : more) json["more"][name] = json_of(spread_of(values));
  json["verdict"] = verdict_of(line);
  return json;
}

}  // namespace

std::string verdict_of(const Line& line) {
  if (line.samples.empty()) return "not measured";
  Wanted wanted = wanted_of(line);
  double ours = value_of(line).median;
  std::string missed;
  if (wanted.target > 0 && (larger_is_better(line.workload->metric) ? ours < wanted.target : ours > wanted.target)) missed += " target";
  Peer dask = best_peer(line, "dask"), ray = best_peer(line, "ray");
  if (wanted.ratio > 0 && !dask.name.empty() && ratio_to(line, dask) < wanted.ratio) missed += " ratio";
  if (line.workload->ratio_ray > 0 && !ray.name.empty() && ratio_to(line, ray) < line.workload->ratio_ray) missed += " ray";
  if (!missed.empty()) return "MISS" + missed;
  if (wanted.ratio > 0 && dask.name.empty()) return wanted.target > 0 ? "met (no peer)" : "not measured";
  return wanted.target > 0 || wanted.ratio > 0 ? "met" : "-";
}

void print_head() {
  std::printf("%-19s %-19s %7s %-17s %-8s %7s %-6s %6s %6s %8s | %6s %6s %6s %6s | %6s %6s %6s  %s\n", "workload", "row", "Weft", "[range]", "unit",
              "peer", "which", "ratio", "target", "moonshot", "client", "sched", "worker", "exec", "B/task", "pk/tsk", "RSS/t", "verdict");
}

void print(const Line& line) {
  const Workload& workload = *line.workload;
  std::string title = workload.name + ' ' + workload.title, row = name_of(line.row) + (line.variant.empty() ? "" : ' ' + line.variant);
  if (line.samples.empty()) {
    std::printf("%-19s %-19s not measured: %s\n", title.c_str(), row.c_str(), line.failure.c_str());
    return;
  }
  auto median = [&](double (*of)(const Sample&, double)) { return over(line, of).median; };
  Spread value = value_of(line);
  Peer peer = best_peer(line, "dask");
  if (peer.name.empty()) peer = best_peer(line, "");
  Wanted wanted = wanted_of(line);
  std::string range = '[' + number(value.low) + ".." + number(value.high) + ']';
  double ratio = ratio_to(line, peer);
  auto or_none = [](double x) { return x > 0 ? number(x) : std::string("-"); };
  std::printf("%-19s %-19s %7s %-17s %-8s %7s %-6s %6s %6s %8s | %6.2f %6.2f %6.2f %6.2f | %6s %6.3f %6s  %s\n", title.c_str(), row.c_str(),
              number(value.median).c_str(), range.c_str(), unit_of(workload.metric), peer.name.empty() ? "-" : number(peer.value.median).c_str(),
              peer.name.substr(0, 6).c_str(), ratio > 0 ? (number(ratio) + 'x').c_str() : "-",
              wanted.target > 0 ? number(wanted.target).c_str() : wanted.ratio > 0 ? (number(wanted.ratio) + 'x').c_str() : "-",
              or_none(workload.moonshot).c_str(), median([](const Sample& s, double n) { return s.cpu.client * 1e6 / n; }),
              median([](const Sample& s, double n) { return s.cpu.scheduler * 1e6 / n; }),
              median([](const Sample& s, double n) { return s.cpu.workers * 1e6 / n; }),
              median([](const Sample& s, double n) { return s.cpu.executors * 1e6 / n; }),
              or_none(median([](const Sample& s, double n) { return static_cast<double>(s.traffic.bytes) / n; })).c_str(),
              median([](const Sample& s, double n) { return static_cast<double>(s.traffic.packets) / n; }),
              or_none(median([](const Sample& s, double n) { return s.scheduler_bytes / n; })).c_str(), verdict_of(line).c_str());
  std::fflush(stdout);
}

void write_json(const std::string& path, const std::vector<Line>& lines) {
  char date[40];
  std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  const char* revision = std::getenv("WEFT_BENCH_REVISION");
  Json json{{"date", date}, {"machine", machine()}, {"weft", WEFT_VERSION_STRING}, {"revision", revision ? revision : "unknown"}};
  for (const Line& line : lines) json["rows"].push_back(json_of(line));
  write_whole_file(path, json.dump(1) + '\n').value_or_throw();
}

}  // namespace weft::bench
