// Rights to fetch one value from one worker once.
#pragma once

#include "common/messages.h"

namespace weft {

/// Seal a right with the holder's 16-byte secret. SipHash-2-4 over key and nonce (libsodium's crypto_shorthash).
Token seal_token(std::span<const std::byte> secret, const Key& key, std::uint64_t nonce);

}  // namespace weft
