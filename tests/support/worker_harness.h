// Stories for worker::State: the test plays the scheduler, the executors and the other workers. After every step the state is
// recounted (`State::check`).
#pragma once

#include <doctest/doctest.h>

#include "support/scheduler_harness.h"
#include "worker/state.h"

namespace weft::test {

class WorkerHarness {
 public:
  explicit WorkerHarness(std::uint32_t slots = 1, worker::StateOptions options = {}) : state([&] {
    options.identity.slots = slots;
    return options;
  }()) {
    on(worker::Tick{});
    on(worker::LinkUp{});
    welcome();
  }
  void welcome(std::uint64_t epoch = 1) {
    hear(WorkerWelcome{1, epoch, {1}, 1s, 15s}, DefineTemplate{0, task("t").shape}, DefineTemplate{1, task("t").cores(2).shape});
  }

  worker::State state;
  Time now{1'000'000'000};
  std::vector<worker::Action> actions;  // of the last step

  template <class... M>
  void hear(M... messages) {
    std::vector<worker::Event> events;
    (events.push_back(worker::Message{WorkerBound{std::move(messages)}}), ...);
    step(std::move(events));
  }
  template <class... E>
  void on(E... events) {
    std::vector<worker::Event> batch;
    (batch.push_back(std::move(events)), ...);
    step(std::move(batch));
  }
  void step(std::vector<worker::Event> events) {
    actions = state.step(now = now + 1us, std::move(events));
    state.check();
  }
  Assign order(std::uint64_t attempt, Key key, std::vector<Key> inputs = {}, std::int64_t rank = 0, std::uint32_t shape = 0) {
    Assign order{.attempt = {attempt}, .key = key, .number = shape, .rank = rank};
    for (const Key& input : inputs) order.inputs.push_back({.key = input, .bytes = 10, .locations = {at(2)}});
    return order;
  }
  static Location at(std::uint32_t worker) { return {{worker}, "w" + std::to_string(worker), {}, {}}; }
  worker::RunEnded ended(std::uint64_t attempt, Key key, ErrorKind kind = ErrorKind::none) {
    return {.attempt = {attempt}, .key = key, .failure = {.kind = kind}, .bytes = 10, .run_time = 1ms};
  }

  /// Actions of one kind in the last step.
  template <class A>
  std::vector<A> done() const {
    std::vector<A> found;
    for (const worker::Action& action : actions)
      if (const auto* wanted = std::get_if<A>(&action)) found.push_back(*wanted);
    return found;
  }
  /// Messages of one kind in the last step.
  template <class M>
  std::vector<M> said() const {
    std::vector<M> found;
    for (const worker::Send& send : done<worker::Send>())
      for (const WorkerMessage& message : send.messages)
        if (const auto* wanted = std::get_if<M>(&message)) found.push_back(*wanted);
    return found;
  }
};

}  // namespace weft::test
