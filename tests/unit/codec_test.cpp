#define MSGPACK_NO_BOOST_OPTIONAL
#include <cmath>
#include <limits>
#include <random>

#include <doctest/doctest.h>
#include <msgpack.hpp>

#include "common/messages.h"

using namespace weft;

namespace {

/// Fills every field of a message with data that is not its default, different from field to field.
struct Filler {
  std::uint64_t count = 0;
  template <class... T>
  void operator()(T&... values) {
    (fill(values), ...);
  }
  template <class T>
  void fill(T& value) {
    using namespace codec_detail;
    ++count;
    if constexpr (std::is_same_v<T, bool>) value = true;
    else if constexpr (std::is_enum_v<T>) value = static_cast<T>(1 + count % 3);
    else if constexpr (std::is_unsigned_v<T>) value = static_cast<T>(std::numeric_limits<T>::max() - count);
    else if constexpr (std::is_integral_v<T>) value = static_cast<T>(std::numeric_limits<T>::min() + std::int64_t(count));
    else if constexpr (std::is_floating_point_v<T>) value = -1.5e300 / double(count);
    else if constexpr (std::is_same_v<T, std::string>) value = "text " + std::to_string(count) + std::string(count % 40, 'x');
    else if constexpr (std::is_same_v<T, Bytes>) value = Bytes(count % 60 + 1, std::byte(count));
    else if constexpr (std::is_same_v<T, Buffer>) value = Buffer::own(Bytes(count % 60 + 1, std::byte(count)));
    else if constexpr (std::is_same_v<T, Key> || std::is_same_v<T, SessionId>) value = {count << 40, ~count};
    else if constexpr (std::is_same_v<T, Duration>) value = Duration(-std::int64_t(count) * 1'000'000'007);
    else if constexpr (std::is_same_v<T, Time>) value = {std::int64_t(count) << 33};
    else if constexpr (IsId<T>::value) fill(value.number);
    else if constexpr (IsPair<T>::value) (*this)(value.first, value.second);
    else if constexpr (IsVector<T>::value) fill_vector(value);
    else if constexpr (IsMap<T>::value)
      for (int i = 0; i < 3; ++i) {
        typename T::key_type key;
        fill(key);
        fill(value[key]);
      }
    else if constexpr (IsOptional<T>::value) fill(value.emplace());
    else value.fields(*this);
  }
  template <class T>
  void fill_vector(std::vector<T>& values) {
    if constexpr (codec_detail::IsVariant<T>::value) {
      one_of_each(values, std::make_index_sequence<std::variant_size_v<T>>{});
    } else {
      values.resize(std::is_integral_v<T> ? 17 : 2);  // numbers: more than a fixarray
      for (auto& value : values) fill(value);
    }
  }
  template <class V, std::size_t... I>
  void one_of_each(std::vector<V>& values, std::index_sequence<I...>) {
    (fill(std::get<I>(values.emplace_back(V(std::in_place_index<I>)))), ...);
  }
};

/// Every message of a variant, filled.
template <class V>
std::vector<V> all_of() {
  std::vector<V> messages;
  Filler filler;
  filler.fill_vector(messages);
  return messages;
}

template <class Check>
void for_every_message(Check check) {
  auto each = [&](auto messages) {
    for (auto& message : messages) {
      CAPTURE(message.index());
      check(message);
    }
  };
  each(all_of<ClientMessage>());
  each(all_of<ClientBound>());
  each(all_of<WorkerMessage>());
  each(all_of<WorkerBound>());
  each(all_of<ValueRequest>());
  each(all_of<ValueReply>());
}

bool is_msgpack(const Bytes& bytes) {
  msgpack::null_visitor visitor;
  std::size_t offset = 0;
  return msgpack::parse(reinterpret_cast<const char*>(bytes.data()), bytes.size(), offset, visitor) && offset == bytes.size();
}
template <class T>
Bytes packed(const T& value) {
  msgpack::sbuffer buffer;
  msgpack::pack(buffer, value);
  auto* begin = reinterpret_cast<const std::byte*>(buffer.data());
  return Bytes(begin, begin + buffer.size());
}
Bytes bytes_of(std::initializer_list<int> numbers) {
  Bytes bytes;
  for (int number : numbers) bytes.push_back(std::byte(number));
  return bytes;
}
template <class T>
bool refused(const Bytes& bytes, const CodecLimits& limits = {}) {
  auto result = decode<T>(bytes, limits);
  return !result && result.error().kind == ErrorKind::protocol_error && !result.error().message.empty();
}

}  // namespace

TEST_CASE("every message comes back as it was") {
  for_every_message([](const auto& message) {
    using V = std::remove_cvref_t<decltype(message)>;
    Bytes bytes = encode(message);
    auto back = decode<V>(bytes);
    REQUIRE(back);
    CHECK(back->index() == message.index());
    CHECK(encode(*back) == bytes);
  });
}

TEST_CASE("fields keep their values, not only their bytes") {
  GetRange range{.request = 1, .key = {2, 3}, .part = 4, .offset = 5, .length = 6, .token = {7, 8}};
  auto back = std::get<GetRange>(*decode<ValueRequest>(encode(ValueRequest(range))));
  CHECK(back.request == 1);
  CHECK(back.key == Key{2, 3});
  CHECK(back.part == 4);
  CHECK(back.offset == 5);
  CHECK(back.length == 6);
  CHECK(back.token.nonce == 7);
  CHECK(back.token.seal == 8);
  WireFailure wire;
  Filler().fill(wire);
  CHECK(decode<WireFailure>(encode(wire))->failure == wire.failure);
  Template shape;
  Filler().fill(shape);
  CHECK(*decode<Template>(encode(shape)) == shape);
}

TEST_CASE("a message of empty fields comes back") {
  for_every_message([](const auto& filled) {
    using V = std::remove_cvref_t<decltype(filled)>;
    V empty = std::visit([](const auto& one) { return V(std::remove_cvref_t<decltype(one)>{}); }, filled);
    auto back = decode<V>(encode(empty));
    REQUIRE(back);
    CHECK(encode(*back) == encode(empty));
  });
}

TEST_CASE("what is put as one of a variant has the bytes of the variant") {
  AttemptReturned returned{{7}, Key{1, 2}};
  CHECK(encode_as<WorkerMessage>(returned) == encode(WorkerMessage(returned)));
  CHECK(encode_as<WorkerMessage>(WorkerLeaving{}) == encode(WorkerMessage(WorkerLeaving{})));
}

TEST_CASE("an encoder that is used again writes the same bytes") {
  Encoder encoder;
  encoder.put(std::string(1000, 'x'));
  encoder.clear();
  encoder.put(std::string("short"));
  CHECK(Bytes(encoder.bytes().begin(), encoder.bytes().end()) == encode(std::string("short")));
  CHECK(encoder.take() == encode(std::string("short")));
  CHECK(encoder.size() == 0);
}

TEST_CASE("our bytes are msgpack") {
  for_every_message([](const auto& message) { CHECK(is_msgpack(encode(message))); });
}

TEST_CASE("scalars have the bytes that msgpack-c writes") {
  std::mt19937_64 random(1);
  for (int shift = 0; shift < 64; ++shift)
    for (std::int64_t near = -2; near <= 2; ++near) {
      std::uint64_t number = (std::uint64_t(1) << shift) + static_cast<std::uint64_t>(near);
      CHECK(encode(number) == packed(number));
      CHECK(encode(std::int64_t(number)) == packed(std::int64_t(number)));
      CHECK(encode(-std::int64_t(number >> 1)) == packed(-std::int64_t(number >> 1)));
      CHECK(*decode<std::uint64_t>(encode(number)) == number);
      CHECK(*decode<std::int64_t>(encode(std::int64_t(number))) == std::int64_t(number));
    }
  for (double real : {1.5, 1e308, -1e-308, std::numeric_limits<double>::infinity()}) {
    CHECK(encode(real) == packed(real));
    CHECK(*decode<double>(encode(real)) == real);
  }
  // msgpack-c writes a whole number as an integer, which loses the sign of zero; a real of ours stays real.
  CHECK(std::signbit(*decode<double>(encode(-0.0))));
  CHECK(std::isnan(*decode<double>(encode(std::nan("")))));
  for (bool boolean : {false, true}) CHECK(encode(boolean) == packed(boolean));
  for (std::size_t size : {0, 1, 31, 32, 255, 256, 65535, 65536}) {
    CAPTURE(size);
    CHECK(encode(std::string(size, 'a')) == packed(std::string(size, 'a')));
    CHECK(encode(Bytes(size)) == packed(std::vector<char>(size)));
    CHECK(encode(std::vector<std::uint32_t>(size)) == packed(std::vector<std::uint32_t>(size)));
  }
  CHECK(encode(std::optional<int>()) == bytes_of({0xc0}));
}

TEST_CASE("a message cut at any byte is refused") {
  for_every_message([](const auto& message) {
    using V = std::remove_cvref_t<decltype(message)>;
    Bytes whole = encode(message);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      if (!refused<V>(part)) {
        CAPTURE(size);
        FAIL_CHECK("a truncated message was accepted");
      }
    }
  });
}

