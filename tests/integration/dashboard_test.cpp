// The dashboard of a real cluster: its numbers are the scheduler's, and a killed worker shows.
#include <doctest/doctest.h>

#include <signal.h>
#include <time.h>

#include <weft/local_cluster.h>
#include <weft/weft.h>

#include "support/daemons.h"
#include "support/sanitized.h"
#include "support/served_dashboard.h"

using namespace weft;
using namespace weft::test;
using Json = nlohmann::json;

namespace {

int twice(int x) { return 2 * x; }
int broken(int x) { throw std::runtime_error("<b>" + std::to_string(x) + "</b>"); }

/// Read frames of one subscription, each applied to the body before it, until it shows what is waited for.
template <class Shows>
Json wait_for(std::uint16_t port, const std::string& path, Shows shows) {
  HttpClient viewer(port);
  REQUIRE(viewer.open_websocket() == 101);
  viewer.hear();
  viewer.say("{\"sub\":[{\"id\":1,\"hz\":10,\"get\":\"" + path + "\"}]}");
  Json body;
  for (;;) {
    std::string text = viewer.hear();
    REQUIRE(!text.empty());  // after 20 s without a frame
    Json message = Json::parse(text);
    if (message.contains("snapshot")) body = message["snapshot"];
    else body.merge_patch(message["delta"]);
    if (shows(body)) return body;
  }
}

}  // namespace

TEST_CASE("the dashboard's numbers are those that the client is told") {
  LocalCluster cluster({.workers = 2, .log_level = "off", .dashboard = true});
  REQUIRE(!cluster.dashboard().empty());
  Client client(cluster);
  std::uint16_t port = port_of(cluster.dashboard());
  std::vector<int> numbers(300);
  for (int i = 0; i < 300; ++i) numbers[static_cast<std::size_t>(i)] = i;
  auto doubled = client.map(twice, numbers);
  gather(doubled);
  auto failed = client.submit(broken, 7);
  CHECK_THROWS_AS(failed.result(), TaskError);
  Json overview = wait_for(port, "/api/v1/overview", [](const Json& body) {
    return body["totals"]["finished"] == 300 && body["tasks"]["failed"] == 1;
  });
  CHECK(overview["tasks"]["stored"] == 300);
  CHECK(overview["workers"]["total"] == client.workers().size());
  Json workers = HttpClient(port).json("/api/v1/workers")["workers"];
  std::uint64_t finished = 0;
  for (const Json& worker : workers) finished += worker["finished"].get<std::uint64_t>();
  CHECK(finished == 300);
  Json errors = HttpClient(port).json("/api/v1/errors")["errors"];
  REQUIRE(errors.size() == 1);
  CHECK(errors.begin()->at("message") == "<b>7</b>");
  std::string key = failed.key().hex();
  CHECK(HttpClient(port).json("/api/v1/tasks/" + key)["task"]["state"] == "failed");
  CHECK(HttpClient(port).json("/api/v1/tasks/" + key + "/explain")["state"] == "failed");
  Json trace = HttpClient(port).json("/api/v1/trace?format=chrome");
  CHECK(trace["traceEvents"].size() >= 300);
}

namespace {

[[gnu::noinline]] double below(double x) {
  for (int i = 0; i < 1'000; ++i) x = x * 0.999 + i;
  return x;
}
// Long enough for many samples, however slow the machine: CPU time is what counts.
double burn(int) {
  timespec began{}, now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
  double x = 0;
  do x = below(x), clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  while ((now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1'000'000 < 500);
  return x;
}

}  // namespace

TEST_CASE("the profile shows where tasks spend their CPU time") {
  LocalCluster cluster({.workers = 1, .log_level = "off", .dashboard = true});
  Client client(cluster);
  auto burnt = client.map({.label = "burn"}, burn, std::vector<int>{1, 2});
  Json profile =
      wait_for(port_of(cluster.dashboard()), "/api/v1/profile", [](const Json& body) { return body["samples"] >= 10; });
  CHECK(profile["period_s"].get<double>() == doctest::Approx(0.02));
  CHECK(profile["samples"] <= 60);  // two half seconds
  std::string text = profile["root"].dump();
  CHECK(text.find("burn(int)") != std::string::npos);
  CHECK((sanitized || text.find("below(double)") != std::string::npos));  // a sanitizer's own frames may be above it
  CHECK(text.find("run_function") == std::string::npos);                  // what called the task is ours
}

TEST_CASE("a killed worker raises an alert") {
  LocalCluster cluster({.workers = 2, .log_level = "off", .dashboard = true});
  Client client(cluster);
  std::uint16_t port = port_of(cluster.dashboard());
  wait_for(port, "/api/v1/overview", [](const Json& body) { return body["workers"]["total"] == 2; });
  kill(cluster.worker_pids()[0], SIGKILL);
  Json overview = wait_for(port, "/api/v1/overview", [](const Json& body) { return body["workers"]["total"] == 1; });
  bool said = false;
  for (const Json& alert : overview["alerts"])
    said |= alert["level"] == "error" && alert["text"].get<std::string>().find("was lost") != std::string::npos;
  CHECK(said);
}

TEST_CASE("who is asked for a token is told which option gives it") {
  PrivateFolder folder;
  const std::string file = folder.path + "/token";
  Served served({.host = "0.0.0.0", .token_file = file});
  const std::string url = "http://127.0.0.1:" + std::to_string(served.port()) + "/";
  Said none = run_weft({"top", "--once", "--dashboard", url});
  CHECK(none.code != 0);
  CHECK(contains(none.errors, "wants a token"));
  CHECK(contains(none.errors, "--token-file"));
  CHECK(run_weft({"top", "--once", "--dashboard", url, "--token-file", file}).code == 0);
}
