// For what a sanitizer's build cannot show: limits of memory, other programs that link to the library, and how fast things are.
#pragma once

#include "common/sanitized.h"

namespace weft::test {

using weft::sanitized;
/// How much longer things take.
inline constexpr double slowness = sanitized ? 20 : 1;

}  // namespace weft::test
