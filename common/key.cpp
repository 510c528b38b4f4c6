#include <weft/key.h>

#include <cstring>
#include <ostream>
#include <random>

#include <xxhash.h>

namespace weft {

static constexpr char digits[] = "0123456789abcdef";

std::string Key::hex() const {
  std::string text(32, '0');
  for (int i = 0; i < 16; ++i) {
    text[15 - i] = digits[(high >> (4 * i)) & 15];
    text[31 - i] = digits[(low >> (4 * i)) & 15];
  }
  return text;
}

std::ostream& operator<<(std::ostream& out, const Key& key) { return out << key.hex(); }

std::optional<Key> Key::from_hex(std::string_view text) {
  if (text.size() != 32) return std::nullopt;
  Key key;
  for (int i = 0; i < 32; ++i) {
    char c = text[i];
    std::uint64_t digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
    if (digit == 16) return std::nullopt;
    std::uint64_t& half = i < 16 ? key.high : key.low;
    half = half << 4 | digit;
  }
  return key;
}

Key Key::named(std::string_view name) {
  Key key = KeyHasher().add("named").add(name).finish();
  return {key.high | 1, key.low};
}

Key Key::random() {
  static thread_local std::random_device device;
  auto word = [] { return std::uint64_t(device()) << 32 | device(); };
  std::uint64_t high = word();
  std::uint64_t low = word();
  return {high & ~std::uint64_t(1), low | 1};
}

// Two lanes of multiply-and-fold over 64-bit words; long fields are folded to 128 bits by XXH3 first. Not cryptographic: whoever
// may submit work may already run code, so a forged collision gains nothing.
// Source: multiply-fold mixing as in wyhash (Wang Yi, 2019) and XXH3 (Collet, 2019).
static std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

KeyHasher::KeyHasher() : a_(0x9e3779b97f4a7c15), b_(0xc2b2ae3d27d4eb4f) {}

void KeyHasher::mix(std::uint64_t word) {
  ++count_;
  a_ = fold(a_ ^ word, 0xa0761d6478bd642f + 2 * count_);
  b_ = fold(b_ + word, 0xe7037ed1a0b428db) ^ (a_ << 1 | a_ >> 63);
}

KeyHasher& KeyHasher::add(std::span<const std::byte> bytes) {
  mix(bytes.size());
  if (bytes.size() <= 8) {
    std::uint64_t word = 0;
    if (!bytes.empty()) std::memcpy(&word, bytes.data(), bytes.size());
    mix(word);
  } else {
    XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
    mix(hash.low64);
    mix(hash.high64);
  }
  return *this;
}
KeyHasher& KeyHasher::add(std::string_view text) { return add(std::as_bytes(std::span<const char>(text.data(), text.size()))); }
KeyHasher& KeyHasher::add(std::uint64_t number) {
  mix(number);
  return *this;
}
KeyHasher& KeyHasher::add(const Key& key) {
  mix(key.high);
  mix(key.low);
  return *this;
}

Key KeyHasher::finish() const {
  std::uint64_t high = fold(a_ ^ count_, 0x8ebc6af09c88c6e3 ^ b_);
  std::uint64_t low = fold(b_ ^ (count_ << 32), 0x589965cc75374cc3 ^ a_);
  return {high & ~std::uint64_t(1), low};
}

}  // namespace weft
