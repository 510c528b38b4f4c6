// WEFT_CHECK: an invariant about our own tables. Always on; a broken one stops the process with its location.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace weft {

[[noreturn]] inline void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "weft: broken invariant: %s\n  at %s:%d\nThis is a bug in Weft; please report it.\n", condition,
               file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace weft

#define WEFT_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::weft::check_failed(#condition, __FILE__, __LINE__))
