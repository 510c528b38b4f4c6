// Stories for client::SessionState: the test plays the scheduler.
#pragma once

#include <doctest/doctest.h>
#include <algorithm>
#include "client/graph_builder.h"
#include "client/session_state.h"
#include "common/codec.h"

namespace weft::test {

using namespace weft::client;

inline Key key(std::uint64_t n) { return {8, n * 0x9e3779b97f4a7c15}; }  // of a content: names are odd

inline GraphChunk chunk_of(std::vector<Key> keys, std::vector<Key> inputs = {}) {
  GraphBuilder builder;
  auto shape = builder.add_template({.label = "t"});
  std::vector<TaskInput> in;
  for (const Key& k : inputs) in.push_back({k});
  for (const Key& k : keys) builder.add(shape, k, {}, in, true);
  return std::move(builder.take()[0]);
}
inline Value value_of(std::string text) {
  std::span<const std::byte> part = std::as_bytes(std::span(text.data(), text.size()));
  return Value::make(1, {&part, 1});
}
inline Bytes block_of(const Value& value) { return {value.block().bytes().begin(), value.block().bytes().end()}; }

// A session and a scheduler played by the test; messages pass through the codec.
struct Story {
  Time now{1'000'000'000};
  SessionState state{SessionOptions{.session = {1, 2}, .name = "test"}, now};
  std::vector<Action> actions;
  std::vector<ClientMessage> sent;
  std::uint64_t epoch = 5;

  void step(std::vector<Event> events) {
    actions = state.step(now, std::move(events));
    sent.clear();
    for (const Action& action : actions) {
      if (auto* send = std::get_if<Send>(&action)) {
        auto copy = decode<ClientMessage>(encode(*send->message));
        REQUIRE(static_cast<bool>(copy));
        sent.push_back(*copy);
      }
    }
  }
  template <class E>
  void on(E event) {
    std::vector<Event> events;
    events.emplace_back(std::move(event));
    step(std::move(events));
  }
  template <class... M>
  void hear(M... messages) {
    std::vector<Event> events;
    (events.emplace_back(FromScheduler{ClientBound{std::move(messages)}}), ...);
    step(std::move(events));
  }
  void pass(Duration time) {
    now = now + time;
    on(Tick{});
  }
  ClientWelcome welcome(std::uint64_t executed) { return {1, epoch, executed, std::chrono::seconds(1), std::chrono::seconds(15)}; }
  void connect(std::uint64_t executed = 0) {
    on(Tick{});
    on(LinkUp{});
    hear(welcome(executed));
  }
  void reconnect(std::uint64_t executed) {
    on(LinkLost{"cut"});
    pass(std::chrono::milliseconds(500));
    REQUIRE(all<Reconnect>().size() == 1);
    on(LinkUp{});
    hear(welcome(executed));
  }
  void submit(std::uint64_t n) { on(SubmitGraph{chunk_of({key(n)})}); }
  void stored_small(std::uint64_t n, std::string text = "v") {
    Value value = value_of(text);
    hear(TaskStored{key(n), value.size(), block_of(value), {}});
  }
  void stored_away(std::uint64_t n, std::uint32_t worker = 1) { hear(TaskStored{key(n), 1 << 20, {}, {Location{WorkerId{worker}}}}); }
  template <class A>
  std::vector<A> all() const {
    std::vector<A> out;
    for (const Action& action : actions)
      if (auto* a = std::get_if<A>(&action)) out.push_back(*a);
    return out;
  }
  template <class M>
  std::vector<M> messages() const {
    std::vector<M> out;
    for (const ClientMessage& message : sent)
      if (auto* m = std::get_if<M>(&message)) out.push_back(*m);
    return out;
  }
  ErrorKind failed(std::uint64_t n) const {
    for (const Complete& done : all<Complete>())
      if (done.key == key(n) && done.outcome->failure) return done.outcome->failure->kind;
    return ErrorKind::none;
  }
  bool has_value(std::uint64_t n) const {
    for (const Complete& done : all<Complete>())
      if (done.key == key(n) && done.outcome->value.part_count() > 0) return true;
    return false;
  }
};

}  // namespace weft::test
