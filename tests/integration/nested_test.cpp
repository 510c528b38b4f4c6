// Tasks that submit and wait for tasks, on threads and in executor processes.
#include <doctest/doctest.h>

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "tests/support/endpoints.h"
#include "tests/support/small_cluster.h"

using namespace weft;
using namespace std::chrono_literals;
using weft::worker::Isolation;

namespace {

constexpr Isolation both[] = {Isolation::thread, Isolation::process};
constexpr auto patience = 60s;  // for a wait that would otherwise never end

int fib(int n) {
  if (n < 2) return n;
  Client client = this_task().client();
  auto a = client.submit(fib, n - 1);
  auto b = client.submit(fib, n - 2);
  return a.result() + b.result();
}
// Every call is a task of its own: the tree is walked in full.
int tree(int depth) {
  if (depth == 0) return 1;
  Client client = this_task().client();
  Options own{.pure = false};
  auto a = client.submit(own, tree, depth - 1);
  auto b = client.submit(own, tree, depth - 1);
  return a.result() + b.result();
}
int twice(int x) { return 2 * x; }
int asks_itself(int x) { return this_task().client().submit(asks_itself, x).result(); }
int pong(int x);
int ping(int x) { return this_task().client().submit(pong, x).result(); }
int pong(int x) { return this_task().client().submit(ping, x).result(); }
int asks_child(int x) { return this_task().client().submit(twice, x).result() + 1; }
int fails(int) { throw std::runtime_error("no such chunk"); }
int asks_failing_child(int x) { return this_task().client().submit(fails, x).result(); }
std::vector<std::uint64_t> numbers(std::size_t count) {
  std::vector<std::uint64_t> all(count);
  std::iota(all.begin(), all.end(), 0);
  return all;
}
std::uint64_t sum(const std::vector<std::uint64_t>& all) { return std::accumulate(all.begin(), all.end(), std::uint64_t(0)); }
constexpr std::size_t ten_megabytes = 10'000'000 / sizeof(std::uint64_t);
std::uint64_t reads_big_child(int) { return sum(this_task().client().submit(numbers, ten_megabytes).result()); }
std::uint64_t gives_big_argument(int) { return this_task().client().submit(sum, numbers(ten_megabytes)).result(); }

std::atomic<int> built{0};
std::pair<int, int> uses_local(int) {
  auto& made = this_task().worker_local<int>([] { return ++built; });
  return {static_cast<int>(getpid()), made};
}

std::atomic<bool> child_runs{false}, stop_child{false}, parent_unwound{false};
int slow_child(int) {
  this_task().log("the slow child runs");
  child_runs = true;
  child_runs.notify_all();
  while (!stop_child && !this_task().cancelled()) std::this_thread::sleep_for(1ms);
  return 0;
}
int waits_for_slow_child(int x) {
  try {
    return this_task().client().submit(slow_child, x).result();
  } catch (const Cancelled&) {
    parent_unwound = true;
    parent_unwound.notify_all();
    throw;
  }
}
std::atomic<int> sees_cancel{0};
int runs_until_cancelled(int) {
  sees_cancel = 1;
  sees_cancel.notify_all();
  while (!this_task().cancelled()) std::this_thread::sleep_for(1ms);
  sees_cancel = 2;
  sees_cancel.notify_all();
  return 0;
}

std::tuple<std::string, std::string, std::uint32_t, Key> who_am_i(int) {
  ThisTask task = this_task();
  task.log(LogLevel::warning, "the chunk is odd");
  task.progress(0.5);
  return {task.label(), task.worker(), task.try_number(), task.key()};
}

int wide_child(int x) { return x; }
int meets(const std::string& folder, int number, int count) {  // ends when all of them run
  std::ofstream(folder + '/' + std::to_string(number)) << number;
  auto there = [&] { return std::distance(std::filesystem::directory_iterator(folder), {}); };
  while (there() < count) std::this_thread::sleep_for(1ms);
  return number;
}
int lends_all(const std::string& folder) {
  Client client = this_task().client();
  int sum = client.submit({.pure = false, .cores = 4}, wide_child, 1).result();
  std::vector<Future<int>> children;
  for (int i = 0; i < 4; ++i) children.push_back(client.submit(meets, folder, i, 4));
  for (auto& child : children) sum += child.result();
  return sum;
}

struct Cluster {
  explicit Cluster(Isolation isolation, std::uint32_t slots = 1, int workers = 1) : cluster(isolation, slots, workers), client(cluster.client_links()) {}
  test::SmallCluster cluster;
  Client client;
};

}  // namespace

TEST_CASE("recursive fib(20) on one slot ends") {
  for (Isolation isolation : both) {
    Cluster c(isolation);
    CHECK(c.client.submit(fib, 20).result(patience) == 6765);
  }
}

