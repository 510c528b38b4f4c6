// Measures the oracles: every planted bug (WEFT_MUTANT, WEFT_UNLESS in the states) must be found, and its failing plan made small.
//   simulate_mutants [--seeds N] [--seed FIRST] [--mutant NUMBER] [--tests]
// Prints a table, with --tests also each plan as a test case; exit 1 if a bug was not found, or its plan stayed big.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include "common/coverage_mark.h"
#include "simulation/shrink.h"

using namespace weft::simulation;

namespace {

constexpr int mutants = 81;  // numbered from 1
constexpr std::uint64_t tasks_max = 8, faults_max = 10;

// What a child that dies of its bug leaves behind.
struct Finding {
  std::atomic<std::uint64_t> tried;  // seeds
  std::uint64_t tasks, faults;
  bool found;

  bool small() const { return found && tasks <= tasks_max && faults <= faults_max; }
};

/// The first plan that fails, from the seed that is next; two threads look.
std::optional<Plan> failing_plan(std::uint64_t first, std::uint64_t seeds, std::atomic<std::uint64_t>& tried) {
  std::mutex mutex;
  std::optional<Plan> failing;
  std::atomic<bool> found{false};
  auto work = [&] {
    while (!found) {
      std::uint64_t at = tried++;
      if (at >= seeds) return;
      Plan plan = Plan::draw(first + at);
      if (run(plan).error.empty()) continue;
      std::lock_guard lock(mutex);
      if (!failing || plan.seed < failing->seed) failing = plan;
      found = true;
    }
  };
  {
    std::jthread other(work);
    work();
  }
  return failing;
}

/// Runs in a child: a planted bug may also crash or hang the process. A plan that stays big is kept until a seed gives a smaller one.
void hunt(int mutant, std::uint64_t first, std::uint64_t seeds, bool tests, Finding& finding) {
  weft::planted_bug = mutant;
  std::uint64_t seed = 0;
  Shrunk smallest;
  while (!finding.small()) {
    std::optional<Plan> failing = failing_plan(first, seeds, finding.tried);
    if (!failing) break;
    Shrunk shrunk = shrink(*failing);
    if (finding.found && shrunk.report.tasks + shrunk.plan.faults.size() >= finding.tasks + finding.faults) continue;
    smallest = std::move(shrunk);
    seed = failing->seed;
    finding.tasks = smallest.report.tasks;
    finding.faults = smallest.plan.faults.size();
    finding.found = true;
  }
  if (!finding.found) return;
  std::string error = smallest.report.error.substr(0, smallest.report.error.find_first_of(";\n"));
  std::printf("%6d  %10llu  %8llu  %5llu  %6llu  %s\n", mutant, (unsigned long long)(seed - first), (unsigned long long)smallest.report.events,
              (unsigned long long)finding.tasks, (unsigned long long)finding.faults, error.substr(0, 110).c_str());
  if (tests) std::printf("%s", smallest.plan.as_test("mutant " + std::to_string(mutant) + " is found").c_str());
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
  bool good = finding.small();
  if (WIFSIGNALED(status)) {
    std::printf("%6d  %10llu  the process died of signal %d\n", mutant, (unsigned long long)finding.tried.load(), WTERMSIG(status));
    good = WTERMSIG(status) != SIGALRM;   // which only says that the search was slow
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
