// What a client can ask, publish, give up and wait for, with real processes.
#include <doctest/doctest.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <nlohmann/json.hpp>

#include <weft/weft.h>

using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

int inc(int x) { return x + 1; }
int twice(int x) { return 2 * x; }
int number_in(const std::string& path) {
  std::ifstream file(path);
  int number = 0;
  if (!(file >> number)) throw std::runtime_error("cannot read " + path);
  return number;
}
int waits_for(const std::string& path, int x) {
  while (!std::filesystem::exists(path)) std::this_thread::sleep_for(1ms);
  return x;
}
int writes(int x, const std::string& path) {
  std::ofstream(path) << x << std::flush;
  return x;
}

int half_done(const std::string& gate) {
  for (double part : {0.1, 0.2, 0.3, 0.5}) {
    weft::this_task().progress(part);
    std::this_thread::sleep_for(6ms);  // words closer together are left out
  }
  return waits_for(gate, 1);
}

/// A name for a file that does not exist yet: tasks and tests tell each other things by making it.
struct TemporaryFile {
  TemporaryFile() : path(std::filesystem::temp_directory_path() / ("weft-" + weft::Key::random().hex())) {}
  ~TemporaryFile() { std::filesystem::remove(path); }
  void wait() const {
    while (!std::filesystem::exists(path)) std::this_thread::sleep_for(1ms);
  }
  std::string path;
};

struct Cluster {
  explicit Cluster(unsigned workers = 1) : cluster({.workers = workers, .memory_limit = 1u << 28}), client(cluster) {}
  weft::LocalCluster cluster;
  weft::Client client;
};

}  // namespace

TEST_CASE("what one client publishes another finds, until it is unpublished") {
  Cluster c;
  auto other = std::make_unique<weft::Client>(c.cluster);
  {
    auto futures = c.client.map(inc, std::vector<int>{1, 2, 3});
    c.client.publish("numbers", futures);
    weft::gather(futures);
  }
  Json listed = Json::parse(other->list_datasets());
  REQUIRE(listed.contains("numbers"));
  CHECK(listed["numbers"]["tasks"] == 3);

  auto found = other->get_dataset<int>("numbers");
  CHECK(weft::gather(found) == std::vector<int>{2, 3, 4});
  CHECK_THROWS_AS(weft::gather(other->get_dataset<std::string>("numbers")), weft::TypeMismatch);
  CHECK_THROWS_AS(other->publish("numbers", found), weft::InvalidArgument);
  CHECK_THROWS_AS(other->get_dataset<int>("letters"), weft::InvalidArgument);

  other->unpublish("numbers");
  CHECK(Json::parse(c.client.list_datasets()).empty());
  CHECK_THROWS_AS(c.client.get_dataset<int>("numbers"), weft::InvalidArgument);
  CHECK(found[0].result(30s) == 2);
}

TEST_CASE("every question is answered with JSON that tells what happened") {
  Cluster c;
  auto x = c.client.submit(inc, 1);
  auto bad = c.client.submit([](int) -> int { throw std::runtime_error("no such number"); }, 1);
  CHECK(x.result(30s) == 2);
  CHECK_THROWS_AS(bad.result(30s), weft::TaskError);
  std::string key = x.key().hex();

  Json workers = Json::parse(c.client.workers_json());
  REQUIRE(workers.size() == 1);
  std::string worker = workers[0]["name"];
  CHECK(Json::parse(c.client.who_has({x.key()}))[key] == Json::array({worker}));
  CHECK(Json::parse(c.client.has_what())[worker] == Json::array({key}));
  CHECK(Json::parse(c.client.processing({worker}))[worker].empty());
  CHECK(Json::parse(c.client.story(x.key())).back()["to"] == "stored");
  CHECK(Json::parse(c.client.explain(x.key()))["state"] == "stored");
  CHECK(Json::parse(c.client.logs({worker}))[0]["text"] == "worker joined");
  CHECK(Json::parse(c.client.logs({"nobody"})).empty());

  Json events = Json::parse(c.client.events("inc"));
  REQUIRE(!events.empty());
  for (const Json& event : events) CHECK(event["key"] == key);
  CHECK(Json::parse(c.client.events()).size() > events.size());

  std::string text = c.client.dump();
  CHECK(text.size() < 8u << 20);
  Json dump = Json::parse(text);
  for (const char* section : {"status", "workers", "groups", "datasets", "failures", "logs", "transitions", "tasks"})
    CHECK(dump.contains(section));
  CHECK(dump["failures"][0]["error"]["message"] == "no such number");
  CHECK(dump["tasks"].size() == 2);
}

