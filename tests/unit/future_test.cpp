#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <numeric>
#include <ranges>
#include <thread>

#include <weft/weft.h>

#include "tests/support/client_fixture.h"

using namespace weft;
using test::Fixture;
using namespace std::chrono_literals;

namespace {

int inc(int x) { return x + 1; }
int sum(const std::vector<int>& xs) { return std::accumulate(xs.begin(), xs.end(), 0); }
int fails(int) { throw std::runtime_error("oops"); }

}  // namespace

TEST_CASE("a submitted call gives its result, futures are arguments, and equal calls run once") {
  Fixture f;
  auto x = f.client.submit(inc, 1);
  auto y = f.client.submit([](int a, int b) { return a * b; }, x, 10);
  CHECK(y.result() == 20);
  CHECK(x.result() == 2);
  CHECK(x.status() == FutureStatus::finished);
  auto again = f.client.submit(inc, 1);
  CHECK(again.key() == x.key());
  CHECK(again.result() == 2);
  CHECK(f.fake->tasks_run == 2);
}

TEST_CASE("an element of a map has the key of the same submit") {
  Fixture f;
  std::vector<int> xs(1000);
  std::iota(xs.begin(), xs.end(), 0);
  auto futures = f.client.map(inc, xs);
  REQUIRE(futures.size() == 1000);
  CHECK(futures[7].key() == f.client.submit(inc, 7).key());
  auto results = f.client.gather(futures);
  CHECK(results[999] == 1000);
  CHECK(f.fake->tasks_run == 1000);
}

TEST_CASE("map takes several ranges and constants beside them, and a range that is a parameter is a constant") {
  Fixture f;
  auto add3 = [](int a, int b, int c) { return a + b + c; };
  auto sums = f.client.gather(f.client.map(add3, std::vector{1, 2, 3}, std::vector{10, 20}, 100));
  CHECK(sums == std::vector{111, 122});
  auto scaled = [](int a, const std::vector<int>& all) { return a * int(all.size()); };
  CHECK(f.client.gather(f.client.map(scaled, std::vector{1, 2}, std::vector{7, 7, 7})) == std::vector{3, 6});
  CHECK(f.client.map(inc, std::vector<int>{}).empty());
  CHECK(f.client.gather(f.client.map(inc, std::views::iota(0, 3))) == std::vector{1, 2, 3});  // its elements are made as it goes
  CHECK(f.client.gather(f.client.map(inc, std::vector{true, false})) == std::vector{2, 1});
}

