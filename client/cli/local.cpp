// weft local: a throw-away cluster of this machine around one program.
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include <weft/local_cluster.h>

#include "client/cli/cli.h"
#include "common/exit_codes.h"
#include "common/machine.h"
#include "common/process.h"

namespace weft::cli {

namespace {

/// Run the program with the cluster's address; returns its exit code.
int run_program(const TextList& words, const std::string& address) {
  ChildOptions options;
  options.arguments.assign(words.begin() + 1, words.end());
  // It reads our stdin and gets the terminal's Ctrl-C itself.
  options.own_group = false;
  options.no_input = false;
  options.environment = {{"WEFT_ADDRESS", address}, {"WEFT_SCHEDULER_FILE", ""}};
  Result<ChildProcess> program = ChildProcess::start(words[0], options);
  if (!program) {
    std::fprintf(stderr, "weft local: %s\n", program.error().message.c_str());
    return exit_code::no_input;
  }
  int pid = program->pid();
  int asked = 0;
  Signals signals({SIGINT, SIGTERM, SIGHUP, SIGQUIT}, [&, pid](int signal) {
    // The terminal told the program about Ctrl-C already; the second time we insist.
    if (signal != SIGINT) kill(pid, signal);
    else if (++asked > 1) kill(pid, SIGKILL);
  });
  return *program->wait();
}

/// Keep the cluster until somebody ends us.
int stay() {
  std::mutex mutex;
  std::condition_variable ended;
  bool over = false;
  Signals signals({SIGINT, SIGTERM, SIGHUP}, [&](int) {
    std::lock_guard lock(mutex);
    if (over) _exit(exit_code::interrupted);
    over = true;
    ended.notify_all();
  }, take_lifeline());
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return over; });
  return exit_code::ok;
}

}  // namespace

int run_local(Arguments arguments) {
  VerbOptions options("local", "Run a program on a throw-away cluster of this machine: weft local --workers 4 -- ./program arguments. "
                               "Ends with the program's exit code.", VerbOptions::Asks::nobody);
  TextList words;
  unsigned workers = 0;
  bool dashboard = true;
  unsigned threads = 1;
  MemoryAmount memory, executor_memory;
  Amounts resources;
  std::string wrapper, core_files, log_level = "warning";
  options.add().positional("PROGRAM", words, 0, 100'000, "what to run, behind --; without it the cluster stays until Ctrl-C");
  options.add().add("workers", workers, "worker processes; 0: one for each core");
  options.add().add("nthreads", threads, "tasks that each worker runs at once");
  options.add().add("memory-limit", memory, "memory for values, of all workers together: each gets its share; auto: 60% of what we may use");
  options.add().add("executor-memory", executor_memory, "memory that one task's process may allocate; auto: one worker's share of the memory limit");
  options.add().add("executor-core-files", core_files, "folder for core files of executors that crash; empty: none are written");
  options.add().add("resources", resources, "what each worker offers");
  options.add().add("dashboard", dashboard, "serve the web page on 127.0.0.1:8787 or a free port");
  options.add().add("executor-wrapper", wrapper, "words before the program of each executor, such as \"valgrind -q\"");
  options.add().add("log-level", log_level, "what scheduler and workers write to stderr: debug, info, warning, error, off");
  if (auto code = options.start(arguments)) return *code;
  if (workers > 4096) throw InvalidArgument("--workers: more than 4096 on one machine");
  if (threads == 0) throw InvalidArgument("--nthreads: at least 1");

  LocalClusterOptions cluster_options;
  cluster_options.workers = workers ? workers : usable_cores();
  cluster_options.threads_per_worker = threads;
  cluster_options.memory_limit = memory.resolve(usable_memory(), 0.6) / cluster_options.workers;
  cluster_options.resources = resources;
  if (executor_memory.kind != MemoryAmount::Kind::automatic) cluster_options.executor_memory = executor_memory.resolve(usable_memory());
  cluster_options.executor_core_files = core_files;
  cluster_options.executor_wrapper = wrapper;
  cluster_options.log_level = log_level;
  cluster_options.dashboard = dashboard;
  LocalCluster cluster(cluster_options);
  if (!words.empty() && !cluster.dashboard().empty()) std::fprintf(stderr, "dashboard: %s\n", cluster.dashboard().c_str());
  if (!words.empty()) return run_program(words, cluster.address());
  if (options.json()) print_json("local", {{"address", cluster.address()}, {"workers", cluster_options.workers}, {"dashboard", cluster.dashboard()}});
  else
    print("a cluster of " + std::to_string(cluster_options.workers) + " workers. In another terminal:\n  export WEFT_ADDRESS=" +
          cluster.address() + "\n  dashboard: " + (cluster.dashboard().empty() ? "off" : cluster.dashboard()) + "\n  weft status\n  ./your-program\nCtrl-C ends it.\n");
  return stay();
}

}  // namespace weft::cli
