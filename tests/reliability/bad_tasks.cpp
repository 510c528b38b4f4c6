#include "reliability/bad_tasks.h"

#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>

namespace weft::reliability {

int crash(int number) {
  raise(SIGSEGV);
  return number;
}

int spin(int number) {
  volatile bool for_ever = true;
  while (for_ever) {
  }
  return number;
}

int allocate(int number, std::uint64_t bytes) {
  constexpr std::uint64_t step = 64 << 20;
  struct Block {
    std::unique_ptr<Block> next;
    std::unique_ptr<char[]> memory;
  };
  std::unique_ptr<Block> blocks;
  for (std::uint64_t have = 0; have < bytes; have += step) {
    auto memory = std::make_unique_for_overwrite<char[]>(step);
    std::memset(memory.get(), 1, step);
    blocks = std::make_unique<Block>(Block{std::move(blocks), std::move(memory)});
  }
  return number;
}

int leak(int number) {
  constexpr std::size_t size = 1 << 20;
  char* volatile lost = new char[size];
  std::memset(lost, number, size);
  return number;
}

namespace {

jmp_buf below;
// What it jumps to is gone: this is how such a mistake looks.
[[gnu::noinline]] void leave_a_trap() {
  if (setjmp(below) != 0) std::abort();
}
struct ThrowsAtItsEnd {
  ~ThrowsAtItsEnd() noexcept(false) { throw std::runtime_error("from a destructor"); }
};
[[gnu::noinline]] void throws() { throw std::runtime_error("in spite of a promise"); }
void promises_not_to_throw() noexcept { throws(); }

}  // namespace

int end_badly(int way) {
  switch (static_cast<Exit>(way)) {
    case Exit::standard: throw std::runtime_error("no such number");
    case Exit::integer: throw 42;
    case Exit::nested:
      try {
        throw std::logic_error("the cause");
      } catch (...) {
        std::throw_with_nested(std::runtime_error("the consequence"));
      }
    case Exit::long_text: throw std::runtime_error(std::string(10 << 20, 'x'));
    case Exit::strange_bytes: throw std::runtime_error(std::string("\xff\xfe\x80 no UTF-8 \x01\x1b[31m", 18));
    case Exit::terminate: std::terminate();
    case Exit::exit_0: std::exit(0);
    case Exit::exit_3: _exit(3);
    case Exit::quick_exit: std::quick_exit(0);
    case Exit::abort: std::abort();
    case Exit::jump:
      leave_a_trap();
      longjmp(below, 1);
    case Exit::destructor: {
      ThrowsAtItsEnd a;
      throw std::runtime_error("while another is on its way");
    }
    case Exit::noexcept_throw: promises_not_to_throw(); break;
    case Exit::bad_alloc: throw std::bad_alloc();
    case Exit::count: break;
  }
  return way;
}

}  // namespace weft::reliability