TEST_CASE("run calls a function once on every worker and answers by name") {
  Cluster c(3);
  CHECK(c.client.workers().size() == 3);  // from the start
  std::map<std::string, std::string> names = c.client.run([](int) { return weft::this_task().worker(); }, 0);
  REQUIRE(names.size() == 3);
  for (const auto& [worker, name] : names) CHECK(worker == name);
  CHECK(c.client.run(inc, 1).begin()->second == 2);
  CHECK(c.client.run(inc, c.client.submit(inc, 1)).size() == 3);
  c.client.run([](int) {}, 0);

  std::string one = names.begin()->first;
  CHECK(c.client.run({.workers = {one}}, inc, 1) == std::map<std::string, int>{{one, 2}});
  CHECK_THROWS_AS(c.client.run({.workers = {"nobody"}}, inc, 1), weft::WorkerUnavailable);
  CHECK_THROWS_WITH_AS(c.client.run({.resources = {{"GPU", 1}}}, inc, 1), doctest::Contains("GPU"), weft::WorkerUnavailable);
  CHECK_THROWS_AS(c.client.run({.cores = 99}, inc, 1), weft::WorkerUnavailable);
}

TEST_CASE("a cluster whose workers cannot start says so") {
  CHECK_THROWS_WITH_AS(weft::LocalCluster({.workers = 2, .resources = {{"x", -1}}}), doctest::Contains("worker-0"), weft::IoError);
}

TEST_CASE("a failure of run says which worker it was, and a crash is not tried again") {
  Cluster c(2);
  while (c.client.workers().size() < 2) std::this_thread::yield();
  std::string last = c.client.workers().back().name;
  auto fails_there = [](const std::string& where) {
    if (weft::this_task().worker() == where) throw std::runtime_error("no disk here");
    return 1;
  };
  try {
    c.client.run(fails_there, last);
    FAIL("nothing was thrown");
  } catch (const weft::TaskError& error) {
    CHECK(error.failure().worker == last);
    CHECK(error.failure().message == "no disk here");
  }
  try {
    c.client.run([](int) -> int { _exit(9); }, 0);
    FAIL("nothing was thrown");
  } catch (const weft::TaskCrashed& error) {
    CHECK(error.failure().attempt == 1);
    CHECK(!error.failure().worker.empty());
  }
}

TEST_CASE("run does not wait for a worker that left") {
  Cluster c(2);
  while (c.client.workers().size() < 2) std::this_thread::yield();
  TemporaryFile running;
  std::string victim = c.client.workers().back().name;
  int pid = static_cast<int>(c.client.workers().back().pid);
  std::jthread killer([&] {
    running.wait();
    kill(pid, SIGKILL);
  });
  auto stays = [](const std::string& path, const std::string& where) {
    if (weft::this_task().worker() != where) return;
    std::ofstream(path) << "here";
    for (;;) std::this_thread::sleep_for(1s);
  };
  try {
    c.client.run(stays, running.path, victim);
    FAIL("nothing was thrown");
  } catch (const weft::Error& error) {
    CHECK(error.failure().worker == victim);
  }
}

TEST_CASE("workers are described") {
  weft::LocalCluster cluster({.workers = 1, .threads_per_worker = 3, .memory_limit = 1u << 28, .resources = {{"GPU", 2}}});
  weft::Client client(cluster);
  auto x = client.submit(inc, 1);
  CHECK(x.result(30s) == 2);
  auto workers = client.workers();
  REQUIRE(workers.size() == 1);
  CHECK(workers[0].slots == 3);
  CHECK(workers[0].resources == std::map<std::string, double>{{"GPU", 2}});
  CHECK(workers[0].status == "running");
  CHECK(workers[0].values == 1);
  CHECK(workers[0].pid == static_cast<std::uint64_t>(cluster.worker_pids()[0]));
  CHECK(!workers[0].name.empty());
  CHECK(!workers[0].address.empty());
}

TEST_CASE("progress waits for futures, failed ones too, and for all work of the cluster") {
  Cluster c;
  auto good = c.client.map(weft::Options{.pure = false}, inc, std::vector<int>(200, 1));
  auto bad = c.client.submit([](int) -> int { throw std::runtime_error("no"); }, 1);
  weft::progress(good, bad);
  for (const auto& future : good) CHECK(future.done());
  CHECK(bad.done());
  auto more = c.client.map(twice, std::vector<int>{1, 2, 3});
  c.client.progress();
  CHECK(c.client.workers()[0].assigned == 0);
  CHECK(weft::gather(more) == std::vector<int>{2, 4, 6});
}

TEST_CASE("how far a task is can be asked while it runs, embedded and in processes") {
  auto story = [](weft::Client& client) {
    TemporaryFile gate;
    auto task = client.submit(half_done, gate.path);
    Json row;
    while (row != 0.5) {
      Json tasks = Json::parse(client.ask("tasks", {"assigned"}, {}, true));
      if (!tasks.empty()) row = tasks[0].value("progress", Json());
    }
    CHECK(Json::parse(client.explain(task.key()))["progress"] == 0.5);
    CHECK(Json::parse(client.explain(task.key()))["why"].get<std::string>().find("50% done") != std::string::npos);
    CHECK(Json::parse(client.processing()).begin().value()[0]["progress"] == 0.5);
    std::ofstream(gate.path) << "go";
    CHECK(task.result(30s) == 1);
    CHECK(client.ask("tasks", {}, {}, true).find("progress") == std::string::npos);
  };
  SUBCASE("embedded") {
    weft::Client client;
    story(client);
  }
  SUBCASE("processes") {
    Cluster c;
    story(c.client);
  }
}

