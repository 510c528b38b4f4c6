// The types of options: each is read from text and shown as text. `read_option(show_option(x))` gives x again. Another type
// becomes an option type by having these three functions.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/result.h"
#include "common/time.h"

namespace weft {

/// An amount of bytes: "4GiB", "500 MB", "64k", "4096". MB is 10^6 and MiB is 2^20; k, M, G, T alone are powers of 1024.
struct ByteCount {
  std::uint64_t bytes = 0;
  auto operator<=>(const ByteCount&) const = default;
};

/// How much memory may be used: "auto" (a fair share of the machine), a fraction of the machine ("0.6", "60%"), or bytes.
/// "0" is no limit.
struct MemoryAmount {
  enum class Kind : std::uint8_t { automatic, fraction, bytes };
  Kind kind = Kind::automatic;
  double fraction = 1;
  ByteCount count;
  bool operator==(const MemoryAmount&) const = default;

  /// The bytes this means on a machine (or in a control group) with `total` bytes, of which `share` is ours by default.
  std::uint64_t resolve(std::uint64_t total, double share = 1) const;
};

/// A part of something, 0 to 1: "0.7", "70%".
struct Share {
  double share = 0;
  auto operator<=>(const Share&) const = default;
};

using TextList = std::vector<std::string>;
/// "GPU=2, ram=1.5".
using Amounts = std::map<std::string, double>;

// Each leaves the value alone and returns a sentence when the text is wrong: `"3 parsecs" is no duration: write 100ms, 10s
// or 1.5h`.
Result<void> read_option(std::string_view text, bool& value);
Result<void> read_option(std::string_view text, std::string& value);
Result<void> read_option(std::string_view text, double& value);
Result<void> read_option(std::string_view text, Duration& value);
Result<void> read_option(std::string_view text, ByteCount& value);
Result<void> read_option(std::string_view text, MemoryAmount& value);
Result<void> read_option(std::string_view text, Share& value);
Result<void> read_option(std::string_view text, TextList& value);
Result<void> read_option(std::string_view text, Amounts& value);

std::string show_option(bool value);
std::string show_option(const std::string& value);
std::string show_option(double value);
std::string show_option(Duration value);
std::string show_option(ByteCount value);
std::string show_option(const MemoryAmount& value);
std::string show_option(Share value);
std::string show_option(const TextList& value);
std::string show_option(const Amounts& value);

// What a type is called in help texts.
inline const char* option_type(const bool&) { return ""; }
inline const char* option_type(const std::string&) { return "TEXT"; }
inline const char* option_type(const double&) { return "NUMBER"; }
inline const char* option_type(const Duration&) { return "DURATION"; }
inline const char* option_type(const ByteCount&) { return "BYTES"; }
inline const char* option_type(const MemoryAmount&) { return "MEMORY"; }
inline const char* option_type(const Share&) { return "SHARE"; }
inline const char* option_type(const TextList&) { return "LIST"; }
inline const char* option_type(const Amounts&) { return "NAME=AMOUNT,..."; }

template <class T>
concept OptionInteger = std::integral<T> && !std::same_as<T, bool>;
template <OptionInteger T>
const char* option_type(const T&) {
  return "NUMBER";
}
template <OptionInteger T>
std::string show_option(T value) {
  return std::to_string(value);
}
namespace option_detail {
Result<std::int64_t> read_integer(std::string_view text, std::int64_t least, std::int64_t most);
}
template <OptionInteger T>
Result<void> read_option(std::string_view text, T& value) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
  auto number = option_detail::read_integer(text, static_cast<std::int64_t>(std::numeric_limits<T>::min()),
                                            most > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(most));
  if (!number) return number.error();
  value = static_cast<T>(*number);
  return {};
}

/// Remove blanks from both ends.
std::string_view trimmed(std::string_view text);
/// Of `names`, the one that is spelled most like `name`; empty if none is near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& names);

}  // namespace weft
