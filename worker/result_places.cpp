#include "worker/result_places.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <string>

#include "worker/executor_ring.h"

namespace weft::worker {

Place heap_place(std::uint64_t bytes) {
  constexpr std::align_val_t alignment{value_alignment};
  auto* memory = static_cast<std::byte*>(::operator new(bytes, alignment));
  std::shared_ptr<const void> owner(memory, [](const void* p) { ::operator delete(const_cast<void*>(p), alignment); });
  return {std::move(owner), {memory, bytes}};
}

ValueBridge private_memory() {
  return {
      .locate = [](const Value&) { return SegmentRange{}; },
      .lease = [](std::uint64_t bytes, std::uint32_t) -> Result<SegmentRange> {
        int memory = make_memory("weft-value", {});
        // The size is sealed: an executor that shrank it would kill us when we read.
        if (memory < 0 || ftruncate(memory, static_cast<off_t>(bytes)) != 0 ||
            fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
          if (memory >= 0) close(memory);
          return failure(ErrorKind::memory_limit, "no memory for a result of " + std::to_string(bytes) + " bytes");
        }
        return SegmentRange{.descriptor = memory, .length = bytes};
      },
      .seal = [](const SegmentRange& range) -> Value {
        void* memory = mmap(nullptr, range.length, PROT_READ, MAP_SHARED, range.descriptor, 0);
        close(range.descriptor);
        if (memory == MAP_FAILED) return {};
        std::shared_ptr<const void> owner(memory, [n = range.length](const void* p) { munmap(const_cast<void*>(p), n); });
        auto value = Value::from(Buffer(owner, {static_cast<const std::byte*>(memory), range.length}));
        return value ? std::move(*value) : Value{};
      },
      .abandon = [](const SegmentRange& range) { close(range.descriptor); },
  };
}

}  // namespace weft::worker
