// One-time tokens: the scheduler seals (key, nonce) with a worker's secret; the worker lets whoever shows it fetch or put that
// one value once.
#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "common/messages.h"

namespace weft {

inline constexpr std::size_t token_secret_size = 16;

/// Seal a key and a nonce. `secret` has `token_secret_size` bytes. Nonces must rise for each worker, also across restarts of
/// the scheduler (as attempt numbers do), so that a worker can forget old ones safely.
/// Source: SipHash-2-4, Aumasson and Bernstein (2012), as libsodium's crypto_shorthash.
Token make_token(std::span<const std::byte> secret, const Key& key, std::uint64_t nonce);

/// The holder's side: is this token ours, and is it unused?
class TokenGate {
 public:
  /// `remembered`: how many gaps in the used nonces are kept; beyond that the oldest unused nonces expire.
  explicit TokenGate(Bytes secret, std::size_t remembered = 16'384);

  bool accepts(const Key& key, const Token& token) const;
  /// Its transfer is complete: refuse it from now on.
  void use_up(const Token& token);
  std::size_t remembered() const { return used_.size(); }

 private:
  Bytes secret_;
  std::size_t remembered_max_;
  std::map<std::uint64_t, std::uint64_t> used_;  // first to last nonce of each unbroken run of used ones
};

}  // namespace weft
