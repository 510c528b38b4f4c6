// The memory that the daemon shares with one executor process: three one-way rings of frames, a table of claims that says
// which attempts have begun, and a place for the last words of a crash. The daemon checks every number it reads here: the
// other side runs user code and may have written anything. It copies frames out before it looks at them.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include <weft/buffer.h>

#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"

namespace weft::worker {

/// A single-producer single-consumer ring. Each side keeps its own position and publishes it; the ring's pages are mapped
/// twice in a row, so a frame is always contiguous.
class Ring {
 public:
  static constexpr std::size_t line_bytes = 64;
  struct Positions {
    alignas(line_bytes) std::atomic<std::uint64_t> read{0};
    alignas(line_bytes) std::atomic<std::uint64_t> written{0};
  };

  Ring() = default;
  Ring(Positions& positions, std::byte* data, std::size_t capacity)
      : positions_(&positions), data_(data), capacity_(capacity) {}

  /// Producer: append a frame; false if there is no room now. `boxed`: the frame's bytes travel beside the ring.
  bool write(std::span<const std::byte> frame, bool boxed = false);
  /// Producer: would a frame of this size fit now?
  bool has_room(std::size_t size);
  /// Consumer: move the next frame to `into`; false if there is none.
  bool read(Bytes& into, bool& boxed);
  /// Consumer: is there a frame?
  bool readable() const { return positions_->written.load(std::memory_order_acquire) != mine_; }
  /// The other side wrote nonsense. Nothing more can be read or written.
  bool broken() const { return broken_; }
  /// Frames up to this size fit; larger ones are boxed.
  std::size_t frame_max() const { return capacity_ / 8; }

 private:
  Positions* positions_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t capacity_ = 0;
  std::uint64_t mine_ = 0;  // the position that only this side moves
  bool broken_ = false;
};

/// Whether an attempt in the ring has begun, decided by one compare-and-swap between the executor that begins it and the
/// daemon that takes it back. The word names the attempt, so that a reused entry is never mistaken.
class Claim {
 public:
  enum State : std::uint64_t { offered = 0, begun = 1, taken_back = 2 };

  void offer(AttemptId attempt) { word_.store(attempt.number << 2 | offered, std::memory_order_release); }
  /// Executor: begin it now, unless it was taken back.
  bool begin(AttemptId attempt, Time now) {
    began_.store(now.nanoseconds, std::memory_order_relaxed);
    return swap(attempt, begun);
  }
  /// Daemon: take it back, unless it has begun.
  bool take_back(AttemptId attempt) { return swap(attempt, taken_back); }
  bool has_begun(AttemptId attempt) const {
    return word_.load(std::memory_order_acquire) == (attempt.number << 2 | begun);
  }
  Time began() const { return {began_.load(std::memory_order_relaxed)}; }

 private:
  bool swap(AttemptId attempt, State to) {
    std::uint64_t expected = attempt.number << 2 | offered;
    return word_.compare_exchange_strong(expected, attempt.number << 2 | to, std::memory_order_acq_rel);
  }
  std::atomic<std::uint64_t> word_{taken_back};
  std::atomic<std::int64_t> began_{0};
};

/// What a dying executor says of itself, written by its signal handler.
struct CrashNote {
  static constexpr std::size_t frames_max = 64;
  static constexpr std::size_t maps_max = 64 * 1024;
  std::atomic<std::int32_t> signal{0};
  std::uint64_t address = 0;
  std::atomic<std::uint32_t> frame_count{0};
  std::uint64_t frames[frames_max] = {};
  std::atomic<std::uint32_t> maps_size{0};
  char maps[maps_max] = {};  // /proc/self/maps, as far as it fits
};

/// The shared memory itself. Both sides map the same descriptor; its size is sealed.
class ExecutorBoard {
 public:
  static constexpr std::size_t claims_max = 256;
  struct Shared {
    Ring::Positions runs, notes, news;
    alignas(Ring::line_bytes) std::atomic<std::uint32_t> executor_sleeps{0};  // a futex
    alignas(Ring::line_bytes) std::atomic<std::uint32_t> daemon_sleeps{0};    // an eventfd wakes it
    // Bytes that the daemon has read of the executor's output; odd `output_turn` while it reads.
    alignas(Ring::line_bytes) std::atomic<std::uint64_t> output_turn{0};
    std::atomic<std::uint64_t> output_read{0};
    Claim claims[claims_max];
    CrashNote crash;
  };

  static Result<ExecutorBoard> create();
  static Result<ExecutorBoard> attach(int descriptor);
  ExecutorBoard(ExecutorBoard&& other) noexcept;
  ExecutorBoard& operator=(ExecutorBoard&& other) noexcept;
  ~ExecutorBoard();

  int descriptor() const { return descriptor_; }
  Shared& shared() { return *shared_; }

  Ring runs;   // daemon -> executor: attempts and what they need
  Ring notes;  // daemon -> executor: answers to the task that runs
  Ring news;   // executor -> daemon

  /// Daemon, or another thread of the executor: wake it if it sleeps.
  void wake_executor();
  /// Executor: sleep until a frame is in `runs` or `notes`, `also` is true (its setter then wakes us), or the deadline
  /// (monotonic).
  void sleep_executor(Time deadline, const std::atomic<bool>* also = nullptr);
  /// Executor: true if the daemon must be woken by its eventfd.
  bool daemon_wants_waking();
  /// Daemon: from now on it must be woken. False if there already is news: look again.
  bool sleep_daemon();

 private:
  ExecutorBoard() = default;
  static Result<ExecutorBoard> map(int descriptor);
  void release();

  int descriptor_ = -1;
  std::byte* memory_ = nullptr;
  Shared* shared_ = nullptr;
};

/// Anonymous memory with a descriptor, for frames and values that do not fit a ring. -1 when there is none.
int make_memory(const char* name, std::span<const std::byte> content);

}  // namespace weft::worker
