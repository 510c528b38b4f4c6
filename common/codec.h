// Messages to bytes and back. The bytes are msgpack: positional arrays, no names. Writing uses msgpack-c's packer through
// codec.cpp; reading is a bounded pull reader of the same format, so that each message names its fields once, nothing is
// allocated before the bytes for it are there, and no recursion or DOM exists. msgpack-c's own visitor is the oracle in tests.
//
// A message is a struct with `template <class A> void fields(A& a) { a(first, second); }`.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <weft/buffer.h>
#include <weft/key.h>

#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"

namespace weft {

/// Limits on what a peer may send; each is checked before anything is allocated for it.
struct CodecLimits {
  std::size_t frame_bytes_max = 64u << 20;   // one control frame
  std::size_t elements_max = 16'000'000;     // elements of one array; also never more than bytes left
  std::size_t allocation_max = 256u << 20;   // memory that one frame may claim in all, by our own estimate
};
/// Memory that an array gets because its length was announced; beyond it grows with the elements that are really there.
inline constexpr std::size_t announced_bytes_max = 256u << 10;

namespace codec_detail {
template <class T, class... A>
constexpr std::size_t place_among(const std::variant<A...>*) {
  std::size_t place = 0;
  static_cast<void>(((std::is_same_v<T, A> ? true : (++place, false)) || ...));
  return place;
}
}  // namespace codec_detail

class Encoder {
 public:
  void nil();
  void boolean(bool value);
  void unsigned_integer(std::uint64_t value);
  void signed_integer(std::int64_t value);
  void real(double value);
  void text(std::string_view value);
  void binary(std::span<const std::byte> value);
  void array(std::size_t count);

  template <class... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }
  template <class T>
  void put(const T& value);
  /// As if `value` were in the variant.
  template <class Variant, class T>
  void put_as(const T& value) {
    array(2);
    unsigned_integer(codec_detail::place_among<T>(static_cast<const Variant*>(nullptr)));
    put(value);
  }

  Bytes take() { return std::exchange(out_, {}); }
  /// What was written; the next use overwrites it and needs no memory of its own.
  std::span<const std::byte> bytes() const { return out_; }
  void clear() { out_.clear(); }
  std::size_t size() const { return out_.size(); }

 private:
  Bytes out_;
};

class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes, const CodecLimits& limits = {})
      : at_(bytes.data()), end_(bytes.data() + bytes.size()), budget_(limits.allocation_max),
        elements_max_(limits.elements_max) {}

  bool boolean();
  std::uint64_t unsigned_integer();
  std::int64_t signed_integer();
  double real();
  std::string_view text();
  std::span<const std::byte> binary();
  /// Count of the array that starts here; each element takes at least one byte and `element_size` of memory.
  std::size_t array(std::size_t element_size = 1);

  template <class... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  template <class T>
  void get(T& value);

  /// Stop with a sentence; only the first counts.
  void fail(const char* why) {
    if (!error_) error_ = why;
    at_ = end_;
  }
  bool failed() const { return error_ != nullptr; }
  const char* error() const { return error_; }
  bool at_end() const { return at_ == end_; }

 private:
  std::uint64_t big_endian(std::size_t bytes);
  std::size_t length(int family);
  bool claim(std::size_t bytes);

  const std::byte* at_;
  const std::byte* end_;
  std::size_t budget_;
  std::size_t elements_max_;
  const char* error_ = nullptr;
};

