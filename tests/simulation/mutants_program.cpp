// Measures the oracles: every planted bug (WEFT_MUTANT, WEFT_UNLESS in the states) must be found, and its failing plan made small.
//   simulate_mutants [--seeds N] [--seed FIRST] [--mutant NUMBER] [--tests]
// Prints a table, with --tests also each plan as a test case; exit 1 if a bug was not found, or its plan stayed big.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "common/coverage_mark.h"
#include "simulation/shrink.h"

using namespace weft::simulation;

namespace {

constexpr int mutants = 77;  // numbered from 1
constexpr std::uint64_t tasks_max = 8, faults_max = 10;

// What a child that dies of its bug leaves behind.
struct Finding {
  std::atomic<std::uint64_t> tried;  // seeds
  std::uint64_t seed, events, tasks, faults;
  bool found;
};

/// Runs in a child: a planted bug may also crash or hang the process.
void hunt(int mutant, std::uint64_t first, std::uint64_t seeds, bool tests, Finding& finding) {
  weft::planted_bug = mutant;
  std::mutex mutex;
  Plan failing;
  auto work = [&] {
    for (std::uint64_t i = finding.tried++; i < seeds; i = finding.tried++) {
      Plan plan = Plan::draw(first + i);
      Report report = run(plan);
      if (report.error.empty()) continue;
      std::lock_guard lock(mutex);
      if (finding.found && finding.seed < plan.seed) return;
      finding.found = true;
      finding.seed = plan.seed;
      finding.events = report.events;
      failing = plan;
      finding.tried = seeds;
    }
  };
  {
    std::jthread other(work);
    work();
  }
  if (!finding.found) return;
  Shrunk small = shrink(failing);
  finding.tasks = small.report.tasks;
  finding.faults = small.plan.faults.size();
  std::string error = small.report.error.substr(0, small.report.error.find_first_of(";\n"));
  std::printf("%6d  %10llu  %8llu  %5llu  %6llu  %s\n", mutant, (unsigned long long)(finding.seed - first), (unsigned long long)finding.events,
              (unsigned long long)finding.tasks, (unsigned long long)finding.faults, error.substr(0, 110).c_str());
  if (tests) std::printf("%s", small.plan.as_test("mutant " + std::to_string(mutant) + " is found").c_str());
  std::fflush(stdout);
}

bool judge(int mutant, std::uint64_t first, std::uint64_t seeds, bool tests) {
  void* memory = mmap(nullptr, sizeof(Finding), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  Finding& finding = *new (memory) Finding{};
  pid_t child = fork();
  if (child == 0) {
    alarm(240);
    hunt(mutant, first, seeds, tests, finding);
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  bool good = finding.found && finding.tasks <= tasks_max && finding.faults <= faults_max;
  if (WIFSIGNALED(status)) {
    std::printf("%6d  %10llu  the process died of signal %d\n", mutant, (unsigned long long)finding.tried.load(), WTERMSIG(status));
    good = true;
  } else if (!finding.found) {
    std::printf("%6d  not found\n", mutant);
  }
  std::fflush(stdout);
  munmap(memory, sizeof(Finding));
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t seeds = 100'000, first = 1;
  int only = 0;
  bool tests = false;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--tests")) tests = true;
    else if (i + 1 < argc && !std::strcmp(argv[i], "--seeds")) seeds = std::strtoull(argv[++i], nullptr, 10);
    else if (i + 1 < argc && !std::strcmp(argv[i], "--seed")) first = std::strtoull(argv[++i], nullptr, 10);
    else if (i + 1 < argc && !std::strcmp(argv[i], "--mutant")) only = std::atoi(argv[++i]);
    else return std::fprintf(stderr, "usage: simulate_mutants [--seeds N] [--seed FIRST] [--mutant NUMBER] [--tests]\n"), 64;
  }
  std::printf("mutant  first seed    events  tasks  faults  found by (tasks and faults after shrinking)\n");
  std::fflush(stdout);
  int missed = 0;
  for (int mutant = only ? only : 1; mutant <= (only ? only : mutants); ++mutant) missed += !judge(mutant, first, seeds, tests);
  std::printf("%d of %d planted bugs were not found or stayed big\n", missed, only ? 1 : mutants);
  return missed > 0;
}
