#include <weft/value.h>

#include "common/check.h"

namespace weft {

static std::uint64_t aligned(std::uint64_t size) { return (size + value_alignment - 1) & ~std::uint64_t(value_alignment - 1); }

std::uint64_t value_size(std::span<const std::uint64_t> part_sizes) {
  std::uint64_t size = sizeof(ValueHeader) + part_sizes.size() * sizeof(ValuePart);
  for (std::uint64_t part : part_sizes) size = aligned(size) + part;
  return size;
}

std::vector<std::span<std::byte>> lay_out_value(std::span<std::byte> block, TypeTag type,
                                                std::span<const std::uint64_t> part_sizes) {
  WEFT_CHECK(block.size() == value_size(part_sizes));
  ValueHeader header{.parts = static_cast<std::uint32_t>(part_sizes.size()), .type = type, .size = block.size()};
  std::memcpy(block.data(), &header, sizeof header);
  std::uint64_t at = sizeof header + part_sizes.size() * sizeof(ValuePart);
  std::vector<std::span<std::byte>> places;
  places.reserve(part_sizes.size());
  for (std::size_t i = 0; i < part_sizes.size(); ++i) {
    std::uint64_t begin = aligned(at);
    std::memset(block.data() + at, 0, begin - at);
    ValuePart part{.offset = begin, .size = part_sizes[i]};
    std::memcpy(block.data() + sizeof header + i * sizeof part, &part, sizeof part);
    places.push_back(block.subspan(begin, part_sizes[i]));
    at = begin + part_sizes[i];
  }
  return places;
}

std::optional<Value> Value::from(Buffer block) {
  ValueHeader header;
  if (block.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, block.data(), sizeof header);
  if (header.magic != ValueHeader::magic_word || header.size != block.size()) return std::nullopt;
  if (header.parts > (block.size() - sizeof header) / sizeof(ValuePart)) return std::nullopt;
  Value value;
  value.block_ = std::move(block);
  std::uint64_t end = sizeof header + header.parts * sizeof(ValuePart);
  for (std::uint32_t i = 0; i < header.parts; ++i) {
    ValuePart part = value.part_range(i);
    if (part.offset < end || part.offset > header.size || part.size > header.size - part.offset) return std::nullopt;
    if (part.offset % value_alignment != 0) return std::nullopt;
    end = part.offset + part.size;
  }
  return value;
}

Value Value::make(TypeTag type, std::span<const std::span<const std::byte>> parts) {
  std::vector<std::uint64_t> sizes;
  for (auto part : parts) sizes.push_back(part.size());
  Bytes block(value_size(sizes));
  auto places = lay_out_value(block, type, sizes);
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (!parts[i].empty()) std::memcpy(places[i].data(), parts[i].data(), parts[i].size());
  return *from(Buffer::own(std::move(block)));
}

ValueHeader Value::header() const {
  ValueHeader header;
  std::memcpy(&header, block_.data(), sizeof header);
  return header;
}

ValuePart Value::part_range(std::uint32_t index) const {
  WEFT_CHECK(index < part_count());
  ValuePart part;
  std::memcpy(&part, block_.data() + sizeof(ValueHeader) + index * sizeof part, sizeof part);
  return part;
}

Buffer Value::part(std::uint32_t index) const {
  ValuePart range = part_range(index);
  return block_.slice(range.offset, range.size);
}

}  // namespace weft
