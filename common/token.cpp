#include "common/token.h"

#include <sodium.h>

#include <cstring>

namespace weft {

static_assert(crypto_shorthash_KEYBYTES == token_secret_size);

Token make_token(std::span<const std::byte> secret, const Key& key, std::uint64_t nonce) {
  WEFT_CHECK(secret.size() == token_secret_size);
  unsigned char message[24], hash[crypto_shorthash_BYTES];
  std::memcpy(message, &key.high, 8);
  std::memcpy(message + 8, &key.low, 8);
  std::memcpy(message + 16, &nonce, 8);
  crypto_shorthash(hash, message, sizeof message, reinterpret_cast<const unsigned char*>(secret.data()));
  Token token{.nonce = nonce};
  std::memcpy(&token.seal, hash, sizeof token.seal);
  return token;
}

TokenGate::TokenGate(Bytes secret, std::size_t remembered) : secret_(std::move(secret)), remembered_max_(remembered) {
  WEFT_CHECK(secret_.size() == token_secret_size && remembered_max_ > 0);
}

bool TokenGate::accepts(const Key& key, const Token& token) const {
  Token right = make_token(secret_, key, token.nonce);
  if (sodium_memcmp(&right.seal, &token.seal, sizeof right.seal) != 0) return false;
  auto after = used_.upper_bound(token.nonce);
  return after == used_.begin() || std::prev(after)->second < token.nonce;
}

void TokenGate::use_up(const Token& token) {
  std::uint64_t first = token.nonce, last = token.nonce;
  auto after = used_.upper_bound(token.nonce);
  if (after != used_.begin()) {
    auto before = std::prev(after);
    if (before->second >= token.nonce) return;
    if (before->second + 1 == token.nonce) {
      first = before->first;
      used_.erase(before);
    }
  }
  if (after != used_.end() && after->first == token.nonce + 1) {
    last = after->second;
    used_.erase(after);
  }
  used_[first] = last;
  if (used_.size() > remembered_max_) {  // join the two oldest runs: the nonces between them expire
    auto oldest = used_.begin();
    auto second = std::next(oldest);
    oldest->second = second->second;
    used_.erase(second);
  }
}

}  // namespace weft