TEST_CASE("a full tree of 255 tasks that wait for each other runs on one slot") {
  for (Isolation isolation : both) {
    Cluster c(isolation);
    CHECK(c.client.submit(tree, 7).result(patience) == 128);
  }
}

TEST_CASE("200 tasks that each wait for a child end on one slot") {
  for (Isolation isolation : both) {
    Cluster c(isolation);
    std::vector<int> xs(200);
    std::iota(xs.begin(), xs.end(), 0);
    auto futures = c.client.map(asks_child, xs);
    for (int x : xs) CHECK(futures[x].result(patience) == 2 * x + 1);
  }
}

TEST_CASE("a task of four cores lends all of them while it waits: to one child of four, then to four children at once") {
  for (Isolation isolation : both) {
    test::PrivateFolder folder;
    Cluster c(isolation, 4);
    CHECK(c.client.submit({.cores = 4}, lends_all, folder.path).result(patience) == 7);
  }
}

TEST_CASE("a task that would wait for itself, directly or through another, is told so") {
  for (Isolation isolation : both) {
    Cluster c(isolation);
    for (auto f : {asks_itself, ping}) {
      try {
        c.client.submit(f, 1).result(patience);
        FAIL("it should have failed");
      } catch (const TaskError& error) {
        CHECK(std::string(error.what()).find("would wait for itself") != std::string::npos);
      }
    }
  }
}

TEST_CASE("a child's error reaches the parent and whoever waits for it") {
  for (Isolation isolation : both) {
    Cluster c(isolation);
    auto parent = c.client.submit(asks_failing_child, 1);
    try {
      parent.result(patience);
      FAIL("it should have failed");
    } catch (const TaskError& error) {
      CHECK(std::string(error.what()).find("no such chunk") != std::string::npos);
    }
  }
}

TEST_CASE("a child's result of 10 MB comes to its parent, and a parent's argument of 10 MB to its child") {
  for (Isolation isolation : both) {
    for (int workers : {1, 2}) {
      Cluster c(isolation, 1, workers);
      std::uint64_t expected = std::uint64_t(ten_megabytes) * (ten_megabytes - 1) / 2;
      CHECK(c.client.submit(reads_big_child, 1).result(patience) == expected);
      CHECK(c.client.submit(gives_big_argument, 1).result(patience) == expected);
    }
  }
}

TEST_CASE("a parent that is cancelled while it waits stops waiting, and its child ends with it") {
  Cluster c(Isolation::thread);
  child_runs = stop_child = parent_unwound = false;
  auto parent = c.client.submit(waits_for_slow_child, 1);
  child_runs.wait(false);
  parent.cancel();
  CHECK_THROWS_AS(parent.result(patience), Cancelled);
  parent_unwound.wait(false);
  CHECK(c.client.submit(twice, 4).result(patience) == 8);  // the child has given its slot back
}

TEST_CASE("a parent process that is cancelled while it waits takes its child along") {
  Cluster c(Isolation::process);
  auto parent = c.client.submit(waits_for_slow_child, 1);
  while (c.client.logs().find("the slow child runs") == std::string::npos) std::this_thread::sleep_for(1ms);
  parent.cancel();
  CHECK_THROWS_AS(parent.result(patience), Cancelled);
  CHECK(c.client.submit(twice, 4).result(patience) == 8);
}

TEST_CASE("a task on a thread sees that it is cancelled") {
  Cluster c(Isolation::thread);
  sees_cancel = 0;
  auto task = c.client.submit(runs_until_cancelled, 1);
  sees_cancel.wait(0);
  task.cancel();
  sees_cancel.wait(1);
  CHECK(sees_cancel == 2);
}

TEST_CASE("worker_local is built once in a process and shared by later tasks") {
  for (Isolation isolation : both) {
    Cluster c(isolation);
    std::map<int, int> made;  // by process
    for (auto [process, number] : c.client.gather(c.client.map(uses_local, std::vector{1, 2, 3, 4, 5}))) {
      CHECK(made.try_emplace(process, number).first->second == number);
      CHECK(number == 1);
      CHECK((process == getpid()) == (isolation == Isolation::thread));
    }
  }
}

TEST_CASE("a task knows who it is, and its log lines reach the scheduler's log") {
  for (Isolation isolation : both) {
    Cluster c(isolation);
    auto future = c.client.submit({.label = "curious"}, who_am_i, 1);
    auto [label, worker, try_number, key] = future.result(patience);
    CHECK(label == "curious");
    CHECK(worker == "w0");
    CHECK(try_number == 1);
    CHECK(key == future.key());
    CHECK(c.client.logs().find("the chunk is odd") != std::string::npos);
  }
}

TEST_CASE("this_task throws where no task runs") { CHECK_THROWS_AS(this_task(), InvalidArgument); }
