// What peers may not say, and what becomes of it: the table of common/README.md, as far as states decide it.
#include <doctest/doctest.h>

#include "common/limits.h"
#include "support/scheduler_harness.h"
#include "support/worker_harness.h"

using namespace weft;
using namespace weft::test;

namespace {

/// Why a worker that says this is not let in; empty if it is.
std::string refusal(SchedulerHarness& s, WorkerHello hello) {
  std::string why;
  for (scheduler::Action& action : s.state.step(s.now, {scheduler::FromWorker{{77}, std::move(hello)}}))
    if (auto* order = std::get_if<scheduler::ToWorker>(&action))
      for (WorkerBound& message : order->messages)
        if (auto* refused = std::get_if<WorkerRefused>(&message)) why = refused->failure.failure.message;
  s.state.check();
  return why;
}
WorkerHello hello() { return {.protocol_min = 1, .protocol_max = 1, .name = "w", .instance = 1, .secret = Bytes(16)}; }

/// Why a chunk with this template is refused; empty if it is not.
std::string refusal(Template shape) {
  GraphChunk chunk = SchedulerHarness::chunk({task("x")});
  chunk.templates[0] = std::move(shape);
  Result<void> checked = check_chunk(chunk);
  return checked ? "" : checked.error().message;
}

}  // namespace

TEST_CASE("a worker whose resources are no amounts is refused") {
  SchedulerHarness s;
  for (double amount : {-1.0, 1e15, __builtin_huge_val(), __builtin_nan("")}) {
    WorkerHello strange = hello();
    strange.resources = {{"GPU", amount}};
    CHECK(refusal(s, strange) == "worker 'w' sent an impossible hello");
  }
  CHECK(refusal(s, hello()).empty());
}

TEST_CASE("names beyond the limit are refused, of workers, clients, tasks and datasets") {
  SchedulerHarness s;
  const std::string longest(name_bytes_max, 'n'), longer = longest + 'n';
  WorkerHello worker = hello();
  worker.name = longer;
  CHECK_FALSE(refusal(s, worker).empty());
  worker.name = longest;
  CHECK(refusal(s, worker).empty());
  CHECK(refusal(task("x").label(longest).shape).empty());
  CHECK(refusal(task("x").label(longer).shape).find("a label has at most 1024 bytes") != std::string::npos);
  std::size_t sessions = s.state.sessions();
  s.client(longer);
  CHECK(s.state.sessions() == sessions);
  Key x = s.submit(task("x"));
  s.publish(longer, {x});
  CHECK(s.heard<Refused>().size() == 1);
  s.publish(longest, {x});
  CHECK(s.heard<Refused>().empty());
}

TEST_CASE("times that cannot be added to now are refused") {
  CHECK(refusal(task("x").retries(1, 24h * 366).shape).empty());
  CHECK_FALSE(refusal(task("x").retries(1, Duration(INT64_MAX)).shape).empty());
  CHECK_FALSE(refusal(task("x").retries(1, -1s).shape).empty());
  TaskSpec slow = task("x");
  slow.shape.options.timeout = Duration(INT64_MAX);
  CHECK_FALSE(refusal(slow.shape).empty());
}

TEST_CASE("a chunk larger than a chunk may be is refused") {
  GraphChunk chunk = SchedulerHarness::chunk({task("x")});
  chunk.templates[0].shared_arguments.resize(4 * GraphChunk::bytes_max);
  CHECK(check_chunk(chunk).error().message.find("4194304 bytes of a chunk") != std::string::npos);
}

TEST_CASE("a delay that doubles ends at a day, and a longer one stays as it is") {
  SchedulerHarness s;
  s.workers<1>();
  Key x = s.submit(task("x").retries(60'000, 13h));
  for (Duration delay : {13h, 24h, 24h}) {
    REQUIRE(s.state_of(x) == TaskState::assigned);
    s.fail(x);
    s.now = s.now + delay - 1ms;
    s.step(scheduler::Tick{});
    CHECK(s.state_of(x) == TaskState::ready);
    s.now = s.now + 2ms;
    s.step(scheduler::Tick{});
  }
}

TEST_CASE("all of a resource can be had again after parts of it were") {
  SchedulerHarness s;
  s.join({.name = "w", .slots = 8, .resources = {{"GPU", 0.3}}});
  Key a = s.submit(task("a").resource("GPU", 0.1)), b = s.submit(task("b").resource("GPU", 0.2));
  Key all = s.submit(task("all").resource("GPU", 0.3));
  CHECK(s.state_of(all) == TaskState::ready);
  s.finish(a);
  s.finish(b);
  CHECK(s.state_of(all) == TaskState::assigned);
}

TEST_CASE("long texts of a failure and of a log line are shortened, and say how long they were") {
  SchedulerHarness s;
  auto [w] = s.workers<1>();
  Key x = s.submit(task("x"));
  Failure failure{.kind = ErrorKind::task_error, .message = std::string(1 << 20, 'm'), .output = std::string(1 << 20, 'o')};
  s.say(w, AttemptFailed{s.attempt(x), x, {failure}});
  auto failed = s.failures();
  REQUIRE(failed.size() == 1);
  for (const std::string& text : {failed[0].failure.message, failed[0].failure.output}) {
    CHECK(text.size() <= failure_text_max);
    CHECK(text.ends_with("(1048576 bytes in all)"));
  }
}

TEST_CASE("a text is not cut inside a character") {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "ä";
  shorten(text, 120);
  CHECK(text.size() <= 120);
  CHECK(text.substr(0, 4) == "ää");
  CHECK((text.find('\n') % 2) == 0);
  shorten(text, 120);
  CHECK(text.ends_with("(200 bytes in all)"));
}

TEST_CASE("a result that is not small does not stay with the scheduler") {
  SchedulerHarness s;
  s.workers<1>();
  Key x = s.submit(task("x"));
  s.finish(x, 10'000, 1ms, Bytes(small_value_max + 1));
  auto stored = s.heard<TaskStored>();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].small.empty());
  CHECK(stored[0].locations.size() == 1);
}

TEST_CASE("many clients are asked to beat less often, but thrice within a lease") {
  scheduler::Options options;
  CHECK(options.heartbeat_of(1) == 1s);
  CHECK(options.heartbeat_of(399) == 1s);
  CHECK(options.heartbeat_of(600) == 3s);
  CHECK(options.heartbeat_of(1'000'000) == 5s);
}

TEST_CASE("a worker passes over orders without a key") {
  WorkerHarness w;
  w.hear(Assign{.attempt = {1}, .number = 0}, w.order(2, key_of("x"), {Key{}}));
  CHECK(w.done<worker::StartRun>().empty());
  CHECK(w.done<worker::StartFetch>().empty());
  w.hear(Replicate{{.key = {}}}, ExpectPut{});
  CHECK(w.done<worker::AwaitPut>().empty());
  w.hear(w.order(3, key_of("x")));
  CHECK(w.done<worker::StartRun>().size() == 1);
}
