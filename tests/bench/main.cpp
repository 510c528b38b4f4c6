// `./dev bench`: measures Weft, and its peers in the same run, and says for each row whether its target is met.
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include <weft/init.h>

#include "bench/table.h"

namespace weft::bench {

namespace {

struct Wish {
  std::vector<std::string> names;      // of workloads; empty: all
  std::string rows;                    // part of a row's name; empty: all
  std::string json;
  std::vector<std::string> peers;
  int repeats = 5;
  double quiet_seconds = 60;
  bool list = false;
};

constexpr const char* usage = R"(usage: bench [NAMES] [--rows TEXT] [--peers LIST] [--repeats N] [--quick] [--json FILE] [--list]
  NAMES            workloads, such as B1 B5; none: all
  --rows TEXT      only rows whose name begins so: embedded, threads, "threads W=2", executors
  --peers LIST     measure these in the same run: dask (the fastest, and the newest), ray, or dask,ray; with them the libzmq floor and
                   iperf3. `./dev bench --peers …` installs them in build/peers
  --repeats N      measured runs of each row, each in a fresh cluster after a warm-up. Default 5
  --quick          one repeat, and no waiting for a quiet machine
  --json FILE      write everything that was measured
  --list           say what the workloads are
)";

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "bench: %s\n%s", why.c_str(), usage);
  std::exit(64);
}

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> words;
  std::istringstream in(list);
  for (std::string word; std::getline(in, word, ',');) {
    if (word != "dask" && word != "ray") refuse("there is no peer " + word);
    words.push_back(word);
  }
  return words;
}

Wish read(int argc, char** argv) {
  Wish wish;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    auto next = [&]() -> std::string { return i + 1 < argc ? argv[++i] : (refuse(word + " needs a value"), ""); };
    if (word == "--rows") wish.rows = next();
    else if (word == "--repeats") wish.repeats = std::max(1, std::atoi(next().c_str()));
    else if (word == "--quick") wish.repeats = 1, wish.quiet_seconds = 0;
    else if (word == "--json") wish.json = next();
    else if (word == "--peers") wish.peers = words_of(next());
    else if (word == "--list") wish.list = true;
    else if (word.starts_with("-")) refuse("there is no option " + word);
    else wish.names.push_back(word);
  }
  for (const std::string& name : wish.names)
    if (std::ranges::none_of(workloads(), [&](const Workload& each) { return each.name == name; })) refuse("there is no workload " + name);
  return wish;
}

/// All rows of one workload, in turns, so that what else happens on the machine happens to all of them.
std::vector<Line> measure(const Workload& workload, const Wish& wish, Peers& peers) {
  std::vector<Line> lines;
  std::map<std::string, std::vector<PeerSample>> values;
  for (const Row& row : rows_of(workload.rows))
    if (name_of(row).starts_with(wish.rows)) lines.push_back({.workload = &workload, .row = row});
  if (lines.empty()) return lines;
  for (int repeat = 0; repeat < wish.repeats; ++repeat) {
    peers.measure(workload, repeat == 0, values);
    for (Line& line : lines) {
      if (!line.failure.empty()) continue;
      if (wish.quiet_seconds > 0) line.foreign_cores = std::max(line.foreign_cores, wait_until_quiet(wish.quiet_seconds));
      try {
        line.samples.push_back(measure_once(workload, line.row));
      } catch (const std::exception& error) {
        line.failure = error.what();
        line.samples.clear();
      }
    }
  }
  for (Line& line : lines) line.peers = values;
  return lines;
}

int run(const Wish& wish) {
  if (wish.list) {
    for (const Workload& workload : workloads())
      std::printf("%-4s %-18s %s\n", workload.name.c_str(), workload.title.c_str(), workload.what.c_str());
    return 0;
  }
  if (wish.quiet_seconds > 0)
    if (double cores = wait_until_quiet(wish.quiet_seconds); cores >= 0.1)
      std::printf("NOT QUIET: other programs use %.2f cores; wall-clock numbers are upper bounds\n", cores);
  Peers peers(wish.peers, WEFT_SOURCE_DIR "/build/peers");
  bool shapes = true;  // of the table that was begun last
  std::vector<Line> all;
  for (const Workload& workload : workloads()) {
    if (!wish.names.empty() && std::ranges::find(wish.names, workload.name) == wish.names.end()) continue;
    if (bool other = !workload.bound.empty(); all.empty() || shapes != other) print_head(shapes = other);
    for (Line& line : measure(workload, wish, peers)) {
      print(line);
      all.push_back(std::move(line));
    }
    if (!wish.json.empty()) write_json(wish.json, all);  // after each, so that what was measured is not lost
  }
  return 0;
}

}  // namespace

}  // namespace weft::bench

int main(int argc, char** argv) {
  weft::init(argc, argv);
  signal(SIGPIPE, SIG_IGN);  // a peer that died is one that did not answer
  try {
    return weft::bench::run(weft::bench::read(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench: %s\n", error.what());
    return 1;
  }
}
