// Crashes, limits, starts and ends are told of processes alone.
#include "tests/support/executor_bench.h"
#include "tests/support/sanitized.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <set>

using namespace weft;
using namespace weft::worker;
using namespace weft::test;
using Bench = ExecutorBench;

TEST_CASE("each way to crash is told as it was, and the slot is back") {
  auto b = Bench::processes();
  struct Case { Function function; int signal, exit_code; const char* says; };
  for (auto [function, signal, exit_code, says] :
       {Case{segfault, SIGSEGV, 0, "Segmentation"}, Case{abort_it, SIGABRT, 0, "Abort"}, Case{exit_it, 0, 3, "exit code 3"},
        Case{illegal, SIGILL, 0, "-march"}, Case{overflow, SIGSEGV, 0, "Segmentation"}, Case{kill_self, SIGKILL, 0, "Killed"}}) {
    Outcome end = b.outcome(b.start(function));
    CHECK(end.failure.kind == ErrorKind::task_crashed);
    CHECK(end.failure.signal == signal);
    CHECK(end.failure.exit_code == exit_code);
    CHECK_MESSAGE(end.failure.message.find(says) != std::string::npos, end.failure.message);
    if (signal && signal != SIGKILL) CHECK(std::ranges::any_of(end.failure.frames, [](const Frame& f) { return f.image.ends_with("/executor_program") && f.build; }));
    if (function == segfault) CHECK(end.failure.address == 0x10);
    if (function == abort_it) CHECK(end.failure.output == "inconsistent matrix\n");
    if (function == exit_it) CHECK(end.output == "half a line");
    CHECK(b.number(b.start(echo, bytes_of(6))) == 6);
  }
}

TEST_CASE("a crash blames the attempt that ran and no other") {
  auto b = Bench::processes();
  for (int i = 0; i < 50; ++i) b.number(b.start(echo, bytes_of(1)));  // known to be tiny: many go ahead
  std::vector<AttemptId> before, after;
  for (int i = 0; i < 40; ++i) before.push_back(b.start(echo, bytes_of(1)));
  AttemptId bad = b.start(segfault);
  for (int i = 0; i < 40; ++i) after.push_back(b.start(echo, bytes_of(2)));
  CHECK(b.outcome(bad).failure.kind == ErrorKind::task_crashed);
  for (AttemptId attempt : before) CHECK(b.number(attempt) == 1);
  for (AttemptId attempt : after) CHECK(b.number(attempt) == 2);
}

