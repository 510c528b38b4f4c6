#include "common/data/segments.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <system_error>

namespace weft {

static constexpr std::uint64_t page = 4096;
static std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) { return (n + unit - 1) / unit * unit; }

static Failure system_failure(const char* what) {
  return failure(ErrorKind::io_error, std::string(what) + ": " + std::system_category().message(errno));
}

std::uint64_t new_segment_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

namespace {

/// A freed or fresh range; `backed` says whether it takes memory.
struct FreeRange {
  std::uint64_t length = 0;
  bool backed = false;
};

struct Segment {
  std::uint64_t id = 0;
  std::uint32_t writer = 0;
  int writable = -1;
  int read_only = -1;
  std::byte* base = nullptr;
  std::uint64_t size = 0;
  std::size_t leases = 0;                      // or ranges whose hole is being punched
  std::map<std::uint64_t, FreeRange> free;     // by offset; neighbours of one kind are one range

  Segment() = default;
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment() {
    if (base) munmap(base, size);
    if (read_only >= 0) close(read_only);
    if (writable >= 0) close(writable);
  }
};

Result<std::unique_ptr<Segment>> make_segment(std::uint64_t size) {
  auto segment = std::make_unique<Segment>();
  segment->id = new_segment_id();
  segment->size = size;
  segment->writable = memfd_create("weft-values", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (segment->writable < 0) return system_failure("cannot make a memory segment");
  if (ftruncate(segment->writable, static_cast<off_t>(size)) != 0) return system_failure("cannot size a memory segment");
  if (fcntl(segment->writable, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    return system_failure("cannot seal a memory segment");
  // A second open of the same memory: whoever receives this descriptor cannot map it writable.
  std::string self = "/proc/self/fd/" + std::to_string(segment->writable);
  segment->read_only = open(self.c_str(), O_RDONLY | O_CLOEXEC);
  if (segment->read_only < 0) return system_failure("cannot reopen a memory segment read-only");
  void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, segment->writable, 0);
  if (base == MAP_FAILED) return system_failure("cannot map a memory segment");
  segment->base = static_cast<std::byte*>(base);
  return segment;
}

}  // namespace

/// Everything that leases outlive `Segments` for.
class SegmentPool : public std::enable_shared_from_this<SegmentPool> {
 public:
  explicit SegmentPool(std::uint64_t segment_bytes) : segment_bytes_(round_up(std::max(segment_bytes, page), page)) {}

  Result<std::shared_ptr<SegmentLease>> lease(std::uint64_t bytes, std::uint32_t writer);
  void give_back(std::uint64_t segment, std::uint64_t offset, std::uint64_t bytes);
  void shrink(std::uint64_t segment, std::uint64_t offset, std::uint64_t from, std::uint64_t to);
  SegmentRange range_of(std::span<const std::byte> bytes) const;
  std::uint64_t release_idle(std::uint64_t bytes);
  std::uint64_t backed_bytes() const;
  std::size_t segment_count() const {
    std::lock_guard lock(mutex_);
    return segments_.size();
  }
  std::uint64_t leased() const { return leased_; }
  std::uint64_t idle() const { return idle_; }

 private:
  struct Spot {
    std::uint32_t writer;
    std::uint64_t length, segment, offset;
    auto operator<=>(const Spot&) const = default;
  };
  static std::uint64_t room(std::uint64_t bytes) { return round_up(std::max<std::uint64_t>(bytes, 1), 64); }

  // Callers hold the mutex.
  void insert(Segment& segment, std::uint64_t offset, FreeRange range);
  void remove(Segment& segment, std::map<std::uint64_t, FreeRange>::iterator at);
  std::optional<Spot> best_fit(std::uint64_t need, std::uint32_t writer) const;
  std::optional<Spot> longest_idle() const;
  std::unique_ptr<Segment> take_unused();

  mutable std::mutex mutex_;
  const std::uint64_t segment_bytes_;
  std::map<std::uint64_t, std::unique_ptr<Segment>> segments_;
  std::map<const std::byte*, Segment*> by_address_;
  std::set<Spot> spots_[2];                    // free ranges by writer and length: fresh, backed
  std::atomic<std::uint64_t> leased_{0};
  std::atomic<std::uint64_t> idle_{0};
};

void SegmentPool::remove(Segment& segment, std::map<std::uint64_t, FreeRange>::iterator at) {
  auto [offset, range] = *at;
  spots_[range.backed].erase({segment.writer, range.length, segment.id, offset});
  if (range.backed) idle_ -= range.length;
  segment.free.erase(at);
}

// Ranges of different kinds stay apart: a fresh one costs no memory, and a lease should land in the backed one.
void SegmentPool::insert(Segment& segment, std::uint64_t offset, FreeRange range) {
  auto next = segment.free.lower_bound(offset);
  if (next != segment.free.end() && next->first == offset + range.length && next->second.backed == range.backed) {
    range.length += next->second.length;
    remove(segment, next);
  }
  auto after = segment.free.lower_bound(offset);
  if (after != segment.free.begin()) {
    auto previous = std::prev(after);
    if (previous->first + previous->second.length == offset && previous->second.backed == range.backed) {
      offset = previous->first;
      range.length += previous->second.length;
      remove(segment, previous);
    }
  }
  segment.free.emplace(offset, range);
  spots_[range.backed].insert({segment.writer, range.length, segment.id, offset});
  if (range.backed) idle_ += range.length;
}

std::optional<SegmentPool::Spot> SegmentPool::best_fit(std::uint64_t need, std::uint32_t writer) const {
  for (bool backed : {true, false}) {
    auto at = spots_[backed].lower_bound({writer, need, 0, 0});
    if (at != spots_[backed].end() && at->writer == writer) return *at;
  }
  return std::nullopt;
}

std::optional<SegmentPool::Spot> SegmentPool::longest_idle() const {
  std::optional<Spot> longest;
  for (auto end = spots_[true].end(); end != spots_[true].begin();) {
    const Spot& last = *std::prev(end);        // the longest of its writer
    if (!longest || last.length > longest->length) longest = last;
    end = spots_[true].lower_bound({last.writer, 0, 0, 0});
  }
  return longest;
}

Result<std::shared_ptr<SegmentLease>> SegmentPool::lease(std::uint64_t bytes, std::uint32_t writer) {
  if (bytes > (std::uint64_t(1) << 46)) return failure(ErrorKind::memory_limit, "no machine has that much memory");
  std::uint64_t need = room(bytes);
  std::lock_guard lock(mutex_);
  auto spot = best_fit(need, writer);
  if (!spot) {
    auto made = make_segment(std::max(segment_bytes_, round_up(need, page)));
    if (!made) return made.error();
    Segment& segment = **made;
    segment.writer = writer;
    by_address_.emplace(segment.base, &segment);
    segments_.emplace(segment.id, std::move(*made));
    insert(segment, 0, {segment.size, false});
    spot = Spot{writer, segment.size, segment.id, 0};
  }
  Segment& segment = *segments_.at(spot->segment);
  auto at = segment.free.find(spot->offset);
  FreeRange whole = at->second;
  remove(segment, at);
  if (whole.length > need) insert(segment, spot->offset + need, {whole.length - need, whole.backed});
  ++segment.leases;
  leased_ += bytes;
  SegmentRange range{.descriptor = segment.writable, .segment = segment.id, .offset = spot->offset, .length = bytes};
  return std::make_shared<SegmentLease>(shared_from_this(), range,
                                        std::span(segment.base + spot->offset, static_cast<std::size_t>(bytes)));
}

void SegmentPool::give_back(std::uint64_t id, std::uint64_t offset, std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  Segment& segment = *segments_.at(id);
  WEFT_CHECK(segment.leases > 0);
  --segment.leases;
  leased_ -= bytes;
  insert(segment, offset, {room(bytes), true});
}

void SegmentPool::shrink(std::uint64_t id, std::uint64_t offset, std::uint64_t from, std::uint64_t to) {
  WEFT_CHECK(to <= from);
  std::lock_guard lock(mutex_);
  leased_ -= from - to;
  if (room(from) > room(to)) insert(*segments_.at(id), offset + room(to), {room(from) - room(to), true});
}

SegmentRange SegmentPool::range_of(std::span<const std::byte> bytes) const {
  std::lock_guard lock(mutex_);
  auto after = by_address_.upper_bound(bytes.data());
  if (after == by_address_.begin()) return {};
  const Segment& segment = *std::prev(after)->second;
  auto offset = static_cast<std::uint64_t>(bytes.data() - segment.base);
  if (offset > segment.size || bytes.size() > segment.size - offset) return {};
  return {.descriptor = segment.read_only, .segment = segment.id, .offset = offset, .length = bytes.size()};
}

std::unique_ptr<Segment> SegmentPool::take_unused() {
  std::lock_guard lock(mutex_);
  for (auto at = segments_.begin(); at != segments_.end(); ++at) {
    Segment& segment = *at->second;
    bool backed = std::ranges::any_of(segment.free, [](const auto& entry) { return entry.second.backed; });
    if (segment.leases != 0 || !backed) continue;
    while (!segment.free.empty()) remove(segment, segment.free.begin());
    by_address_.erase(segment.base);
    auto taken = std::move(at->second);
    segments_.erase(at);
    return taken;
  }
  return nullptr;
}

// The kernel works outside the lock, on ranges that nobody else can get meanwhile.
std::uint64_t SegmentPool::release_idle(std::uint64_t wanted) {
  std::uint64_t released = 0;
  while (released < wanted) {
    std::uint64_t before = idle_;
    auto unused = take_unused();
    if (!unused) break;
    // Others may still map it; the hole frees the memory under their mappings too.
    fallocate(unused->writable, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(unused->size));
    released += before > idle_ ? before - idle_ : 0;
  }
  while (released < wanted) {
    std::unique_lock lock(mutex_);
    auto longest = longest_idle();
    if (!longest || longest->length < 2 * page) break;  // nothing left that surely holds a whole page
    Spot spot = *longest;
    Segment& segment = *segments_.at(spot.segment);
    remove(segment, segment.free.find(spot.offset));
    ++segment.leases;
    lock.unlock();
    std::uint64_t begin = round_up(spot.offset, page);
    std::uint64_t end = (spot.offset + spot.length) / page * page;
    fallocate(segment.writable, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin),
              static_cast<off_t>(end - begin));
    lock.lock();
    --segment.leases;
    insert(segment, spot.offset, {spot.length, false});
    released += end - begin;
  }
  return released;
}

std::uint64_t SegmentPool::backed_bytes() const {
  std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (const auto& [id, segment] : segments_) {
    struct stat status {};
    if (fstat(segment->writable, &status) == 0) bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  return bytes;
}

SegmentLease::SegmentLease(std::shared_ptr<SegmentPool> pool, SegmentRange range, std::span<std::byte> bytes)
    : pool_(std::move(pool)), range_(range), bytes_(bytes) {}
SegmentLease::~SegmentLease() { pool_->give_back(range_.segment, range_.offset, range_.length); }
void SegmentLease::shrink(std::uint64_t bytes) {
  pool_->shrink(range_.segment, range_.offset, range_.length, bytes);
  range_.length = bytes;
  bytes_ = bytes_.first(bytes);
}

Segments::Segments(std::uint64_t segment_bytes) : pool_(std::make_shared<SegmentPool>(segment_bytes)) {}
Result<std::shared_ptr<SegmentLease>> Segments::lease(std::uint64_t bytes, std::uint32_t writer) {
  return pool_->lease(bytes, writer);
}
SegmentRange Segments::range_of(std::span<const std::byte> bytes) const { return pool_->range_of(bytes); }
std::uint64_t Segments::leased_bytes() const { return pool_->leased(); }
std::uint64_t Segments::idle_bytes() const { return pool_->idle(); }
std::uint64_t Segments::backed_bytes() const { return pool_->backed_bytes(); }
std::size_t Segments::segment_count() const { return pool_->segment_count(); }
std::uint64_t Segments::release_idle(std::uint64_t bytes) { return pool_->release_idle(bytes); }

Result<std::shared_ptr<const SegmentMapping>> SegmentMapping::map(int descriptor) {
  auto refuse = [&](Failure why) {
    close(descriptor);
    return why;
  };
  int seals = fcntl(descriptor, F_GET_SEALS);
  if (seals < 0 || !(seals & F_SEAL_SHRINK))
    return refuse(failure(ErrorKind::protocol_error, "a received memory segment is not sealed against shrinking"));
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return refuse(system_failure("cannot inspect a received memory segment"));
  if (status.st_size <= 0) return refuse(failure(ErrorKind::protocol_error, "a received memory segment is empty"));
  auto size = static_cast<std::size_t>(status.st_size);
  void* base = mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (base == MAP_FAILED) return refuse(system_failure("cannot map a received memory segment"));
  return std::shared_ptr<const SegmentMapping>(new SegmentMapping(descriptor, {static_cast<const std::byte*>(base), size}));
}

SegmentMapping::~SegmentMapping() {
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  close(descriptor_);
}

std::optional<std::span<const std::byte>> SegmentMapping::range(std::uint64_t offset, std::uint64_t length) const {
  if (offset > bytes_.size() || length > bytes_.size() - offset) return std::nullopt;
  return bytes_.subspan(offset, length);
}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::map(int descriptor, std::uint64_t offset, std::uint64_t length) {
  std::uint64_t begin = offset / page * page;
  std::size_t mapped = std::max<std::uint64_t>(offset + length - begin, 1);
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, static_cast<off_t>(begin));
  if (base == MAP_FAILED) return system_failure("cannot map a place for a result");
  std::span<std::byte> bytes(static_cast<std::byte*>(base) + (offset - begin), length);
  return std::unique_ptr<SegmentWriter>(new SegmentWriter(base, mapped, bytes));
}
SegmentWriter::~SegmentWriter() { munmap(base_, mapped_); }

}  // namespace weft
