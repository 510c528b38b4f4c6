#include <weft/buffer.h>

namespace weft {

Buffer Buffer::own(Bytes bytes) {
  auto owner = std::make_shared<const Bytes>(std::move(bytes));
  std::span<const std::byte> view(*owner);
  return {std::move(owner), view};
}

Buffer Buffer::copy(std::span<const std::byte> bytes) { return own(Bytes(bytes.begin(), bytes.end())); }

Buffer Buffer::copy(std::string_view text) { return copy(std::as_bytes(std::span<const char>(text.data(), text.size()))); }

}  // namespace weft
