#include <doctest/doctest.h>

#include <weft/bag.h>
#include <weft/weft.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
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

/// A folder of three texts of 3,000 lines each: plain, with CRLF and without a final newline, compressed.
struct Texts {
  Texts() {
    char name[] = "/tmp/weft-test-XXXXXX";
    path = mkdtemp(name);
    std::ofstream plain(path + "/a.txt"), crlf(path + "/b.txt");
    for (int i = 0; i < 3000; ++i) {
      plain << "word" << i % 97 << " common\n";
      crlf << (i == 0 ? "" : "\r\n") << "word" << i % 89 << " common";
    }
    plain.close();
    REQUIRE(std::system(("gzip -c " + path + "/a.txt > " + path + "/c.gz").c_str()) == 0);
  }
  ~Texts() { std::filesystem::remove_all(path); }
  std::string path;
};

std::vector<std::string> words_of(const std::string& line) {
  std::size_t space = line.find(' ');
  return {line.substr(0, space), line.substr(space + 1)};
}

}  // namespace

TEST_CASE("bags run over processes: text in, an exchange by hash, text out") {
  Texts texts;
  LocalCluster cluster({.workers = 2});
  Client client(cluster);
  count_halves(client, 1001, 16);

  std::map<std::string, std::uint64_t> expected{{"common", 9000}};
  for (int i = 0; i < 3000; ++i) expected["word" + std::to_string(i % 97)] += 2, expected["word" + std::to_string(i % 89)] += 1;
  auto counted = read_text({texts.path + "/*.txt", texts.path + "/c.gz"}, {4096}).flat_map(words_of).frequencies({.split_out = 5});
  auto pairs = counted.compute(client);
  CHECK(std::map<std::string, std::uint64_t>(pairs.begin(), pairs.end()) == expected);
  CHECK(pairs.size() == expected.size());

  auto paths = counted.map([](const std::pair<std::string, std::uint64_t>& count) {
    return count.first + ' ' + std::to_string(count.second);
  }).to_textfiles(client, texts.path + "/out/part-*.txt");
  CHECK(paths.size() == 5);
  CHECK(read_text(texts.path + "/out/*").count().compute(client) == expected.size());
  CHECK_THROWS_WITH_AS(read_text(texts.path + "/nothing-*").count().compute(client), doctest::Contains("no file matches"), Error);
}

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
