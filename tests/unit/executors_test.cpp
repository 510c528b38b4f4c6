// Both kinds of executors run the same stories; crashes, limits and starts are told of processes alone.
#include <doctest/doctest.h>

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <utility>

#include "tests/support/executor_functions.h"
#include "worker/kernels/registry.h"
#include "worker/process_executors.h"
#include "worker/thread_executors.h"

using namespace weft;
using namespace weft::worker;
using namespace weft::test;

namespace {

std::string program_path() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "executor_program").string();
}

Bytes bytes_of(std::string_view text) {
  auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}
Bytes bytes_of(std::uint64_t number) {
  auto bytes = std::as_bytes(std::span(&number, 1));
  return {bytes.begin(), bytes.end()};
}
Value value_of(std::span<const std::byte> part) { return Value::make(7, {&part, 1}); }

// A loop around one kind of executors.
struct Bench {
  explicit Bench(std::unique_ptr<Executors> e) : executors(std::move(e)) {}
  static Bench threads(std::size_t slots = 1) {
    return Bench(std::make_unique<ThreadExecutors>(ThreadOptions{.slots = slots, .runtime = runtime()}));
  }
  static ProcessOptions options(std::vector<std::string> arguments = {}) {
    ProcessOptions options;
    options.program_for = [arguments](const Key&) { return ProgramSpec{.path = program_path(), .arguments = arguments}; };
    return options;
  }
  static Bench processes(ProcessOptions options = Bench::options()) {
    return Bench(std::make_unique<ProcessExecutors>(std::move(options)));
  }
  ProcessExecutors& as_processes() { return static_cast<ProcessExecutors&>(*executors); }

  AttemptId start(std::uint64_t function, Bytes arguments = {}, Duration timeout = 0ns, std::vector<Value> inputs = {}) {
    auto& shape = shapes[{function, timeout}];
    if (!shape) {
      Template made{.label = "test"};
      made.function.thunk_offset = function;
      made.options.timeout = timeout;
      shape = std::make_shared<const Template>(std::move(made));
    }
    AttemptId attempt{++last};
    executors->start({attempt, Key{1, last}, 1, shape, std::move(arguments), std::move(inputs)});
    return attempt;
  }
  // Serve the loop until this holds; a minute without it fails the test.
  template <class Until>
  void serve(Until until) {
    for (Time end = monotonic_now() + 60s; !until();) {
      REQUIRE(monotonic_now() < end);
      Duration patience = std::max(Duration(0), std::min(end, executors->wake_at()) - monotonic_now());
      timespec wait{patience.count() / 1'000'000'000, patience.count() % 1'000'000'000};
      pollfd ready{executors->descriptors().at(0), POLLIN, 0};
      ppoll(&ready, 1, &wait, nullptr);
      ExecutorEvents news = executors->take(monotonic_now());
      for (auto& outcome : news.ended) {
        CHECK(!ended.contains(outcome.attempt.number));  // each attempt ends once
        ended.emplace(outcome.attempt.number, std::move(outcome));
      }
      auto append = [](auto& to, auto& from) { to.insert(to.end(), from.begin(), from.end()); };
      append(events.started, news.started);
      append(events.waiting, news.waiting);
      append(events.resumed, news.resumed);
      append(events.from_tasks, news.from_tasks);
      append(events.logs, news.logs);
      append(events.progress, news.progress);
    }
  }
  Outcome outcome(AttemptId attempt) {
    serve([&] { return ended.contains(attempt.number); });
    return ended.at(attempt.number);
  }
  void until_started(AttemptId attempt) {
    serve([&] { return std::ranges::find(events.started, attempt) != events.started.end(); });
  }
  std::uint64_t number(AttemptId attempt) {
    Outcome end = outcome(attempt);
    REQUIRE_MESSAGE(end.failure.kind == ErrorKind::none, end.failure.message);
    return number_of(end.value.part(0).bytes());
  }

  std::unique_ptr<Executors> executors;
  std::map<std::pair<std::uint64_t, Duration>, std::shared_ptr<const Template>> shapes;
  std::uint64_t last = 0;
  std::map<std::uint64_t, Outcome> ended;
  ExecutorEvents events;
};

template <class Story>
void with_both(Story story) {
  SUBCASE("threads") { auto b = Bench::threads(); story(b); }
  SUBCASE("processes") { auto b = Bench::processes(); story(b); }
}

}  // namespace

