// No operation grows faster than the work it describes: big graphs through scheduler::State and worker::State alone. Times are
// printed; a test fails only when it takes absurdly long, which a square of 10^5 does.
#include <chrono>

#include "support/scheduler_harness.h"
#include "tests/support/sanitized.h"
#include "worker/state.h"

using namespace weft;
using namespace weft::test;

namespace {

constexpr double absurd_seconds = 20;

Key numbered(std::uint64_t n) { return {2 * n, n * 0x9e3779b97f4a7c15 + 1}; }

/// What the test is about, timed.
struct Timed {
  const char* what;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
  ~Timed() {
    double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    MESSAGE(std::string(what) << ": " << seconds << " s");
    CHECK(seconds < absurd_seconds * test::slowness);
  }
};

/// A scheduler whose workers do at once whatever they are told, one frame a step.
struct Instant {
  SchedulerHarness s;
  std::vector<WorkerId> workers;
  std::vector<scheduler::Event> events;
  std::size_t frame_max = 0;

  explicit Instant(int count, scheduler::Options options = {}) : s(options) {
    s.checked = false;
    for (int i = 0; i < count; ++i) workers.push_back(s.join({.name = "w" + std::to_string(i), .slots = 4}));
  }
  void submit(std::size_t tasks, const std::function<void(std::uint64_t, std::vector<client::TaskInput>&)>& inputs_of, std::size_t first_wanted) {
    client::GraphBuilder builder;
    TaskSpec spec = task("t");
    auto shape = builder.add_template(spec.shape);
    std::vector<client::TaskInput> inputs;
    for (std::uint64_t i = 0; i < tasks; ++i) {
      inputs.clear();
      inputs_of(i, inputs);
      builder.add(shape, numbered(i), {}, inputs, i >= first_wanted);
    }
    auto chunks = builder.take();
    for (std::size_t i = 0; i < chunks.size(); ++i) s.submit_chunk(std::move(chunks[i]), i + 1 == chunks.size());
  }
  /// Until nothing is assigned.
  void run() {
    while (true) {
      events.clear();
      for (WorkerId worker : workers) {
        auto orders = s.heard<Assign>(worker);
        frame_max = std::max(frame_max, orders.size());
        for (const Assign& order : orders)
          events.push_back(scheduler::FromWorker{s.peer_of(worker), AttemptFinished{order.attempt, order.key, 100, 1ms, {}}});
      }
      if (events.empty()) return;
      s.now = s.now + 10us;
      s.forget_mail();
      s.step(std::move(events));
    }
  }
};

}  // namespace

TEST_CASE("cost: a map of 10^6, run and released") {
  Timed timed{"map of 10^6 on 4 workers"};
  Instant c(4);
  c.submit(1'000'000, [](auto, auto&) {}, 0);
  c.run();
  CHECK(c.s.state.finished_runs() == 1'000'000);
  c.s.goodbye();
  CHECK(c.s.state.empty());
  c.s.state.check();
}

