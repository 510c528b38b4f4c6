#include "common/key_table.h"

#include <doctest/doctest.h>

#include <map>

#include "common/vectors.h"

using namespace weft;

namespace {

struct Row {
  Key key;
  int value = 0;
};
// A row whose key is an id that lies deeper.
struct Run {
  struct Order {
    AttemptId attempt;
  } order;
  int value = 0;
  friend AttemptId key_of(const Run& run) { return run.order.attempt; }
};

Key numbered(std::uint64_t n) { return {n * 0x9e3779b97f4a7c15, (n + 1) * 0xbf58476d1ce4e5b9 | 2}; }

}  // namespace

TEST_CASE("a row is found by its key and by its number, until it leaves") {
  KeyTable<Row> table;
  auto a = table.insert({numbered(1), 10});
  auto b = table.insert({numbered(2), 20});
  CHECK(table.find(numbered(1)) == a);
  CHECK(table[b].value == 20);
  CHECK(table.look_up(numbered(2)) == &table[b]);
  table.erase(a);
  CHECK_FALSE(table.contains(numbered(1)));
  CHECK(table.look_up(numbered(1)) == nullptr);
  CHECK(table.size() == 1);
  CHECK_FALSE(table[a].key);
}

TEST_CASE("the number of a row that left is used again, and its row begins anew") {
  KeyTable<Row> table;
  auto a = table.insert({numbered(1), 10});
  table.erase(a);
  CHECK(table.insert({numbered(2)}) == a);
  CHECK(table[a].value == 0);
  CHECK(table.end() == 1);
}

TEST_CASE("rows stay where they are while the table grows") {
  KeyTable<Row> table;
  Row* first = &table[table.insert({numbered(0), 7})];
  for (std::uint64_t i = 1; i < 5000; ++i) table.insert({numbered(i)});
  CHECK(table.look_up(numbered(0)) == first);
  CHECK(first->value == 7);
}

TEST_CASE("ids that count up are keys, too") {
  KeyTable<Run> table;
  for (std::uint64_t i = 1; i <= 1000; ++i) table.insert({{{AttemptId{i}}}, static_cast<int>(i)});
  for (std::uint64_t i = 1; i <= 1000; i += 2) table.erase(table.find(AttemptId{i}));
  int sum = 0;
  table.each([&](const Run& run) { sum += run.value; });
  CHECK(sum == 250'500);
  CHECK_FALSE(table.contains(AttemptId{1}));
  CHECK(table.look_up(AttemptId{1000})->value == 1000);
}

TEST_CASE("a table agrees with a map, whatever comes and goes") {
  KeyTable<Row> table;
  std::map<Key, int> model;
  std::uint64_t dice = 1;
  for (int step = 0; step < 20'000; ++step) {
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    Key key = numbered(dice >> 40 & 1023);
    if (model.erase(key)) {
      table.erase(table.find(key));
    } else {
      model[key] = step;
      table.insert({key, step});
    }
  }
  CHECK(table.size() == model.size());
  for (const auto& [key, value] : model) CHECK(table.look_up(key)->value == value);
}

TEST_CASE("a vector that was taken has room for as much again, but not for a burst") {
  std::vector<int> lines(100, 1);
  CHECK(take_all(lines).size() == 100);
  CHECK(lines.empty());
  CHECK(lines.capacity() >= 100);
  lines.assign(100'000, 1);
  CHECK(take_all(lines).size() == 100'000);
  CHECK(lines.capacity() < 1000);
}

TEST_CASE("making room for one more again and again doubles the room") {
  std::vector<int> lines;
  int moves = 0;
  for (int i = 0; i < 10'000; ++i) {
    auto room = lines.capacity();
    make_room(lines, 1);
    moves += lines.capacity() != room;
    lines.push_back(i);
  }
  CHECK(moves < 20);
}
