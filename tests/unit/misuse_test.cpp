// What a client says to calls that make no sense, and to handles that have lost their client.
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <numeric>
#include <thread>

#include <weft/weft.h>

#include "tests/support/client_fixture.h"

using namespace weft;
using test::Fixture;
using namespace std::chrono_literals;

namespace {

int inc(int x) { return x + 1; }
int sum(const std::vector<int>& xs) { return std::accumulate(xs.begin(), xs.end(), 0); }

}  // namespace

TEST_CASE("what was moved from says so instead of crashing") {
  Fixture f;
  Client moved = std::move(f.client);
  CHECK_THROWS_WITH_AS(f.client.submit(inc, 1), doctest::Contains("moved from"), InvalidArgument);
  CHECK_THROWS_AS(f.client.map(inc, std::vector{1}), InvalidArgument);
  CHECK_THROWS_AS(f.client.scatter(1), InvalidArgument);
  CHECK_THROWS_AS(f.client.workers(), InvalidArgument);
  CHECK_THROWS_AS(f.client.close(), InvalidArgument);
  auto x = moved.submit(inc, 1);
  auto y = std::move(x);
  CHECK_THROWS_AS(x.result(), InvalidArgument);
  CHECK_THROWS_AS(x.done(), InvalidArgument);
  CHECK_THROWS_AS(x.then(inc), InvalidArgument);
  CHECK_THROWS_AS(moved.submit(inc, x), InvalidArgument);
  CHECK_THROWS_AS(moved.retry(std::vector{x}), InvalidArgument);
  CHECK_THROWS_AS(gather(std::vector{x, y}), InvalidArgument);
  CHECK(y.result() == 2);
  f.client = std::move(moved);
  CHECK(f.client.submit(inc, 2).result() == 3);
}

TEST_CASE("assigning a client ends the one that was there") {
  Fixture f, other;
  f.fake->hold = true;
  auto x = f.client.submit(inc, 1);
  f.client = std::move(other.client);
  CHECK_THROWS_AS(x.result(), ConnectionFailed);
  CHECK(f.client.submit(inc, 1).result() == 2);
}

TEST_CASE("a future of another client is refused where it is given") {
  Fixture f, other;
  auto x = other.client.submit(inc, 1);
  CHECK_THROWS_WITH_AS(f.client.submit(inc, x), doctest::Contains("another Client"), InvalidArgument);
  CHECK_THROWS_AS(f.client.submit(sum, std::vector{x}), InvalidArgument);
  CHECK_THROWS_AS(f.client.map(inc, std::vector{x}), InvalidArgument);
  CHECK_THROWS_AS(f.client.retry(std::vector{x}), InvalidArgument);
  CHECK_THROWS_AS(delayed(inc)(x).compute(f.client), InvalidArgument);
  CHECK(delayed(inc)(x).compute(other.client) == 3);
  CHECK(f.client.submit(inc, x.result()).result() == 3);
}

