// When a task dies: what its user reads, and how it is run again.
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <numeric>

#include <nlohmann/json.hpp>

#include "common/exit_codes.h"
#include "support/daemons.h"
#include "support/sanitized.h"

using namespace weft;
using test::contains;
using test::failure_of;
using test::run_weft;
using Json = nlohmann::json;

namespace {

std::vector<int> numbers(int count) {
  std::vector<int> all(count);
  std::iota(all.begin(), all.end(), 1);
  return all;
}
[[gnu::noinline]] int deep(int sum) { throw std::runtime_error("the sum is " + std::to_string(sum)); }
int throws(const std::vector<int>& values) { return deep(std::accumulate(values.begin(), values.end(), 0)) + 1; }
int* volatile nowhere = nullptr;
[[gnu::noinline, gnu::no_sanitize("address", "undefined")]] int crash_here(int more) { return *nowhere + more; }
int crashes(const std::vector<int>& values) { return crash_here(int(values.size())) + 1; }
int fine(const std::vector<int>& values) { return int(values.size()); }
int last_words(int more) {
  std::fputs("these were the last words\n", stderr);
  return crash_here(more) + 1;
}
int hungry(std::size_t bytes) {
  std::unique_ptr<char[]> memory(new char[bytes]);
  char* volatile end = memory.get() + bytes - 1;
  return *end = 1;
}
int illegal(int) { __builtin_trap(); }

struct Cluster {
  explicit Cluster(unsigned workers = 1) : cluster({.workers = workers, .memory_limit = 1u << 30}), client(cluster) {}
  test::Said debug(const Key& key, std::vector<std::string> more = {}) const { return ask("debug", key, std::move(more)); }
  test::Said ask(const std::string& verb, const Key& key, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {verb, key.hex(), "--address", cluster.address()});
    return run_weft(more);
  }
  LocalCluster cluster;
  Client client;
};

}  // namespace

TEST_CASE("a traceback names functions, files and lines, and what() the innermost") {
  Cluster c;
  auto bad = c.client.submit(throws, numbers(3));
  std::string what;
  try {
    bad.result(std::chrono::seconds(60));
  } catch (const TaskError& error) {
    what = error.what();
  }
  CHECK_MESSAGE(contains(what, "deep"), what);
  CHECK_MESSAGE(contains(what, "debug_test.cpp:"), what);
  std::string traceback = bad.traceback();
  INFO(traceback);
  CHECK(traceback.find("deep") < traceback.find("throws"));
  CHECK(contains(traceback, "debug_test.cpp:"));
  CHECK_FALSE(contains(traceback, "weft::detail::Caller"));
}

TEST_CASE("the stack of a crash is told in the same words") {
  Cluster c;
  auto bad = c.client.submit(Options{.max_attempts = 1}, crashes, numbers(3));
  Failure failure = failure_of<TaskCrashed>(bad);
  INFO(failure.traceback);
  CHECK(failure.signal == SIGSEGV);
  CHECK(failure.address == 0);
  CHECK(failure.frames.empty());
  CHECK(failure.traceback.find("crash_here") < failure.traceback.find("crashes"));
  CHECK(contains(failure.traceback, "debug_test.cpp:"));
}

TEST_CASE("an illegal instruction suggests another -march") {
  Cluster c;
  Failure failure = failure_of<TaskCrashed>(c.client.submit(Options{.max_attempts = 1}, illegal, 1));
  CHECK(failure.signal == SIGILL);
  CHECK_MESSAGE(contains(failure.message, "-march"), failure.message);
}

