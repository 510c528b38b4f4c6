// The embedded cluster. Promises less than processes do: a crash of user code is this process's crash, a task that does not
// stop keeps its thread.
#include <cstdio>
#include <thread>

#include "client/init.h"
#include "client/links.h"
#include "common/transport/in_process.h"
#include "dashboard/dashboard.h"
#include "scheduler/server.h"
#include "worker/server.h"

namespace weft::client {

namespace {

class Embedded {
 public:
  static Result<std::shared_ptr<Embedded>> start(bool dashboard) {
    auto cluster = std::make_shared<Embedded>();
    auto scheduler_end = make_in_process_endpoint();
    auto client_address = scheduler_end->listen("inproc://", scheduler::Server::client_role);
    auto worker_address = scheduler_end->listen("inproc://", scheduler::Server::worker_role);
    auto worker_end = make_in_process_endpoint();
    auto value_address = worker_end->listen("inproc://");
    for (const auto* address : {&client_address, &worker_address, &value_address})
      if (!*address) return address->error();
    cluster->address_ = *client_address;
    cluster->scheduler_ = std::make_unique<scheduler::Server>(scheduler::Options{}, std::move(scheduler_end));
    if (dashboard)
      if (auto opened = cluster->open_dashboard(); !opened) return opened.error();
    worker::ServerOptions options;
    options.name = "embedded";
    options.slots = std::max(1u, std::thread::hardware_concurrency());
    options.scheduler = *worker_address;
    options.endpoint = *value_address;
    options.isolation = worker::Isolation::thread;
    options.runtime = user_code();
    options.runtime.on_start();
    cluster->worker_ = std::make_unique<worker::Server>(std::move(options), std::move(worker_end));
    cluster->scheduler_thread_ = std::thread([server = cluster->scheduler_.get()] { server->run(); });
    cluster->worker_thread_ = std::thread([server = cluster->worker_.get()] { server->run(); });
    return cluster;
  }

  ~Embedded() {
    if (worker_) worker_->stop();
    if (worker_thread_.joinable()) worker_thread_.join();
    if (scheduler_) scheduler_->stop();
    if (scheduler_thread_.joinable()) scheduler_thread_.join();
    dashboard_.reset();
  }

  const std::string& address() const { return address_; }

 private:
  Result<void> open_dashboard() {
    auto ask = [server = scheduler_.get()](const std::string& verb, std::vector<std::string> words, std::vector<Key> keys,
                                           dashboard::Answered answered) {
      return server->ask(Ask{.verb = verb, .words = std::move(words), .keys = std::move(keys)}, std::move(answered));
    };
    observer_ = std::make_unique<scheduler::Observer>();
    auto opened = dashboard::Dashboard::start({.epoch = 1}, *observer_, ask);
    if (!opened) return opened.error();
    dashboard_ = std::move(*opened);
    scheduler_->observe(*observer_);
    std::fprintf(stderr, "weft dashboard: %s\n", dashboard_->url().c_str());
    return {};
  }

  std::string address_;
  std::unique_ptr<scheduler::Observer> observer_;
  std::unique_ptr<scheduler::Server> scheduler_;
  std::unique_ptr<worker::Server> worker_;
  std::unique_ptr<dashboard::Dashboard> dashboard_;
  std::thread scheduler_thread_, worker_thread_;
};

}  // namespace

Result<Links> start_embedded(bool dashboard) {
  Result<std::shared_ptr<Embedded>> cluster = Embedded::start(dashboard);
  if (!cluster) return cluster.error();
  Links links;
  links.address = (*cluster)->address();
  links.endpoint = make_in_process_endpoint();
  links.values = make_value_link(*links.endpoint);
  links.runs_here = true;
  links.hold = *cluster;
  return links;
}

}  // namespace weft::client