TEST_CASE("a map of equal elements is one task, and its many futures are given up at once") {
  Fixture f;
  auto futures = f.client.map(inc, std::vector<int>(300'000, 7));
  CHECK(futures.back().result() == 8);
  CHECK(f.fake->tasks_run == 1);
  futures.clear();
  CHECK(f.client.submit(inc, 1).result() == 2);  // soon: giving up one of many equal futures costs what it costs for one
}

TEST_CASE("futures inside containers are arguments, and a map runs over futures") {
  Fixture f;
  auto parts = f.client.map(inc, std::vector{1, 2, 3});
  CHECK(f.client.submit(sum, parts).result() == 9);
  CHECK(f.client.gather(f.client.map(inc, parts)) == std::vector{3, 4, 5});
}

TEST_CASE("a failed task throws its error, and can be retried") {
  Fixture f;
  auto bad = f.client.submit(fails, 1);
  CHECK_THROWS_AS(bad.result(), TaskError);
  CHECK(bad.status() == FutureStatus::failed);
  CHECK(bad.exception()->message == "oops");
  CHECK(bad.traceback() == "somewhere");
  bad.retry();
  CHECK(bad.result() == 42);
}

TEST_CASE("gather raises the first failure or skips failed ones, and takes tuples and maps") {
  Fixture f;
  std::vector futures{f.client.submit(inc, 1), f.client.submit(fails, 1), f.client.submit(inc, 2)};
  CHECK_THROWS_AS(f.client.gather(futures), TaskError);
  CHECK(f.client.gather(futures, Errors::skip) == std::vector{2, 3});
  CHECK(f.client.gather(std::tuple(futures[0], futures[2])) == std::tuple(2, 3));
  CHECK(f.client.gather(std::map<int, Future<int>>{{5, futures[0]}}) == std::map<int, int>{{5, 2}});
}

TEST_CASE("a wait ends by its limit, and the task goes on") {
  Fixture f;
  f.fake->hold = true;
  auto x = f.client.submit(inc, 1);
  CHECK_THROWS_AS(x.result(1ms), WaitTimeout);
  CHECK(!x.done());
  CHECK(wait(std::vector{x}, {.timeout = 1ms}).pending.size() == 1);
  f.fake->let_go();
  CHECK(x.result() == 2);
}

TEST_CASE("a stop token ends a wait") {
  Fixture f;
  f.fake->hold = true;
  std::vector futures{f.client.submit(inc, 1)};
  std::stop_source source;
  std::jthread stopper([&] { source.request_stop(); });
  CHECK(wait(futures, {.stop = source.get_token()}).done.empty());
}

TEST_CASE("very many futures are released in portions, between which others work") {
  Fixture f;
  std::vector<int> xs(100'000);
  std::iota(xs.begin(), xs.end(), 0);
  auto futures = f.client.map(inc, xs);
  f.client.gather(futures);
  futures.clear();
  CHECK(f.client.submit(inc, -7).result() == -6);
  f.fake->until([&] { return f.fake->released.size() >= 100'000; });
  CHECK(f.fake->largest_release <= 16384);
}

TEST_CASE("cancelled futures say so") {
  Fixture f;
  f.fake->hold = true;
  auto x = f.client.submit(inc, 1);
  x.cancel("enough");
  CHECK_THROWS_AS(x.result(), Cancelled);
  CHECK(x.status() == FutureStatus::cancelled);
}

TEST_CASE("the last copy dying releases the key, and not before") {
  Fixture f;
  auto x = f.client.submit(inc, 1);
  auto copy = x;
  Key key = x.key();
  CHECK(x.result() == 2);
  x.release();
  CHECK(!x.valid());
  CHECK_THROWS_AS(x.result(), InvalidArgument);
  CHECK(copy.result() == 2);
  f.client.submit(inc, 5).result();
  CHECK(!f.fake->released.contains(key));
  copy.release();
  f.fake->until([&] { return f.fake->released.contains(key); });
}

TEST_CASE("done callbacks run on one other thread, also for what ended before") {
  Fixture f;
  f.fake->hold = true;
  auto x = f.client.submit(inc, 1);
  std::promise<std::thread::id> first, second;
  x.add_done_callback([&](Future<int>& done) {
    CHECK(done.result() == 2);
    first.set_value(std::this_thread::get_id());
  });
  f.fake->let_go();
  auto id = first.get_future().get();
  CHECK(id != std::this_thread::get_id());
  x.add_done_callback([&](Future<int>&) { second.set_value(std::this_thread::get_id()); });
  CHECK(second.get_future().get() == id);
}

TEST_CASE("as_completed gives futures as they end, and takes more meanwhile") {
  Fixture f;
  auto completed = as_completed(f.client.map(inc, std::vector{0, 1, 2}));
  int total = 0, count = 0;
  for (auto& future : completed) {
    total += future.result();
    if (++count == 1) completed.add(f.client.submit(inc, 9));
  }
  CHECK(count == 4);
  CHECK(total == 16);
  AsCompleted<int> moved = std::move(completed);
  moved.add(f.client.map(inc, std::vector{3, 4}));
  std::size_t batch = 0;
  while (!moved.empty()) batch += moved.next_batch().size();
  CHECK(batch == 2);
}

TEST_CASE("big results are fetched when they are read, once") {
  Fixture f;
  f.fake->away = true;
  auto big = f.client.submit([](int n) { return std::vector<double>(n, 1.5); }, 10000);
  CHECK(wait(big));
  CHECK(big.status() == FutureStatus::finished);
  auto view = big.view();
  CHECK((*view).size() == 10000);
  CHECK((*view)[9999] == 1.5);
  CHECK(big.result().size() == 10000);
}

TEST_CASE("small vectors can be viewed as well") {
  Fixture f;
  auto small = f.client.submit([](int n) { return std::vector<int>(n, 7); }, 3);
  auto view = small.view();
  CHECK(std::vector<int>((*view).begin(), (*view).end()) == std::vector{7, 7, 7});
}

TEST_CASE("then is a task, split makes a future of each element, and void futures wait") {
  Fixture f;
  CHECK(f.client.submit(inc, 1).then(inc).result() == 3);
  auto pair = f.client.submit([](int x) { return std::pair(x, std::string("text")); }, 4);
  auto [number, text] = split(pair);
  CHECK(number.result() == 4);
  CHECK(text.result() == "text");
  Future<void> nothing = f.client.submit([](int) {}, 1);
  nothing.result();
  CHECK(nothing.done());
}

TEST_CASE("a void future is followed by tasks, is an argument and can be gathered: std::monostate stands for its result") {
  Fixture f;
  Future<void> done = f.client.submit([] {});
  CHECK(done.then([] { return 5; }).result() == 5);
  int (*five)() = [] { return 5; };
  CHECK(done.then(five).result() == 5);
  done.then([] {}).then([](std::monostate) {}).result();
  CHECK(f.client.submit([](std::monostate, int x) { return x; }, done, 7).result() == 7);
  CHECK(f.client.submit([](const std::vector<std::monostate>& all) { return all.size(); }, std::vector{done, done}).result() == 2);
  CHECK(gather(std::tuple(done, f.client.submit(inc, 1))) == std::tuple(std::monostate(), 2));
  CHECK(gather(std::map<int, Future<void>>{{1, done}}).contains(1));
  auto broken = f.client.submit([](int) { throw std::runtime_error("oops"); }, 1).then([] { return 5; });
  CHECK_THROWS_AS(broken.result(), TaskError);
  Delayed<void> lazy = delayed([] {})();
  CHECK(std::get<1>(compute(f.client, lazy, delayed([](std::monostate) { return 6; })(lazy))) == 6);
}

namespace {
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};
Detached await(Future<int> future, std::promise<int>& result) { result.set_value(co_await future + 1); }
}  // namespace

TEST_CASE("co_await gives the result") {
  Fixture f;
  std::promise<int> result;
  await(f.client.submit(inc, 1), result);
  CHECK(result.get_future().get() == 3);
}

TEST_CASE("scattered values are arguments, and arguments too big for the graph are scattered by themselves") {
  Fixture f;
  std::vector<int> data(100'000, 1);
  auto placed = f.client.scatter(data);
  CHECK(f.client.submit(sum, placed).result() == 100'000);
  CHECK(placed.result() == data);
}

TEST_CASE("impure calls run each time; a key of one's own is the task's identity") {
  Fixture f;
  auto a = f.client.submit({.pure = false}, inc, 1), b = f.client.submit({.pure = false}, inc, 1);
  CHECK(a.key() != b.key());
  CHECK(a.result() + b.result() == 4);
  CHECK(f.fake->tasks_run == 2);
  CHECK(f.client.submit({.key = "mine"}, inc, 1).key() == Key::named("mine"));
  CHECK_THROWS_AS(f.client.submit({.cores = 0}, inc, 1), InvalidArgument);
}

TEST_CASE("a broken link costs nothing but time") {
  Fixture f;
  f.fake->hold = true;
  auto x = f.client.submit(inc, 1);
  f.fake->until([&] { return f.fake->submits == 1; });
  f.fake->break_link();
  f.fake->until([&] { return f.fake->last_peer == 2; });
  f.fake->let_go();
  CHECK(x.result() == 2);
  CHECK(f.fake->submits == 1);
}

TEST_CASE("nobody there: futures end with ConnectionFailed") {
  auto fake = std::make_shared<test::FakeScheduler>();
  fake->refuse = true;
  Client client(test::links_to(fake), {.connect_timeout = 20ms});
  CHECK_THROWS_AS(client.submit(inc, 1).result(), ConnectionFailed);
  CHECK_THROWS_AS(client.workers(), ConnectionFailed);
}

TEST_CASE("questions are answered, names published and found") {
  Fixture f;
  CHECK(f.client.workers_json() == "[]");
  CHECK(f.client.workers().empty());
  auto x = f.client.submit(inc, 1);
  f.client.publish("x", x);
  f.client.fire_and_forget(x);
  auto found = f.client.get_dataset<int>(x.key().hex());
  REQUIRE(found.size() == 1);
  CHECK(found[0].result() == 2);
}

TEST_CASE("many futures, many threads") {
  Fixture f;
  std::vector<std::jthread> threads;
  std::atomic<int> total = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) total += f.client.submit(inc, i % 50 + t).result() > 0;
    });
  threads.clear();
  CHECK(total == 2000);
}
