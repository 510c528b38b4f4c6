#include <doctest/doctest.h>

#include <weft/bag.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include <stdlib.h>

#include "tests/support/client_fixture.h"

using namespace weft;
using test::Fixture;

namespace {

std::int64_t square(std::int64_t x) { return x * x; }
bool even(std::int64_t x) { return x % 2 == 0; }
std::int64_t plus(std::int64_t a, std::int64_t b) { return a + b; }
void words(std::string_view line, Emit<std::string_view> emit) {
  for (std::size_t at = 0; at < line.size();) {
    std::size_t end = std::min(line.find(' ', at), line.size());
    if (end != at) emit(line.substr(at, end - at));
    at = end + 1;
  }
}

template <class T>
std::vector<T> sorted(std::vector<T> elements) {
  std::sort(elements.begin(), elements.end());
  return elements;
}
std::vector<std::int64_t> numbers(std::int64_t n) {
  std::vector<std::int64_t> all(n);
  for (std::int64_t i = 0; i < n; ++i) all[i] = i;
  return all;
}

}  // namespace

TEST_CASE("a chain of plain functions and lambdas runs as one task per partition") {
  Fixture f;
  auto chain = range(10, 3).map(square).filter(even).map([](std::int64_t x) { return std::to_string(x); });
  CHECK(f.fake->tasks_run == 0);
  CHECK(chain.compute(f.client) == std::vector<std::string>{"0", "4", "16", "36", "64"});
  CHECK(f.fake->tasks_run == 3);
}

TEST_CASE("a bag keeps the order and number of its elements, however it is cut") {
  Fixture f;
  for (std::size_t partitions : {1, 2, 7, 40}) {
    CHECK(range(20, partitions).compute(f.client) == numbers(20));
    CHECK(range(20, partitions).partitions(f.client) == partitions);
    CHECK(from_sequence(numbers(20), partitions).compute(f.client) == numbers(20));
    for (std::size_t n : {1, 3, 11, 50}) {
      auto again = range(20, partitions).repartition(n);
      CHECK(again.partitions(f.client) == n);
      CHECK(again.compute(f.client) == numbers(20));
    }
  }
  CHECK(range(0).compute(f.client).empty());
  CHECK(from_sequence({1, 2, 3}).compute(f.client) == std::vector{1, 2, 3});
}

TEST_CASE("flat_map takes ranges, views into its argument, or what is emitted") {
  Fixture f;
  auto lines = from_sequence(std::vector<std::string>{"a bc", "", " d  a "}, 2);
  std::vector<std::string> expected{"a", "bc", "d", "a"};
  CHECK(lines.flat_map(words).compute(f.client) == expected);
  CHECK(lines.flat_map([](const std::string& line) {
    std::vector<std::string> all;
    struct Push {
      std::vector<std::string>& all;
      void push(std::string_view word) { all.emplace_back(word); }
    } push{all};
    words(line, Emit<std::string_view>(push));
    return all;
  }).compute(f.client) == expected);
  CHECK(from_sequence(std::vector<std::vector<int>>{{1}, {}, {2, 3}}).flatten().compute(f.client) == std::vector{1, 2, 3});
}

TEST_CASE("map_partitions sees whole partitions in the middle of a chain") {
  Fixture f;
  auto reversed = range(6, 2).map(square).map_partitions([](std::vector<std::int64_t> all) {
    std::reverse(all.begin(), all.end());
    return all;
  }).map([](std::int64_t x) { return x + 1; });
  CHECK(reversed.compute(f.client) == std::vector<std::int64_t>{5, 2, 1, 26, 17, 10});
  CHECK(f.fake->tasks_run == 2);
}

TEST_CASE("a stored bag is computed once for several results") {
  Fixture f;
  Bag<std::int64_t> stored = range(10, 2).map(square);
  auto [count, sum, all] = compute(f.client, stored.count(), stored.sum(), stored);
  CHECK(count == 10);
  CHECK(sum == 285);
  CHECK(all.size() == 10);
  CHECK(f.fake->tasks_run == 2 + 2 * (2 + 1));
}

