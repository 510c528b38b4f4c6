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

Spread spread_of_peer(const std::vector<PeerSample>& samples, const std::string& more = {}) {
  std::vector<double> values;
  for (const PeerSample& sample : samples) {
    if (more.empty()) values.push_back(sample.value);
    else if (auto found = sample.more.find(more); found != sample.more.end()) values.push_back(found->second);
  }
  return spread_of(std::move(values));
}

/// The best of these peers by its median; its name begins so.
struct Peer {
  std::string name;
  Spread value;
};
Peer best_peer(const Line& line, std::string_view prefix) {
  Peer best;
  bool larger = larger_is_better(line.workload->metric);
  for (const auto& [name, samples] : line.peers) {
    if (samples.empty() || !name.starts_with(prefix)) continue;
    Spread spread = spread_of_peer(samples);
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
  double target = 0, ratio = 0;
};
Wanted wanted_of(const Line& line) {
  const Workload& workload = *line.workload;
  if (line.row.values == Values::encrypted) return {};  // nobody else pays for that
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
            {"place", name_of(line.row.place)}, {"workers", line.row.workers}, {"store", line.row.store}, {"transport", line.row.place == Place::embedded ? "in process" : "tcp"}, {"tasks", workload.tasks},
            {"unit", unit_of(workload.metric)}, {"target", workload.target}, {"moonshot", workload.moonshot},
            {"wanted_ratio", wanted_of(line).ratio}, {"other_programs_cores", line.foreign_cores}};
  if (!line.failure.empty()) json["failure"] = line.failure;
  json["weft"] = json_of(value_of(line));
  for (const Sample& sample : line.samples) json["weft"]["all"].push_back(sample.value);
  for (const auto& [name, samples] : line.peers) {
    Json& peer = json["peers"][name] = json_of(spread_of_peer(samples));
    for (const PeerSample& sample : samples) {
      peer["all"].push_back(sample.value);
      for (const auto& [what, value] : sample.more) peer["more"][what].push_back(value);
    }
  }
  if (!workload.bound.empty())
    json["bound"] = {{"formula", workload.bound}, {"ms", workload.bound_ms}, {"megabytes", workload.bound_megabytes}};
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
  json["moved_megabytes"] = json_of(over(line, [](const Sample& s, double) { return s.moved_bytes / 1e6; }));
  json["peak_megabytes"] = json_of(over(line, [](const Sample& s, double) { return s.peak_bytes / 1e6; }));
  json["scheduler_bytes_per_task"] = json_of(over(line, [](const Sample& s, double n) { return s.scheduler_bytes / n; }));
  std::map<std::string, std::vector<double>> more;
  for (const Sample& sample : line.samples)
    for (const auto& [name, value] : sample.more) more[name].push_back(value);
  for (const auto& [name, values] : more) json["more"][name] = json_of(spread_of(values));
  json["verdict"] = verdict_of(line);
  return json;
}

}  // namespace

/// Ahead: better by the median, and the ranges do not overlap.
static std::string verdict_of_shape(const Line& line) {
  Peer dask = best_peer(line, "dask");
  if (dask.name.empty()) return "not measured";
  Spread ours = value_of(line);
  return ours.high < dask.value.low ? "met" : ours.median < dask.value.median ? "MISS ranges overlap" : "MISS";
}

std::string verdict_of(const Line& line) {
  if (line.samples.empty()) return "not measured";
  Wanted wanted = wanted_of(line);
  if (!line.workload->bound.empty()) return verdict_of_shape(line);
  double ours = value_of(line).median;
  std::string missed;
  if (wanted.target > 0 && (larger_is_better(line.workload->metric) ? ours < wanted.target : ours > wanted.target)) missed += " target";
  Peer dask = best_peer(line, "dask"), ray = best_peer(line, "ray");
  if (wanted.ratio > 0 && !dask.name.empty() && ratio_to(line, dask) < wanted.ratio) missed += " ratio";
  if (line.workload->ratio_ray > 0 && !ray.name.empty() && ratio_to(line, ray) < line.workload->ratio_ray) missed += " ray";
  Peer iperf = best_peer(line, "iperf3");
  if (line.workload->ratio_iperf > 0 && line.row.values == Values::clear && !iperf.name.empty() &&
      ratio_to(line, iperf) < line.workload->ratio_iperf)
    missed += " iperf3";
  if (!missed.empty()) return "MISS" + missed;
  if (wanted.ratio > 0 && dask.name.empty()) return wanted.target > 0 ? "met (no peer)" : "not measured";
  return wanted.target > 0 || wanted.ratio > 0 ? "met" : "-";
}

