// A dashboard over real sockets, with an observer that the test writes into and a scheduler that answers every question alike.
#pragma once

#include <doctest/doctest.h>

#include "dashboard/dashboard.h"
#include "support/http_client.h"

namespace weft::test {

using dashboard::Answered;
using dashboard::Dashboard;
using dashboard::DashboardOptions;

struct Served {
  scheduler::Observer observer;
  std::unique_ptr<Dashboard> dashboard;
  std::vector<std::string> asked;   // touched on the server's thread, read after its answer

  explicit Served(DashboardOptions options = {}) {
    options.port = 0;
    auto ask = [this](const std::string& verb, std::vector<std::string>, std::vector<Key>, Answered answered) {
      asked.push_back(verb);
      answered(std::string("{\"why\":\"because\"}"));
      return true;
    };
    auto started = Dashboard::start(std::move(options), observer, ask);
    REQUIRE(started);
    dashboard = std::move(*started);
  }
  std::uint16_t port() const { return dashboard->port(); }
  std::string host() const { return "127.0.0.1:" + std::to_string(port()); }
};

}  // namespace weft::test
