// One seeded generator; the same numbers on every compiler. One draw per statement: argument order differs between compilers.
#pragma once

#include <cstdint>

#include "common/time.h"

namespace weft::simulation {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  // Source: splitmix64, Steele, Lea and Flood (2014), OOPSLA.
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// A number below `end`, which is not 0.
  std::uint64_t below(std::uint64_t end) { return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * end) >> 64); }
  Duration below(Duration end) { return Duration(static_cast<std::int64_t>(below(static_cast<std::uint64_t>(end.count())))); }
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  bool chance(std::uint64_t percent) { return below(100) < percent; }

 private:
  std::uint64_t state_;
};

}  // namespace weft::simulation
