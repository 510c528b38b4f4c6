// What fuzz targets share: a source that makes values of any type the codec knows from the bytes of an input, a promise that must
// hold, and how a target makes itself known. With libFuzzer each *_fuzz.cpp is a program; without it all of them are linked into
// fuzz_tests, which replays corpora and mutations (replay_test.cpp).
#pragma once

#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/messages.h"

namespace weft::fuzz {

using Input = std::span<const std::byte>;
/// A named input that a target begins with.
using Seeds = std::vector<std::pair<std::string, Bytes>>;

/// A broken promise ends the process; the input is the evidence.
inline void promise(bool kept, const char* what) {
  if (kept) return;
  std::fprintf(stderr, "fuzz: broken promise: %s\n", what);
  std::abort();
}

inline std::string text_of(Input input) { return {reinterpret_cast<const char*>(input.data()), input.size()}; }
inline Bytes bytes_of(std::string_view text) {
  auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// Values from bytes, in order; zeros when the bytes are used up. Small numbers and a few keys and names come often, so that
/// messages speak of the same things.
class Source {
 public:
  explicit Source(Input input) : rest_(input) {}
  bool empty() const { return rest_.empty(); }
  Input rest() { return std::exchange(rest_, {}); }

  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    auto byte = std::to_integer<std::uint8_t>(rest_.front());
    rest_ = rest_.subspan(1);
    return byte;
  }
  std::size_t below(std::size_t count) { return byte() % count; }
  bool one_in(std::size_t count) { return below(count) == count - 1; }
  std::uint64_t number() {
    std::uint8_t kind = byte();
    if (kind < 192) return kind % 16;
    if (kind >= 250) return ~std::uint64_t{kind} + 250;  // near the largest
    std::uint64_t number = 0;
    for (int i = 0; i < 1 + kind % 8; ++i) number = number << 8 | byte();
    return number;
  }
  Key key() {
    std::uint8_t which = byte();
    if (which == 255) return {};
    return {0x1234560000000000u + 2 * (which % 8u) + (which >= 128 ? 1u : 0u), which % 8u};  // half of them named by users
  }

  template <class... T>
  void operator()(T&... values) {
    (fill(values), ...);
  }
  template <class T>
  T make() {
    T value{};
    fill(value);
    return value;
  }
  template <class T>
  void fill(T& value) {
    using namespace codec_detail;
    if constexpr (std::is_same_v<T, bool>) value = byte() & 1;
    else if constexpr (std::is_enum_v<T>) value = static_cast<T>(byte() % 24);
    else if constexpr (std::is_integral_v<T>) value = static_cast<T>(number());
    else if constexpr (std::is_floating_point_v<T>) value = real();
    else if constexpr (std::is_same_v<T, std::string>) value = std::string(words[below(std::size(words))]);
    else if constexpr (std::is_same_v<T, Bytes>) value.assign(below(33), std::byte{7});
    else if constexpr (std::is_same_v<T, Buffer>) value = Buffer::own(make<Bytes>());
    else if constexpr (std::is_same_v<T, Key>) value = key();
    else if constexpr (std::is_same_v<T, SessionId>) value = {1, 1 + below(4)};
    else if constexpr (std::is_same_v<T, Duration>) value = Duration(static_cast<std::int64_t>(number()));
    else if constexpr (std::is_same_v<T, Time>) value = {static_cast<std::int64_t>(number())};
    else if constexpr (IsId<T>::value) fill(value.number);
    else if constexpr (IsPair<T>::value) (*this)(value.first, value.second);
    else if constexpr (IsOptional<T>::value) {
      if (byte() & 1) fill(value.emplace());
    } else if constexpr (IsMap<T>::value) {
      for (std::size_t i = below(3); i > 0; --i) {
        auto name = make<typename T::key_type>();
        fill(value[std::move(name)]);
      }
    } else if constexpr (IsVector<T>::value) {
      value.resize(below(5));
      for (auto& element : value) fill(element);
    } else if constexpr (IsVariant<T>::value) {
      choose(value, below(std::variant_size_v<T>), std::make_index_sequence<std::variant_size_v<T>>{});
    } else if constexpr (std::is_same_v<T, GraphChunk>) {
      fill_chunk(value);
    } else {
      value.fields(*this);
    }
  }

 private:
  static constexpr std::string_view words[] = {"", "a", "b", "w1", "w2", "tcp://1", "GPU", "</script>\x01\xff", "\"\\\n"};

  double real() {
    static constexpr double odd[] = {0, 1, -1, 0.5, 1e308, -1e-300, 1e15, 3};
    std::uint8_t which = byte();
    if (which == 255) return __builtin_nan("");
    if (which == 254) return __builtin_huge_val();
    return odd[which % 8];
  }
  template <class V, std::size_t... I>
  void choose(V& value, std::size_t which, std::index_sequence<I...>) {
    ((which == I ? fill(value.template emplace<I>()) : void()), ...);
  }
  /// Mostly a chunk that makes sense, so that what is behind the check is reached; sometimes one column is changed.
  void fill_chunk(GraphChunk& chunk) {
    chunk.templates.resize(1 + below(2));
    for (Template& shape : chunk.templates) {
      fill(shape);
      shape.options.cores = 1 + shape.options.cores % 3;
      if (!one_in(4)) shape.options.resources.clear();
      if (!one_in(4)) shape.options.workers.clear();
    }
    chunk.externals.resize(below(3));
    for (Key& key : chunk.externals) key = this->key();
    for (std::size_t rows = below(5), row = 0; row < rows; ++row) {
      chunk.template_of.push_back(static_cast<std::uint32_t>(below(chunk.templates.size())));
      Key key = this->key();
      auto raw = std::as_bytes(std::span(&key, 1));
      chunk.keys.insert(chunk.keys.end(), raw.begin(), raw.end());
      chunk.arguments.resize(chunk.arguments.size() + below(4));
      chunk.argument_ends.push_back(static_cast<std::uint32_t>(chunk.arguments.size()));
      std::size_t visible = chunk.externals.size() + row;
      for (std::size_t i = visible ? below(3) : 0; i > 0; --i) chunk.inputs.push_back(static_cast<std::uint32_t>(below(visible)));
      chunk.input_ends.push_back(static_cast<std::uint32_t>(chunk.inputs.size()));
      if (!one_in(3)) chunk.wanted.push_back(static_cast<std::uint32_t>(row));
    }
    std::vector<std::uint32_t>* columns[] = {&chunk.template_of, &chunk.argument_ends, &chunk.inputs, &chunk.input_parts,
                                             &chunk.input_ends, &chunk.order, &chunk.wanted};
    if (one_in(12)) fill(*columns[below(std::size(columns))]);
    if (one_in(32)) fill(chunk.keys);
  }

  Input rest_;
};

/// Seeds for targets that make a story of any bytes.
inline Seeds stories(std::uint32_t count) {
  Seeds all;
  for (std::uint32_t seed = 1; seed <= count; ++seed) {
    Bytes bytes;
    for (std::uint32_t i = 0, word = seed; i < 1200; ++i) bytes.push_back(std::byte((word = word * 1664525 + 1013904223) >> 24));
    bytes[0] = std::byte(seed);
    all.emplace_back("story-" + std::to_string(seed), std::move(bytes));
  }
  return all;
}

/// One target, as fuzz_tests knows it. `cost`: how many times more than a plain decoder one run takes.
struct Target {
  const char* name;
  void (*run)(Input);
  Seeds (*seeds)();
  int cost;
};
std::vector<Target>& targets();
struct Registration {
  explicit Registration(const Target& target) { targets().push_back(target); }
};

}  // namespace weft::fuzz

#ifdef WEFT_LIBFUZZER
#define WEFT_FUZZ_TARGET(name, run, seeds, cost)                                            \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {       \
    run(std::as_bytes(std::span(data, size)));                                              \
    return 0;                                                                               \
  }                                                                                         \
  [[maybe_unused]] static auto* const unused_seeds = &seeds
#else
#define WEFT_FUZZ_TARGET(name, run, seeds, cost) static const weft::fuzz::Registration registered({name, run, seeds, cost})
#endif
