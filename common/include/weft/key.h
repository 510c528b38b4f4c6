// The name of a task and of its result: 128 bits, a content hash for pure work and random for impure work.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weft {

/// Identify a task and its result. Equal pure calls (same function, same arguments) have equal keys on every client.
struct Key {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  auto operator<=>(const Key&) const = default;
  explicit operator bool() const { return (high | low) != 0; }
  /// True for keys that a user named: they say nothing about the content, so a copy found somewhere proves nothing.
  bool is_named() const { return high & 1; }

  /// Write the key as 32 hexadecimal digits.
  std::string hex() const;
  /// Read what `hex` wrote; nothing if the text is not 32 hexadecimal digits.
  static std::optional<Key> from_hex(std::string_view text);
  /// Make the key of a user-chosen name.
  static Key named(std::string_view name);
  /// Draw a key that no other call has: for impure work.
  static Key random();
};

/// Write `key.hex()`.
std::ostream& operator<<(std::ostream& out, const Key& key);

/// Compute keys from fields. Every field is framed by its length, so ("ab","c") and ("a","bc") differ.
class KeyHasher {
 public:
  KeyHasher();
  KeyHasher& add(std::span<const std::byte> bytes);
  KeyHasher& add(std::string_view text);
  KeyHasher& add(std::uint64_t number);
  KeyHasher& add(const Key& key);
  Key finish() const;

 private:
  void mix(std::uint64_t word);
  std::uint64_t a_, b_, count_ = 0;
};

}  // namespace weft

template <>
struct std::hash<weft::Key> {
  // Keys are already uniformly distributed.
  std::size_t operator()(const weft::Key& key) const noexcept { return key.low; }
};