TEST_CASE("cost: a chain of 10^6, run and released; no frame is unbounded") {
  Timed timed{"chain of 10^6"};
  Instant c(4);
  c.submit(1'000'000, [](std::uint64_t i, auto& in) { if (i) in.push_back({numbered(i - 1)}); }, 999'999);
  c.run();
  CHECK(c.s.state.finished_runs() == 1'000'000);
  CHECK(c.frame_max <= 1'025);
  c.s.goodbye();
  CHECK(c.s.state.empty());
}

TEST_CASE("cost: a fan-out of 10^5") {
  Timed timed{"fan-out of 10^5"};
  Instant c(16);
  c.submit(100'001, [](std::uint64_t i, auto& in) { if (i) in.push_back({numbered(0)}); }, 1);
  c.run();
  CHECK(c.s.state.finished_runs() == 100'001);
  c.s.goodbye();
  CHECK(c.s.state.empty());
}

TEST_CASE("cost: a fan-in of 10^5") {
  Timed timed{"fan-in of 10^5"};
  Instant c(16);
  c.submit(100'001, [](std::uint64_t i, auto& in) { if (i == 100'000) for (std::uint64_t j = 0; j < i; ++j) in.push_back({numbered(j)}); }, 100'000);
  c.run();
  CHECK(c.s.state.finished_runs() == 100'001);
  c.s.goodbye();
  CHECK(c.s.state.empty());
}

TEST_CASE("cost: cancel of 10^6, and losing a worker with 10^5 values") {
  {
    Timed timed{"cancel of 10^6"};
    Instant c(4);
    c.submit(1'000'000, [](auto, auto&) {}, 0);
    std::vector<Key> keys;
    for (std::uint64_t i = 0; i < 1'000'000; ++i) keys.push_back(numbered(i));
    c.s.cancel(keys);
    CHECK(c.s.state.counts().by_state[static_cast<int>(TaskState::failed)] == 1'000'000);
    c.s.release(keys);
    CHECK(c.s.state.counts().tasks == 0);
  }
  Timed timed{"losing a worker with 10^5 values"};
  Instant c(1);
  c.submit(100'000, [](auto, auto&) {}, 0);
  c.run();
  c.s.lose(c.workers[0]);
  CHECK(c.s.state.counts().by_state[static_cast<int>(TaskState::ready)] == 100'000);
}

TEST_CASE("cost: 10^5 tasks whose inputs are too big to move, beside idle workers") {
  Timed timed{"10^5 tasks bound to one worker"};
  Instant c(8);
  TaskSpec big = task("big").at("w0");
  c.s.submit(big);
  c.s.finish(big.key, 100'000'000'000);
  c.s.heard<Assign>(c.workers[0]);
  c.submit(100'000, [&](std::uint64_t, auto& in) { in.push_back({big.key}); }, 0);
  c.run();
  CHECK(c.s.state.finished_runs() == 100'001);
}

TEST_CASE("cost: a worker hands over 10^5 values") {
  Timed timed{"retiring with 10^5 values"};
  Instant c(1);
  c.submit(100'000, [](auto, auto&) {}, 0);
  c.run();
  c.workers.push_back(c.s.join({.name = "other", .slots = 4}));
  c.s.ask("retire", {"w0"});
  while (c.s.heard<Leave>(c.workers[0]).empty()) {
    std::vector<Held> held;
    for (const Replicate& order : c.s.heard<Replicate>(c.workers[1])) held.push_back({order.input.key, order.input.bytes});
    c.s.now = c.s.now + 10ms;
    c.s.say(c.workers[1], ValuesHeld{held});
  }
  CHECK(c.s.state.worker(c.workers[1])->holding.size() == 100'000);
}

TEST_CASE("cost: a worker with 10^5 attempts that read one value") {
  worker::StateOptions options;
  options.identity.slots = 4;
  worker::State state(options);
  Time now{1'000'000'000};
  auto step = [&](std::vector<worker::Event> events) { return state.step(now = now + 1us, std::move(events)); };
  step({worker::Tick{}});
  step({worker::LinkUp{}});
  step({worker::Message{WorkerWelcome{1, 1, {1}, 1000s, 10000s}}, worker::Message{DefineTemplate{0, task("t").shape}}});
  constexpr std::uint64_t count = 100'000;
  auto orders = [&](std::uint64_t from, bool shared) {
    std::vector<worker::Event> events;
    for (std::uint64_t i = 0; i < count; ++i) {
      Assign order{.attempt = {from + i}, .key = numbered(from + i), .rank_minor = static_cast<std::int64_t>(i)};
      order.inputs.push_back({.key = shared ? numbered(7'000'000) : numbered(8'000'000 + i), .bytes = 8});
      order.inputs[0].locations.push_back({{2}, "there", {}, {}});
      events.push_back(worker::Message{std::move(order)});
    }
    return events;
  };
  SUBCASE("run one after the other") {
    Timed timed{"10^5 readers of one value on a worker"};
    auto actions = step(orders(1, true));
    std::size_t runs = 0;
    std::vector<worker::Event> events{worker::FetchDone{{1}, 8}};
    while (!events.empty()) {
      actions = step(std::exchange(events, {}));
      for (const worker::Action& action : actions)
        if (const auto* run = std::get_if<worker::StartRun>(&action)) {
          ++runs;
          events.push_back(worker::RunEnded{.attempt = run->attempt, .key = run->key, .bytes = 8, .run_time = 1ms});
        }
    }
    CHECK(runs == count);
    state.check();
  }
  SUBCASE("each its own input, all queued for fetching, all taken back") {
    Timed timed{"10^5 queued fetches taken back"};
    step(orders(1, false));
    std::vector<worker::Event> events;
    for (std::uint64_t i = count; i > 0; --i) events.push_back(worker::Message{Revoke{{i}, true}});
    step(std::move(events));
    CHECK(state.empty());
  }
}
