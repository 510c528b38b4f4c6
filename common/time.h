// Time in the states: integer nanoseconds since an arbitrary start, always passed in.
#pragma once

#include <chrono>
#include <cstdint>

namespace weft {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

struct Time {
  std::int64_t nanoseconds = 0;

  auto operator<=>(const Time&) const = default;
  friend Time operator+(Time time, Duration d) { return {time.nanoseconds + d.count()}; }
  friend Time operator-(Time time, Duration d) { return {time.nanoseconds - d.count()}; }
  friend Duration operator-(Time a, Time b) { return Duration(a.nanoseconds - b.nanoseconds); }
  static constexpr Time never() { return {INT64_MAX}; }
};

/// The monotonic clock, for servers; states are told the time.
inline Time monotonic_now() {
  return {std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()).count()};
}

}  // namespace weft
