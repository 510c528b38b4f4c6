#include "common/token.h"

#include <sodium.h>

namespace weft {

Token seal_token(std::span<const std::byte> secret, const Key& key, std::uint64_t nonce) {
  WEFT_CHECK(secret.size() == crypto_shorthash_KEYBYTES);
  std::uint64_t fields[3] = {key.high, key.low, nonce};
  Token token{.nonce = nonce};
  crypto_shorthash(reinterpret_cast<unsigned char*>(&token.seal), reinterpret_cast<const unsigned char*>(fields), sizeof fields,
                   reinterpret_cast<const unsigned char*>(secret.data()));
  return token;
}

}  // namespace weft