TEST_CASE("bytes after a message are refused") {
  for_every_message([](const auto& message) {
    using V = std::remove_cvref_t<decltype(message)>;
    Bytes longer = encode(message);
    longer.push_back(std::byte{0});
    CHECK(refused<V>(longer));
  });
}

TEST_CASE("damaged messages are refused or decoded, and nothing else happens") {
  std::mt19937_64 random(11);
  for_every_message([&](const auto& message) {
    using V = std::remove_cvref_t<decltype(message)>;
    Bytes whole = encode(message);
    for (int round = 0; round < 200; ++round) {
      Bytes damaged = whole;
      for (std::uint64_t i = random() % 4 + 1; i > 0; --i) damaged[random() % damaged.size()] = std::byte(random());
      auto back = decode<V>(damaged);
      if (!back) CHECK(back.error().kind == ErrorKind::protocol_error);
      else CHECK(decode<V>(encode(*back)));
    }
  });
}

TEST_CASE("an announced size beyond the frame is refused before memory is taken") {
  CHECK(refused<std::vector<Key>>(bytes_of({0xdd, 0xff, 0xff, 0xff, 0xff})));
  CHECK(refused<std::vector<std::uint32_t>>(bytes_of({0xdd, 0xff, 0xff, 0xff, 0xff, 1, 2, 3})));
  CHECK(refused<std::vector<std::vector<std::vector<int>>>>(
      bytes_of({0xdd, 0, 0, 0, 1, 0xdd, 0, 0, 0, 1, 0xdd, 0xff, 0xff, 0xff, 0xff})));
  CHECK(refused<std::string>(bytes_of({0xdb, 0xff, 0xff, 0xff, 0xff, 'a'})));
  CHECK(refused<Bytes>(bytes_of({0xc6, 0xff, 0xff, 0xff, 0xff, 'a'})));
  CHECK(refused<std::map<std::string, double>>(bytes_of({0xdd, 0x7f, 0xff, 0xff, 0xff, 0x92})));
}

