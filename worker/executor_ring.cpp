#include "worker/executor_ring.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

namespace weft::worker {
namespace {

constexpr std::size_t runs_bytes = 1u << 20, notes_bytes = 256u << 10, news_bytes = 1u << 20;
constexpr std::size_t ring_bytes[] = {runs_bytes, notes_bytes, news_bytes};

std::size_t pages(std::size_t bytes) { return (bytes + 4095) & ~std::size_t(4095); }
constexpr std::size_t file_bytes() {
  return ((sizeof(ExecutorBoard::Shared) + 4095) & ~std::size_t(4095)) + runs_bytes + notes_bytes + news_bytes;
}
constexpr std::size_t mapped_bytes() { return file_bytes() + runs_bytes + notes_bytes + news_bytes; }

struct FrameHead {
  std::uint32_t size = 0;  // of the bytes that follow
  std::uint32_t boxed = 0;
};
std::size_t room(std::size_t size) { return (sizeof(FrameHead) + size + 7) & ~std::size_t(7); }

}  // namespace

bool Ring::has_room(std::size_t size) {
  std::uint64_t used = mine_ - positions_->read.load(std::memory_order_acquire);
  if (used > capacity_) broken_ = true;
  return !broken_ && capacity_ - used >= room(size);
}

bool Ring::write(std::span<const std::byte> frame, bool boxed) {
  if (!has_room(frame.size())) return false;
  FrameHead head{static_cast<std::uint32_t>(frame.size()), boxed};
  std::byte* at = data_ + mine_ % capacity_;
  std::memcpy(at, &head, sizeof head);
  if (!frame.empty()) std::memcpy(at + sizeof head, frame.data(), frame.size());
  mine_ += room(frame.size());
  positions_->written.store(mine_, std::memory_order_release);
  return true;
}

bool Ring::read(Bytes& into, bool& boxed) {
  if (broken_) return false;
  std::uint64_t there = positions_->written.load(std::memory_order_acquire) - mine_;
  if (there == 0) return false;
  FrameHead head;
  const std::byte* at = data_ + mine_ % capacity_;
  std::memcpy(&head, at, sizeof head);
  if (there > capacity_ || head.size > capacity_ || room(head.size) > there) return broken_ = true, false;
  into.assign(at + sizeof head, at + sizeof head + head.size);
  boxed = head.boxed != 0;
  mine_ += room(head.size);
  positions_->read.store(mine_, std::memory_order_release);
  return true;
}

int make_memory(const char* name, std::span<const std::byte> content) {
  int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -1;
  for (std::size_t at = 0; at < content.size();) {
    ssize_t wrote = write(descriptor, content.data() + at, content.size() - at);
    if (wrote <= 0) {
      if (wrote < 0 && errno == EINTR) continue;
      close(descriptor);
      return -1;
    }
    at += static_cast<std::size_t>(wrote);
  }
  return descriptor;
}

Result<ExecutorBoard> ExecutorBoard::create() {
  int descriptor = memfd_create("weft-executor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0 || ftruncate(descriptor, file_bytes()) != 0 ||
      fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    Failure why = failure(ErrorKind::io_error, std::string("no shared memory for an executor: ") + std::strerror(errno));
    if (descriptor >= 0) close(descriptor);
    return why;
  }
  auto board = map(descriptor);
  if (board) new (board->shared_) Shared;
  return board;
}

Result<ExecutorBoard> ExecutorBoard::attach(int descriptor) { return map(descriptor); }

Result<ExecutorBoard> ExecutorBoard::map(int descriptor) {
  ExecutorBoard board;
  board.descriptor_ = descriptor;
  // Reserve the whole range first; each ring's pages then go into it twice in a row.
  void* memory = mmap(nullptr, mapped_bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return failure(ErrorKind::io_error, std::string("mmap: ") + std::strerror(errno));
  board.memory_ = static_cast<std::byte*>(memory);
  std::size_t to = 0, from = 0;
  auto place = [&](std::size_t bytes) {
    return mmap(board.memory_ + to, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor,
                static_cast<off_t>(from)) != MAP_FAILED;
  };
  std::size_t head = pages(sizeof(Shared));
  bool placed = place(head);
  board.shared_ = std::launder(reinterpret_cast<Shared*>(board.memory_));
  to = from = head;
  Ring* rings[] = {&board.runs, &board.notes, &board.news};
  Ring::Positions* positions[] = {&board.shared_->runs, &board.shared_->notes, &board.shared_->news};
  for (int i = 0; i < 3; ++i) {
    *rings[i] = Ring(*positions[i], board.memory_ + to, ring_bytes[i]);
    placed = placed && place(ring_bytes[i]);
    to += ring_bytes[i];
    placed = placed && place(ring_bytes[i]);
    to += ring_bytes[i];
    from += ring_bytes[i];
  }
  if (!placed) return failure(ErrorKind::io_error, std::string("mmap: ") + std::strerror(errno));
  return board;
}

ExecutorBoard::ExecutorBoard(ExecutorBoard&& other) noexcept { *this = std::move(other); }

ExecutorBoard& ExecutorBoard::operator=(ExecutorBoard&& other) noexcept {
  if (this == &other) return *this;
  release();
  runs = other.runs, notes = other.notes, news = other.news;
  descriptor_ = std::exchange(other.descriptor_, -1);
  memory_ = std::exchange(other.memory_, nullptr);
  shared_ = std::exchange(other.shared_, nullptr);
  return *this;
}

ExecutorBoard::~ExecutorBoard() { release(); }

void ExecutorBoard::release() {
  if (memory_) munmap(memory_, mapped_bytes());
  if (descriptor_ >= 0) close(descriptor_);
}

// Both sleeps follow Dekker: say that we sleep, fence, look once more; the other side writes, fences, looks whether we sleep.
void ExecutorBoard::wake_executor() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (shared_->executor_sleeps.load(std::memory_order_relaxed) == 0) return;
  if (shared_->executor_sleeps.exchange(0) != 0)
    syscall(SYS_futex, &shared_->executor_sleeps, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

void ExecutorBoard::sleep_executor(Time deadline, const std::atomic<bool>* also) {
  shared_->executor_sleeps.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!runs.readable() && !notes.readable() && !(also && also->load(std::memory_order_relaxed))) {
    timespec at{deadline.nanoseconds / 1'000'000'000, deadline.nanoseconds % 1'000'000'000};
    syscall(SYS_futex, &shared_->executor_sleeps, FUTEX_WAIT_BITSET, 1, deadline == Time::never() ? nullptr : &at, nullptr,
            FUTEX_BITSET_MATCH_ANY);
  }
  shared_->executor_sleeps.store(0, std::memory_order_relaxed);
}

bool ExecutorBoard::daemon_wants_waking() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return shared_->daemon_sleeps.load(std::memory_order_relaxed) != 0 && shared_->daemon_sleeps.exchange(0) != 0;
}

bool ExecutorBoard::sleep_daemon() {
  shared_->daemon_sleeps.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return !news.readable();
}

}  // namespace weft::worker