TEST_CASE("more inputs than a task can have are refused where they are given") {
  Fixture f;
  auto x = f.client.submit(inc, 1);
  CHECK_THROWS_WITH_AS(f.client.submit(sum, std::vector(100'001, x)), doctest::Contains("in rounds"), InvalidArgument);
}

TEST_CASE("options that mean nothing are refused by name") {
  Fixture f;
  CHECK_THROWS_WITH_AS(f.client.submit({.timeout = -1s}, inc, 1), doctest::Contains("`timeout`"), InvalidArgument);
  CHECK_THROWS_WITH_AS(f.client.submit({.retry_delay = -1s}, inc, 1), doctest::Contains("`retry_delay`"), InvalidArgument);
  CHECK_THROWS_WITH_AS(f.client.scatter(1, {.replicas = 0}), doctest::Contains("`replicas`"), InvalidArgument);
  CHECK_THROWS_AS(f.client.replicate({Key::random()}, 0), InvalidArgument);
  CHECK_THROWS_AS(Client(test::links_to(f.fake), {.patience = -1s}), InvalidArgument);
}

TEST_CASE("a limit that has passed ends a wait at once, and one beyond the clock's range never does") {
  Fixture f;
  f.fake->hold = true;
  auto x = f.client.submit(inc, 1);
  for (std::chrono::nanoseconds passed : {0ns, -1ns, std::chrono::nanoseconds::min()}) {
    CHECK_THROWS_AS(x.result(passed), WaitTimeout);
    CHECK(wait(std::vector{x}, {.timeout = passed}).pending.size() == 1);
    CHECK(!as_completed(std::vector{x}).next(passed));
  }
  std::jthread later([&] { f.fake->let_go(); });
  CHECK(wait(std::vector{x}, {.timeout = std::chrono::nanoseconds::max()}).done.size() == 1);
  CHECK(x.result(std::chrono::nanoseconds::max()) == 2);
}

TEST_CASE("futures outlive their client with a clear end") {
  auto fake = std::make_shared<test::FakeScheduler>();
  Future<int> finished, open;
  {
    Client client(test::links_to(fake));
    finished = client.submit(inc, 1);
    finished.result();
    {
      std::lock_guard guard(fake->mutex);
      fake->hold = true;
    }
    open = client.submit(inc, 2);
  }
  CHECK(finished.result() == 2);
  CHECK_THROWS_AS(open.result(), ConnectionFailed);
}

TEST_CASE("a future read as another type says so") {
  Fixture f;
  auto x = f.client.submit(inc, 1);
  Future<std::string> wrong(x.handle());
  CHECK_THROWS_AS(wrong.result(), TypeMismatch);
}

TEST_CASE("a forked child cannot use its parent's client, and can leave") {
  Fixture f;
  auto x = f.client.submit(inc, 1);
  x.result();
  pid_t child = fork();
  if (child == 0) {
    int code = 1;
    try {
      auto copy = x;
      copy.result();
    } catch (const InvalidArgument&) {
      code = 0;
    }
    x.release();
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("options that no task can have are refused where they are given") {
  Fixture f;
  CHECK_THROWS_WITH_AS(f.client.submit({.timeout = 24h * 366 * 11}, inc, 1), doctest::Contains("ten years"), InvalidArgument);
  CHECK_THROWS_WITH_AS(f.client.submit({.label = std::string(2'000, 'x')}, inc, 1), doctest::Contains("label"), InvalidArgument);
  CHECK_THROWS_AS(f.client.submit({.resources = {{std::string(2'000, 'x'), 1}}}, inc, 1), InvalidArgument);
  CHECK_THROWS_AS(f.client.map({.workers = {std::string(2'000, 'x')}}, inc, std::vector{1, 2}), InvalidArgument);
  CHECK_THROWS_WITH_AS(f.client.submit({.key = ""}, inc, 1), doctest::Contains("`key`"), InvalidArgument);
  CHECK_THROWS_WITH_AS(f.client.submit({.workers = {""}}, inc, 1), doctest::Contains("`workers`"), InvalidArgument);
  CHECK(f.client.submit(inc, 1).result() == 2);
}

TEST_CASE("what changes how or where a call runs is a part of it") {
  Fixture f;
  Key plain = f.client.submit(inc, 1).key();
  for (const Options& options : {Options{.retries = 1}, Options{.timeout = 1s}, Options{.cores = 2}, Options{.resources = {{"GPU", 1}}},
                                 Options{.workers = {"w"}}, Options{.workers = {"w"}, .workers_strict = false}}) {
    Key other = f.client.submit(options, inc, 1).key();
    CHECK(other != plain);
    CHECK(other == f.client.submit(options, inc, 1).key());
    CHECK(other == f.client.map(options, inc, std::vector{1})[0].key());
    CHECK(other == delayed(inc, options)(1).key());
  }
  CHECK(f.client.submit({.label = "increment", .priority = 7}, inc, 1).key() == plain);
}

TEST_CASE("one key for two calls is refused while a future of the first lives") {
  Fixture f;
  {
    auto first = f.client.submit({.key = "total"}, inc, 1);
    CHECK(f.client.submit({.key = "total"}, inc, 1).result() == 2);
    CHECK_THROWS_WITH_AS(f.client.submit({.key = "total"}, inc, 100), doctest::Contains("another call"), InvalidArgument);
    CHECK_THROWS_AS(f.client.submit({.key = "total"}, [](int x) { return x; }, 1), InvalidArgument);
    CHECK(first.result() == 2);
  }
  CHECK(f.client.submit({.key = "total"}, inc, 100).result() == 101);
  auto many = f.client.map({.key = "many"}, inc, std::vector{1, 2});
  CHECK_THROWS_AS(f.client.map({.key = "many"}, inc, std::vector{1, 3}), InvalidArgument);
  CHECK(gather(many) == std::vector{2, 3});
  many.clear();
  CHECK(gather(f.client.map({.key = "many"}, inc, std::vector{3, 4})) == std::vector{4, 5});  // what was refused claimed nothing
  auto a = delayed(inc, {.key = "same"})(1), b = delayed(inc, {.key = "same"})(2);
  CHECK_THROWS_WITH_AS(compute(f.client, a, b), doctest::Contains("same key"), InvalidArgument);
}

TEST_CASE("futures of another client are refused by what ends or keeps them") {
  Fixture f, other;
  std::vector foreign{other.client.submit(inc, 1)};
  CHECK_THROWS_AS(f.client.cancel(foreign), InvalidArgument);
  CHECK_THROWS_AS(f.client.fire_and_forget(foreign), InvalidArgument);
  CHECK_THROWS_AS(f.client.publish("name", foreign), InvalidArgument);
  CHECK(foreign[0].result() == 2);
}
