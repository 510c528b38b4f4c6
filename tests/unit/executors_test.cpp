// Threads and processes run the same stories.
#include "tests/support/executor_bench.h"

#include "worker/kernels/registry.h"

using namespace weft;
using namespace weft::worker;
using namespace weft::test;
using Bench = ExecutorBench;

namespace {

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
