// Runs many seeds, and says what fails and which marked branches no run reached; exit 1 if any failed.
//   simulate [--seeds N] [--seed FIRST] [--jobs N] [--hash] [--shrink] [--log] [--marks N]
// With --marks also a branch that was reached less than N times is a failure.
//   simulate --exhaustive [--runs N]
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "common/coverage_mark.h"
#include "simulation/exhaustive.h"
#include "simulation/log.h"
#include "simulation/shrink.h"

using namespace weft::simulation;

namespace {

using Number = unsigned long long;  // for printf

struct Arguments {
  std::uint64_t seeds = 1'000, first = std::random_device{}(), jobs = std::thread::hardware_concurrency(), runs = 1'000'000, marks = 0;
  bool hash = false, shrink = false, exhaustive = false;
};

bool read(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    auto flag = [&](const char* name, bool& value) { return !std::strcmp(argv[i], name) && (value = true); };
    auto number = [&](const char* name, std::uint64_t& value) {
      if (std::strcmp(argv[i], name) || i + 1 == argc) return false;
      value = std::strtoull(argv[++i], nullptr, 10);
      return true;
    };
    if (!flag("--hash", arguments.hash) && !flag("--shrink", arguments.shrink) && !flag("--log", logged) && !flag("--exhaustive", arguments.exhaustive) &&
        !number("--seeds", arguments.seeds) && !number("--seed", arguments.first) && !number("--jobs", arguments.jobs) &&
        !number("--runs", arguments.runs) && !number("--marks", arguments.marks))
      return false;
  }
  return true;
}

int exhaust_all(const Arguments& arguments) {
  bool good = true;
  for (FaultKind fault : {FaultKind::worker_kill, FaultKind::link_cut, FaultKind::value_damage, FaultKind::scheduler_death}) {
    Exhausted result = exhaust(3, fault, arguments.runs);
    std::printf("3 tasks, 2 workers, fault %d: %llu runs, %llu situations, %s%s%s\n", static_cast<int>(fault), (Number)result.runs,
                (Number)result.situations, result.complete ? "every order" : "stopped early", result.error.empty() ? "" : ": ", result.error.c_str());
    std::fflush(stdout);
    good = good && result.error.empty();
  }
  return good ? 0 : 1;
}

/// False if a branch was reached less often than `enough` times.
bool print_marks(std::uint64_t enough) {
  std::uint64_t marks = 0, rare = 0;
  bool good = true;
  for (weft::CoverageMark* mark = weft::CoverageMark::first; mark; mark = mark->next) {
    ++marks;
    std::uint32_t count = mark->count;
    if (count == 0) std::printf("never reached: %s\n", mark->name);
    else if (count < enough) std::printf("reached only %u times: %s\n", count, mark->name);
    rare += count > 0 && count < 100;
    good = good && count >= enough;
  }
  std::printf("%llu marked branches, %llu of them reached fewer than 100 times\n", (Number)marks, (Number)rare);
  return good;
}

class Runner {
 public:
  explicit Runner(const Arguments& arguments) : arguments_(arguments) {}

  int run_all() {
    auto began = std::chrono::steady_clock::now();
    std::vector<std::jthread> threads;
    for (std::uint64_t i = 0; i < arguments_.jobs; ++i) threads.emplace_back([this] { work(); });
    threads.clear();
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    std::uint64_t done = std::min<std::uint64_t>(next_, arguments_.seeds);
    std::printf("%llu seeds, %llu tasks, %llu runs, %llu faults, %llu events in %.1f s (%.0f seeds/s), %llu failed\n", (Number)done,
                (Number)tasks_.load(), (Number)runs_.load(), (Number)faults_.load(), (Number)events_.load(), seconds, done / seconds, (Number)failed_.load());
    return failed_ > 0;
  }

 private:
  void work() {
    for (std::uint64_t i = next_++; i < arguments_.seeds && failed_ < 5; i = next_++) {
      Plan plan = Plan::draw(arguments_.first + i);
      Report report = run(plan);
      tasks_ += report.tasks;
      runs_ += report.runs;
      faults_ += report.faults;
      events_ += report.events;
      std::lock_guard lock(printing_);
      if (arguments_.hash) std::printf("%llu %016llx\n", (Number)plan.seed, (Number)report.trace);
      if (report.error.empty()) continue;
      ++failed_;
      std::printf("FAILED %s\n  %s\n", plan.text().c_str(), report.error.c_str());
      if (arguments_.shrink) {
        Shrunk small = shrink(plan);
        std::printf("%s// %s\n", small.plan.as_test("seed " + std::to_string(plan.seed)).c_str(), small.report.error.c_str());
      }
      std::fflush(stdout);
    }
  }

  const Arguments& arguments_;
  std::atomic<std::uint64_t> next_{0}, failed_{0}, tasks_{0}, runs_{0}, faults_{0}, events_{0};
  std::mutex printing_;
};

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!read(argc, argv, arguments))
    return std::fprintf(stderr, "usage: simulate [--seeds N] [--seed FIRST] [--jobs N] [--hash] [--shrink] [--log] [--marks N] | --exhaustive [--runs N]\n"), 64;
  if (arguments.exhaustive) return exhaust_all(arguments);
  if (!arguments.hash) std::printf("simulating %llu seeds from %llu\n", (Number)arguments.seeds, (Number)arguments.first);
  std::fflush(stdout);
  int code = Runner(arguments).run_all();
  if (!arguments.hash && !print_marks(arguments.marks)) code = 1;
  return code;
}
