#include "bench/peers.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "bench/usage.h"
#include "common/programs.h"
#include "common/time.h"

namespace weft::bench {

namespace {

constexpr Duration answer_patience = 180s;

std::string source_folder() { return WEFT_SOURCE_DIR "/tests/bench/peers"; }

/// What a program of one measurement printed last; empty if it failed.
std::string output_of(const std::string& program, std::vector<std::string> arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  auto child = ChildProcess::start(program, {.arguments = std::move(arguments), .output = ends[1]});
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got; child && (got = read(ends[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(got));
  close(ends[0]);
  return child && child->wait() == 0 ? text : std::string();
}

/// Of one TCP stream over loopback; 0: iperf3 is not there.
double iperf_megabytes_per_second() {
  std::string port = std::to_string(20'000 + getpid() % 20'000);
  int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  auto server = ChildProcess::start("iperf3", {.arguments = {"-s", "-1", "-B", "127.0.0.1", "-p", port}, .output = nowhere});
  close(nowhere);
  if (!server) return 0;
  for (int i = 0; i < 20; ++i) {
    if (server->wait(monotonic_now() + 100ms)) return 0;
    auto report = nlohmann::json::parse(output_of("iperf3", {"-c", "127.0.0.1", "-p", port, "-t", "1", "-J"}), nullptr, false);
    if (report.is_object() && report.contains("end") && report["end"].contains("sum_received"))
      return report["end"]["sum_received"]["bits_per_second"].get<double>() / 8e6;
  }
  return 0;
}

/// What the featureless libzmq program reaches; 0: it does not know the workload.
double floor_of(const std::string& workload) {
  static const std::map<std::string, std::vector<std::string>> known{
      {"B1", {"bag", "50000", "2"}}, {"B5", {"chain", "2000", "1"}}, {"B6", {"ping", "1000", "1"}}};
  auto found = known.find(workload);
  auto program = find_program("floor_bench");
  return found == known.end() || !program ? 0 : std::atof(output_of(*program, found->second).c_str());
}

}  // namespace

PeerSession::PeerSession(const std::string& peer, const std::string& folder, std::vector<std::string> arguments) : name_(peer) {
  char made[] = "/tmp/weft-bench-peer-XXXXXX";
  if (!mkdtemp(made)) throw IoError("cannot make a folder in /tmp");
  folder_ = made;
  std::string questions = folder_ + "/questions";
  if (mkfifo(questions.c_str(), 0600) != 0) throw IoError("cannot make a pipe in " + folder_);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw IoError("cannot make a pipe");
  answers_ = ends[0];
  arguments.insert(arguments.begin(), {source_folder() + (peer == "ray" ? "/ray_peer.py" : "/dask_peer.py"), questions});
  ChildOptions options{.arguments = std::move(arguments), .output = ends[1]};
  options.errors = open((folder + '/' + peer + ".log").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  // Stopped for minutes, its workers must not be given up. The fastest setting known of the older Dask; the newest as users have it.
  options.environment = {{"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL", "1000h"}, {"PYTHONWARNINGS", "ignore"}};
  if (peer == "dask") options.environment["DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION"] = "inf";
  process_.emplace(std::move(ChildProcess::start(folder + '/' + peer + "/bin/python", options)).value_or_throw());
  close(ends[1]);
  close(options.errors);
  auto ready = read_line();
  if (!ready) throw IoError("it did not start; its last words are in " + folder + '/' + peer + ".log");
  questions_ = open(questions.c_str(), O_WRONLY | O_CLOEXEC);
  everybody(SIGSTOP);
}

PeerSession::~PeerSession() {
  everybody(SIGCONT);
  if (questions_ >= 0) close(questions_);  // the end of its questions is the end of its work
  if (process_ && !process_->wait(monotonic_now() + 20s)) everybody(SIGKILL);
  if (answers_ >= 0) close(answers_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void PeerSession::everybody(int signal) {
  if (!process_) return;
  std::vector<int> all = descendants(process_->pid());
  all.push_back(process_->pid());
  for (int pid : all) kill(pid, signal);
}

std::optional<std::string> PeerSession::read_line() {
  Time deadline = monotonic_now() + answer_patience;
  for (;;) {
    if (auto end = read_.find('\n'); end != std::string::npos) {
      std::string line = read_.substr(0, end);
      read_.erase(0, end + 1);
      if (line.starts_with("{")) return line;
      continue;
    }
    pollfd look{answers_, POLLIN, 0};
    char buffer[4096];
    ssize_t got = 0;
    if (poll(&look, 1, static_cast<int>((deadline - monotonic_now()) / 1ms)) <= 0 || (got = read(answers_, buffer, sizeof buffer)) <= 0) return {};
    read_.append(buffer, static_cast<std::size_t>(got));
  }
}

std::optional<PeerSample> PeerSession::ask(const std::string& workload, bool warm) {
  everybody(SIGCONT);
  std::string question = workload + (warm ? " warm\n" : " full\n");
  if (write(questions_, question.data(), question.size()) != static_cast<ssize_t>(question.size())) return {};
  std::optional<std::string> line = read_line();
  everybody(SIGSTOP);
  answers_still_ = line.has_value();
  auto answer = line ? nlohmann::json::parse(*line, nullptr, false) : nlohmann::json();
  if (!answer.is_object() || !answer.contains("value")) {
    std::fprintf(stderr, "%s did not do %s: %s\n", name_.c_str(), workload.c_str(), line ? line->c_str() : "no answer in 180 s");
    return {};
  }
  PeerSample sample{.value = answer["value"].get<double>(), .more = {}};
  for (const auto& [name, value] : answer.items())
    if (name != "value" && value.is_number()) sample.more[name] = value.get<double>();
  return sample;
}

void Peers::ask(const std::string& peer, const std::vector<std::string>& arguments, const Workload& workload, bool first,
                std::map<std::string, std::vector<PeerSample>>& values) {
  std::string key = peer;
  for (const std::string& word : arguments) key += ' ' + word;
  auto [at, fresh] = sessions_.try_emplace(key);
  if (fresh) {
    try {
      at->second = std::make_unique<PeerSession>(peer, folder_, arguments);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s is not measured: %s\n", peer.c_str(), error.what());
    }
  }
  if (!at->second) return;
  if (first && workload.bound.empty()) at->second->ask(workload.name, true);
  if (auto sample = at->second->ask(workload.name, false)) values[peer].push_back(std::move(*sample));
  if (!at->second->answers()) at->second.reset();
}

void Peers::measure(const Workload& workload, bool first, std::map<std::string, std::vector<PeerSample>>& values) {
  if (!any()) return;
  const std::string& name = workload.name;
  auto is = [&](std::initializer_list<const char*> list) { return std::ranges::find(list, name) != list.end(); };
  // With the number of workers that suits them best (performance.md 4.1).
  std::vector<std::string> arguments{is({"B4", "B5", "B6", "B6i", "B7"}) ? "1" : "2"};
  if (!workload.bound.empty()) arguments = {"4"};
  if (workload.rows == Rows::unequal) arguments = {"4", "4", "8GB"};
  if (workload.rows == Rows::tight) arguments = {"2", "1", "500MB"};
  for (const std::string& peer : names_) {
    if (peer == "dask" && !is({"B7s", "B12", "B12r"})) {
      ask("dask", arguments, workload, first, values);
      ask("dask-new", arguments, workload, first, values);
    }
    if (peer == "ray" && is({"B1", "B3", "B5", "B6", "B6i"})) ask("ray", {"2"}, workload, first, values);
  }
  if (double value = floor_of(name); value > 0) values["floor"].push_back({value, {}});
  if (workload.ratio_iperf > 0)
    if (double value = iperf_megabytes_per_second(); value > 0) values["iperf3"].push_back({value, {}});
}

}  // namespace weft::bench
