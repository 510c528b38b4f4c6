// The fifty checks of the reference: what each promises, and who looks. What other test programs look at already is asked of
// them by the beginnings of their test cases' names, such as "A36:".
#include <cstdio>
#include <filesystem>

#include "common/process.h"
#include "common/programs.h"
#include "reliability/check.h"
#include "reliability/processes.h"

namespace weft::reliability {

namespace {

std::string build_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

using Look = std::function<Outcome(Scale)>;

/// Nobody has written it yet.
Look nobody(std::string why = "no test looks at this") {
  return [why](Scale) { return Outcome{why, Verdict::absent}; };
}

/// Test cases whose names begin with this, such as "A36:", in any test program that is built.
Look cases(std::string beginning) {
  return [=](Scale) -> Outcome {
    int passed = 0;
    std::string programs;
    for (const char* program : {"unit_tests", "contract_tests", "integration_tests", "simulation_tests", "fuzz_tests"}) {
      std::string path = build_folder() + '/' + program;
      if (!std::filesystem::exists(path)) continue;
      Ran ran = run("'" + path + "' --no-colors --test-case='" + beginning + "*'");
      std::size_t at = ran.output.rfind("test cases:");
      int all = 0;
      if (at != ran.output.npos) std::sscanf(ran.output.c_str() + at, "test cases: %d", &all);
      if (ran.code != 0) {
        std::printf("%s\n", ran.output.c_str());
        return {"a test case \"" + beginning + "…\" of " + program + " fails", Verdict::missed};
      }
      if (all > 0) programs += std::string(programs.empty() ? "" : ", ") + program;
      passed += all;
    }
    if (passed == 0) return {"no test case \"" + beginning + "…\"", Verdict::absent};
    return {std::to_string(passed) + " test cases \"" + beginning + "…\" of " + programs + " pass", Verdict::met};
  };
}

/// A program of ours whose exit code is the verdict; its last line is what was seen.
Look program(std::string name, std::string arguments, std::string extrapolation = {}) {
  return [=](Scale) -> Outcome {
    std::string path = build_folder() + '/' + name;
    if (!std::filesystem::exists(path)) return {"there is no " + name, Verdict::absent};
    Ran ran = run("'" + path + "' " + arguments);
    while (!ran.output.empty() && ran.output.back() == '\n') ran.output.pop_back();
    std::string last = ran.output.substr(ran.output.rfind('\n') + 1);
    if (ran.code != 0) std::printf("%s\n", ran.output.c_str());
    return judged(ran.code == 0, name + ' ' + arguments + ": " + last + (extrapolation.empty() ? "" : "; " + extrapolation));
  };
}

}  // namespace

const std::vector<Check>& all_checks() {
  static const std::vector<Check> checks = {
      {"A1", "simulation: 10^6 seeds, 0 failures, in minutes", "", program("simulate", "--seeds 100000", "a tenth of the seeds")},
      {"A2", "simulation at night: 10^8 seeds; equal traces on every compiler and build", "", cases("a seed gives the same run in every build")},
      {"A3", "30 of 30 planted bugs are caught within 10^5 seeds each", "", program("simulate_mutants", "")},
      {"A4", "every coverage mark is reached 100 times in 10^6 seeds", "", program("simulate", "--seeds 100000 --marks 10", "a tenth of the seeds")},
      {"A5", "all orders of 3 tasks, 2 workers, 1 fault", "", program("simulate", "--exhaustive")},
      {"A6", "planted bugs shrink to 10 faults and 8 tasks", "", program("simulate_mutants", "--mutant 1", "A3 judges this for all")},
      {"A7", "10 min, 8 processes, 200 faults: all results right, no hang, nothing left behind", "the same for 20 s", chaos},
      {"A8", "a worker killed every 4 s for 10 min during a shuffle: right, at most 2.5 x the time", "a worker killed every 0.5 s of a short shuffle: right", worker_deaths},
      {"A9", "100 deaths of the scheduler in 10 graphs of 10^4 tasks: nothing lost, executions <= tasks + deaths x slots", "4 deaths in a graph of 600 tasks", scheduler_deaths},
      {"A10", "10^6 live tasks: answering < 1 s, scheduling < 5 s, memory <= 2 GiB", "the same with 5 x 10^4 live tasks", restart_with_live_tasks},
      {"A11", "death at each of the first 200 writes of the store: no half graph, no duplicate", "at each 40th write", death_at_every_write},
      {"A12", "store damaged at 1,000 places: recovers fully, or is refused with exit 74", "the same at 100 places", damaged_store},
      {"A13", "partition of 9 s, 50 times: no task rerun, no data lost", "one of 60 % of a lease of 5 s, for 4 workers at once", short_partitions},
      {"A14", "partition of two leases, one-way too, 50 times: all right, at most one rerun a task", "3 workers at once, one each way", long_partitions},
      {"A15", "scheduler stopped for 60 s (four leases): no worker lost", "stopped for four leases of 2 s", stopped_scheduler},
      {"A16", "client reset every 100 ms while submitting 10^5 tasks: each command once", "the same with 2,000 tasks", client_resets},
      {"A17", "client killed with 10^5 futures: released after its grace +- 2 s, memory back", "10^4 futures, a grace of 3 s", vanished_client},
      {"A18", "1,000 tasks fired and forgotten, scheduler killed: all end, none twice but those in flight", "200 tasks", fire_and_forget},
      {"A19", "100 crashers among 10^5 tasks: 3 attempts each, no other harmed, < 5 % of the time", "10 among 2,000, without the time", crashers},
      {"A20", "100 endless loops with a timeout of 1 s: TaskTimeout within 2 s", "6 loops", runaways},
      {"A21", "100 tasks that allocate 20 GiB, limit 2 GiB: MemoryLimit, daemons live", "4 tasks, limit 256 MiB", memory_bombs},
      {"A22", "10^5 tasks that leak 1 MiB each: all end, executors stay below their limit", "1,000 tasks", leaks},
      {"A23", "exceptions and exits of every kind: typed, texts <= 64 KiB", "the same", exceptions},
      {"A24", "spill disk of 64 MiB full under 1 GiB of data: right, and spilling again within 30 s of space", "256 MiB of data", full_spill_disk},
      {"A25", "1,000 damaged spill blocks: all found, all results right", "60 blocks", damaged_spill},
      {"A26", "wall clock +- 1 day each second for 5 min: no timeout off by 100 ms", "for 5 s; off by 500 ms on a busy machine", clock_jumps},
      {"A27", "10,000 connected clients", "", cases("A27:")},
      {"A28", "raw TCP flood to the descriptor limit", "", cases("A28:")},
      {"A29", "100 dashboards that read nothing: <= 1 % of the tasks a second, cut after 30 s, a good one <= 500 ms behind", "", deaf_viewers},
      {"A30", "10^7 tiny tasks, 4 workers: no error, memory flat", "", sustained_load},
      {"A31", "12 h of mixed graphs with faults: memory, descriptors, store flat (5 min here, extrapolated)", "", soak},
      {"A32", "10^7 mutated messages beside a healthy peer", "", cases("A32:")},
      {"A33", "the 20 decode bombs: refused at once, nothing allocated", "", cases("A33:")},
      {"A34", "an endless message from an authenticated peer", "", cases("A34:")},
      {"A35", "fuzz targets without open findings", "corpus and fixed mutations; ./dev fuzz 60 runs libFuzzer", cases("A35:")},
      {"A36", "keys: none, random, of the other role, revoked, no mechanism, no ZAP handler: all refused", "", cases("A36:")},
      {"A37", "default start listens on loopback only; elsewhere without keys is refused", "", cases("A37:")},
      {"A38", "HTTP: 2,592 requests, exactly the allowed set succeeds", "", cases("of 2,592 ways to ask")},
      {"A39", "500 hostile texts as keys, names and errors: none raw in a page", "", cases("five hundred names that are markup")},
      {"A40", "no byte of a key in logs, errors, dumps, environments", "", cases("A40:")},
      {"A41", "40 forbidden acts of an executor: refused, contained or killed", "", cases("A41:")},
      {"A42", "tampered program files: none started", "", cases("A42:")},
      {"A43", "another version: graphs finish, or both versions are named", "", cases("a store of another version")},
      {"A44", "SIGTERM of a worker with 1 GiB of its own, 10 times: moved, <= 25 s, nothing recomputed", "64 MiB, once", drain},
      {"A45", "50 ways to start wrongly: < 1 s, a documented code, one line, nothing left behind", "the same; 5 s on a busy machine", bad_starts},
      {"A46", "the n-th allocation fails, for each n, in states and codec", "the first 300", failing_allocations},
      {"A47", "no report of a sanitizer", "", nobody("run ./dev sanitize address and ./dev sanitize thread: they need builds of their own")},
      {"A48", "Kubernetes manifests: restricted, and deny by default", "", cases("A48:")},
      {"A49", "shutdown with 10^5 tasks in flight, 50 times: all gone < 10 s, nothing left", "10^4 tasks, once", shutdown_in_flight},
      {"A50", "states: two assertions a function, no recursion, functions of at most 60 lines", "", style},
  };
  return checks;
}

}  // namespace weft::reliability
