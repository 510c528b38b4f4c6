// Built-in functions by number. A number is part of the wire protocol: it is never given to another function.
#pragma once

#include <cstdint>

#include <weft/function.h>

namespace weft::worker::kernels {

inline constexpr std::uint32_t noop = 1;      // no inputs needed; an empty value
inline constexpr std::uint32_t identity = 2;  // the first input again, byte for byte

/// The kernel of this number, or null. Thread-safe.
detail::Thunk find(std::uint32_t number);

}  // namespace weft::worker::kernels
