// A loop around one kind of executors, and what it heard of them.
#pragma once

#include <doctest/doctest.h>

#include <poll.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/executor_functions.h"
#include "worker/process_executors.h"
#include "worker/thread_executors.h"

namespace weft::test {

using namespace weft::worker;

inline std::string program_path() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "executor_program").string();
}

inline Bytes bytes_of(std::string_view text) {
  auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}
inline Bytes bytes_of(std::uint64_t number) {
  auto bytes = std::as_bytes(std::span(&number, 1));
  return {bytes.begin(), bytes.end()};
}
inline Value value_of(std::span<const std::byte> part) { return Value::make(7, {&part, 1}); }

struct ExecutorBench {
  explicit ExecutorBench(std::unique_ptr<Executors> e) : executors(std::move(e)) {}
  static ExecutorBench threads(std::size_t slots = 1) {
    return ExecutorBench(std::make_unique<ThreadExecutors>(ThreadOptions{.slots = slots, .runtime = runtime()}));
  }
  static ProcessOptions options(std::vector<std::string> arguments = {}) {
    ProcessOptions options;
    options.program_for = [arguments](const Key&) { return ProgramSpec{.path = program_path(), .arguments = arguments}; };
    return options;
  }
  static ExecutorBench processes(ProcessOptions options = ExecutorBench::options()) {
    return ExecutorBench(std::make_unique<ProcessExecutors>(std::move(options)));
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

}  // namespace weft::test
