// Each mechanism of placement with and without: the numbers must differ, and by how much is printed.
#include "support/mini_cluster.h"

using namespace weft;
using namespace weft::test;
using weft::scheduler::Options;

namespace {

std::string number(std::string_view text, int i) { return std::string(text) + std::to_string(i); }

}  // namespace

TEST_CASE("locality: readers run where their inputs are") {
  auto moved = [](bool on) {
    Options options;
    options.locality = on;
    MiniCluster c(options, 4);
    c.work = [](const Key&) { return MiniCluster::Work{2ms, 10'000'000}; };
    std::vector<TaskSpec> graph;
    for (int i = 0; i < 64; ++i) graph.push_back(task(number("x", i)));
    c.submit(graph);
    c.run();
    graph.clear();
    for (int i = 0; i < 64; ++i) graph.push_back(task(number("y", i)).on(key_of(number("x", i))));
    c.submit(graph);
    c.run();
    return c.numbers.bytes_moved;
  };
  std::uint64_t with = moved(true), without = moved(false);
  MESSAGE("bytes moved: " << with << " with, " << without << " without");
  CHECK(with * 4 < without);
}

TEST_CASE("hold-back: data is consumed before more is made") {
  auto peak = [](bool on) {
    Options options;
    options.hold_back = on;
    MiniCluster c(options, 4);
    c.work = [](const Key& key) {
      for (int i = 0; i < 200; ++i)
        if (key == key_of(number("read", i))) return MiniCluster::Work{5ms, 100'000'000};
      return MiniCluster::Work{5ms, 8};
    };
    std::vector<TaskSpec> graph;
    for (int i = 0; i < 200; ++i) graph.push_back(task(number("read", i)).label("read").unwanted());
    for (int i = 0; i < 200; ++i) graph.push_back(task(number("sum", i)).label("sum").on(key_of(number("read", i))));
    c.submit(graph);
    c.run();
    CHECK(c.state().finished_runs() == 400);
    return c.numbers.peak_bytes;
  };
  std::uint64_t with = peak(true), without = peak(false);
  MESSAGE("peak bytes: " << with << " with, " << without << " without");
  CHECK(with * 2 < without);
}

TEST_CASE("recall: a worker that joins late takes its share") {  // cases 40, 41
  auto makespan = [](bool on) {
    Options options;
    options.recall = on;
    options.hold_back = false;
    MiniCluster c(options, 1);
    c.work = [](const Key&) { return MiniCluster::Work{20ms, 8}; };
    std::vector<TaskSpec> graph;
    for (int i = 0; i < 120; ++i) graph.push_back(task(number("x", i)));
    c.submit(graph);
    for (int i = 0; i < 11; ++i) c.add_worker(1);
    c.run();
    if (on)
      for (const auto& [worker, runs] : c.numbers.runs) CHECK((runs >= 4 && runs <= 21));
    CHECK(c.state().finished_runs() == 120);
    return c.numbers.makespan;
  };
  Duration with = makespan(true), without = makespan(false);
  MESSAGE("makespan ms: " << with / 1ms << " with, " << without / 1ms << " without");
  CHECK(with * 4 < without);
}

TEST_CASE("a short task that comes with a long one does not wait behind it beside an idle worker") {
  MiniCluster c({}, 2);
  c.work = [](const Key& key) { return MiniCluster::Work{key == key_of("long") ? 60s : 1ms, 8}; };
  std::vector<TaskSpec> warm;
  for (int i = 0; i < 50; ++i) warm.push_back(task(number("warm", i)));
  c.submit(warm);
  c.run();
  std::map<WorkerId, int> before = c.numbers.runs;
  c.submit({task("long"), task("short")});
  c.run();
  // The short one ran beside the long one: one more run each.
  for (const auto& [worker, runs] : c.numbers.runs) CHECK(runs == before[worker] + 1);
}

