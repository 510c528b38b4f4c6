#include <doctest/doctest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <memory>

#include <weft/delayed.h>

#include "common/process.h"
#include "tests/support/endpoints.h"
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

TEST_CASE("a drawing is text, and a picture where Graphviz is") {
  test::PrivateFolder folder;
  std::shared_ptr<void> restored(nullptr, [path = std::string(std::getenv("PATH"))](void*) { setenv("PATH", path.c_str(), 1); });
  std::string text = folder.path + "/graph.dot", picture = folder.path + "/graph.svg";
  auto sum = delayed(add)(delayed(inc)(1), 2);
  sum.visualize(text);
  CHECK(*read_whole_file(text) == detail::dot_of({sum.node()}));
  setenv("PATH", folder.path.c_str(), 1);
  try {
    sum.visualize(picture);
    FAIL("there is no Graphviz");
  } catch (const IoError& error) {
    CHECK(std::string(error.what()) == "IoError: Graphviz ('dot') did not draw '" + picture + "'; the graph is in '" + picture + ".dot'");
  }
  // In its place, what shows how it is called.
  std::ofstream(folder.path + "/dot") << "#!/bin/sh\n{ echo \"$1 $2\"; read -r line < \"$4\"; echo \"$line\"; } > \"$3\"\n";
  chmod((folder.path + "/dot").c_str(), 0700);
  sum.visualize(picture);
  CHECK(*read_whole_file(picture) == "-Tsvg -o\ndigraph weft {\n");
  CHECK_THROWS_AS(sum.visualize(folder.path + "/nowhere/graph.dot"), IoError);
}