TEST_CASE("a task's small result comes back") {
  with_both([](Bench& b) { CHECK(b.number(b.start(echo, bytes_of(41))) == 41); });
}

TEST_CASE("a big result comes back whole") {
  with_both([](Bench& b) {
    Outcome end = b.outcome(b.start(big, bytes_of(64u << 20)));
    REQUIRE(end.failure.kind == ErrorKind::none);
    auto part = end.value.part(0).bytes();
    REQUIRE(part.size() == 64u << 20);
    CHECK(part[12345] == std::byte(12345 & 255));
    CHECK(part[part.size() - 1] == std::byte(255));
  });
}

TEST_CASE("small and big inputs reach the function") {
  with_both([](Bench& b) {
    Bytes ones(10, std::byte{1}), twos(100'000, std::byte{2}), threes(5000, std::byte{3});
    CHECK(b.number(b.start(sum_inputs, {}, 0ns, {value_of(ones), value_of(twos), value_of(threes)})) == 10 + 200'000 + 15'000);
    std::vector<Value> many(20'000, value_of(ones));  // larger than the ring
    CHECK(b.number(b.start(sum_inputs, {}, 0ns, many)) == 200'000);
  });
}

TEST_CASE("exceptions become TaskErrors and the slot goes on") {
  with_both([](Bench& b) {
    Outcome thrown = b.outcome(b.start(throw_error));
    CHECK(thrown.failure.kind == ErrorKind::task_error);
    CHECK(thrown.failure.message == "no such chunk");
    CHECK(b.outcome(b.start(throw_int)).failure.kind == ErrorKind::task_error);
    Outcome longest = b.outcome(b.start(throw_long));
    CHECK(longest.failure.kind == ErrorKind::task_error);
    CHECK(longest.failure.message.size() <= failure_text_max);
    CHECK(b.outcome(b.start(no_value)).failure.kind == ErrorKind::task_error);
    CHECK(b.outcome(b.start(999)).failure.kind == ErrorKind::program_error);
    CHECK(b.number(b.start(echo, bytes_of(5))) == 5);
  });
}

TEST_CASE("a built-in kernel runs by its number") {
  with_both([](Bench& b) {
    auto shape = std::make_shared<Template>();
    shape->function.kernel = kernels::identity;
    Value input = value_of(bytes_of("same"));
    b.executors->start({AttemptId{900}, Key{1, 900}, 1, shape, {}, {input}});
    CHECK(b.outcome(AttemptId{900}).value.block() == input.block());
  });
}

TEST_CASE("a task that runs past its timeout fails and the slot is free again") {
  with_both([](Bench& b) {
    AttemptId slow = b.start(spin, {}, 30ms), next = b.start(echo, bytes_of(1));
    CHECK(b.outcome(slow).failure.kind == ErrorKind::task_timeout);
    CHECK(b.number(next) == 1);
  });
}

TEST_CASE("cancelling stops a running task and removes a queued one") {
  with_both([](Bench& b) {
    AttemptId running = b.start(spin), queued = b.start(echo), next = b.start(echo, bytes_of(2));
    b.until_started(running);
    b.executors->cancel(queued);
    b.executors->cancel(running);
    b.executors->cancel(AttemptId{12345});
    CHECK(b.outcome(running).failure.kind == ErrorKind::cancelled);
    CHECK(b.outcome(queued).failure.kind == ErrorKind::cancelled);
    CHECK(b.number(next) == 2);
  });
}

TEST_CASE("a task speaks through its own client and lends its slot while it waits") {
  with_both([](Bench& b) {
    AttemptId asking = b.start(ask), other = b.start(echo, bytes_of(3));
    CHECK(b.number(other) == 3);  // on the same single slot
    b.serve([&] { return !b.events.from_tasks.empty(); });
    CHECK(b.events.waiting == std::vector{asking});
    CHECK(std::get<Locate>(b.events.from_tasks[0].messages.at(0)).keys == std::vector{Key{1, asking.number}});
    b.executors->to_task({b.events.from_tasks[0].channel, {SchedulerTick{77}}});
    CHECK(b.number(asking) == 77);
    CHECK(b.events.resumed == std::vector{asking});
    CHECK(b.events.logs.at(0).text == "asking");
    CHECK(b.events.progress.at(0).fraction == 0.5);
  });
}

TEST_CASE("more waiting tasks than may lend their slot all end") {
  with_both([](Bench& b) {
    std::vector<AttemptId> asking;
    for (int i = 0; i < 70; ++i) asking.push_back(b.start(ask));
    b.serve([&] { return b.events.from_tasks.size() == asking.size(); });
    for (const auto& question : b.events.from_tasks) b.executors->to_task({question.channel, {SchedulerTick{1}}});
    for (AttemptId attempt : asking) CHECK(b.number(attempt) == 1);
  });
}

TEST_CASE("a task that waits when no more slots may be lent runs queued tasks itself") {
  auto helps = [](Bench b) {
    AttemptId asking = b.start(ask_thread);
    b.serve([&] { return !b.events.from_tasks.empty() && !b.events.waiting.empty(); });
    std::vector<AttemptId> inside;
    for (int i = 0; i < 3; ++i) inside.push_back(b.start(thread_id));
    std::vector<std::uint64_t> where;
    for (AttemptId attempt : inside) where.push_back(b.number(attempt));
    b.executors->to_task({b.events.from_tasks[0].channel, {SchedulerTick{1}}});
    std::uint64_t own = b.number(asking);
    for (std::uint64_t each : where) CHECK(each == own);
  };
  SUBCASE("threads") { helps(Bench(std::make_unique<ThreadExecutors>(ThreadOptions{.slots = 1, .lent_max = 0, .runtime = runtime()}))); }
  SUBCASE("processes") {
    ProcessOptions options = Bench::options();
    options.lent_max = 0;
    helps(Bench::processes(std::move(options)));
  }
}

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

TEST_CASE("a task over its memory limit fails with MemoryLimit") {
  auto options = Bench::options();
  options.memory_limit = 256u << 20;
  auto b = Bench::processes(std::move(options));
  CHECK(b.outcome(b.start(hoard)).failure.kind == ErrorKind::memory_limit);
}

TEST_CASE("after a MemoryLimit the next task gets a process with room") {
  auto options = Bench::options();
  options.memory_limit = 256u << 20;
  auto b = Bench::processes(std::move(options));
  std::uint64_t before = b.number(b.start(process_id));
  CHECK(b.outcome(b.start(hoard)).failure.kind == ErrorKind::memory_limit);
  CHECK(b.number(b.start(process_id)) != before);
}

TEST_CASE("what tasks leak costs processes and no task") {
  auto options = Bench::options();
  options.memory_limit = 256u << 20;
  options.resident_bytes_max = 128u << 20;
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
  SUBCASE("ends early") {
    auto b = Bench::processes(Bench::options({"quits"}));
    Failure why = b.outcome(b.start(echo)).failure;
    CHECK(why.kind == ErrorKind::program_error);
    CHECK_MESSAGE(why.message.find("exit code 5") != std::string::npos, why.message);
  }
  SUBCASE("cannot be loaded") {
    auto options = Bench::options();
    options.program_for = [](const Key&) {
      return ProgramSpec{.path = "/bin/sh", .arguments = {"-c", "echo 'x: error while loading shared libraries: libq.so.1' >&2; exit 127"}};
    };
    auto b = Bench::processes(std::move(options));
    Failure why = b.outcome(b.start(echo)).failure;
    CHECK(why.kind == ErrorKind::program_error);
    CHECK_MESSAGE(why.message.find("error while loading shared libraries: libq.so.1") != std::string::npos, why.message);
  }
  SUBCASE("is not there") {
    auto options = Bench::options();
    options.program_for = [](const Key&) { return ProgramSpec{.path = "/nonexistent/program"}; };
    auto b = Bench::processes(std::move(options));
    Failure why = b.outcome(b.start(echo)).failure;
    CHECK(why.kind == ErrorKind::program_error);
    CHECK_MESSAGE(why.message.find("No such file") != std::string::npos, why.message);
  }
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

TEST_CASE("a hundred thousand tiny tasks through one slot") {
  with_both([](Bench& b) {
    b.number(b.start(echo, bytes_of(1)));
    Time begin = monotonic_now();
    std::size_t wanted = b.ended.size() + 100'000;
    for (int i = 0; i < 100'000; ++i) b.start(echo, bytes_of(1));
    b.serve([&] { return b.ended.size() == wanted; });
    MESSAGE("us per task: " << double((monotonic_now() - begin).count()) / 1e8);
  });
}
