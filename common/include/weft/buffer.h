// Immutable bytes with shared ownership: what values, frames and mapped segments are handed around as.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft {

using Bytes = std::vector<std::byte>;

/// Hold immutable bytes without copying them; copies share the same memory, the last one frees it.
///
/// Use it as an argument or a result type for big raw data: a `Buffer` that a task receives is a read-only view of the
/// stored value. Thread-safe to copy and read.
class Buffer {
 public:
  Buffer() = default;

  /// Share bytes that `owner` keeps alive.
  Buffer(std::shared_ptr<const void> owner, std::span<const std::byte> bytes)
      : owner_(std::move(owner)), data_(bytes.data()), size_(bytes.size()) {}

  /// Take over a vector of bytes.
  static Buffer own(Bytes bytes);
  /// Copy bytes from elsewhere.
  static Buffer copy(std::span<const std::byte> bytes);
  static Buffer copy(std::string_view text);

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

  /// View a range of these bytes; the view keeps them alive. The range must lie inside.
  Buffer slice(std::size_t offset, std::size_t length) const { return {owner_, bytes().subspan(offset, length)}; }

  /// What keeps the bytes alive; its use count tells whether somebody else looks at them.
  const std::shared_ptr<const void>& owner() const { return owner_; }

  friend bool operator==(const Buffer& a, const Buffer& b) {
    return a.size_ == b.size_ && (a.size_ == 0 || std::memcmp(a.data_, b.data_, a.size_) == 0);
  }

 private:
  std::shared_ptr<const void> owner_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace weft
