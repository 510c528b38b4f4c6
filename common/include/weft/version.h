// Library and protocol versions.
#pragma once

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0
#define WEFT_VERSION_STRING "0.1.0"

namespace weft {
/// Versions of the wire protocol this build speaks, lowest and highest.
inline constexpr unsigned protocol_min = 1;
inline constexpr unsigned protocol_max = 1;
}  // namespace weft
