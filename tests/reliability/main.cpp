// ./dev reliability [quick|all|A7 A9 …] [--json FILE]: look at what the house promises, and print a table of what was seen.
//
// Each check runs in a process of its own, so that one that hangs or crashes is a row of the table like any other; what it
// leaves running is told in its row.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include <nlohmann/json.hpp>

#include <weft/init.h>

#include "common/exit_codes.h"
#include "common/process.h"
#include "reliability/chaos_client.h"
#include "reliability/check.h"
#include "reliability/processes.h"

using namespace weft;
using namespace weft::reliability;

namespace {

constexpr Duration quick_limit = 90s, full_limit = 3600s;

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::met: return "met";
    case Verdict::missed: return "MISSED";
    case Verdict::absent: return "not here yet";
  }
  return "";
}

struct Row {
  const Check* check;
  Scale scale;
  Outcome outcome;
  double seconds = 0;
  const std::string& figure() const { return scale == Scale::quick ? check->quick_figure : check->figure; }
};

/// In the process of one check: look, and say what was seen as the last lines of stdout.
int look_at(const std::string& id, Scale scale) {
  // The support of our doctest programs is used here outside of their test cases: what it requires ends the check.
  static doctest::Context context;
  context.setAsDefaultForAssertsOutOfTestCases();
  context.setAssertHandler([](const doctest::AssertData& data) {
    if (data.m_failed) throw std::runtime_error(std::string("required: ") + data.m_expr);
  });
  for (const Check& check : all_checks()) {
    if (check.id != id) continue;
    Outcome outcome;
    try {
      outcome = check.look(scale);
    } catch (const std::exception& error) {
      outcome = {error.what(), Verdict::missed};
    }
    std::replace(outcome.seen.begin(), outcome.seen.end(), '\n', ' ');
    std::printf("\nOUTCOME %d %s\n", static_cast<int>(outcome.verdict), outcome.seen.c_str());
    std::fflush(stdout);
    return exit_code::ok;
  }
  return exit_code::usage;
}

Outcome read_outcome(const std::string& text, std::optional<int> code, Duration limit) {
  std::size_t at = text.rfind("\nOUTCOME ");
  if (!code) return {"it did not end within " + std::to_string(limit / 1s) + " s", Verdict::missed};
  if (at == text.npos) return {"it ended with code " + std::to_string(*code) + " and saw nothing", Verdict::missed};
  std::string line = text.substr(at + 9, text.find('\n', at + 9) - at - 9);
  return {line.substr(2), static_cast<Verdict>(line[0] - '0')};
}

/// What still runs of a check that is over.
std::string leftovers() {
  std::string names;
  auto all_gone = [&] {
    names.clear();
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    for (int pid : descendants_of(getpid())) names += describe_process(pid) + ' ';
    return names.empty();
  };
  eventually(5s, all_gone);
  for (int pid : descendants_of(getpid())) kill(pid, SIGKILL);
  return names;
}

void run(Row& row) {
  char path[] = "/tmp/weft-check-XXXXXX";
  int file = mkstemp(path);
  ChildOptions options{.arguments = {"--look", row.check->id, row.scale == Scale::quick ? "quick" : "full"}};
  options.output = file;
  Time began = monotonic_now();
  Duration limit = row.scale == Scale::quick ? quick_limit : full_limit;
  auto child = ChildProcess::start("/proc/self/exe", options);
  std::optional<int> code = child ? child->wait(began + limit) : std::nullopt;
  if (!code && child) child->signal(SIGKILL), child->wait();
  row.seconds = static_cast<double>((monotonic_now() - began) / 1ms) / 1000;
  close(file);
  std::string text = read_whole_file(path, 64 << 20).value_or_throw();
  unlink(path);
  row.outcome = read_outcome(text, code, limit);
  if (std::string left = leftovers(); !left.empty()) row.outcome = {row.outcome.seen + "; still running: " + left, Verdict::missed};
  if (row.outcome.verdict == Verdict::missed) std::cerr << text.substr(0, text.rfind("\nOUTCOME ")) << '\n';
}

void print(const Row& row) {
  std::printf("%-4s %-12s %6.1f s  %s\n     to meet: %s%s\n", row.check->id.c_str(), name_of(row.outcome.verdict), row.seconds,
              row.outcome.seen.c_str(), row.figure().c_str(), row.scale == Scale::quick ? "   (full run: ./dev reliability all)" : "");
  std::fflush(stdout);
}

void write_json(const std::string& path, const std::vector<Row>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const Row& row : rows)
    list.push_back({{"check", row.check->id}, {"scale", row.scale == Scale::quick ? "quick" : "full"}, {"figure", row.figure()},
                    {"seen", row.outcome.seen}, {"verdict", name_of(row.outcome.verdict)}, {"seconds", row.seconds}});
  std::ofstream(path) << list.dump(1) << '\n';
}

/// What was asked for; an empty list if it cannot be understood.
std::vector<Row> chosen(const std::vector<std::string>& words) {
  std::vector<Row> rows;
  auto add = [&](const Check& check, Scale scale) { rows.push_back({&check, scale, {}, 0}); };
  if (words.empty() || words[0] == "quick") {
    for (const Check& check : all_checks())
      if (!check.quick_figure.empty()) add(check, Scale::quick);
    return words.size() > 1 ? std::vector<Row>{} : rows;
  }
  for (const std::string& word : words) {
    std::size_t before = rows.size();
    // "A7" is the full check, "a7" the quick one.
    for (const Check& check : all_checks()) {
      if (word == "all" || word == check.id) add(check, Scale::full);
      else if ("A" + word.substr(1) == check.id && word[0] == 'a' && !check.quick_figure.empty()) add(check, Scale::quick);
    }
    if (rows.size() == before) return {};
  }
  return rows;
}

}  // namespace

int main(int argc, char** argv) {
  weft::init(argc, argv);
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 3 && words[0] == "--look") return look_at(words[1], words[2] == "quick" ? Scale::quick : Scale::full);
  if (!words.empty() && words[0] == "--chaos-client") return chaos_client({words.begin() + 1, words.end()});
  std::string json;
  if (auto at = std::find(words.begin(), words.end(), "--json"); at != words.end() && at + 1 != words.end()) {
    json = at[1];
    words.erase(at, at + 2);
  }
  std::vector<Row> rows = chosen(words);
  if (rows.empty()) {
    std::cerr << "usage: reliability [quick | all | A7 A9 …] [--json FILE]; a7 is the quick form of A7\n";
    return exit_code::usage;
  }
  adopt_orphans();
  int met = 0, missed = 0, absent = 0;
  for (Row& row : rows) {
    run(row);
    print(row);
    (row.outcome.verdict == Verdict::met ? met : row.outcome.verdict == Verdict::missed ? missed : absent)++;
    if (!json.empty()) write_json(json, rows);
  }
  std::printf("%d met, %d missed, %d not here yet\ntest cases: %d passed | %d failed\n", met, missed, absent, met, missed);
  return missed == 0 ? exit_code::ok : exit_code::failure;
}
