#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

#include "client/order.h"
#include "tests/support/sanitized.h"

using weft::client::order_tasks;

namespace {

using Number = std::uint32_t;

struct Graph {
  std::vector<Number> ends, inputs;
  Number add(std::initializer_list<Number> from = {}) {
    inputs.insert(inputs.end(), from);
    ends.push_back(inputs.size());
    return ends.size() - 1;
  }
  std::vector<Number> order() const { return order_tasks(ends, inputs); }
  std::span<const Number> inputs_of(Number task) const {
    Number begin = task ? ends[task - 1] : 0;
    return std::span(inputs).subspan(begin, ends[task] - begin);
  }
};

// Plain simulation: how many values are alive at most when tasks run one by one; -1 if the order is not allowed.
int most_alive(const Graph& graph, const std::vector<Number>& order) {
  if (order.size() != graph.ends.size()) return -1;
  std::vector<int> unread(order.size(), 0);
  std::vector<bool> done(order.size(), false);
  for (Number input : graph.inputs) ++unread[input];
  int alive = 0, most = 0;
  for (Number task : order) {
    if (done[task]) return -1;
    done[task] = true;
    most = std::max(most, ++alive);
    for (Number input : graph.inputs_of(task)) {
      if (!done[input]) return -1;
      if (--unread[input] == 0) --alive;
    }
  }
  return most;
}

}  // namespace

TEST_CASE("a tree reduction keeps a logarithm of its leaves alive") {
  Graph graph;
  std::vector<Number> level;
  for (int i = 0; i < 1024; ++i) level.push_back(graph.add());
  while (level.size() > 1) {
    std::vector<Number> next;
    for (std::size_t i = 0; i < level.size(); i += 2) next.push_back(graph.add({level[i], level[i + 1]}));
    level = next;
  }
  int most = most_alive(graph, graph.order());
  CHECK(most > 0);
  CHECK(most <= 13);
}

TEST_CASE("two reductions over the same loads run together, not one after the other") {
  Graph graph;
  Number sum = 0, largest = 0;
  for (int i = 0; i < 1000; ++i) {
    Number load = graph.add();
    Number s = graph.add({load}), m = graph.add({load});
    sum = i ? graph.add({sum, s}) : s;
    largest = i ? graph.add({largest, m}) : m;
  }
  int most = most_alive(graph, graph.order());
  CHECK(most > 0);
  CHECK(most <= 8);
}

TEST_CASE("independent chains run one after the other") {
  Graph graph;
  for (int chain = 0; chain < 100; ++chain) {
    Number last = graph.add();
    for (int i = 0; i < 10; ++i) last = graph.add({last});
  }
  int most = most_alive(graph, graph.order());
  CHECK(most > 0);
  CHECK(most <= 101 + 1);  // 100 results and the one step in hand
}

TEST_CASE("a repeated input, an empty graph and a shared root are ordered") {
  CHECK(Graph{}.order().empty());
  Graph graph;
  Number x = graph.add();
  Number square = graph.add({x, x});
  graph.add({square, x});
  CHECK(graph.order() == std::vector<Number>{0, 1, 2});
}

TEST_CASE("tasks on a cycle are missing from the order") {
  Graph graph;
  graph.add({1});
  graph.add({0});
  graph.add();
  CHECK(graph.order() == std::vector<Number>{2});
}

TEST_CASE("a chain of a million tasks and a wide graph of a million are ordered in under a second each") {
  Graph chain, wide;
  chain.add();
  for (Number i = 1; i < 1'000'000; ++i) chain.add({i - 1});
  Number root = wide.add();
  for (Number i = 1; i < 1'000'000; ++i) wide.add({root});
  for (const Graph* graph : {&chain, &wide}) {
    auto start = std::chrono::steady_clock::now();
    CHECK(graph->order().size() == 1'000'000);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::duration<double>(weft::test::slowness));
  }
}

TEST_CASE("random graphs: every order is allowed, and on the whole fewer values are alive than level by level") {
  std::uint64_t seed = 42;
  auto draw = [&](std::uint32_t below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return static_cast<Number>((seed >> 33) % below);
  };
  int ours_in_all = 0, levels_in_all = 0;
  for (int round = 0; round < 200; ++round) {
    Graph graph;
    Number count = 1 + draw(60);
    for (Number task = 0; task < count; ++task) {
      Number inputs = task ? draw(4) : 0;
      for (Number i = 0; i < inputs; ++i) graph.inputs.push_back(draw(task));
      graph.ends.push_back(graph.inputs.size());
    }
    std::vector<Number> by_level(count);
    std::vector<int> level(count, 0);
    for (Number i = 0; i < count; ++i) {
      by_level[i] = i;
      for (Number input : graph.inputs_of(i)) level[i] = std::max(level[i], level[input] + 1);
    }
    std::stable_sort(by_level.begin(), by_level.end(), [&](Number a, Number b) { return level[a] < level[b]; });
    int ours = most_alive(graph, graph.order());
    CHECK(ours > 0);
    ours_in_all += ours;
    levels_in_all += most_alive(graph, by_level);
  }
  CHECK(ours_in_all < levels_in_all);
}