TEST_CASE("broadcast: 2 copies leave the source, and those make further copies") {
  auto numbers = [](bool on) {
    Options options;
    options.broadcast = on;
    MiniCluster c(options, 17);
    c.work = [](const Key& key) { return MiniCluster::Work{50ms, key == key_of("big") ? 100'000'000u : 8u}; };
    std::vector<TaskSpec> graph{task("big").at("w0")};
    c.submit(graph);
    c.run();
    graph.clear();
    for (int i = 1; i <= 16; ++i) graph.push_back(task(number("reader", i)).on(key_of("big")).at(number("w", i)));
    c.submit(graph);
    c.run();
    CHECK(c.state().finished_runs() == 17);
    return c.numbers;
  };
  auto with = numbers(true), without = numbers(false);
  int from_source = with.sent[key_of("big")][{1}], all = 0;
  for (const auto& [worker, copies] : with.sent[key_of("big")]) all += copies;
  MESSAGE("copies from the source: " << from_source << " with, " << without.sent[key_of("big")][{1}] << " without; makespan ms: "
                                     << with.makespan / 1ms << " and " << without.makespan / 1ms);
  CHECK(all == 16);
  CHECK(from_source <= 2);
  CHECK(without.sent[key_of("big")][{1}] == 16);
  CHECK(with.makespan < without.makespan);
}

TEST_CASE("running ahead: a chain costs no round trip a link") {
  auto numbers = [](bool on) {
    Options options;
    options.run_ahead = on;
    MiniCluster c(options, 2);
    c.work = [](const Key&) { return MiniCluster::Work{10us, 8}; };
    std::vector<TaskSpec> graph{task("x0").unwanted()};
    for (int i = 1; i < 500; ++i) graph.push_back(task(number("x", i)).on(key_of(number("x", i - 1))).unwanted());
    graph.back().wanted = true;
    c.submit(graph);
    c.run();
    CHECK(c.state().finished_runs() == 500);
    return c.numbers;
  };
  auto with = numbers(true), without = numbers(false);
  MESSAGE("frames a hop: " << with.frames / 500.0 << " with, " << without.frames / 500.0 << " without; makespan ms: "
                           << with.makespan / 1ms << " and " << without.makespan / 1ms);
  CHECK(with.makespan * 2 < without.makespan);
  CHECK(with.frames <= without.frames);
}

TEST_CASE("running ahead: links that end while a frame is written share the next one") {
  auto numbers = [](bool on) {
    Options options;
    options.run_ahead = on;
    MiniCluster c(options, 1);
    c.work = [](const Key&) { return MiniCluster::Work{Duration{}, 8}; };
    std::vector<TaskSpec> graph{task("x0").unwanted()};
    for (int i = 1; i < 1000; ++i) graph.push_back(task(number("x", i)).on(key_of(number("x", i - 1))).unwanted());
    graph.back().wanted = true;
    c.submit(graph);
    c.run();
    CHECK(c.state().finished_runs() == 1000);
    return c.numbers;
  };
  auto with = numbers(true), without = numbers(false);
  MESSAGE("messages a hop: " << with.messages / 1000.0 << " with, " << without.messages / 1000.0 << " without; frames a hop: "
                             << with.frames / 1000.0 << " with, " << without.frames / 1000.0 << " without");
  CHECK(with.messages * 10 < without.messages * 8);
  CHECK(with.frames * 10 < without.frames);
}

TEST_CASE("a fan-out of short tasks uses every worker") {  // cases 23, 46
  MiniCluster c({}, 16);
  c.work = [](const Key&) { return MiniCluster::Work{1ms, 8}; };
  std::vector<TaskSpec> graph{task("x").unwanted()};
  for (int i = 0; i < 3200; ++i) graph.push_back(task(number("y", i)).on(key_of("x")));
  c.submit(graph);
  c.run();
  MESSAGE("3200 tasks of 1 ms on 16 workers: " << c.numbers.makespan / 1ms << " ms (200 at best), " << c.numbers.frames << " frames");
  CHECK(c.numbers.makespan < 300ms);
}
