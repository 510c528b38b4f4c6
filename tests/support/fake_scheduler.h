// A client's counterpart in one process and one thread: an Endpoint whose peer answers inside `send`, running tasks as they
// arrive. Tests hold results back, break links and look at what was said.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "client/client_core.h"
#include "client/images.h"
#include "common/codec.h"

namespace weft::test {

/// What the fake knows; shared by the test's thread and the client's.
struct FakeScheduler {
  std::recursive_mutex mutex;
  std::condition_variable_any news;
  std::vector<EndpointEvent> inbox;  // for the client
  bool woken = false, refuse = false, hold = false, away = false;
  PeerId peer;
  std::uint64_t last_peer = 0, executed = 0, tasks_run = 0, submits = 0;
  std::map<Key, Value> values;
  std::map<Key, Failure> failures;
  std::vector<Key> held;             // answers that wait for `let_go`
  std::set<Key> released;
  std::size_t largest_release = 0;   // keys in one message
  std::vector<GraphChunk> waiting;
  std::vector<ClientMessage> heard;

  void say(std::vector<ClientBound> messages) {
    inbox.push_back(Received{peer, Buffer::own(encode(messages)), {}});
    news.notify_all();
  }
  void tell(const Key& key) {
    if (hold) return held.push_back(key);
    if (auto it = failures.find(key); it != failures.end()) return say({TaskFailed{{key}, {it->second}}});
    const Value& value = values.at(key);
    if (away) return say({TaskStored{key, value.size(), {}, {Location{WorkerId{1}}}}});
    auto bytes = value.block().bytes();
    say({TaskStored{key, value.size(), Bytes(bytes.begin(), bytes.end()), {}}});
  }
  void let_go() {
    std::lock_guard guard(mutex);
    hold = false;
    for (const Key& key : std::exchange(held, {})) tell(key);
  }
  void break_link() {
    std::lock_guard guard(mutex);
    inbox.push_back(PeerLost{peer, "broken by the test"});
    peer = {};
    news.notify_all();
  }
  /// Wait until the client's side made this true.
  void until(const std::function<bool()>& fact) {
    std::unique_lock guard(mutex);
    news.wait(guard, fact);
  }

  void run(const GraphChunk& chunk) {
    struct Sink : detail::ResultSink {
      Bytes bytes;
      std::span<std::byte> place(std::uint64_t size) override { return bytes.resize(size), std::span(bytes); }
    };
    for (std::size_t row = 0; row < chunk.size(); ++row) {
      Key key = chunk.key(row);
      if (values.contains(key) || failures.contains(key)) continue;
      const Template& shape = chunk.templates[chunk.template_of[row]];
      std::vector<Value> inputs;
      auto [begin, end] = chunk.inputs_of(row);
      for (auto i = begin; i < end; ++i) {
        if (auto lost = failures.find(chunk.input_key(chunk.inputs[i])); lost != failures.end()) {
          failures[key] = lost->second;
          break;
        }
        const Value& value = values.at(chunk.input_key(chunk.inputs[i]));
        std::uint32_t part = chunk.input_parts.empty() ? whole_value : chunk.input_parts[i];
        inputs.push_back(part == whole_value ? value : *Value::from(value.part(part)));
      }
      if (failures.contains(key)) continue;
      detail::Call call{shape.shared_arguments, chunk.arguments_of(row), inputs};
      Sink sink;
      call.result = &sink;
      auto thunk = resolve_function(shape.function, &call.target).value_or_throw();
      ++tasks_run;
      try {
        thunk(call);
        values[key] = *Value::from(Buffer::own(std::move(sink.bytes)));
      } catch (const std::exception& error) {
        failures[key] = Failure{.kind = ErrorKind::task_error, .message = error.what(), .traceback = "somewhere"};
      }
    }
  }

