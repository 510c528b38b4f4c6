// CRC32C (Castagnoli), the checksum of bytes on disk. Uses SSE4.2 when the processor has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weft {

/// Checksum of the bytes; pass the previous result as `seed` to continue over several pieces.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t seed = 0);

/// The same without special instructions: for other processors, and as the oracle of tests.
std::uint32_t crc32c_portable(std::span<const std::byte> bytes, std::uint32_t seed = 0);

}  // namespace weft
