// Whether this is a sanitizer's build: there memory limits mean nothing, since what the sanitizer keeps beside the program's memory
// counts as the program's.
#pragma once

namespace weft {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace weft
