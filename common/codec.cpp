#include "common/codec.h"

#include <bit>

namespace weft {

// Writing: the smallest msgpack form of each number. (msgpack-c's packer writes the same bytes: tests/unit/codec_test.cpp.)
static void append(Bytes& out, std::uint8_t head, std::uint64_t value, int bytes) {
  std::size_t at = out.size();
  out.resize(at + 1 + bytes);
  out[at] = std::byte{head};
  for (int i = 0; i < bytes; ++i) out[at + 1 + i] = std::byte(value >> (8 * (bytes - 1 - i)));
}

void Encoder::nil() { out_.push_back(std::byte{0xc0}); }
void Encoder::boolean(bool value) { out_.push_back(std::byte{value ? std::uint8_t(0xc3) : std::uint8_t(0xc2)}); }
void Encoder::unsigned_integer(std::uint64_t value) {
  if (value < 0x80) out_.push_back(std::byte(value));
  else if (value <= 0xff) append(out_, 0xcc, value, 1);
  else if (value <= 0xffff) append(out_, 0xcd, value, 2);
  else if (value <= 0xffffffff) append(out_, 0xce, value, 4);
  else append(out_, 0xcf, value, 8);
}
void Encoder::signed_integer(std::int64_t value) {
  if (value >= 0) return unsigned_integer(value);
  if (value >= -32) out_.push_back(std::byte(value));
  else if (value >= INT8_MIN) append(out_, 0xd0, value, 1);
  else if (value >= INT16_MIN) append(out_, 0xd1, value, 2);
  else if (value >= INT32_MIN) append(out_, 0xd2, value, 4);
  else append(out_, 0xd3, value, 8);
}
void Encoder::real(double value) { append(out_, 0xcb, std::bit_cast<std::uint64_t>(value), 8); }
void Encoder::text(std::string_view value) {
  if (value.size() < 32) out_.push_back(std::byte(0xa0 | value.size()));
  else if (value.size() <= 0xff) append(out_, 0xd9, value.size(), 1);
  else if (value.size() <= 0xffff) append(out_, 0xda, value.size(), 2);
  else append(out_, 0xdb, value.size(), 4);
  auto bytes = std::as_bytes(std::span<const char>(value.data(), value.size()));
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}
void Encoder::binary(std::span<const std::byte> value) {
  WEFT_CHECK(value.size() <= 0xffffffff);
  if (value.size() <= 0xff) append(out_, 0xc4, value.size(), 1);
  else if (value.size() <= 0xffff) append(out_, 0xc5, value.size(), 2);
  else append(out_, 0xc6, value.size(), 4);
  out_.insert(out_.end(), value.begin(), value.end());
}
void Encoder::array(std::size_t count) {
  if (count < 16) out_.push_back(std::byte(0x90 | count));
  else if (count <= 0xffff) append(out_, 0xdc, count, 2);
  else append(out_, 0xdd, count, 4);
}

// Reading.
std::uint64_t Decoder::big_endian(std::size_t bytes) {
  if (static_cast<std::size_t>(end_ - at_) < bytes) {
    fail("the frame ends inside a field");
    return 0;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | std::to_integer<std::uint64_t>(*at_++);
  return value;
}

bool Decoder::claim(std::size_t bytes) {
  if (bytes > budget_) {
    fail("the frame claims more memory than a frame may");
    return false;
  }
  budget_ -= bytes;
  return true;
}

bool Decoder::boolean() {
  auto head = big_endian(1);
  if (head != 0xc2 && head != 0xc3) fail("expected a boolean");
  return head == 0xc3;
}

std::uint64_t Decoder::unsigned_integer() {
  auto head = big_endian(1);
  if (head < 0x80) return head;
  switch (head) {
    case 0xcc: return big_endian(1);
    case 0xcd: return big_endian(2);
    case 0xce: return big_endian(4);
    case 0xcf: return big_endian(8);
  }
  fail("expected an unsigned integer");
  return 0;
}

std::int64_t Decoder::signed_integer() {
  auto head = big_endian(1);
  if (head < 0x80) return static_cast<std::int64_t>(head);
  if (head >= 0xe0) return static_cast<std::int8_t>(head);
  switch (head) {
    case 0xcc: return static_cast<std::int64_t>(big_endian(1));
    case 0xcd: return static_cast<std::int64_t>(big_endian(2));
    case 0xce: return static_cast<std::int64_t>(big_endian(4));
    case 0xcf: {
      auto value = big_endian(8);
      if (value > INT64_MAX) fail("number out of range");
      return static_cast<std::int64_t>(value);
    }
    case 0xd0: return static_cast<std::int8_t>(big_endian(1));
    case 0xd1: return static_cast<std::int16_t>(big_endian(2));
    case 0xd2: return static_cast<std::int32_t>(big_endian(4));
    case 0xd3: return static_cast<std::int64_t>(big_endian(8));
  }
  fail("expected an integer");
  return 0;
}

double Decoder::real() {
  auto head = big_endian(1);
  if (head != 0xcb) fail("expected a real number");
  return std::bit_cast<double>(big_endian(8));
}

std::string_view Decoder::text() {
  auto head = big_endian(1);
  std::size_t size = 0;
  if (head >= 0xa0 && head < 0xc0) size = head & 31;
  else if (head == 0xd9) size = big_endian(1);
  else if (head == 0xda) size = big_endian(2);
  else if (head == 0xdb) size = big_endian(4);
  else fail("expected text");
  if (size > static_cast<std::size_t>(end_ - at_)) fail("the frame ends inside a text");
  if (failed() || !claim(size)) return {};
  std::string_view value(reinterpret_cast<const char*>(at_), size);
  at_ += size;
  return value;
}

std::span<const std::byte> Decoder::binary() {
  auto head = big_endian(1);
  std::size_t size = 0;
  if (head == 0xc4) size = big_endian(1);
  else if (head == 0xc5) size = big_endian(2);
  else if (head == 0xc6) size = big_endian(4);
  else fail("expected bytes");
  if (size > static_cast<std::size_t>(end_ - at_)) fail("the frame ends inside bytes");
  if (failed() || !claim(size)) return {};
  std::span<const std::byte> value(at_, size);
  at_ += size;
  return value;
}

std::size_t Decoder::array(std::size_t element_size) {
  auto head = big_endian(1);
  std::size_t count = 0;
  if (head >= 0x90 && head < 0xa0) count = head & 15;
  else if (head == 0xdc) count = big_endian(2);
  else if (head == 0xdd) count = big_endian(4);
  else fail("expected an array");
  // Every element takes at least one byte, so a count beyond the bytes left is a bomb.
  if (count > elements_max_ || count > static_cast<std::size_t>(end_ - at_)) fail("an array announces more than is there");
  if (failed() || !claim(count * element_size)) return 0;
  return count;
}

}  // namespace weft
