// WEFT_CHECK in the simulator's own build of the states, found instead of common/check.h: a broken invariant ends only the run, and is
// a finding like any other.
#pragma once

#include <stdexcept>
#include <string>

namespace weft {

struct BrokenInvariant : std::logic_error {
  using std::logic_error::logic_error;
};

[[noreturn]] inline void check_thrown(const char* condition, const char* file, int line) {
  throw BrokenInvariant("broken invariant: " + std::string(condition) + " at " + file + ":" + std::to_string(line));
}

}  // namespace weft

#define WEFT_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::weft::check_thrown(#condition, __FILE__, __LINE__))
