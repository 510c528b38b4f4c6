#include "fuzz/allocations.h"

#include <cstdlib>
#include <new>

namespace weft::fuzz {
Allocations& allocations() {
  static thread_local Allocations mine;
  return mine;
}
}  // namespace weft::fuzz

void* operator new(std::size_t size) {
  auto& mine = weft::fuzz::allocations();
  if (mine.fail_in == 0) {
    mine.fail_in = -1;
    throw std::bad_alloc();
  }
  if (mine.fail_in > 0) --mine.fail_in;
  void* block = std::malloc(size ? size : 1);
  if (!block) throw std::bad_alloc();
  mine.bytes += size;
  ++mine.live;
  return block;
}
void operator delete(void* block) noexcept {
  if (block) --weft::fuzz::allocations().live;
  std::free(block);
}
void operator delete(void* block, std::size_t) noexcept { operator delete(block); }
