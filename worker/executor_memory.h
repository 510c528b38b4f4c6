// Memory that the daemon lends to an executor's process, mapped there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <weft/value.h>

namespace weft::worker {

/// The end of an executor that cannot go on: a sentence on stderr, exit code 70.
[[noreturn]] void give_up(const char* why);

/// Bytes that came in a frame, where values may lie.
Buffer aligned_copy(std::span<const std::byte> bytes);

class Mapping {
 public:
  /// Takes over the descriptor.
  Mapping(int descriptor, bool writable);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  std::span<std::byte> range(std::uint64_t offset, std::uint64_t length) const;

 private:
  void* memory_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace weft::worker
