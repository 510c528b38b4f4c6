// A task's result in the one form in which it is stored, sent, spilled and mapped: a contiguous block that describes itself.
//
//   ValueHeader | part table | parts, each aligned to 64 bytes
//
// A value of a user type has one stream part and one part for each big buffer in it. A partitioned value (what a hash
// partition stores for its readers) has one part for each reader, and each of those parts is itself a whole value.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <weft/buffer.h>

namespace weft {

/// Identify the C++ type that a value was made from. 0 means "not said".
using TypeTag = std::uint64_t;

struct ValueHeader {
  static constexpr std::uint32_t magic_word = 0x31304c56;  // "VL01"
  std::uint32_t magic = magic_word;
  std::uint32_t parts = 0;
  TypeTag type = 0;
  std::uint64_t size = 0;  // of the whole block
};
struct ValuePart {
  std::uint64_t offset = 0;  // from the start of the block
  std::uint64_t size = 0;
};

inline constexpr std::size_t value_alignment = 64;

/// How many bytes a value with parts of these sizes takes.
std::uint64_t value_size(std::span<const std::uint64_t> part_sizes);

/// Write header and part table into `block`, which has `value_size(part_sizes)` bytes; returns where each part goes.
/// Gaps are zeroed, so equal parts give equal blocks.
std::vector<std::span<std::byte>> lay_out_value(std::span<std::byte> block, TypeTag type,
                                                std::span<const std::uint64_t> part_sizes);

/// A checked view of one stored value. Copies share the bytes.
class Value {
 public:
  Value() = default;
  /// Check that the bytes are one whole well-formed value; nothing otherwise. Never reads outside the bytes.
  static std::optional<Value> from(Buffer block);
  /// Build a value in fresh heap memory.
  static Value make(TypeTag type, std::span<const std::span<const std::byte>> parts);

  const Buffer& block() const { return block_; }
  std::uint64_t size() const { return block_.size(); }
  TypeTag type() const { return header().type; }
  std::uint32_t part_count() const { return block_.empty() ? 0 : header().parts; }
  /// View one part without a copy. `index` must be below `part_count()`.
  Buffer part(std::uint32_t index) const;
  /// Where a part lies in the block, so that it can be fetched alone.
  ValuePart part_range(std::uint32_t index) const;

 private:
  ValueHeader header() const;
  Buffer block_;
};

}  // namespace weft
