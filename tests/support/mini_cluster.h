// A deterministic cluster for measuring mechanisms: scheduler::State and real worker::States in virtual time. Tasks have given
// durations and sizes, every holder sends at a given bandwidth, messages take a given time. Nothing ever fails.
#pragma once

#include <functional>
#include <map>
#include <queue>
#include <set>

#include "support/scheduler_harness.h"
#include "worker/outbox.h"
#include "worker/state.h"

namespace weft::test {

class MiniCluster {
 public:
  struct Work {
    Duration time = 1ms;
    std::uint64_t bytes = 8;
  };
  /// What came of a run.
  struct Numbers {
    Duration makespan{};
    std::uint64_t bytes_moved = 0, peak_bytes = 0, messages = 0, frames = 0;
    std::map<Key, std::map<WorkerId, int>> sent;  // copies of each value that left each holder
    std::map<WorkerId, int> runs;
  };

  MiniCluster(scheduler::Options options, int workers, std::uint32_t slots = 1) : scheduler_(options) {
    to_scheduler({scheduler::FromClient{{1}, ClientHello{1, 1, {1, 1}, "mini", 1, 0}}});
    for (int i = 0; i < workers; ++i) add_worker(slots);
    run();
    numbers = {};
  }
  void add_worker(std::uint32_t slots) {
    worker::StateOptions options;
    std::string name = "w" + std::to_string(workers_.size());
    options.identity.name = options.identity.host = options.identity.endpoint = name;
    options.identity.instance = workers_.size() + 1;
    options.identity.slots = slots;
    options.identity.memory_limit = 64ull << 30;
    options.identity.secret = Bytes(16);
    workers_.push_back({std::make_unique<worker::State>(options), {100 + workers_.size()}, slots, {}, {}, {}, 0, {}});
    std::size_t n = workers_.size() - 1;
    to_worker(n, {worker::Tick{}});
    to_worker(n, {worker::LinkUp{}});
  }
  void submit(const std::vector<TaskSpec>& specs) { command(Submit{++sequence_, SchedulerHarness::chunk(specs), true}); }
  void command(ClientMessage message) { to_scheduler({scheduler::FromClient{{1}, std::move(message)}}); }
  /// Until nothing happens any more; the workers' own heartbeats do not count.
  void run() {
    Time began = now_;
    while (!agenda_.empty()) {
      auto next = std::move(const_cast<Pending&>(agenda_.top()));
      agenda_.pop();
      now_ = next.when;
      next.act();
    }
    numbers.makespan += now_ - began;
    now_ = now_ + latency;
  }

  std::function<Work(const Key&)> work = [](const Key&) { return Work{}; };
  Duration latency = 100us;
  double bandwidth = 1e9;
  Numbers numbers;
  const scheduler::State& state() const { return scheduler_; }

 private:
  struct Node {
    std::unique_ptr<worker::State> state;
    PeerId peer;
    std::uint32_t slots;
    std::vector<worker::StartRun> queue;
    Time sends_until;
    std::map<Key, std::uint64_t> store;
    std::uint32_t running;
    worker::Outbox outbox;
    int imminent = 0;  // events of its executors that are due now
    bool flushing = false;
  };
  struct Pending {
    Time when;
    std::uint64_t order;
    std::function<void()> act;
    bool operator<(const Pending& other) const { return std::tie(when, order) > std::tie(other.when, other.order); }
  };

