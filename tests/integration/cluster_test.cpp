// A real cluster: scheduler, workers and executors are processes, sockets are real, and tasks do their worst.
#include <doctest/doctest.h>

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <numeric>
#include <thread>

#include <weft/weft.h>

using namespace std::chrono_literals;

namespace {

int inc(int x) { return x + 1; }
[[gnu::no_sanitize("address", "undefined")]] int die(int how) {
  if (how == 0) raise(SIGSEGV);
  if (how == 1) std::abort();
  if (how == 2) _exit(7);
  volatile int* nowhere = nullptr;
  return *nowhere;
}
int spin(int) {
  for (volatile long i = 0;;) i = i + 1;
}
int throw_int(int) { throw 42; }
int throw_big(int) { throw std::runtime_error(std::string(10 << 20, 'x')); }
int print_and_throw(int) {
  std::printf("the last words\n");
  std::fflush(stdout);
  throw std::logic_error("after the last words");
}
std::vector<double> ramp(std::size_t n) {
  std::vector<double> values(n);
  std::iota(values.begin(), values.end(), 0.0);
  return values;
}
double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }
int pid_of_executor(int) { return getpid(); }
int slow_inc(int x) {
  std::this_thread::sleep_for(50ms);
  return x + 1;
}

struct Cluster {
  explicit Cluster(unsigned workers = 2) : cluster({.workers = workers, .memory_limit = 1u << 30}), client(cluster) {}
  weft::LocalCluster cluster;
  weft::Client client;
};

template <class E, class T>
weft::Failure failure_of(weft::Future<T> future) {
  try {
    future.result(30s);
  } catch (const E& error) {
    return error.failure();
  }
  FAIL("no failure came");
  return {};
}

}  // namespace

TEST_CASE("a graph runs in processes of this very program") {
  Cluster c;
  auto x = c.client.submit(inc, 1);
  auto y = c.client.submit([](int a, int b) { return a * b; }, x, 10);
  CHECK(y.result(30s) == 20);
  CHECK(c.client.submit(pid_of_executor, 0).result(30s) != getpid());
}

TEST_CASE("big values move between workers and to the client unchanged") {
  Cluster c;
  auto big = c.client.submit(ramp, std::size_t(2'000'000));
  auto total = c.client.submit(sum, big);
  CHECK(total.result(30s) == 2'000'000.0 * 1'999'999.0 / 2);
  CHECK(big.result(30s) == ramp(2'000'000));
}

TEST_CASE("equal pure calls of two clients are one task") {
  Cluster c;
  weft::Client other(c.cluster);
  std::vector<int> numbers(1000);
  std::iota(numbers.begin(), numbers.end(), 0);
  auto mapped = c.client.map(inc, numbers);
  CHECK(mapped[7].key() == other.submit(inc, 7).key());
  CHECK(other.submit(inc, 7).result(30s) == 8);
}

TEST_CASE("a crash costs one executor and blames exactly the task that ran") {
  Cluster c;
  std::vector<weft::Future<int>> good;
  for (int i = 0; i < 200; ++i) good.push_back(c.client.submit(inc, i));
  for (int how : {0, 1, 2, 3}) {
    weft::Failure failure = failure_of<weft::TaskCrashed>(c.client.submit(die, how));
    CHECK(failure.label == "die");
    if (how == 0 || how == 3) CHECK(failure.signal == SIGSEGV);
    if (how == 1) CHECK(failure.signal == SIGABRT);
    if (how == 2) CHECK(failure.exit_code == 7);
    CHECK(failure.attempt == 3);
  }
  for (int i = 0; i < 200; ++i) CHECK(good[i].result(30s) == i + 1);
  CHECK(c.client.submit(inc, 1000).result(30s) == 1001);
}

TEST_CASE("an endless loop ends with its timeout, and the slot is free again") {
  Cluster c(1);
  weft::Options options;
  options.timeout = 300ms;
  weft::Failure failure = failure_of<weft::TaskTimeout>(c.client.submit(options, spin, 1));
  CHECK(failure.label == "spin");
  CHECK(c.client.submit(inc, 1).result(30s) == 2);
}

TEST_CASE("cancelling stops a running task") {
  Cluster c(1);
  auto endless = c.client.submit(spin, 2);
  c.client.submit(inc, 5);  // behind it
  endless.cancel();
  failure_of<weft::Cancelled>(endless);
  CHECK(c.client.submit(inc, 6).result(30s) == 7);
}

TEST_CASE("exceptions of every kind are typed errors with bounded texts") {
  Cluster c(1);
  CHECK(failure_of<weft::TaskError>(c.client.submit(throw_int, 1)).type == "int");
  weft::Failure big = failure_of<weft::TaskError>(c.client.submit(throw_big, 1));
  CHECK(big.type == "std::runtime_error");
  CHECK(big.message.size() <= 64 * 1024);
  weft::Failure spoken = failure_of<weft::TaskError>(c.client.submit(print_and_throw, 1));
  CHECK(spoken.output.find("the last words") != std::string::npos);
  CHECK(spoken.traceback.find("print_and_throw") != std::string::npos);
  weft::Failure root = failure_of<weft::TaskError>(c.client.submit(inc, c.client.submit(throw_int, 2)));
  CHECK(root.label == "throw_int");
}

TEST_CASE("retries count exceptions only") {
  Cluster c(1);
  weft::Options options;
  options.retries = 2;
  CHECK(failure_of<weft::TaskError>(c.client.submit(options, throw_int, 3)).attempt == 3);
}

TEST_CASE("a killed worker costs time and nothing else") {
  Cluster c(2);
  std::vector<int> numbers(200);
  std::iota(numbers.begin(), numbers.end(), 0);
  auto futures = c.client.map(slow_inc, numbers);
  CHECK(futures[0].result(30s) == 1);
  kill(c.cluster.worker_pids()[0], SIGKILL);
  std::vector<int> results = weft::gather(futures);
  for (int i = 0; i < 200; ++i) CHECK(results[i] == i + 1);
}

TEST_CASE("results that were on a killed worker are made again when somebody asks") {
  Cluster c(2);
  std::vector<weft::Future<std::vector<double>>> big;
  for (std::size_t i = 0; i < 8; ++i) big.push_back(c.client.submit(ramp, 100'000 + i));
  weft::wait(big);
  kill(c.cluster.worker_pids()[1], SIGKILL);
  for (std::size_t i = 0; i < 8; ++i) CHECK(big[i].result(60s).size() == 100'000 + i);
}

TEST_CASE("scattered data is an argument like any other") {
  Cluster c(2);
  auto data = c.client.scatter(ramp(300'000), {.replicas = 2});
  CHECK(c.client.submit(sum, data).result(30s) == 300'000.0 * 299'999.0 / 2);
  CHECK(data.result(30s) == ramp(300'000));
}

TEST_CASE("restrictions hold: a named worker runs it, an unknown one is waited for") {
  Cluster c(2);
  weft::Options there;
  there.workers = {"worker-1"};
  int pid = c.client.submit(there, pid_of_executor, 11).result(30s);
  there.pure = false;
  for (int i = 0; i < 5; ++i) CHECK(c.client.submit(there, pid_of_executor, 11).result(30s) == pid);
  weft::Options nowhere;
  nowhere.workers = {"worker-99"};
  auto never = c.client.submit(nowhere, inc, 77);
  CHECK_THROWS_AS(never.result(200ms), weft::WaitTimeout);
  CHECK(c.client.explain(never.key()).find("no worker here may ever run it") != std::string::npos);
}
