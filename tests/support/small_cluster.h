// A scheduler and a few workers on threads of this process, with as many slots and whichever kind of executors a test wants.
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>

#include <weft/weft.h>

#include "client/init.h"
#include "client/links.h"
#include "common/codec.h"
#include "common/messages.h"
#include "common/transport/in_process.h"
#include "scheduler/server.h"
#include "worker/server.h"

namespace weft::test {

/// Frames and messages between a worker and its scheduler, without heartbeats and ticks.
struct Traffic {
  std::atomic<std::uint64_t> frames{0}, messages{0};
  template <class Beat, class Message>
  void count(const std::vector<Message>& frame) {
    auto beats = std::count_if(frame.begin(), frame.end(), [](const Message& message) { return std::holds_alternative<Beat>(message); });
    std::uint64_t others = frame.size() - static_cast<std::size_t>(beats);
    frames += others > 0;
    messages += others;
  }
};

/// Counts the payload bytes that are sent through another endpoint, and the words of a worker.
class CountingEndpoint final : public Endpoint {
 public:
  CountingEndpoint(std::unique_ptr<Endpoint> inner, std::shared_ptr<std::atomic<std::uint64_t>> bytes, std::shared_ptr<Traffic> traffic = {})
      : inner_(std::move(inner)), bytes_(std::move(bytes)), traffic_(std::move(traffic)) {}
  Result<std::string> listen(const std::string& address, const std::string& role) override { return inner_->listen(address, role); }
  Result<PeerId> connect(const std::string& address, const std::string& key) override { return inner_->connect(address, key); }
  bool send(PeerId peer, Bytes head, Buffer payload) override {
    *bytes_ += payload.size();
    if (traffic_ && payload.empty())
      if (auto frame = decode<std::vector<WorkerMessage>>(head)) traffic_->count<WorkerHeartbeat>(*frame);
    return inner_->send(peer, std::move(head), std::move(payload));
  }
  void close(PeerId peer) override { inner_->close(peer); }
  PeerIdentity identity(PeerId peer) const override { return inner_->identity(peer); }
  std::vector<int> poll(std::vector<EndpointEvent>& events, Time deadline) override {
    std::size_t before = events.size();
    std::vector<int> ready = inner_->poll(events, deadline);
    for (std::size_t i = before; traffic_ && i < events.size(); ++i)
      if (const auto* received = std::get_if<Received>(&events[i]); received && received->payload.empty())
        if (auto frame = decode<std::vector<WorkerBound>>(received->head.bytes())) traffic_->count<SchedulerTick>(*frame);
    return ready;
  }
  void watch(int descriptor) override { inner_->watch(descriptor); }
  void unwatch(int descriptor) override { inner_->unwatch(descriptor); }
  void wake() override { inner_->wake(); }

 private:
  std::unique_ptr<Endpoint> inner_;
  std::shared_ptr<std::atomic<std::uint64_t>> bytes_;
  std::shared_ptr<Traffic> traffic_;
};

class SmallCluster {
 public:
  /// `memory_folder`: where workers lend values to readers on this host; empty: nothing is lent. `payload_bytes` counts what goes
  /// through the sockets that values are served and read by.
  SmallCluster(worker::Isolation isolation, std::uint32_t slots, int workers = 1, std::string memory_folder = {},
               scheduler::Options options = {})
      : memory_folder_(std::move(memory_folder)) {
    auto end = make_in_process_endpoint();
    client_address_ = end->listen("inproc://", scheduler::Server::client_role).value_or_throw();
    worker_address_ = end->listen("inproc://", scheduler::Server::worker_role).value_or_throw();
    scheduler_ = std::make_unique<scheduler::Server>(options, std::move(end));
    for (int i = 0; i < workers; ++i) add_worker(isolation, slots, "w" + std::to_string(i));
    threads_.emplace_back([this] { scheduler_->run(); });
    for (auto& worker : workers_) threads_.emplace_back([&worker] { worker->run(); });
  }
  ~SmallCluster() {
    for (auto& worker : workers_) worker->stop();
    scheduler_->stop();
    for (std::thread& thread : threads_) thread.join();
  }

  std::shared_ptr<std::atomic<std::uint64_t>> payload_bytes = std::make_shared<std::atomic<std::uint64_t>>(0);

  std::shared_ptr<Traffic> traffic = std::make_shared<Traffic>();

  client::Links client_links() {
    client::Links links;
    links.address = client_address_;
    links.endpoint = std::make_unique<CountingEndpoint>(make_in_process_endpoint(), payload_bytes);
    links.values = client::make_value_link(*links.endpoint);
    return links;
  }

 private:
  void add_worker(worker::Isolation isolation, std::uint32_t slots, const std::string& name) {
    std::unique_ptr<Endpoint> end = std::make_unique<CountingEndpoint>(make_in_process_endpoint(), payload_bytes, traffic);
    worker::ServerOptions options;
    options.endpoint = end->listen("inproc://").value_or_throw();
    options.name = name;
    options.slots = slots;
    options.scheduler = worker_address_;
    options.isolation = isolation;
    options.runtime = client::user_code();
    options.memory_folder = memory_folder_;
    workers_.push_back(std::make_unique<worker::Server>(std::move(options), std::move(end)));
  }

  std::string memory_folder_;
  std::string client_address_, worker_address_;
  std::unique_ptr<scheduler::Server> scheduler_;
  std::vector<std::unique_ptr<worker::Server>> workers_;
  std::vector<std::thread> threads_;
};

}  // namespace weft::test
