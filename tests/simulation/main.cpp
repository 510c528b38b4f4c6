// Runs many seeds: simulate --seeds N [--seed FIRST]. Prints a failing seed's plan; exit 1 if any failed.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>

#include "simulation/world.h"

using namespace weft::simulation;

int main(int argc, char** argv) {
  std::uint64_t seeds = 1'000, first = std::random_device{}(), workers = std::thread::hardware_concurrency();
  for (int i = 1; i + 1 < argc; i += 2) {
    std::uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
    if (!std::strcmp(argv[i], "--seeds")) seeds = value;
    else if (!std::strcmp(argv[i], "--seed")) first = value;
    else if (!std::strcmp(argv[i], "--jobs")) workers = value;
    else return std::fprintf(stderr, "usage: simulate [--seeds N] [--seed FIRST] [--jobs N]\n"), 64;
  }
  std::printf("simulating %llu seeds from %llu\n", (unsigned long long)seeds, (unsigned long long)first);
  std::fflush(stdout);
  std::atomic<std::uint64_t> next{0}, failed{0}, tasks{0}, runs{0}, faults{0}, events{0};
  std::mutex printing;
  auto began = std::chrono::steady_clock::now();
  auto work = [&] {
    for (std::uint64_t i = next++; i < seeds && failed < 5; i = next++) {
      Plan plan = Plan::draw(first + i);
      if (seeds == 1) std::printf("%s\n", plan.text().c_str()), std::fflush(stdout);
      Report report = run(plan);
      tasks += report.tasks;
      runs += report.runs;
      faults += report.faults;
      events += report.events;
      if (report.error.empty()) continue;
      ++failed;
      std::lock_guard lock(printing);
      std::printf("FAILED %s\n  %s\n", plan.text().c_str(), report.error.c_str());
      std::fflush(stdout);
    }
  };
  std::vector<std::jthread> threads;
  for (std::uint64_t i = 0; i < workers; ++i) threads.emplace_back(work);
  threads.clear();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%llu seeds, %llu tasks, %llu runs, %llu faults, %llu events in %.1f s (%.0f seeds/s), %llu failed\n",
              (unsigned long long)std::min<std::uint64_t>(next, seeds), (unsigned long long)tasks.load(), (unsigned long long)runs.load(),
              (unsigned long long)faults.load(), (unsigned long long)events.load(), seconds, seeds / seconds, (unsigned long long)failed.load());
  return failed > 0;
}
