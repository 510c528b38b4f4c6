#include <doctest/doctest.h>

#include "client/graph_builder.h"

using namespace weft;
using namespace weft::client;

namespace {

Key key(std::uint64_t n) { return {7, n * 0x9e3779b97f4a7c15}; }
Template shape(std::string label) { return {.label = std::move(label)}; }
std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

}  // namespace

TEST_CASE("tasks become columns that refer backwards") {
  GraphBuilder builder;
  auto inc = builder.add_template(shape("inc"));
  auto add = builder.add_template(shape("add"));
  builder.add(inc, key(1), bytes("a"), {}, false);
  TaskInput inputs[] = {{key(1)}, {key(9), 3}};
  builder.add(add, key(2), bytes("bc"), inputs, true);
  auto chunks = builder.take();
  REQUIRE(chunks.size() == 1);
  const GraphChunk& chunk = chunks[0];
  CHECK(static_cast<bool>(check_chunk(chunk)));
  CHECK(chunk.size() == 2);
  CHECK(chunk.key(1) == key(2));
  CHECK(chunk.externals == std::vector<Key>{key(9)});
  auto [begin, end] = chunk.inputs_of(1);
  CHECK(end - begin == 2);
  CHECK(chunk.input_key(chunk.inputs[begin]) == key(1));
  CHECK(chunk.input_key(chunk.inputs[begin + 1]) == key(9));
  CHECK(chunk.input_parts == std::vector<std::uint32_t>{whole_value, 3});
  CHECK(chunk.arguments_of(1).size() == 2);
  CHECK(chunk.wanted == std::vector<std::uint32_t>{1});
  CHECK(builder.take().empty());
}

TEST_CASE("equal keys become one task, wanted as often as futures exist") {
  GraphBuilder builder;
  auto inc = builder.add_template(shape("inc"));
  builder.add(inc, key(1), bytes("a"), {}, true);
  builder.add(inc, key(1), bytes("a"), {}, true);
  auto chunks = builder.take();
  REQUIRE(chunks.size() == 1);
  CHECK(chunks[0].size() == 1);
  CHECK(chunks[0].wanted == std::vector<std::uint32_t>{0, 0});
}

TEST_CASE("equal templates are one template") {
  GraphBuilder builder;
  auto a = builder.add_template(shape("inc"));
  CHECK(builder.add_template(shape("inc")) == a);
  CHECK(builder.add_template(shape("dec")) != a);
  CHECK(builder.add_template(shape("inc")) == a);
}

TEST_CASE("a big graph is cut into bounded chunks, each with the templates it needs and references across as externals") {
  GraphBuilder builder(4096);
  auto inc = builder.add_template(shape("inc"));
  for (std::uint64_t i = 0; i < 1000; ++i) {
    TaskInput before[] = {{key(i - 1)}};
    builder.add(inc, key(i), bytes("12345678"), i ? std::span<const TaskInput>(before) : std::span<const TaskInput>(), true);
  }
  auto chunks = builder.take();
  CHECK(chunks.size() > 10);
  std::size_t tasks = 0;
  for (const GraphChunk& chunk : chunks) {
    CHECK(static_cast<bool>(check_chunk(chunk)));
    CHECK(chunk.templates.size() == 1);
    CHECK(chunk.keys.size() + chunk.arguments.size() <= 4096);
    if (tasks) CHECK(chunk.externals == std::vector<Key>{key(tasks - 1)});
    CHECK(chunk.key(0) == key(tasks));
    tasks += chunk.size();
  }
  CHECK(tasks == 1000);
}

TEST_CASE("a map of a million elements costs tens of bytes a task") {
  GraphBuilder builder;
  auto inc = builder.add_template(shape("inc"));
  for (std::uint64_t i = 0; i < 1'000'000; ++i) builder.add(inc, key(i), bytes("1234"), {}, true);
  auto chunks = builder.take();
  std::size_t size = 0;
  for (const GraphChunk& chunk : chunks) {
    std::size_t here = chunk.keys.size() + chunk.arguments.size() + 4 * (chunk.template_of.size() + chunk.argument_ends.size() +
                       chunk.wanted.size() + chunk.input_ends.size());
    CHECK(here <= GraphChunk::bytes_max);
    size += here;
  }
  CHECK(size <= 32u * 1'000'000);
}
