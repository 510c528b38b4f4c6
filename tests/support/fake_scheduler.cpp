#include "tests/support/fake_scheduler.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "client/images.h"
#include "common/codec.h"

namespace weft::test {
namespace {

/// What it does with each message.
struct Hearing {
  FakeScheduler& fake;

  void operator()(ClientHello&) { fake.say({ClientWelcome{1, 1, fake.executed, std::chrono::seconds(1), std::chrono::seconds(15)}}); }
  void operator()(Submit& m) {
    ++fake.submits;
    CHECK(static_cast<bool>(check_chunk(m.chunk)));
    done(m.sequence);
    fake.waiting.push_back(m.chunk);
    fake.run_ready();
  }
  void operator()(Want& m) {
    done(m.sequence);
    for (const Key& key : m.keys) fake.tell(key);
  }
  void operator()(Release& m) {
    done(m.sequence);
    fake.released.insert(m.keys.begin(), m.keys.end());
    for (const Key& key : m.keys)
      if (key.is_named()) fake.values.erase(key);
    fake.largest_release = std::max(fake.largest_release, m.keys.size());
  }
  void operator()(Cancel& m) {
    done(m.sequence);
    for (const Key& key : m.keys) fake.say({TaskFailed{{key}, {failure(ErrorKind::cancelled, m.reason)}}});
  }
  void operator()(Retry& m) {
    done(m.sequence);
    for (const Key& key : m.keys) {
      fake.failures.erase(key);
      fake.values[key] = to_value(42);
      fake.tell(key);
    }
  }
  void operator()(Scatter& m) {
    done(m.sequence);
    for (const Held& held : m.values) fake.say({ScatterTo{held.key, Location{WorkerId{1}}}});
  }
  void operator()(Publish& m) { done(m.sequence); }
  void operator()(weft::FireAndForget& m) { done(m.sequence); }
  void operator()(Locate& m) {
    for (const Key& key : m.keys)
      if (fake.values.contains(key) || fake.failures.contains(key)) fake.tell(key);
  }
  void operator()(Ask& m) { fake.say({Answer{m.request, {}, m.verb == "get_dataset" ? "{\"keys\":[\"" + m.words.at(0) + "\"]}" : "[]"}}); }
  void operator()(ClientHeartbeat&) {}
  void operator()(AnnounceProgram&) {}
  void operator()(ClientGoodbye&) { fake.say({Goodbye{}}); }
  void done(std::uint64_t sequence) {
    fake.executed = sequence;
    fake.say({Executed{sequence}});
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
    for (ClientMessage& message : messages) fake_->hear(message);
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

}  // namespace

void FakeScheduler::hear(ClientMessage& message) { std::visit(Hearing{*this}, message); }

void FakeScheduler::say(std::vector<ClientBound> messages) {
  inbox.push_back(Received{peer, Buffer::own(encode(messages)), {}});
  news.notify_all();
}

void FakeScheduler::tell(const Key& key) {
  if (hold) return held.push_back(key);
  if (auto it = failures.find(key); it != failures.end()) return say({TaskFailed{{key}, {it->second}}});
  const Value& value = values.at(key);
  if (away) return say({TaskStored{key, value.size(), {}, {Location{WorkerId{1}}}}});
  auto bytes = value.block().bytes();
  say({TaskStored{key, value.size(), Bytes(bytes.begin(), bytes.end()), {}}});
}

void FakeScheduler::let_go() {
  std::lock_guard guard(mutex);
  hold = false;
  for (const Key& key : std::exchange(held, {})) tell(key);
}

void FakeScheduler::break_link() {
  std::lock_guard guard(mutex);
  inbox.push_back(PeerLost{peer, "broken by the test"});
  peer = {};
  news.notify_all();
}

void FakeScheduler::until(const std::function<bool()>& fact) {
  std::unique_lock guard(mutex);
  news.wait(guard, fact);
}

void FakeScheduler::run(const GraphChunk& chunk) {
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

// Chunks wait until what they need from outside is here.
void FakeScheduler::run_ready() {
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

client::Links links_to(const std::shared_ptr<FakeScheduler>& fake) {
  client::Links links;
  links.endpoint = std::make_unique<FakeEndpoint>(fake);
  links.values = std::make_unique<FakeValues>(fake);
  links.address = "fake://";
  links.runs_here = true;
  return links;
}

}  // namespace weft::test
