// For what a sanitizer's build cannot show: limits of memory, other programs that link to the library, and how fast things are.
#pragma once

namespace weft::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
/// How much longer things take.
inline constexpr double slowness = sanitized ? 20 : 1;

}  // namespace weft::test
