#include <doctest/doctest.h>

#include <weft/bag.h>
#include <weft/weft.h>

#include <map>

using namespace weft;

namespace {

std::int64_t half(std::int64_t x) { return x / 2; }

/// The same work whatever it runs on: chains, parts fetched alone, trees and results that are kept.
void count_halves(Client& client, std::int64_t n, std::size_t partitions) {
  auto counted = range(n, partitions).map(half).frequencies();
  auto all = counted.compute(client);
  CHECK(all.size() == static_cast<std::size_t>((n + 1) / 2));
  for (auto& [number, count] : all) CHECK(count == (number == n / 2 && n % 2 == 1 ? 1u : 2u));
  auto kept = counted.persist(client);
  auto [keys, elements] = compute(client, kept.count(), kept.map([](const std::pair<std::int64_t, std::uint64_t>& pair) {
    return pair.second;
  }).sum());
  CHECK(keys == all.size());
  CHECK(elements == static_cast<std::uint64_t>(n));
}

}  // namespace

TEST_CASE("bags run in an embedded cluster, where every part is already here") {
  Client client;
  count_halves(client, 1001, 1);
  count_halves(client, 1001, 16);
  auto running = range(100, 7).accumulate([](std::int64_t a, std::int64_t b) { return a + b; }, std::int64_t(0));
  CHECK(running.repartition(3).max().compute(client) == 4950);
  auto key = [](std::int64_t x) { return x % 10; };
  CHECK(range(100, 7).join(range(10, 2), key).count().compute(client) == 100);
}

TEST_CASE("a failing function of a stage fails the bag with its message") {
  Client client;
  auto failing = range(10, 3).map([](std::int64_t x) {
    if (x == 7) throw std::runtime_error("seven is out");
    return x;
  });
  try {
    failing.frequencies().compute(client);
    FAIL("it did not throw");
  } catch (const TaskError& error) {
    CHECK(std::string(error.what()).find("seven is out") != std::string::npos);
  }
}