TEST_CASE("what a task prints is its own, bounded, and never holds it up") {
  auto b = Bench::processes();
  std::vector<AttemptId> prints;
  for (int i = 0; i < 30; ++i) prints.push_back(b.start(print, bytes_of("line " + std::to_string(i) + "\n")));
  AttemptId quiet = b.start(echo), loud = b.start(flood, bytes_of(20'000));
  for (int i = 0; i < 30; ++i) CHECK(b.outcome(prints[i]).output == "line " + std::to_string(i) + "\n");
  CHECK(b.outcome(quiet).output.empty());
  Outcome end = b.outcome(loud);
  CHECK(end.output.size() == 64 * 1024);
  CHECK(end.output.ends_with("x\nthe end"));
}

TEST_CASE("a task over its memory limit fails with MemoryLimit" * doctest::skip(sanitized)) {
  auto options = Bench::options();
  options.memory_limit = 256u << 20;
  auto b = Bench::processes(std::move(options));
  CHECK(b.outcome(b.start(hoard)).failure.kind == ErrorKind::memory_limit);
}

TEST_CASE("after a MemoryLimit the next task gets a process with room" * doctest::skip(sanitized)) {
  auto options = Bench::options();
  options.memory_limit = 256u << 20;
  auto b = Bench::processes(std::move(options));
  std::uint64_t before = b.number(b.start(process_id));
  CHECK(b.outcome(b.start(hoard)).failure.kind == ErrorKind::memory_limit);
  CHECK(b.number(b.start(process_id)) != before);
}

TEST_CASE("a process that may be too small to start says so" * doctest::skip(sanitized)) {
  auto options = Bench::options();
  options.memory_limit = 1u << 20;
  auto b = Bench::processes(std::move(options));
  Failure why = b.outcome(b.start(echo)).failure;
  CHECK(why.kind == ErrorKind::program_error);
  CHECK(why.message.find("memory: the limit is 1.0 MiB") != std::string::npos);
}

TEST_CASE("what tasks leak costs processes and no task" * doctest::skip(sanitized)) {
  auto options = Bench::options();
  options.memory_limit = 256u << 20;
  SUBCASE("a process that grew is replaced between tasks") { options.resident_bytes_max = 128u << 20; }
  SUBCASE("one that grew too fast to be seen, and all others with it, is replaced by the first failure") {}
  auto b = Bench::processes(std::move(options));
  std::vector<AttemptId> attempts;
  for (int i = 0; i < 400; ++i) attempts.push_back(b.start(leak));
  std::set<std::uint64_t> processes;
  for (AttemptId attempt : attempts) processes.insert(b.number(attempt));
  CHECK(processes.size() > 1);
}

TEST_CASE("tasks wait for a process while there are no descriptors") {
  struct Full {
    Full() {
      getrlimit(RLIMIT_NOFILE, &before);
      rlimit none{0, before.rlim_max};
      setrlimit(RLIMIT_NOFILE, &none);
    }
    ~Full() { setrlimit(RLIMIT_NOFILE, &before); }
    rlimit before{};
  };
  auto b = Bench::processes();
  AttemptId attempt;
  {
    Full full;
    attempt = b.start(echo, bytes_of(7));
    bool looked = false;
    b.serve([&] { return std::exchange(looked, true); });
    CHECK(b.as_processes().process_ids().empty());
    CHECK(b.ended.empty());
  }
  CHECK(b.number(attempt) == 7);

  SUBCASE("but not for ever") {
    auto options = Bench::options();
    options.shortage_max = 0s;
    auto hasty = Bench::processes(std::move(options));
    Full full;
    CHECK(hasty.outcome(hasty.start(echo)).failure.message.find("Too many open files") != std::string::npos);
  }
}

TEST_CASE("a daemon without standard input starts processes") {
  struct Closed {
    Closed() { close(0); }
    ~Closed() { dup2(kept, 0), close(kept); }
    int kept = fcntl(0, F_DUPFD_CLOEXEC, 10);
  };
  auto options = Bench::options();
  options.program_for = [named = options.program_for](const Key& program) {
    auto spec = named(program);
    spec->image = std::make_shared<const OpenFile>(spec->path);
    return spec;
  };
  auto b = Bench::processes(std::move(options));
  Closed closed;  // the next file that is opened, the program, has number 0
  CHECK(b.number(b.start(echo, bytes_of(7))) == 7);
}

TEST_CASE("a task that closes its process's descriptors keeps its result, and the next get a process that works") {
  auto b = Bench::processes();
  CHECK(b.number(b.start(close_all)) == 0);
  CHECK(b.outcome(b.start(big, bytes_of(1u << 20))).value.size() > 1u << 20);
  CHECK(b.number(b.start(echo, bytes_of(6))) == 6);
}

TEST_CASE("a process leaves after its number of tasks") {
  auto options = Bench::options();
  options.tasks_max = 3;
  auto b = Bench::processes(std::move(options));
  std::map<std::uint64_t, int> tasks_of;
  for (int i = 0; i < 9; ++i) ++tasks_of[b.number(b.start(process_id))];
  CHECK(tasks_of.size() == 3);
}

TEST_CASE("an executor gets the environment that was allowed and set, and its wrapper") {
  auto options = Bench::options();
  setenv("WEFT_TEST_SECRET", "x", 1);
  options.inherit_environment = false;
  options.allowed_environment = {"PATH", "LD_LIBRARY_PATH"};
  options.environment = {{"WEFT_TEST_SET", "1"}};
  options.wrapper = {"env", "WEFT_TEST_WRAPPED=1"};
  auto b = Bench::processes(std::move(options));
  auto has = [&](std::string_view name) { return b.number(b.start(environment_has, bytes_of(name))); };
  CHECK(has("PATH") == 1);
  CHECK(has("WEFT_TEST_SET") == 1);
  CHECK(has("WEFT_TEST_WRAPPED") == 1);
  CHECK(has("WEFT_TEST_SECRET") == 0);
  CHECK(has("WEFT_EXECUTOR") == 0);  // what the task starts is no executor
}

TEST_CASE("programs that do not become executors are named") {
  SUBCASE("never calls weft::init") {
    auto options = Bench::options({"silent"});
    options.start_timeout = 200ms;
    auto b = Bench::processes(std::move(options));
    AttemptId first = b.start(echo), second = b.start(echo);
    for (AttemptId attempt : {first, second}) {
      Failure why = b.outcome(attempt).failure;
      CHECK(why.kind == ErrorKind::program_error);
      CHECK_MESSAGE(why.message.find("call weft::init(argc, argv) first in main") != std::string::npos, why.message);
    }
  }
  auto is_named = [](ProcessOptions options, const char* says) {
    auto b = Bench::processes(std::move(options));
    Failure why = b.outcome(b.start(echo)).failure;
    CHECK(why.kind == ErrorKind::program_error);
    CHECK_MESSAGE(why.message.find(says) != std::string::npos, why.message);
  };
  auto started_as = [](ProgramSpec program) {
    auto options = Bench::options();
    options.program_for = [program](const Key&) { return program; };
    return options;
  };
  SUBCASE("ends early") { is_named(Bench::options({"quits"}), "exit code 5"); }
  SUBCASE("cannot be loaded") {
    is_named(started_as({.path = "/bin/sh", .arguments = {"-c", "echo 'x: error while loading shared libraries: libq.so.1' >&2; exit 127"}}),
             "error while loading shared libraries: libq.so.1");
  }
  SUBCASE("is not there") { is_named(started_as({.path = "/nonexistent/program"}), "No such file"); }
}

TEST_CASE("shutting down leaves no process, also of tasks that never end") {
  auto b = Bench::processes();
  AttemptId running = b.start(spin);
  b.until_started(running);
  auto ids = b.as_processes().process_ids();
  REQUIRE(ids.size() == 1);
  b.executors->shut_down();
  CHECK(kill(ids[0], 0) == -1);
}

TEST_CASE("executors die with their daemon") {
  int pipes[2];
  REQUIRE(pipe(pipes) == 0);
  pid_t daemon = fork();
  if (daemon == 0) {
    auto b = Bench::processes();
    AttemptId running = b.start(spin);
    b.until_started(running);
    int id = b.as_processes().process_ids().at(0);
    [[maybe_unused]] auto n = write(pipes[1], &id, sizeof id);
    pause();
  }
  int id = 0;
  REQUIRE(read(pipes[0], &id, sizeof id) == sizeof id);
  int process = static_cast<int>(syscall(434 /* pidfd_open */, id, 0));
  REQUIRE(process >= 0);
  kill(daemon, SIGKILL);
  waitpid(daemon, nullptr, 0);
  pollfd dead{process, POLLIN, 0};
  CHECK(poll(&dead, 1, 5000) == 1);
  close(process), close(pipes[0]), close(pipes[1]);
}