TEST_CASE("many small elements may not claim more memory than a frame may") {
  // One byte on the wire, hundreds in memory: 300,000 templates would take over 64 MiB.
  Bytes bomb = bytes_of({0xdd, 0, 4, 0x93, 0xe0});
  bomb.resize(bomb.size() + 300'000);
  CHECK(refused<std::vector<Template>>(bomb, {.allocation_max = 64u << 20}));
  Bytes nested = bytes_of({0xdd, 0, 0, 0xff, 0xff});
  for (int i = 0; i < 0xffff; ++i) nested.push_back(std::byte{0x90});
  CHECK(refused<std::vector<std::vector<std::vector<int>>>>(nested, {.allocation_max = 1u << 20}));
  CHECK(decode<std::vector<std::vector<std::vector<int>>>>(nested));
}

TEST_CASE("each limit refuses by itself") {
  CHECK(refused<std::vector<std::uint32_t>>(encode(std::vector<std::uint32_t>(100)), {.frame_bytes_max = 100}));
  CHECK(refused<std::vector<std::uint32_t>>(encode(std::vector<std::uint32_t>(11)), {.elements_max = 10}));
  CHECK(decode<std::vector<std::uint32_t>>(encode(std::vector<std::uint32_t>(10)), {.elements_max = 10}));
  CHECK(refused<std::string>(encode(std::string(1000, 'a')), {.allocation_max = 999}));
}

TEST_CASE("wrong types, unknown messages and wrong counts are refused") {
  CHECK(refused<ValueRequest>(bytes_of({0x92, 0x02, 0x90})));       // no third alternative
  CHECK(refused<ValueRequest>(bytes_of({0x93, 0x00, 0x90, 0x90})));
  CHECK(refused<Token>(bytes_of({0x91, 0x01})));
  CHECK(refused<Token>(bytes_of({0x93, 0x01, 0x02, 0x03})));
  CHECK(refused<Token>(bytes_of({0x92, 0x01, 0xff})));              // negative
  CHECK(refused<std::uint32_t>(encode(std::uint64_t(1) << 32)));
  CHECK(refused<std::int32_t>(encode(std::int64_t(INT32_MIN) - 1)));
  CHECK(refused<std::int64_t>(encode(UINT64_MAX)));
  CHECK(refused<bool>(bytes_of({0x01})));
  CHECK(refused<double>(bytes_of({0xca, 0, 0, 0, 0})));             // single precision is not ours
  CHECK(refused<std::string>(bytes_of({0xc4, 0x00})));
  CHECK(refused<Bytes>(bytes_of({0xa0})));
  CHECK(refused<Key>(bytes_of({0xc4, 0x02, 1, 2})));
  CHECK(refused<ErrorKind>(encode(std::uint32_t(256))));
  CHECK(refused<std::map<std::string, double>>(
      bytes_of({0x92, 0x92, 0xa1, 'a', 0xcb, 0, 0, 0, 0, 0, 0, 0, 0, 0x92, 0xa1, 'a', 0xcb, 0, 0, 0, 0, 0, 0, 0, 0})));
  for (int head : {0xc1, 0xc7, 0xd4, 0xd8, 0x80, 0xde, 0xdf}) CHECK(refused<Token>(bytes_of({head, 0, 0})));
}
