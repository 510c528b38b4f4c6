// Shared memory for values: big sealed segments whose ranges are leased. The daemon (Segments) owns the memory; executors and
// workers on the same host map received descriptors (SegmentMapping, SegmentWriter). Passing descriptors is somebody else's job.
//
// Thread: Segments and leases may be used and dropped from any thread; readers and writers belong to one thread, their views
// to any.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>

#include <weft/buffer.h>

#include "common/result.h"

namespace weft {

/// Where bytes lie in memory or in a file that another process can map. Empty (descriptor -1) for heap memory.
struct SegmentRange {
  int descriptor = -1;         // owned by whoever gave the range; valid while the range is leased
  std::uint64_t segment = 0;   // never used twice in a process
  std::uint64_t offset = 0;
  std::uint64_t length = 0;

  explicit operator bool() const { return descriptor >= 0; }
};

/// Draw a segment number that nothing in this process had.
std::uint64_t new_segment_id();

class SegmentPool;

/// A range of a segment. Its memory is reused when the last copy of the shared pointer dies.
class SegmentLease {
 public:
  SegmentLease(std::shared_ptr<SegmentPool> pool, SegmentRange range, std::span<std::byte> bytes);
  ~SegmentLease();
  SegmentLease(const SegmentLease&) = delete;
  SegmentLease& operator=(const SegmentLease&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }
  /// The range with a descriptor that can be mapped writable: for the one process that fills it.
  SegmentRange range() const { return range_; }
  /// Give back the end of the range. Only while nobody else looks at it.
  void shrink(std::uint64_t bytes);

 private:
  std::shared_ptr<SegmentPool> pool_;
  SegmentRange range_;
  std::span<std::byte> bytes_;
};

class Segments {
 public:
  /// Segments have this size (rounded up to whole pages); a bigger lease gets a segment of its own.
  explicit Segments(std::uint64_t segment_bytes = 64u << 20);

  /// Lease a range aligned to 64 bytes. Its content is undefined: freed ranges are reused first, because touching memory again
  /// is 17 times faster than touching it first (measured: 64 MiB in 3 ms instead of 52 ms).
  /// `writer`: who fills it. Ranges of one segment always have one writer, so a process that was given a writable descriptor
  /// reaches only what it made itself. 0 is this process.
  Result<std::shared_ptr<SegmentLease>> lease(std::uint64_t bytes, std::uint32_t writer = 0);
  /// The range that holds these bytes, with a descriptor that cannot be mapped writable; empty if they are not ours.
  SegmentRange range_of(std::span<const std::byte> bytes) const;

  /// Bytes asked for by live leases, exact.
  std::uint64_t leased_bytes() const;
  /// Bytes of freed ranges that still take memory, to within a page per range.
  std::uint64_t idle_bytes() const;
  /// Memory that the kernel says our segments take.
  std::uint64_t backed_bytes() const;
  std::size_t segment_count() const;

  /// Return at least this many idle bytes to the system if there are so many; returns how many. Slow (6 ms for 32 MiB): for
  /// use under pressure, off the loop.
  std::uint64_t release_idle(std::uint64_t bytes);

 private:
  std::shared_ptr<SegmentPool> pool_;
};

/// A read-only mapping of a segment that another process owns.
class SegmentMapping {
 public:
  /// Takes the descriptor over, and closes it in every case of failure. Refuses what its owner could shrink under us (SIGBUS).
  static Result<std::shared_ptr<const SegmentMapping>> map(int descriptor);
  ~SegmentMapping();
  SegmentMapping(const SegmentMapping&) = delete;
  SegmentMapping& operator=(const SegmentMapping&) = delete;
  int descriptor() const { return descriptor_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  /// Nothing if the range is not inside.
  std::optional<std::span<const std::byte>> range(std::uint64_t offset, std::uint64_t length) const;

 private:
  SegmentMapping(int descriptor, std::span<const std::byte> bytes) : descriptor_(descriptor), bytes_(bytes) {}
  int descriptor_;
  std::span<const std::byte> bytes_;
};

/// A writable mapping of one leased range, in the process that fills it. Only this range is mapped, so a stray pointer
/// cannot reach other values (but for the neighbours in its first and last page).
class SegmentWriter {
 public:
  static Result<std::unique_ptr<SegmentWriter>> map(int descriptor, std::uint64_t offset, std::uint64_t length);
  ~SegmentWriter();
  SegmentWriter(const SegmentWriter&) = delete;
  SegmentWriter& operator=(const SegmentWriter&) = delete;
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  SegmentWriter(void* base, std::size_t mapped, std::span<std::byte> bytes) : base_(base), mapped_(mapped), bytes_(bytes) {}
  void* base_;
  std::size_t mapped_;
  std::span<std::byte> bytes_;
};

}  // namespace weft