namespace codec_detail {

struct CountFields {
  std::size_t count = 0;
  template <class... T>
  void operator()(T&...) {
    count += sizeof...(T);
  }
};
template <class T>
concept Message = requires(T& value, CountFields& counter) { value.fields(counter); };

template <class T>
struct IsId : std::false_type {};
template <class Tag, class Number>
struct IsId<Id<Tag, Number>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class K, class V>
struct IsMap<std::map<K, V>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVariant : std::false_type {};
template <class... T>
struct IsVariant<std::variant<T...>> : std::true_type {};
template <class T>
struct IsPair : std::false_type {};
template <class A, class B>
struct IsPair<std::pair<A, B>> : std::true_type {};

template <class V, std::size_t... I>
void get_variant(Decoder& decoder, V& value, std::size_t which, std::index_sequence<I...>) {
  bool known = ((which == I ? (decoder.get(value.template emplace<I>()), true) : false) || ...);
  if (!known) decoder.fail("unknown message type");
}

template <class V, std::size_t... I>
void append_variant(Decoder& decoder, std::vector<V>& values, std::size_t which, std::index_sequence<I...>) {
  bool known = ((which == I ? (values.emplace_back(std::in_place_index<I>), decoder.get(std::get<I>(values.back())), true) : false) || ...);
  if (!known) decoder.fail("unknown message type");
}
template <class V>
void append_variant(Decoder& decoder, std::vector<V>& values) {
  if (decoder.array() != 2) return decoder.fail("a message has a type and a body");
  std::size_t which = decoder.unsigned_integer();
  if (!decoder.failed()) append_variant(decoder, values, which, std::make_index_sequence<std::variant_size_v<V>>{});
}
}  // namespace codec_detail

