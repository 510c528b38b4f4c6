// What this thread allocates with `new`, counted; and the n-th of it made to fail. For fuzz_tests alone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::fuzz {

struct Allocations {
  std::uint64_t bytes = 0;      // asked for since the last reset
  std::int64_t live = 0;        // blocks not given back yet
  std::int64_t fail_in = -1;    // this many more succeed, then one fails; below 0: none does
};
Allocations& allocations();

}  // namespace weft::fuzz
