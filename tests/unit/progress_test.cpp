// What progress shows: counters in, text out.
#include <doctest/doctest.h>

#include "client/progress.h"

using namespace weft;
using namespace weft::client;

namespace {

std::string group(const std::string& label, int waiting, int assigned, int finished, int errors = 0, int bytes = 0) {
  return R"({"label":")" + label + R"(","tasks":{"released":0,"waiting":)" + std::to_string(waiting) + R"(,"ready":0,"assigned":)" +
         std::to_string(assigned) + R"(,"stored":0,"failed":0},"finished":)" + std::to_string(finished) + R"(,"failed_tasks":)" +
         std::to_string(errors) + R"(,"run_seconds":0,"bytes":)" + std::to_string(bytes) + "}";
}
std::string groups(const std::string& a, const std::string& b = "") { return "[" + a + (b.empty() ? "" : "," + b) + "]"; }
constexpr Time at(int seconds) { return {seconds * 1'000'000'000ll}; }

}  // namespace

TEST_CASE("progress counts from the first look on, and leaves out labels that rest") {
  ProgressMeter meter;
  auto first = meter.look(groups(group("load", 6, 4, 1000, 5, 700), group("old", 0, 0, 50)), at(100));
  REQUIRE(first.size() == 1);
  CHECK(first[0].label == "load");
  CHECK(first[0].done == 0);
  CHECK(first[0].total == 10);
  CHECK(meter.open() == 10);

  auto later = meter.look(groups(group("load", 2, 2, 1005, 6, 900), group("new", 0, 0, 3)), at(102));
  REQUIRE(later.size() == 2);
  CHECK(later[0].done == 6);
  CHECK(later[0].total == 10);
  CHECK(later[0].failed == 1);
  CHECK(later[0].bytes == 200);
  CHECK(later[0].seconds == 2);
  CHECK(later[1].done == 3);
  CHECK(meter.open() == 4);
}

TEST_CASE("the clock of a label runs from its first task on a worker to its last end") {
  ProgressMeter meter;
  meter.look(groups(group("sum", 8, 0, 0)), at(0));
  meter.look(groups(group("sum", 4, 4, 0)), at(50));
  CHECK(meter.look(groups(group("sum", 0, 4, 4)), at(52))[0].seconds == 2);
  CHECK(meter.look(groups(group("sum", 0, 0, 8)), at(54))[0].seconds == 4);
  CHECK(meter.look(groups(group("sum", 0, 0, 8)), at(90))[0].seconds == 4);  // it has ended
}

TEST_CASE("counters of a restarted scheduler start anew, and nonsense shows nothing") {
  ProgressMeter meter;
  meter.look(groups(group("x", 1, 1, 100)), at(0));
  CHECK(meter.look(groups(group("x", 1, 1, 2)), at(1))[0].done == 0);
  CHECK(meter.look(groups(group("x", 0, 1, 3)), at(2))[0].done == 1);
  CHECK(meter.look("?", at(3)).empty());
  CHECK(meter.look(R"([{"label":1}])", at(4)).empty());
}

TEST_CASE("bars are equally long and tell rate, time left, bytes and failures") {
  std::vector<LabelProgress> labels{{"load", 50, 100, 2, 1'500'000, 10}, {"sum", 0, 4, 0, 0, 0}};
  auto lines = render_bars(labels, 79, 10);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "load [" + std::string(14, '#') + std::string(15, '.') + "] 50/100  5.0/s  ETA 10 s  1.5 MB  2 failed");
  CHECK(lines[1] == "sum  [" + std::string(29, '.') + "] 0/4");
}

TEST_CASE("bars fit into the window, and no label moves the cursor") {
  std::vector<LabelProgress> labels{{"done", 4, 4, 0, 0, 1}, {"a\x1b[2J label that is far too long for this", 1, 4, 0, 0, 1}};
  for (std::size_t columns : {0u, 1u, 10u, 30u, 40u, 80u, 300u})
    for (const std::string& line : render_bars(labels, columns, 10)) {
      CHECK(line.size() <= columns);
      CHECK((columns == 0 || line.size() < columns));
      CHECK(line.find('\x1b') == std::string::npos);
    }
  auto one = render_bars(labels, 80, 1);
  REQUIRE(one.size() == 1);
  CHECK(one[0].substr(0, 8) == "a?[2J la");
}

TEST_CASE("without a terminal all labels are one line") {
  std::vector<LabelProgress> labels{{"load", 60, 100, 0, 0, 10}, {"sum", 0, 20, 0, 0, 0}};
  CHECK(render_line(labels) == "weft: 50% of 120 tasks  6.0/s  ETA 10 s  (load 60/100, sum 0/20)");
  CHECK(render_line({}) == "weft: 0% of 0 tasks");
}

TEST_CASE("a frame is drawn below the cursor, which stays; an empty one erases") {
  std::vector<std::string> lines{"a", "b"};
  CHECK(render_frame(lines) == "\x1b[J\x1b" "D\x1b" "D\x1b[2A\x1b" "7\x1b[B\ra\x1b[B\rb\x1b" "8");
  CHECK(render_frame({}) == "\x1b[J");
}
