// Where a worker keeps a value when that is not its own memory. This travels as log lines of a level of their own, from a worker to
// whoever observes the scheduler, and is kept in no log.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/key.h>

namespace weft {

/// LogLine::level of places: behind that of samples.
inline constexpr std::uint32_t places_level = 9;

enum class ValuePlace : char { memory = 'm', disk = 'd', lent = 'l' };   // lent: in the memory of another worker on its host, which counts it
struct PlacedValue {
  Key key;
  ValuePlace place{};
};

inline std::string text_of(std::span<const PlacedValue> values) {
  std::string text;
  for (const PlacedValue& value : values) text += static_cast<char>(value.place) + value.key.hex();
  return text;
}
/// Trusts nothing.
inline std::vector<PlacedValue> read_places(std::string_view text) {
  std::vector<PlacedValue> values;
  for (; text.size() >= 33; text.remove_prefix(33)) {
    auto place = static_cast<ValuePlace>(text[0]);
    auto key = Key::from_hex(text.substr(1, 32));
    if (key && (place == ValuePlace::memory || place == ValuePlace::disk || place == ValuePlace::lent)) values.push_back({*key, place});
  }
  return values;
}

}  // namespace weft
