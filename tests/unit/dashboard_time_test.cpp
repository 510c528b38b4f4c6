// Where the time goes: runs that have not ended, and how much each group took of any window.
#include <cstring>
#include <random>

#include "support/watched.h"

using namespace weft;
using namespace weft::test;
using namespace weft::dashboard;

namespace {

template <class T>
T read(const std::string& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

struct Run {
  Micros start, end;
  std::uint32_t group;
};

/// Runs on four slots over some minutes, in the order of their ends.
std::vector<Run> random_runs(int count) {
  std::mt19937 random(7);
  std::vector<Micros> free_at(4);
  std::vector<Run> runs;
  for (int i = 0; i < count; ++i) {
    Micros& slot = *std::min_element(free_at.begin(), free_at.end());
    Micros start = slot + static_cast<Micros>(random() % 30'000), end = start + 1 + static_cast<Micros>(random() % 250'000);
    runs.push_back({start, end, static_cast<std::uint32_t>(random() % 7)});
    slot = end;
  }
  std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) { return a.end < b.end; });
  return runs;
}

std::map<std::uint32_t, Micros> by_plain_loop(const std::vector<Run>& runs, Micros t0, Micros t1) {
  std::map<std::uint32_t, Micros> sum;
  for (const Run& run : runs)
    if (run.end > t0 && run.start < t1) sum[run.group] += std::min(run.end, t1) - std::max(run.start, t0);
  return sum;
}

Timeline timeline_of(const std::vector<Run>& runs, std::size_t rectangles_max) {
  Timeline timeline(rectangles_max, 64u << 20);
  for (const Run& run : runs) timeline.add(1, 4, run.start, run.end, run.group, Key{});
  return timeline;
}

}  // namespace

TEST_CASE("a task that runs is shown from its beginning, in the lane where it will end") {
  Watched w;
  w.s.workers<1>();
  w.s.now = Time{} + 1s;
  Key x = w.s.submit(task("x"));
  w.s.start(x);
  w.s.now = w.s.now + 4s;
  Json timeline = w.get("timeline?t0=0").json;
  CHECK(timeline["rects"].empty());
  REQUIRE(timeline["running"].size() == 1);
  CHECK(timeline["running"][0]["key"] == x.hex());
  CHECK(timeline["running"][0]["start"] == 1'000'000);
  CHECK(w.get("timeline?t0=0&t1=900000").json["running"].empty());
  CHECK(w.get("timeline?t0=0&t1=2000000").json["running"].size() == 1);
  std::string frame = w.get("stream?t0=0").bytes;
  REQUIRE(read<std::uint16_t>(frame, 34) == 1);
  CHECK(read<double>(frame, 56 + 8 + 8) == 1e6);   // behind the two blocks of its one lane
  CHECK(read<std::uint64_t>(frame, frame.size() - 8) == x.high);

  std::string lane = timeline["running"][0]["lane"];
  w.s.finish(x);
  timeline = w.get("timeline?t0=0").json;
  CHECK(timeline["running"].empty());
  REQUIRE(timeline["rects"].size() == 1);
  CHECK(timeline["rects"][0]["lane"] == lane);
}

TEST_CASE("nothing runs on that was released, or whose worker was lost") {
  Watched w;
  w.s.workers<2>();
  Key x = w.s.submit(task("x"));
  auto second = [&] { w.s.now = w.s.now + 1s; };
  w.s.start(x);
  second();
  CHECK(w.get("timeline?t0=0").json["running"].size() == 1);
  w.s.lose(w.s.assigned_to(x));
  CHECK(w.get("timeline?t0=0").json["running"].empty());
  w.s.start(x);
  second();
  CHECK(w.get("timeline?t0=0").json["running"].size() == 1);
  w.s.release(x);
  CHECK(w.get("timeline?t0=0").json["running"].empty());
}

TEST_CASE("the time of each group in a window is that of a plain loop, to the microsecond") {
  std::vector<Run> runs = random_runs(5'000);
  Timeline timeline = timeline_of(runs, 1'000'000);
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    Micros t0 = static_cast<Micros>(random() % 200'000'000), t1 = t0 + 1 + static_cast<Micros>(random() % (i % 2 ? 100'000'000 : 30'000));
    TimeByGroup::Sum sum = timeline.time_by_group(t0, t1);
    CHECK(sum.within == 0);
    std::erase_if(sum.groups, [](const auto& entry) { return entry.second == 0; });
    CHECK(sum.groups == by_plain_loop(runs, t0, t1));
  }
}

TEST_CASE("where the runs are held no more, it is right to within what is said") {
  std::vector<Run> runs = random_runs(20'000);
  Timeline timeline = timeline_of(runs, 100);
  std::mt19937 random(3);
  Micros end = runs.back().end;
  for (int i = 0; i < 200; ++i) {
    Micros t0 = static_cast<Micros>(random() % static_cast<unsigned>(end)), t1 = std::min(end, t0 + 1 + static_cast<Micros>(random() % 300'000'000));
    TimeByGroup::Sum sum = timeline.time_by_group(t0, t1);
    CHECK(sum.within < 2 * 4 * 1'000'000);   // two columns of a second at most, on four slots
    Micros wrong = 0;
    for (auto [group, time] : by_plain_loop(runs, t0, t1)) wrong += std::abs(sum.groups[group] - time);
    CHECK(wrong <= sum.within);
  }
}

TEST_CASE("busy and idle make up the time that slots were there, of runs that go on too") {
  Watched w;
  w.s.workers<1>();
  w.s.now = Time{} + 1s;
  w.s.start(w.s.submit(task("x")));
  w.s.now = w.s.now + 3s;
  Json time = w.get("timeline/time?span=2000000").json;
  CHECK(time["groups"]["0"]["run_s"] == 2.0);
  CHECK(time["busy_s"] == 2.0);
  CHECK(time["within_s"] == 0.0);
  CHECK(time["slot_s"].get<double>() == time["busy_s"].get<double>() + time["idle_s"].get<double>());
  time = w.get("timeline/time?t0=0&t1=2500000&px=1000").json;
  CHECK(time["groups"]["0"]["run_s"] == 1.5);
  double columns = 0;
  for (std::size_t i = 1; i < time["columns"]["groups"]["0"].size(); i += 2) columns += time["columns"]["groups"]["0"][i].get<double>();
  CHECK(columns == doctest::Approx(1.5));
}