void print_head(bool shapes) {
  if (shapes)
    std::printf("%-19s %6s | %6s %-15s %6s %6s %6s | %6s %-15s %6s %6s %-8s | %6s %6s  %s\n", "shape", "bound", "Weft", "[range] ms", "/bound", "MB", "peakMB",
                "Dask", "[range] ms", "MB", "peakMB", "which", "MB", "ratio", "verdict; bound");
  else
    std::printf("%-20s %-19s %7s %-17s %-8s %7s %-6s %6s %6s %6s %8s | %6s %6s %6s %6s | %6s %6s %6s  %s\n", "workload", "row", "Weft", "[range]", "unit",
                "peer", "which", "ratio", "floor", "target", "moonshot", "client", "sched", "worker", "exec", "B/task", "pk/tsk", "RSS/t", "verdict");
}

static std::string range_of(const Spread& spread) { return '[' + number(spread.low) + ".." + number(spread.high) + ']'; }
static std::string or_none(double x, const char* unit = "") { return x > 0 ? number(x) + unit : std::string("-"); }

static void print_shape(const Line& line, const std::string& title) {
  const Workload& workload = *line.workload;
  Spread value = value_of(line);
  Peer dask = best_peer(line, "dask");
  auto of_dask = [&](const char* what) { return dask.name.empty() ? 0 : spread_of_peer(line.peers.at(dask.name), what).median; };
  std::printf("%-19s %6s | %6s %-15s %6.2f %6s %6s | %6s %-15s %6s %6s %-8s | %6s %6s  %s; %s\n", title.c_str(), number(workload.bound_ms).c_str(),
              number(value.median).c_str(), range_of(value).c_str(), value.median / workload.bound_ms,
              number(over(line, [](const Sample& s, double) { return s.moved_bytes / 1e6; }).median).c_str(),
              number(over(line, [](const Sample& s, double) { return s.peak_bytes / 1e6; }).median).c_str(), or_none(dask.value.median).c_str(),
              range_of(dask.value).c_str(), or_none(of_dask("moved_MB")).c_str(), or_none(of_dask("peak_MB")).c_str(), dask.name.c_str(),
              or_none(workload.bound_megabytes).c_str(), or_none(ratio_to(line, dask), "x").c_str(), verdict_of(line).c_str(), workload.bound.c_str());
}

void print(const Line& line) {
  const Workload& workload = *line.workload;
  std::string title = workload.name + ' ' + workload.title, row = name_of(line.row);
  if (line.samples.empty()) {
    std::printf("%-20s %-19s not measured: %s\n", title.c_str(), row.c_str(), line.failure.c_str());
    return;
  }
  if (!workload.bound.empty()) return print_shape(line, title);
  auto median = [&](double (*of)(const Sample&, double)) { return over(line, of).median; };
  Spread value = value_of(line);
  Peer peer = best_peer(line, "dask");
  if (peer.name.empty()) peer = best_peer(line, "ray");
  Peer floor = best_peer(line, workload.ratio_iperf > 0 ? "iperf3" : "floor");
  Wanted wanted = wanted_of(line);
  std::printf("%-20s %-19s %7s %-17s %-8s %7s %-6s %6s %6s %6s %8s | %6.2f %6.2f %6.2f %6.2f | %6s %6.3f %6s  %s\n", title.c_str(), row.c_str(),
              number(value.median).c_str(), range_of(value).c_str(), unit_of(workload.metric), or_none(peer.value.median).c_str(),
              peer.name == "dask-new" ? "dask+" : peer.name.c_str(), or_none(ratio_to(line, peer), "x").c_str(), or_none(floor.value.median).c_str(),
              wanted.target > 0 ? number(wanted.target).c_str() : or_none(wanted.ratio, "x").c_str(), or_none(workload.moonshot).c_str(),
              median([](const Sample& s, double n) { return s.cpu.client * 1e6 / n; }),
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
