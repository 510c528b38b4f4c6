#include <cstring>
#include <random>

#include <doctest/doctest.h>

#include <weft/value.h>

using namespace weft;

namespace {

Value value_of(std::initializer_list<std::string_view> parts) {
  std::vector<std::span<const std::byte>> spans;
  for (auto part : parts) spans.push_back(std::as_bytes(std::span<const char>(part.data(), part.size())));
  return Value::make(11, spans);
}

}  // namespace

TEST_CASE("a value gives back its parts, each aligned to 64 bytes") {
  Value value = value_of({"first", "", "a longer third part"});
  CHECK(value.type() == 11);
  REQUIRE(value.part_count() == 3);
  CHECK(value.part(0).text() == "first");
  CHECK(value.part(1).empty());
  CHECK(value.part(2).text() == "a longer third part");
  for (std::uint32_t i = 0; i < 3; ++i) CHECK(value.part_range(i).offset % value_alignment == 0);
  CHECK(Value::from(value.block()));
}

TEST_CASE("equal parts give equal blocks") {
  CHECK(value_of({"x", "yy"}).block() == value_of({"x", "yy"}).block());
  CHECK_FALSE(value_of({"x", "yy"}).block() == value_of({"xy", "y"}).block());
}

TEST_CASE("a part keeps the whole block alive") {
  Buffer part;
  {
    Value value = value_of({"kept"});
    part = value.part(0);
  }
  CHECK(part.text() == "kept");
}

TEST_CASE("a value without parts is a value, an empty buffer is none") {
  Value value = Value::make(0, {});
  CHECK(value.part_count() == 0);
  CHECK(Value::from(value.block()));
  CHECK_FALSE(Value::from(Buffer{}));
  CHECK(Value{}.part_count() == 0);
}

TEST_CASE("no truncation and no longer block is a value") {
  Value value = value_of({"abc", "def"});
  for (std::size_t size = 0; size < value.size(); ++size) CHECK_FALSE(Value::from(value.block().slice(0, size)));
  Bytes longer(value.block().data(), value.block().data() + value.size());
  longer.push_back(std::byte{0});
  CHECK_FALSE(Value::from(Buffer::own(longer)));
}

TEST_CASE("parts that overlap, lie outside or wrap around are refused") {
  Value good = value_of({"abc", "def"});
  auto with = [&](std::uint32_t index, ValuePart part) {
    Bytes bytes(good.block().data(), good.block().data() + good.size());
    std::memcpy(bytes.data() + sizeof(ValueHeader) + index * sizeof part, &part, sizeof part);
    return Value::from(Buffer::own(std::move(bytes))).has_value();
  };
  CHECK(with(1, good.part_range(1)));
  CHECK_FALSE(with(1, {0, 3}));
  CHECK_FALSE(with(1, {64, 3}));                         // on top of part 0
  CHECK_FALSE(with(1, {129, 2}));                        // not aligned
  CHECK_FALSE(with(1, {128, 4}));                        // beyond the end
  CHECK_FALSE(with(1, {128, UINT64_MAX - 100}));
  CHECK_FALSE(with(1, {UINT64_MAX - 63, 64}));
  CHECK_FALSE(with(0, {64, 100}));
}

TEST_CASE("random damage to the header or table never makes a part outside the block") {
  Value good = value_of({"some bytes", "other bytes", "third"});
  std::mt19937_64 random(5);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(good.block().data(), good.block().data() + good.size());
    for (int i = 0; i < 3; ++i) bytes[random() % 72] = std::byte(random());
    auto value = Value::from(Buffer::own(std::move(bytes)));
    if (!value) continue;
    for (std::uint32_t i = 0; i < value->part_count(); ++i) {
      ValuePart range = value->part_range(i);
      REQUIRE(range.offset <= value->size());
      REQUIRE(range.size <= value->size() - range.offset);
    }
  }
}
