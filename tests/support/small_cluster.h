// A scheduler and a few workers on threads of this process, with as many slots and whichever kind of executors a test wants.
#pragma once

#include <thread>

#include <weft/weft.h>

#include "client/init.h"
#include "client/links.h"
#include "common/transport/in_process.h"
#include "scheduler/server.h"
#include "worker/server.h"

namespace weft::test {

class SmallCluster {
 public:
  SmallCluster(worker::Isolation isolation, std::uint32_t slots, int workers = 1) {
    auto end = make_in_process_endpoint();
    client_address_ = end->listen("inproc://", scheduler::Server::client_role).value_or_throw();
    worker_address_ = end->listen("inproc://", scheduler::Server::worker_role).value_or_throw();
    scheduler_ = std::make_unique<scheduler::Server>(scheduler::Options{}, std::move(end));
    for (int i = 0; i < workers; ++i) add_worker(isolation, slots, "w" + std::to_string(i));
    threads_.emplace_back([this] { scheduler_->run(); });
    for (auto& worker : workers_) threads_.emplace_back([&worker] { worker->run(); });
  }
  ~SmallCluster() {
    for (auto& worker : workers_) worker->stop();
    scheduler_->stop();
    for (std::thread& thread : threads_) thread.join();
  }

  client::Links client_links() {
    client::Links links;
    links.address = client_address_;
    links.endpoint = make_in_process_endpoint();
    links.values = client::make_value_link(*links.endpoint);
    return links;
  }

 private:
  void add_worker(worker::Isolation isolation, std::uint32_t slots, const std::string& name) {
    auto end = make_in_process_endpoint();
    worker::ServerOptions options;
    options.endpoint = end->listen("inproc://").value_or_throw();
    options.name = name;
    options.slots = slots;
    options.scheduler = worker_address_;
    options.isolation = isolation;
    options.runtime = client::user_code();
    workers_.push_back(std::make_unique<worker::Server>(std::move(options), std::move(end)));
  }

  std::string client_address_, worker_address_;
  std::unique_ptr<scheduler::Server> scheduler_;
  std::vector<std::unique_ptr<worker::Server>> workers_;
  std::vector<std::thread> threads_;
};

}  // namespace weft::test