TEST_CASE("weft debug runs a task that threw again, with the inputs it had") {
  Cluster c;
  auto input = c.client.submit(numbers, 50'000);
  auto bad = c.client.submit(throws, input);
  input.release();  // the failed task keeps what it was given
  failure_of<TaskError>(bad);
  auto said = c.debug(bad.key());
  INFO(said.output << said.errors);
  CHECK(said.code == exit_code::failure);
  CHECK(contains(said.output, "TaskError: std::runtime_error: the sum is 1250025000"));
  CHECK(contains(said.output, "deep"));
  CHECK(contains(said.output, "debug_test.cpp:"));
  auto explained = run_weft({"explain", bad.key().hex(), "--address", c.cluster.address()});
  CHECK_MESSAGE(contains(explained.output, "deep"), explained.output);
}

TEST_CASE("weft debug runs a task that crashed again and tells the stack") {
  Cluster c;
  auto bad = c.client.submit(Options{.max_attempts = 1}, crashes, c.client.submit(numbers, 50'000));
  failure_of<TaskCrashed>(bad);
  auto said = c.debug(bad.key());
  INFO(said.output << said.errors);
  CHECK(said.code == exit_code::failure);
  CHECK(contains(said.output, "TaskCrashed: the task died of signal 11"));
  CHECK(contains(said.output, "crash_here"));
}

TEST_CASE("weft debug --gdb stops where the task fails") {
  if (std::system("gdb --version > /dev/null 2>&1") != 0) {
    MESSAGE("skipped: gdb is not installed");
    return;
  }
  Cluster c;
  auto threw = c.client.submit(throws, numbers(3));
  auto crashed = c.client.submit(Options{.max_attempts = 1}, crashes, numbers(3));
  failure_of<TaskError>(threw);
  failure_of<TaskCrashed>(crashed);
  auto exception = c.debug(threw.key(), {"--gdb"});
  CHECK_MESSAGE(contains(exception.output, "deep ("), exception.output << exception.errors);
  auto crash = c.debug(crashed.key(), {"--gdb"});
  CHECK_MESSAGE(contains(crash.output, "SIGSEGV"), crash.output << crash.errors);
  CHECK_MESSAGE(contains(crash.output, "crash_here ("), crash.output << crash.errors);
}

TEST_CASE("weft debug computes nothing again: an input that is gone is named") {
  Cluster c(2);
  auto input = c.client.submit(numbers, 50'000);
  auto bad = c.client.submit(throws, input);
  failure_of<TaskError>(bad);
  Key key = input.key();
  input.release();
  std::vector<WorkerInfo> workers = c.client.workers();
  std::string holders = c.client.who_has({key});
  for (const WorkerInfo& worker : workers)
    if (contains(holders, '"' + worker.name + '"')) kill(int(worker.pid), SIGKILL);
  while (contains(c.client.who_has({key}), "worker-")) {
  }
  auto said = c.debug(bad.key());
  CHECK(said.code != exit_code::ok);
  CHECK_MESSAGE(contains(said.errors, "input numbers " + key.hex() + " is on no worker any more"), said.errors);
}

TEST_CASE("weft debug says what it cannot run") {
  Cluster c;
  auto good = c.client.submit(fine, numbers(3));
  CHECK(good.result(std::chrono::seconds(60)) == 3);
  CHECK(contains(c.debug(good.key()).errors, "did not fail: it is stored"));
  auto cause = c.client.submit(throws, numbers(4));
  auto after = cause.then([](int x) { return x; });
  failure_of<TaskError>(after);
  CHECK(contains(c.debug(after.key()).errors, "task " + cause.key().hex() + ", which it depends on, failed"));
  CHECK(contains(c.debug(cause.key(), {"--program", "/bin/true"}).errors, "/bin/true is not the program that ran the task"));
}

TEST_CASE("weft explain tells the address and the last words of a crash") {
  Cluster c;
  auto bad = c.client.submit(Options{.max_attempts = 1}, last_words, 3);
  failure_of<TaskCrashed>(bad);
  std::string said = c.ask("explain", bad.key()).output;
  CHECK_MESSAGE(contains(said, "fault address: 0x0\n"), said);
  CHECK_MESSAGE(contains(said, "its last output:\nthese were the last words\n"), said);
}

TEST_CASE("weft story counts tries, names their worker, and says why each failed") {
  Cluster c;
  auto bad = c.client.submit(Options{.retries = 1}, throws, numbers(3));
  failure_of<TaskError>(bad);
  std::vector<int> tries;
  Json story = Json::parse(c.ask("story", bad.key(), {"-o", "json"}).output).at("data");
  for (const Json& step : story) {
    if (step.at("to") != "assigned") continue;
    CHECK(step.at("worker") == "worker-0");
    tries.push_back(step.at("try"));
  }
  CHECK(tries == std::vector<int>{1, 2});
  CHECK(story.back().at("to") == "failed");
  CHECK(story.back().at("try") == 2);
  std::size_t reasons = 0;
  for (const Json& step : story) reasons += step.value("why", "") == "TaskError: the sum is 6";
  CHECK(reasons == 2);
  CHECK(story.back().at("why") == "TaskError: the sum is 6");
  std::string text = c.ask("story", bad.key()).output;
  CHECK_MESSAGE(contains(text, "TaskError: the sum is 6\n"), text);
  CHECK_FALSE(contains(text, std::to_string(story.back().at("attempt").get<std::uint64_t>())));
}

TEST_CASE("weft debug gives a task the memory that it had, or another amount" * doctest::skip(sanitized)) {
  Cluster c;
  auto bad = c.client.submit(Options{.max_attempts = 1}, hungry, std::size_t(2) << 30);
  failure_of<MemoryLimit>(bad);
  auto said = c.debug(bad.key());
  CHECK(said.code == exit_code::failure);
  CHECK_MESSAGE(contains(said.output, "with at most 1 GiB of memory\nMemoryLimit: "), said.output << said.errors);
  CHECK(contains(c.debug(bad.key(), {"--memory", "4GiB"}).output, "it does not fail here"));
  CHECK(contains(c.debug(bad.key(), {"--memory", "0"}).output, "it does not fail here"));
}