// --- Futures ---

TEST_CASE("retry runs a failed task and its failed inputs again") {
  Cluster c;
  TemporaryFile input;
  auto read = c.client.submit(number_in, input.path);
  auto result = c.client.submit(inc, read);
  CHECK_THROWS_AS(result.result(30s), weft::TaskError);
  std::ofstream(input.path) << 41 << std::flush;
  result.retry();
  CHECK(result.result(30s) == 42);
  CHECK(read.result(30s) == 41);
}

TEST_CASE("a released result is forgotten by the cluster") {
  Cluster c;
  auto x = c.client.submit(inc, 1);
  auto copy = x;
  weft::Key key = x.key();
  CHECK(x.result(30s) == 2);
  x.release();
  CHECK_FALSE(x.valid());
  CHECK_THROWS_AS(x.result(), weft::InvalidArgument);
  CHECK(copy.result() == 2);
  CHECK(Json::parse(c.client.who_has({key}))[key.hex()].size() == 1);
  copy.release();
  while (!Json::parse(c.client.who_has({key}))[key.hex()].empty()) std::this_thread::yield();
  CHECK_THROWS_AS(c.client.explain(key), weft::InvalidArgument);
}

TEST_CASE("as_completed takes futures that are added while it goes on") {
  Cluster c;
  auto futures = weft::as_completed(c.client.map(twice, std::vector<int>{1, 2, 3}));
  std::vector<int> seen;
  for (auto& future : futures) {
    seen.push_back(future.result());
    if (seen.back() < 20) futures.add(c.client.submit(twice, seen.back() * 5));
  }
  std::sort(seen.begin(), seen.end());
  CHECK(seen == std::vector<int>{2, 4, 6, 20, 40, 60});
}

TEST_CASE("wait ends with the first future, or with its limit") {
  Cluster c;
  TemporaryFile gate;
  auto closed = c.client.submit(waits_for, gate.path, 1);
  CHECK_FALSE(weft::wait(closed, {.timeout = 20ms}));
  CHECK_THROWS_AS(closed.result(1ms), weft::WaitTimeout);

  Cluster other;
  auto open = other.client.submit(inc, 1);
  auto first = weft::wait(std::vector{closed, open}, {.timeout = 30s, .until = weft::Until::first});
  REQUIRE(first.done.size() == 1);
  REQUIRE(first.pending.size() == 1);
  CHECK(first.done[0].key() == open.key());
  CHECK(first.pending[0].key() == closed.key());
  std::ofstream(gate.path) << "go";
  CHECK(weft::wait(std::vector{closed, open}, {.timeout = 30s}).pending.empty());
}

TEST_CASE("work that was fired and forgotten goes on without its client") {
  weft::LocalCluster cluster({.workers = 1, .memory_limit = 1u << 28});
  TemporaryFile gate, result;
  {
    weft::Client client(cluster);
    auto opened = client.submit(waits_for, gate.path, 7);
    client.fire_and_forget(client.submit(writes, opened, result.path));
  }
  CHECK_FALSE(std::filesystem::exists(result.path));
  std::ofstream(gate.path) << "go";
  result.wait();
  weft::Client later(cluster);
  while (Json::parse(later.ask("status", {}, {}, true))["tasks"] != 0) std::this_thread::yield();
}

TEST_CASE("one client's cancel leaves the other's future intact") {
  Cluster c;
  TemporaryFile gate;
  weft::Client other(c.cluster);
  auto mine = c.client.submit(waits_for, gate.path, 5);
  auto theirs = other.submit(waits_for, gate.path, 5);
  CHECK(mine.key() == theirs.key());
  c.client.explain(mine.key());  // answered behind the call itself
  CHECK(Json::parse(other.explain(theirs.key()))["wanted_by"] == 2);
  mine.cancel("enough");
  CHECK_THROWS_AS(mine.result(30s), weft::Cancelled);
  CHECK_FALSE(theirs.done());
  std::ofstream(gate.path) << "go";
  CHECK(theirs.result(30s) == 5);
}

TEST_CASE("a call that was cancelled may be made again while its old future lives") {
  Cluster c;
  TemporaryFile gate;
  auto given_up = c.client.submit(waits_for, gate.path, 7);
  given_up.cancel("not now");
  auto again = c.client.submit(waits_for, gate.path, 7);
  std::ofstream(gate.path) << 1;
  CHECK(again.result() == 7);
}
