// Cases of Dask's suite that need real processes or a whole client: futures as they end, workers that die twice, workers that fall
// silent (tests/dask_cases.md).
#include <doctest/doctest.h>

#include <signal.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include <weft/weft.h>

#include "common/process.h"
#include "common/programs.h"
#include "support/endpoints.h"

using namespace weft;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr auto patience = 60s;  // ends a test that has failed already

int inc(int x) { return x + 1; }
int fails(int) { throw std::runtime_error("no such number"); }
int waits_for(const std::string& path, int x) {
  while (!fs::exists(path)) std::this_thread::sleep_for(1ms);
  return x;
}
int starts_and_waits(const std::string& folder, int x) {
  std::ofstream(folder + "/started") << x;
  return waits_for(folder + "/gate", x);
}
long traced(long x, const std::string& folder) {
  std::ofstream(folder + '/' + std::to_string(x)) << x;
  std::this_thread::sleep_for(5ms);
  return x;
}
long add(long a, long b) { return a + b; }

std::size_t files_in(const std::string& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

/// A scheduler that soon gives a silent worker up, and workers w0, w1, ...
class ShortLease {
 public:
  explicit ShortLease(int workers, std::vector<std::string> leases = {"--worker-lease", "2s", "--heartbeat-interval", "50ms"}) {
    std::vector<std::string> arguments{"--folder", folder_.path, "--store", "none", "--log-level", "off"};
    arguments.insert(arguments.end(), leases.begin(), leases.end());
    start("weft-scheduler", std::move(arguments));
    for (int i = 0; i < workers; ++i) {
      std::string name = "w" + std::to_string(i);
      start("weft-worker", {"ipc://" + folder_.path + "/worker", "--name", name, "--nthreads", "1", "--memory-limit", "256MiB",
                            "--local-directory", folder_.path + '/' + name, "--listen-address", "ipc://" + folder_.path + '/' + name + ".values",
                            "--log-level", "off"});
    }
  }
  ~ShortLease() {
    for (ChildProcess& child : children_) child.signal(SIGCONT);
  }
  std::string address() const { return "ipc://" + folder_.path + "/client"; }
  ChildProcess& worker(int number) { return children_.at(number + 1); }

 private:
  void start(const std::string& program, std::vector<std::string> arguments) {
    auto child = ChildProcess::start(find_program(program).value_or_throw(), {.arguments = std::move(arguments)});
    REQUIRE(child);
    children_.push_back(std::move(*child));
  }
  test::PrivateFolder folder_;
  std::vector<ChildProcess> children_;
};

void await_workers(Client& client, std::size_t count) {
  for (auto end = std::chrono::steady_clock::now() + patience; client.workers().size() != count; std::this_thread::sleep_for(1ms))
    REQUIRE(std::chrono::steady_clock::now() < end);
}

}  // namespace

TEST_CASE("as_completed gives each future once, duplicates as often as they were added, and failed and cancelled ones too") {  // case 20
  test::PrivateFolder folder;
  Client client;
  auto good = client.submit(inc, 1), bad = client.submit(fails, 1);
  auto gone = client.submit(waits_for, folder.path + "/never", 1), late = client.submit(waits_for, folder.path + "/gate", 7);
  auto completed = as_completed(std::vector{late, good, good, bad, gone});
  gone.cancel("enough");
  std::map<Key, int> seen;
  for (int i = 0; i < 4; ++i) {
    auto next = completed.next(patience);
    REQUIRE(next);
    ++seen[next->key()];
  }
  CHECK(seen == std::map<Key, int>{{good.key(), 2}, {bad.key(), 1}, {gone.key(), 1}});
  CHECK_FALSE(completed.next(1ms));  // a limit, and nothing is lost by it
  CHECK_FALSE(completed.empty());
  completed.add(good);
  CHECK(completed.next(patience)->key() == good.key());
  std::ofstream(folder.path + "/gate") << "go";
  auto batch = completed.next_batch(patience);
  REQUIRE(batch.size() == 1);
  CHECK(batch[0].result() == 7);
  CHECK(completed.empty());
}

TEST_CASE("a killed worker's work runs elsewhere without waiting for the worker to come back") {
  ShortLease cluster(2, {"--reconnect-grace", "1h", "--worker-lease", "3h"});
  Client client(cluster.address());
  await_workers(client, 2);
  test::PrivateFolder folder;
  auto first = client.submit({.workers = {"w1"}, .workers_strict = false}, traced, 7L, folder.path);
  auto stuck = client.submit({.workers = {"w1"}, .workers_strict = false}, starts_and_waits, folder.path, 8);
  CHECK(first.result(patience) == 7);
  while (!fs::exists(folder.path + "/started")) std::this_thread::sleep_for(1ms);
  cluster.worker(1).signal(SIGKILL);
  std::ofstream(folder.path + "/gate") << "go";
  CHECK(stuck.result(patience) == 8);
  CHECK(client.submit(add, first, 1L).result(patience) == 8);  // its value was lost with it
}

TEST_CASE("a tree of 256 sums is right although workers are killed twice on the way") {  // case 55
  test::PrivateFolder folder;
  LocalCluster cluster({.workers = 4, .memory_limit = 1u << 28});
  Client client(cluster);
  std::vector<Future<long>> level;
  for (long i = 0; i < 256; ++i) level.push_back(client.submit(traced, i, folder.path));
  while (level.size() > 1) {
    std::vector<Future<long>> sums;
    for (std::size_t i = 0; i < level.size(); i += 2) sums.push_back(client.submit(add, level[i], level[i + 1]));
    level = std::move(sums);
  }
  for (std::size_t victim : {0, 1}) {
    while (files_in(folder.path) < 60 + 80 * victim) std::this_thread::sleep_for(1ms);
    kill(cluster.worker_pids()[victim], SIGKILL);
  }
  CHECK(level[0].result(patience) == 256 * 255 / 2);
}

TEST_CASE("a worker that falls silent is given up once, its work runs elsewhere, and it comes back when it speaks again") {  // case 59
  ShortLease cluster(2);
  Client client(cluster.address());
  await_workers(client, 2);
  auto before = client.submit({.workers = {"w1"}, .workers_strict = false}, inc, 1);
  CHECK(before.result(patience) == 2);
  auto losses = [&] {
    std::string logs = client.logs({"w1"});
    int count = 0;
    for (std::size_t at = logs.find("worker lost"); at != logs.npos; at = logs.find("worker lost", at + 1)) ++count;
    return count;
  };
  int earlier = losses();  // a busy machine may have kept it from speaking
  cluster.worker(1).signal(SIGSTOP);
  for (auto end = std::chrono::steady_clock::now() + patience; losses() == earlier; std::this_thread::sleep_for(1ms))
    REQUIRE(std::chrono::steady_clock::now() < end);
  CHECK(before.result(patience) == 2);
  CHECK(client.submit(inc, before).result(patience) == 3);
  CHECK(losses() == earlier + 1);
  cluster.worker(1).signal(SIGCONT);
  await_workers(client, 2);
  CHECK(client.submit({.workers = {"w1"}}, inc, 10).result(patience) == 11);
}
