// The worker's state under arbitrary sequences of the scheduler's messages and of what executors, fetches and memory report.
#include "fuzz.h"
#include "worker/state.h"

namespace {

using namespace weft;
using namespace weft::fuzz;
using namespace weft::worker;

class Story {
 public:
  explicit Story(Input input) : source_(input), state_({.identity = {.name = "w", .slots = 2, .secret = Bytes(16)}}) {}

  void tell() {
    step({Tick{}});
    step({LinkUp{}});
    step({Message{WorkerWelcome{1, 1, {1}, 1s, 15s}}, Message{DefineTemplate{0, {}}}, Message{DefineTemplate{1, {}}}});
    for (int i = 0; i < 300 && !source_.empty(); ++i) {
      std::vector<Event> batch;
      for (std::size_t n = 1 + source_.below(3); n > 0; --n) batch.push_back(event());
      if (source_.one_in(16)) now_ = now_ + Duration(source_.byte()) * 100'000'000;
      step(std::move(batch));
    }
  }

 private:
  void step(std::vector<Event> batch) {
    now_ = now_ + 1ms;
    for (const Action& action : state_.step(now_, std::move(batch))) {
      if (auto* send = std::get_if<Send>(&action)) promise(bool(decode<std::vector<WorkerMessage>>(encode(send->messages))), "the scheduler can read it");
      else if (auto* fetch = std::get_if<StartFetch>(&action)) fetches_.push_back(fetch->fetch);
      else if (auto* run = std::get_if<StartRun>(&action)) runs_.push_back({run->attempt, run->key});
    }
    state_.check();
    state_.wake_at();
  }
  Event event() {
    std::uint8_t kind = source_.byte();
    if (kind < 130) return Message{message()};
    if (kind < 134) return LinkLost{};
    if (kind < 142) return LinkUp{};
    if (kind < 150) return RunStarted{run().first};
    if (kind < 155) return RunBlocked{run().first, (kind & 1) == 1};
    if (kind < 160) return RunProgress{run().first, source_.make<double>()};
    if (kind < 190) return ended();
    if (kind < 196) return RunImpossible{run().first, source_.make<std::vector<Key>>()};
    if (kind < 212) return FetchDone{fetch(), source_.number()};
    if (kind < 222) return FetchFailed{fetch()};
    if (kind < 228) return PutArrived{some_key(), source_.number()};
    if (kind < 232) return ValueDamaged{source_.key()};
    if (kind < 238) return Pressure{source_.number(), source_.number(), source_.number(), (kind & 1) == 1};
    if (kind < 242) return TaskSays{source_.make<FromTask>()};
    if (kind < 245) return Logged{source_.make<LogLine>()};
    if (kind < 249) return NeedValue{some_key()};
    if (kind < 250) return Terminate{};
    return Tick{};
  }
  WorkerBound message() {
    auto message = source_.make<WorkerBound>();
    // The end of a worker comes rarely, or nothing would happen after it.
    if ((std::holds_alternative<WorkerRefused>(message) || std::holds_alternative<Leave>(message)) && !source_.one_in(8)) message = Drop{{source_.key()}};
    if (auto* welcome = std::get_if<WorkerWelcome>(&message)) welcome->epoch %= 4;
    if (auto* order = std::get_if<Assign>(&message)) order->number %= 3;
    return message;
  }
  /// What the server itself speaks of has a key.
  Key some_key() {
    Key key = source_.key();
    return key ? key : Key{2, 2};
  }
  std::pair<AttemptId, Key> run() { return runs_.empty() || source_.one_in(8) ? std::pair{source_.make<AttemptId>(), source_.key()} : runs_[source_.below(runs_.size())]; }
  FetchId fetch() { return fetches_.empty() || source_.one_in(8) ? source_.make<FetchId>() : fetches_[source_.below(fetches_.size())]; }
  RunEnded ended() {
    auto [attempt, key] = run();
    return {.attempt = attempt, .key = key, .failure = {.kind = source_.one_in(4) ? ErrorKind::task_error : ErrorKind::none}, .bytes = source_.number(),
            .small = source_.make<Bytes>(), .run_time = source_.make<Duration>()};
  }

  Source source_;
  State state_;
  Time now_{1'000'000'000};
  std::vector<FetchId> fetches_;
  std::vector<std::pair<AttemptId, Key>> runs_;
};

void run(Input input) { Story(input).tell(); }

Seeds seeds() { return stories(4); }

}  // namespace

WEFT_FUZZ_TARGET("worker", run, seeds, 30);