template <class T>
void Encoder::put(const T& value) {
  using namespace codec_detail;
  if constexpr (std::is_same_v<T, bool>) {
    boolean(value);
  } else if constexpr (std::is_enum_v<T>) {
    unsigned_integer(static_cast<std::uint64_t>(value));
  } else if constexpr (std::is_unsigned_v<T>) {
    unsigned_integer(value);
  } else if constexpr (std::is_signed_v<T> && std::is_integral_v<T>) {
    signed_integer(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    real(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    text(value);
  } else if constexpr (std::is_same_v<T, Bytes>) {
    binary(value);
  } else if constexpr (std::is_same_v<T, Buffer>) {
    binary(value.bytes());
  } else if constexpr (std::is_same_v<T, Key> || std::is_same_v<T, SessionId>) {
    binary(std::as_bytes(std::span(&value, 1)));
  } else if constexpr (std::is_same_v<T, Duration>) {
    signed_integer(value.count());
  } else if constexpr (std::is_same_v<T, Time>) {
    signed_integer(value.nanoseconds);
  } else if constexpr (IsId<T>::value) {
    unsigned_integer(value.number);
  } else if constexpr (IsPair<T>::value) {
    array(2);
    put(value.first);
    put(value.second);
  } else if constexpr (IsVector<T>::value) {
    array(value.size());
    for (const auto& element : value) put(element);
  } else if constexpr (IsMap<T>::value) {
    array(value.size());
    for (const auto& [key, element] : value) {
      array(2);
      put(key);
      put(element);
    }
  } else if constexpr (IsOptional<T>::value) {
    if (value) put(*value);
    else nil();
  } else if constexpr (IsVariant<T>::value) {
    array(2);
    unsigned_integer(value.index());
    std::visit([this](const auto& alternative) { this->put(alternative); }, value);
  } else {
    CountFields counter;
    const_cast<T&>(value).fields(counter);
    array(counter.count);
    const_cast<T&>(value).fields(*this);
  }
}

template <class T>
void Decoder::get(T& value) {
  using namespace codec_detail;
  if (failed()) return;
  if constexpr (std::is_same_v<T, bool>) {
    value = boolean();
  } else if constexpr (std::is_enum_v<T>) {
    auto number = unsigned_integer();
    if (number > 255) return fail("enumerator out of range");
    value = static_cast<T>(number);
  } else if constexpr (std::is_unsigned_v<T>) {
    auto number = unsigned_integer();
    if (number > std::uint64_t(static_cast<T>(-1))) return fail("number out of range");
    value = static_cast<T>(number);
  } else if constexpr (std::is_signed_v<T> && std::is_integral_v<T>) {
    auto number = signed_integer();
    if (static_cast<std::int64_t>(static_cast<T>(number)) != number) return fail("number out of range");
    value = static_cast<T>(number);
  } else if constexpr (std::is_floating_point_v<T>) {
    value = real();
  } else if constexpr (std::is_same_v<T, std::string>) {
    value = std::string(text());
  } else if constexpr (std::is_same_v<T, Bytes>) {
    auto bytes = binary();
    value.assign(bytes.begin(), bytes.end());
  } else if constexpr (std::is_same_v<T, Buffer>) {
    value = Buffer::copy(binary());
  } else if constexpr (std::is_same_v<T, Key> || std::is_same_v<T, SessionId>) {
    auto bytes = binary();
    if (bytes.size() != 16) return fail("a key has 16 bytes");
    std::memcpy(&value, bytes.data(), 16);
  } else if constexpr (std::is_same_v<T, Duration>) {
    value = Duration(signed_integer());
  } else if constexpr (std::is_same_v<T, Time>) {
    value.nanoseconds = signed_integer();
  } else if constexpr (IsId<T>::value) {
    get(value.number);
  } else if constexpr (IsPair<T>::value) {
    if (array() != 2) return fail("a pair has two elements");
    get(value.first);
    get(value.second);
  } else if constexpr (IsVector<T>::value) {
    std::size_t count = array(sizeof(typename T::value_type));
    if (failed()) return;
    value.clear();
    value.reserve(std::min(count, announced_bytes_max / sizeof(typename T::value_type)));
    for (std::size_t i = 0; i < count && !failed(); ++i) {
      // A variant is made as what it is: a default one, the first alternative, may be large.
      if constexpr (IsVariant<typename T::value_type>::value) append_variant(*this, value);
      else get(value.emplace_back());
    }
  } else if constexpr (IsMap<T>::value) {
    std::size_t count = array(sizeof(typename T::value_type) + 48);
    value.clear();
    for (std::size_t i = 0; i < count && !failed(); ++i) {
      typename T::key_type key;
      if (array() != 2) return fail("a map entry has two elements");
      get(key);
      auto [place, is_new] = value.try_emplace(std::move(key));
      if (!is_new) return fail("a map key came twice");
      get(place->second);
    }
  } else if constexpr (IsOptional<T>::value) {
    if (at_ != end_ && *at_ == std::byte{0xc0}) {
      ++at_;
      value.reset();
    } else {
      get(value.emplace());
    }
  } else if constexpr (IsVariant<T>::value) {
    if (array() != 2) return fail("a message has a type and a body");
    std::size_t which = unsigned_integer();
    if (!failed()) get_variant(*this, value, which, std::make_index_sequence<std::variant_size_v<T>>{});
  } else {
    CountFields counter;
    value.fields(counter);
    if (array() != counter.count) return fail("a message has another number of fields");
    value.fields(*this);
  }
}

/// Encode one value or message as a whole frame.
template <class T>
Bytes encode(const T& value) {
  Encoder encoder;
  encoder.put(value);
  return encoder.take();
}

/// The same, as if `value` were in the variant.
template <class Variant, class T>
Bytes encode_as(const T& value) {
  Encoder encoder;
  encoder.put_as<Variant>(value);
  return encoder.take();
}

/// Decode a whole frame; trailing bytes, wrong types and broken limits are ProtocolErrors.
template <class T>
Result<T> decode(std::span<const std::byte> bytes, const CodecLimits& limits = {}) {
  if (bytes.size() > limits.frame_bytes_max) return failure(ErrorKind::protocol_error, "frame is larger than the limit");
  Decoder decoder(bytes, limits);
  T value{};
  decoder.get(value);
  if (!decoder.failed() && !decoder.at_end()) decoder.fail("bytes left after the message");
  if (decoder.failed()) return failure(ErrorKind::protocol_error, decoder.error());
  return value;
}

}  // namespace weft
