#include <doctest/doctest.h>

#include <weft/delayed.h>

#include "tests/support/fake_scheduler.h"

using namespace weft;

namespace {

int inc(int x) { return x + 1; }
int add(int a, int b) { return a + b; }

struct Fixture {
  std::shared_ptr<test::FakeScheduler> fake = std::make_shared<test::FakeScheduler>();
  Client client{test::links_to(fake)};
};

}  // namespace

TEST_CASE("nothing runs before compute, equal sub-expressions run once, and several results come as a tuple") {
  Fixture f;
  auto lazy_inc = delayed(inc);
  auto x = lazy_inc(1);
  auto y = delayed(add)(x, lazy_inc(1));
  auto z = delayed(add)(y, 10);
  CHECK(f.fake->tasks_run == 0);
  CHECK(compute(f.client, y, z, y) == std::tuple(4, 14, 4));
  CHECK(f.fake->tasks_run == 3);
  CHECK(x.key() == f.client.submit(inc, 1).key());
}

TEST_CASE("a lazy call keeps the future it was given") {
  Fixture f;
  auto lazy = delayed(inc)(f.client.submit(inc, 1));
  CHECK(lazy.compute(f.client) == 3);
}

TEST_CASE("a lazy chain of a hundred thousand is computed and destroyed") {
  Fixture f;
  auto step = delayed(inc);
  auto last = step(0);
  for (int i = 1; i < 100'000; ++i) last = step(last);
  CHECK(last.compute(f.client) == 100'000);
}

TEST_CASE("the drawing names each task and each edge") {
  auto x = delayed(inc, {.label = "first \"one\""})(1);
  std::string dot = detail::dot_of({delayed(add)(x, x).node()});
  CHECK(dot.find("label=\"first \\\"one\\\"\"") != std::string::npos);
  CHECK(dot.find("t1 -> t0") != std::string::npos);
}