  void at(Time when, std::function<void()> act) { agenda_.push({when, ++order_, std::move(act)}); }
  void to_scheduler(std::vector<scheduler::Event> events) {
    for (scheduler::Action& action : scheduler_.step(now_, std::move(events)))
      if (auto* frame = std::get_if<scheduler::ToWorker>(&action))
        for (std::size_t n = 0; n < workers_.size(); ++n)
          if (workers_[n].peer == frame->peer) {
            std::vector<worker::Event> received;
            for (WorkerBound& message : frame->messages)
              if (!std::holds_alternative<SchedulerTick>(message)) received.push_back(worker::Message{std::move(message)});
            if (received.empty()) continue;
            ++numbers.frames;
            numbers.messages += received.size();
            at(now_ + latency, [this, n, received = std::move(received)]() mutable { to_worker(n, std::move(received)); });
          }
  }
  void to_worker(std::size_t n, std::vector<worker::Event> events) {
    Node& node = workers_[n];
    for (worker::Action& action : node.state->step(now_, std::move(events))) {
      if (auto* send = std::get_if<worker::Send>(&action)) {
        std::erase_if(send->messages, [](const WorkerMessage& message) { return std::holds_alternative<WorkerHeartbeat>(message); });
        node.outbox.add(std::move(send->messages));
      } else if (auto* start = std::get_if<worker::StartRun>(&action)) {
        node.queue.push_back(std::move(*start));
      } else if (auto* fetch = std::get_if<worker::StartFetch>(&action)) {
        serve(n, *fetch);
      } else if (auto* drop = std::get_if<worker::DropValue>(&action)) {
        node.store.erase(drop->key);
      } else if (auto* small = std::get_if<worker::StoreSmall>(&action)) {
        node.store[small->key] = small->value.size();
      }
    }
    start_runs(n);
    if (!node.outbox.empty() && !std::exchange(node.flushing, true)) at(now_, [this, n] { flush(n); });
  }
  /// As the worker's loop does: what has happened is drained before a frame goes.
  void flush(std::size_t n) {
    Node& node = workers_[n];
    if (node.imminent > 0 && !node.outbox.full()) return at(now_, [this, n] { flush(n); });
    node.flushing = false;
    std::vector<scheduler::Event> received;
    for (WorkerMessage& message : node.outbox.take()) received.push_back(scheduler::FromWorker{node.peer, std::move(message)});
    ++numbers.frames;
    numbers.messages += received.size();
    at(now_ + latency, [this, received = std::move(received)]() mutable { to_scheduler(std::move(received)); });
  }
  void start_runs(std::size_t n) {
    Node& node = workers_[n];
    while (node.running < node.slots && !node.queue.empty()) {
      worker::StartRun run = std::move(node.queue.front());
      node.queue.erase(node.queue.begin());
      ++node.running;
      Work w = work(run.key);
      node.imminent += w.time == Duration{} ? 2 : 1;
      at(now_, [this, n, id = run.attempt] {
        --workers_[n].imminent;
        to_worker(n, {worker::RunStarted{id}});
      });
      at(now_ + w.time, [this, n, w, id = run.attempt, key = run.key] {
        if (w.time == Duration{}) --workers_[n].imminent;
        --workers_[n].running;
        keep(n, key, w.bytes);
        ++numbers.runs[{static_cast<std::uint32_t>(n + 1)}];
        to_worker(n, {worker::RunEnded{.attempt = id, .key = key, .bytes = w.bytes, .run_time = w.time}});
      });
    }
  }
  /// One value after the other leaves a holder, each at its full bandwidth.
  void serve(std::size_t n, const worker::StartFetch& fetch) {
    Node& source = workers_[fetch.from.worker.number - 1];
    std::uint64_t bytes = source.store.contains(fetch.key) ? source.store.at(fetch.key) : 0;
    numbers.bytes_moved += bytes;
    ++numbers.sent[fetch.key][fetch.from.worker];
    source.sends_until = std::max(source.sends_until, now_ + latency) + Duration(static_cast<std::int64_t>(bytes * 1e9 / bandwidth));
    at(source.sends_until, [this, n, bytes, fetch] {
      keep(n, fetch.store_as, bytes);
      to_worker(n, {worker::FetchDone{fetch.fetch, bytes}});
    });
  }
  void keep(std::size_t n, const Key& key, std::uint64_t bytes) {
    workers_[n].store[key] = bytes;
    std::uint64_t live = 0;
    for (const Node& node : workers_)
      for (const auto& [k, size] : node.store) live += size;
    numbers.peak_bytes = std::max(numbers.peak_bytes, live);
  }

  scheduler::State scheduler_;
  std::vector<Node> workers_;
  std::priority_queue<Pending> agenda_;
  Time now_{1'000'000'000};
  std::uint64_t order_ = 0, sequence_ = 0;
};

}  // namespace weft::test