TEST_CASE("numbers are reduced as a plain loop reduces them") {
  Fixture f;
  std::mt19937_64 random(7);
  std::vector<double> values(10'000);
  for (double& value : values) value = 1e6 + static_cast<double>(random() % 1'000'000) / 1e6;
  auto bag = from_sequence(values, 37);
  long double sum = 0, squares = 0;
  for (double value : values) sum += value;
  long double mean = sum / values.size();
  for (double value : values) squares += (value - mean) * (value - mean);
  double variance = static_cast<double>(squares / values.size());
  CHECK(bag.count().compute(f.client) == values.size());
  CHECK(std::abs(bag.sum().compute(f.client) / static_cast<double>(sum) - 1) < 1e-15);
  CHECK(std::abs(bag.mean().compute(f.client) / static_cast<double>(mean) - 1) < 1e-15);
  CHECK(std::abs(bag.var().compute(f.client) / variance - 1) < 1e-9);
  CHECK(std::abs(bag.std(1).compute(f.client) / std::sqrt(variance * 10'000 / 9'999) - 1) < 1e-9);
  CHECK(bag.min().compute(f.client) == *std::min_element(values.begin(), values.end()));
  CHECK(bag.max().compute(f.client) == *std::max_element(values.begin(), values.end()));
  CHECK(range(1000, 9).sum().compute(f.client) == 499'500);
  CHECK(from_sequence(std::vector<std::uint8_t>(1000, 255)).sum().compute(f.client) == 255'000u);
  CHECK(range(1000, 20).fold(plus, std::int64_t(0)).compute(f.client) == 499'500);
  CHECK(range(1000, 20).fold([](std::string text, std::int64_t x) { return text + std::to_string(x % 10); },
                             [](std::string a, std::string b) { return a + b; }, std::string())
            .compute(f.client).substr(0, 12) == "012345678901");
}

TEST_CASE("a sum of many small numbers beside a big one stays right") {
  Fixture f;
  auto bag = range(1'000'000, 3).map([](std::int64_t i) { return i == 0 ? 1e16 : 1.0; });
  CHECK(std::abs(bag.sum().compute(f.client) - (1e16 + 999'999)) <= 130);   // a plain loop stays at 1e16
}

TEST_CASE("nothing has no smallest element and no mean") {
  Fixture f;
  auto none = range(10, 2).filter([](std::int64_t) { return false; });
  CHECK_THROWS_AS(none.min().compute(f.client), Error);
  CHECK(std::isnan(none.mean().compute(f.client)));
  CHECK(none.sum().compute(f.client) == 0);
  CHECK(none.frequencies().compute(f.client).empty());
  CHECK(none.topk(3).compute(f.client).empty());
}

TEST_CASE("topk orders by key, then by element, whatever the partitioning") {
  Fixture f;
  auto key = [](std::int64_t x) { return x % 10; };
  for (std::size_t partitions : {1, 4, 30})
    CHECK(range(100, partitions).topk(12, key).compute(f.client) ==
          std::vector<std::int64_t>{9, 19, 29, 39, 49, 59, 69, 79, 89, 99, 8, 18});
  CHECK(range(5).topk(9).compute(f.client) == std::vector<std::int64_t>{4, 3, 2, 1, 0});
  CHECK(range(5).topk(0).compute(f.client).empty());
}

TEST_CASE("frequencies agree with a map, for any number of reducers and any fan-in") {
  Fixture f;
  std::mt19937_64 random(3);
  std::vector<std::string> all(5000);
  std::map<std::string, std::uint64_t> expected;
  for (auto& word : all) ++expected[word = std::string(random() % 40, 'x') + std::to_string(random() % 50)];
  auto bag = from_sequence(all, 30);
  for (ByKey options : {ByKey{}, ByKey{1, 0}, ByKey{1, 2}, ByKey{5, 3}, ByKey{100, 0}}) {
    auto counted = bag.frequencies(options).compute(f.client);
    CHECK(counted.size() == expected.size());
    CHECK(std::map<std::string, std::uint64_t>(counted.begin(), counted.end()) == expected);
  }
  CHECK(bag.frequencies({.split_out = 7}).partitions(f.client) == 7);
  CHECK(bag.distinct().compute(f.client).size() == expected.size());
}

TEST_CASE("values of a key meet in the order of the bag") {
  Fixture f;
  auto pairs = range(200, 13).map([](std::int64_t x) { return std::pair(x % 7, std::to_string(x) + ","); });
  std::map<std::int64_t, std::string> expected;
  for (int x = 0; x < 200; ++x) expected[x % 7] += std::to_string(x) + ",";
  auto join = [](std::string a, const std::string& b) { return a + b; };
  for (ByKey options : {ByKey{}, ByKey{1, 0}, ByKey{3, 2}}) {
    auto joined = pairs.reduce_by_key(join, options).compute(f.client);
    CHECK(std::map<std::int64_t, std::string>(joined.begin(), joined.end()) == expected);
  }
  auto key = [](const std::pair<std::int64_t, std::string>& pair) { return pair.first; };
  for (auto& [number, group] : pairs.groupby(key).compute(f.client)) {
    std::string text;
    for (auto& pair : group) text += pair.second;
    CHECK(text == expected[number]);
  }
  auto lengths = pairs.foldby(key, [](std::uint64_t n, const std::pair<std::int64_t, std::string>& p) { return n + p.second.size(); },
                              std::uint64_t(0), [](std::uint64_t a, std::uint64_t b) { return a + b; });
  for (auto& [number, length] : lengths.compute(f.client)) CHECK(length == expected[number].size());
  auto firsts = range(200, 13).distinct([](std::int64_t x) { return x % 7; }).compute(f.client);
  CHECK(sorted(firsts) == numbers(7));
}

TEST_CASE("keys of many types land with their equals") {
  Fixture f;
  auto by = [&](auto key) { return range(1000, 8).map(key).frequencies().compute(f.client).size(); };
  CHECK(by([](std::int64_t x) { return static_cast<double>(x % 10) * (x % 2 ? 0.0 : -0.0); }) == 1);
  CHECK(by([](std::int64_t x) { return std::pair(x % 3, std::to_string(x % 5)); }) == 15);
  CHECK(by([](std::int64_t x) { return std::vector<int>(x % 4, 1); }) == 4);
  CHECK(by([](std::int64_t x) { return std::optional<int>(x % 2 ? std::optional<int>(1) : std::nullopt); }) == 2);
}

TEST_CASE("join pairs equal keys, product pairs all, zip pairs places") {
  Fixture f;
  auto left = range(20, 3);
  auto right = from_sequence(std::vector<std::string>{"0", "1", "1", "30"}, 2);
  auto joined = left.join(right, [](std::int64_t x) { return x % 3; }, [](const std::string& s) { return std::int64_t(std::stoi(s)); });
  std::vector<std::pair<std::int64_t, std::string>> expected;
  for (int x = 0; x < 20; ++x) {
    if (x % 3 == 0) expected.emplace_back(x, "0");
    if (x % 3 == 1) expected.emplace_back(x, "1"), expected.emplace_back(x, "1");
  }
  CHECK(sorted(joined.compute(f.client)) == expected);
  CHECK(left.product(right).count().compute(f.client) == 80);
  auto squares = left.zip(left.map(square)).compute(f.client);
  CHECK(squares.size() == 20);
  CHECK(squares[19] == std::pair<std::int64_t, std::int64_t>(19, 361));
  CHECK_THROWS_AS(left.zip(range(20, 4)).compute(f.client), InvalidArgument);
  CHECK_THROWS_AS(left.zip(range(21, 3)).compute(f.client), Error);
  CHECK(left.concat(left.filter(even)).count().compute(f.client) == 30);
}

TEST_CASE("accumulate goes on from partition to partition") {
  Fixture f;
  for (std::size_t partitions : {1, 4, 12}) {
    auto running = range(6, partitions).accumulate(plus, std::int64_t(10)).compute(f.client);
    CHECK(running == std::vector<std::int64_t>{10, 11, 13, 16, 20, 25});
  }
}

TEST_CASE("take looks at no more partitions than it needs") {
  Fixture f;
  CHECK(range(1000, 100).take(f.client, 10) == numbers(10));
  CHECK(f.fake->tasks_run == 1);
  CHECK(range(1000, 100).take(f.client, 11) == numbers(11));
  CHECK(f.fake->tasks_run <= 1 + 1 + 4);
  CHECK(range(5, 3).take(f.client, 100) == numbers(5));
  CHECK(range(5, 3).take(f.client, 0).empty());
}

TEST_CASE("a persisted bag is not computed again, and lazy values come and go") {
  Fixture f;
  auto kept = range(10, 2).map(square).persist(f.client);
  CHECK(kept.compute(f.client).size() == 10);
  CHECK(f.fake->tasks_run == 2);
  CHECK(kept.sum().compute(f.client) == 285);
  auto lazy = kept.repartition(3).to_delayed(f.client);
  CHECK(lazy.size() == 3);
  CHECK(from_delayed(lazy).sum().compute(f.client) == 285);
  CHECK(from_futures(std::vector{lazy[0].persist(f.client)}).count().compute(f.client) == 5);
}

TEST_CASE("a bag of many thousand stages is planned and destroyed") {
  Fixture f;
  Bag<std::int64_t> bag = range(3, 1);
  for (int i = 0; i < 20'000; ++i) bag = bag.map([](std::int64_t x) { return x + 1; });
  CHECK(bag.compute(f.client) == std::vector<std::int64_t>{20'000, 20'001, 20'002});
}