  void on(ClientHello&) { say({ClientWelcome{1, 1, executed, std::chrono::seconds(1), std::chrono::seconds(15)}}); }
  void on(Submit& m) {
    ++submits;
    CHECK(static_cast<bool>(check_chunk(m.chunk)));
    done(m.sequence);
    waiting.push_back(m.chunk);
    run_ready();
  }
  // Chunks wait until what they need from outside is here.
  void run_ready() {
    for (GraphChunk& chunk : std::exchange(waiting, {})) {
      bool ready = std::ranges::all_of(chunk.externals, [&](const Key& key) { return values.contains(key) || failures.contains(key); });
      if (!ready) {
        waiting.push_back(std::move(chunk));
        continue;
      }
      run(chunk);
      for (std::uint32_t row : chunk.wanted) tell(chunk.key(row));
    }
  }
  void on(Want& m) {
    done(m.sequence);
    for (const Key& key : m.keys) tell(key);
  }
  void on(Release& m) {
    done(m.sequence);
    released.insert(m.keys.begin(), m.keys.end());
    for (const Key& key : m.keys)
      if (key.is_named()) values.erase(key);
    largest_release = std::max(largest_release, m.keys.size());
  }
  void on(Cancel& m) {
    done(m.sequence);
    for (const Key& key : m.keys) say({TaskFailed{{key}, {failure(ErrorKind::cancelled, m.reason)}}});
  }
  void on(Retry& m) {
    done(m.sequence);
    for (const Key& key : m.keys) {
      failures.erase(key);
      values[key] = to_value(42);
      tell(key);
    }
  }
  void on(Scatter& m) {
    done(m.sequence);
    for (const Held& held : m.values) say({ScatterTo{held.key, Location{WorkerId{1}}}});
  }
  void on(Publish& m) { done(m.sequence); }
  void on(weft::FireAndForget& m) { done(m.sequence); }
  void on(Locate& m) {
    for (const Key& key : m.keys)
      if (values.contains(key) || failures.contains(key)) tell(key);
  }
  void on(Ask& m) { say({Answer{m.request, {}, m.verb == "get_dataset" ? "{\"keys\":[\"" + m.words.at(0) + "\"]}" : "[]"}}); }
  void on(ClientHeartbeat&) {}
  void on(AnnounceProgram&) {}
  void on(ClientGoodbye&) { say({Goodbye{}}); }
  void done(std::uint64_t sequence) {
    executed = sequence;
    say({Executed{sequence}});
  }
};

class FakeEndpoint : public Endpoint {
 public:
  explicit FakeEndpoint(std::shared_ptr<FakeScheduler> fake) : fake_(std::move(fake)) {}
  Result<std::string> listen(const std::string&, const std::string&) override { return failure(ErrorKind::io_error, "not here"); }
  Result<PeerId> connect(const std::string&, const std::string&) override {
    std::lock_guard guard(fake_->mutex);
    if (fake_->refuse) return failure(ErrorKind::connection_failed, "refused by the test");
    return fake_->peer = PeerId{++fake_->last_peer};
  }
  bool send(PeerId peer, Bytes head, Buffer) override {
    std::lock_guard guard(fake_->mutex);
    if (peer != fake_->peer) return false;
    auto messages = decode<std::vector<ClientMessage>>(head).value_or_throw();
    for (ClientMessage& message : messages) {
      std::visit([&](auto& m) { fake_->on(m); }, message);
      fake_->heard.push_back(std::move(message));
    }
    fake_->news.notify_all();
    return true;
  }
  void close(PeerId) override {}
  PeerIdentity identity(PeerId) const override { return {}; }
  std::vector<int> poll(std::vector<EndpointEvent>& events, Time deadline) override {
    std::unique_lock guard(fake_->mutex);
    auto something = [&] { return fake_->woken || !fake_->inbox.empty(); };
    Duration time = std::min<Duration>(deadline - monotonic_now(), std::chrono::hours(1));
    if (time.count() > 0) fake_->news.wait_for(guard, time, something);
    fake_->woken = false;
    for (auto& event : std::exchange(fake_->inbox, {})) events.push_back(std::move(event));
    return {};
  }
  void watch(int) override {}
  void unwatch(int) override {}
  void wake() override {
    std::lock_guard guard(fake_->mutex);
    fake_->woken = true;
    fake_->news.notify_all();
  }

 private:
  std::shared_ptr<FakeScheduler> fake_;
};

class FakeValues : public client::ValueLink {
 public:
  explicit FakeValues(std::shared_ptr<FakeScheduler> fake) : fake_(std::move(fake)) {}
  void fetch(const Key& key, std::uint64_t, std::vector<Location>, Time) override {
    std::lock_guard guard(fake_->mutex);
    done_.push_back(client::FetchDone{key, fake_->values.at(key)});
    fake_->woken = true;
  }
  void put(const Key& key, const Value& value, const Location&, Time) override {
    std::lock_guard guard(fake_->mutex);
    fake_->values[key] = value;
    fake_->tell(key);
    fake_->run_ready();
  }
  bool handle(EndpointEvent&, Time) override { return false; }
  std::vector<client::Event> take(Time) override { return std::exchange(done_, {}); }
  Time wake_at() const override { return Time::never(); }

 private:
  std::shared_ptr<FakeScheduler> fake_;
  std::vector<client::Event> done_;
};

inline client::Links links_to(const std::shared_ptr<FakeScheduler>& fake) {
  client::Links links;
  links.endpoint = std::make_unique<FakeEndpoint>(fake);
  links.values = std::make_unique<FakeValues>(fake);
  links.address = "fake://";
  links.runs_here = true;
  return links;
}

}  // namespace weft::test
