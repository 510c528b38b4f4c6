#include "worker/spill.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "common/crc32c.h"

namespace weft::worker {

namespace files = std::filesystem;

static constexpr std::uint64_t block_size = 64 * 1024;
static constexpr std::string_view folder_prefix = "weft-spill-";

namespace {

struct RecordHeader {
  static constexpr std::uint64_t magic_word = 0x31304c4c49505357;  // "WSPILL01"
  std::uint64_t magic = magic_word;
  Key key;
  std::uint64_t size = 0;
  std::uint32_t table_sum = 0;   // checksum of the table of block checksums
  std::uint32_t sum = 0;         // checksum of this header with `sum` zero
  std::uint64_t unused[3] = {};
};
static_assert(sizeof(RecordHeader) == 64, "the value that follows must be aligned as in memory");

std::uint64_t aligned(std::uint64_t size) { return (size + 63) & ~std::uint64_t(63); }
std::uint64_t block_count(std::uint64_t size) { return (size + block_size - 1) / block_size; }
std::uint64_t record_size(std::uint64_t size) { return sizeof(RecordHeader) + aligned(size) + aligned(4 * block_count(size)); }

Failure disk_failure(const std::string& what) {
  return failure(ErrorKind::io_error, what + ": " + std::system_category().message(errno));
}
Failure damaged(const Key& key, const char* what) {
  return failure(ErrorKind::data_lost, "the spilled copy of " + key.hex() + " is damaged: " + what);
}

struct Descriptor {
  int number;
  explicit Descriptor(int number) : number(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

bool write_all(int descriptor, std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t n = pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ENOSPC;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return true;
}
bool read_all(int descriptor, std::span<std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t n = pread(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return true;
}

std::span<const std::byte> block_of(std::span<const std::byte> bytes, std::uint64_t index) {
  auto rest = bytes.subspan(index * block_size);
  return rest.first(std::min<std::size_t>(rest.size(), block_size));
}
std::uint32_t sum_of(RecordHeader header) {
  header.sum = 0;
  return crc32c(std::as_bytes(std::span(&header, 1)));
}

/// Header and table behind the bytes, which are in place already.
bool write_frame(int descriptor, std::uint64_t offset, const Key& key, std::uint64_t size, std::span<const std::uint32_t> table) {
  RecordHeader header{.key = key, .size = size, .table_sum = crc32c(std::as_bytes(table))};
  header.sum = sum_of(header);
  return write_all(descriptor, std::as_bytes(std::span(&header, 1)), offset) &&
         write_all(descriptor, std::as_bytes(table), offset + sizeof header + aligned(size));
}

/// The checked table of a record.
Result<std::vector<std::uint32_t>> read_frame(int descriptor, const SpillRecord& record, const Key& key) {
  RecordHeader header;
  if (!read_all(descriptor, std::as_writable_bytes(std::span(&header, 1)), record.offset))
    return damaged(key, "its header cannot be read");
  if (header.magic != RecordHeader::magic_word || header.sum != sum_of(header) || header.key != key || header.size != record.size)
    return damaged(key, "its header is wrong");
  std::vector<std::uint32_t> table(block_count(record.size));
  auto bytes = std::as_writable_bytes(std::span(table));
  if (!read_all(descriptor, bytes, record.offset + sizeof header + aligned(record.size)))
    return damaged(key, "its checksums cannot be read");
  if (crc32c(bytes) != header.table_sum) return damaged(key, "its checksums are wrong");
  return table;
}

/// Remove folders whose owner does not hold its lock any more.
void remove_stale(const files::path& directory) {
  std::error_code error;
  for (const auto& entry : files::directory_iterator(directory, error)) {
    std::string name = entry.path().filename().string();
    if (!name.starts_with(folder_prefix) || !name.ends_with(".lock")) continue;
    Descriptor lock(open(entry.path().c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (lock.number < 0 || flock(lock.number, LOCK_EX | LOCK_NB) != 0) continue;
    files::path folder = entry.path();
    files::remove_all(folder.replace_extension(), error);
    files::remove(entry.path(), error);
  }
}

}  // namespace

Result<std::shared_ptr<SpillFolder>> SpillFolder::open(const std::string& directory, std::uint64_t limit) {
  std::error_code error;
  files::create_directories(directory, error);
  if (error) return failure(ErrorKind::io_error, "cannot make the spill directory " + directory + ": " + error.message());
  remove_stale(directory);
  // The lock exists before its folder, and is ours only if nobody removed it before we held it.
  for (int tries = 0; tries < 100; ++tries) {
    std::string path = directory + "/" + std::string(folder_prefix) + Key::random().hex();
    Descriptor lock(::open((path + ".lock").c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
    if (lock.number < 0) return disk_failure("cannot make a spill folder in " + directory);
    struct stat status {};
    if (flock(lock.number, LOCK_EX | LOCK_NB) != 0 || fstat(lock.number, &status) != 0 || status.st_nlink == 0) continue;
    if (mkdir(path.c_str(), 0700) != 0) {
      Failure why = disk_failure("cannot make the spill folder " + path);
      unlink((path + ".lock").c_str());
      return why;
    }
    return std::shared_ptr<SpillFolder>(new SpillFolder(path, std::exchange(lock.number, -1), limit));
  }
  return failure(ErrorKind::io_error, "cannot lock a spill folder in " + directory);
}

SpillFolder::~SpillFolder() {
  std::error_code error;
  files::remove_all(path_, error);
  unlink((path_ + ".lock").c_str());
  close(lock_);
}

bool SpillFolder::claim(std::uint64_t bytes) {
  std::uint64_t before = bytes_.fetch_add(bytes);
  if (limit_ == 0 || (before <= limit_ && bytes <= limit_ - before)) return true;
  bytes_ -= bytes;
  return false;
}

Result<std::shared_ptr<SpillFile>> SpillFile::create(std::shared_ptr<SpillFolder> folder, std::uint64_t bytes) {
  std::string path = folder->path_ + "/" + std::to_string(++folder->count_);
  if (!folder->claim(bytes)) return failure(ErrorKind::io_error, "the spill limit is reached");
  std::shared_ptr<SpillFile> file(new SpillFile(std::move(folder), path));
  file->bytes_ = bytes;
  file->descriptor_ = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  if (file->descriptor_ < 0) return disk_failure("cannot make a spill file");
  // Allocated now: a full disk shows here, and never as SIGBUS in somebody's mapping.
  if (int error = posix_fallocate(file->descriptor_, 0, static_cast<off_t>(bytes)); error != 0) {
    errno = error;
    return disk_failure("cannot spill to " + path);
  }
  return file;
}

void SpillFile::close_descriptor() {
  if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
}
SpillFile::~SpillFile() {
  close_descriptor();
  unlink(path_.c_str());
  folder_->bytes_ -= bytes_;
}

Result<std::vector<SpillRecord>> write_records(const std::shared_ptr<SpillFolder>& folder, std::span<const SpillItem> items) {
  std::uint64_t total = 0;
  for (const SpillItem& item : items) total += record_size(item.bytes.size());
  auto file = SpillFile::create(folder, total);
  if (!file) return file.error();
  int descriptor = (*file)->descriptor_;
  std::vector<SpillRecord> records;
  std::uint64_t at = 0;
  for (const SpillItem& item : items) {
    auto bytes = item.bytes.bytes();
    std::vector<std::uint32_t> table(block_count(bytes.size()));
    constexpr std::uint64_t batch = 16;  // blocks per write: still in cache when the kernel copies them
    for (std::uint64_t first = 0; first < table.size(); first += batch) {
      std::uint64_t end = std::min<std::uint64_t>(first + batch, table.size());
      for (std::uint64_t i = first; i < end; ++i) table[i] = crc32c(block_of(bytes, i));
      auto piece = bytes.subspan(first * block_size);
      piece = piece.first(std::min<std::size_t>(piece.size(), batch * block_size));
      if (!write_all(descriptor, piece, at + sizeof(RecordHeader) + first * block_size))
        return disk_failure("cannot spill to " + (*file)->path());
    }
    if (!write_frame(descriptor, at, item.key, bytes.size(), table)) return disk_failure("cannot spill to " + (*file)->path());
    records.push_back({*file, at, bytes.size()});
    at += record_size(bytes.size());
  }
  (*file)->close_descriptor();
  return records;
}

Result<void> read_record(const SpillRecord& record, const Key& key, std::span<std::byte> into) {
  WEFT_CHECK(into.size() == record.size);
  Descriptor file(open(record.file->path().c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number < 0) return damaged(key, "its file cannot be opened");
  auto table = read_frame(file.number, record, key);
  if (!table) return table.error();
  for (std::uint64_t i = 0; i < table->size(); ++i) {
    auto block = into.subspan(i * block_size);
    block = block.first(std::min<std::size_t>(block.size(), block_size));
    if (!read_all(file.number, block, record.offset + sizeof(RecordHeader) + i * block_size))
      return damaged(key, "its bytes cannot be read");
    if (crc32c(block) != (*table)[i]) return damaged(key, "a block has a wrong checksum");
  }
  return {};
}

Result<std::shared_ptr<SpillPlace>> SpillPlace::create(const std::shared_ptr<SpillFolder>& folder, std::uint64_t bytes) {
  auto file = SpillFile::create(folder, record_size(bytes));
  if (!file) return file.error();
  std::shared_ptr<SpillPlace> place(new SpillPlace);
  place->file_ = *file;
  std::size_t mapped = sizeof(RecordHeader) + bytes;
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, (*file)->descriptor_, 0);
  if (base == MAP_FAILED) return disk_failure("cannot map a spill file");
  place->base_ = base;
  place->mapped_ = mapped;
  place->bytes_ = {static_cast<std::byte*>(base) + sizeof(RecordHeader), static_cast<std::size_t>(bytes)};
  place->read_only_ = ::open((*file)->path().c_str(), O_RDONLY | O_CLOEXEC);
  if (place->read_only_ < 0) return disk_failure("cannot reopen a spill file");
  place->range_ = {.descriptor = (*file)->descriptor_, .segment = new_segment_id(), .offset = sizeof(RecordHeader), .length = bytes};
  return place;
}

Result<std::shared_ptr<SpillPlace>> SpillPlace::open(const SpillRecord& record, const Key& key) {
  Descriptor file(::open(record.file->path().c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number < 0) return damaged(key, "its file cannot be opened");
  auto table = read_frame(file.number, record, key);
  if (!table) return table.error();
  struct stat status {};
  std::uint64_t begin = record.offset / 4096 * 4096;
  std::uint64_t end = record.offset + sizeof(RecordHeader) + record.size;
  if (fstat(file.number, &status) != 0 || static_cast<std::uint64_t>(status.st_size) < end)
    return damaged(key, "its file is too short");
  void* base = mmap(nullptr, end - begin, PROT_READ, MAP_SHARED, file.number, static_cast<off_t>(begin));
  if (base == MAP_FAILED) return disk_failure("cannot map a spill file");
  std::shared_ptr<SpillPlace> place(new SpillPlace);
  place->base_ = base;
  place->mapped_ = end - begin;
  place->bytes_ = {static_cast<std::byte*>(base) + (end - begin - record.size), static_cast<std::size_t>(record.size)};
  for (std::uint64_t i = 0; i < table->size(); ++i)
    if (crc32c(block_of(place->bytes_, i)) != (*table)[i]) return damaged(key, "a block has a wrong checksum");
  place->file_ = record.file;
  place->read_only_ = std::exchange(file.number, -1);
  place->range_ = {.descriptor = place->read_only_, .segment = new_segment_id(), .offset = record.offset + sizeof(RecordHeader), .length = record.size};
  return place;
}

SpillPlace::~SpillPlace() {
  if (base_) munmap(base_, mapped_);
  if (read_only_ >= 0) close(read_only_);
}

SegmentRange SpillPlace::shared_range() const {
  SegmentRange range = range_;
  range.descriptor = read_only_;
  return range;
}

void SpillPlace::shrink(std::uint64_t bytes) {
  WEFT_CHECK(bytes <= bytes_.size());
  bytes_ = bytes_.first(bytes);
  range_.length = bytes;
}

Result<SpillRecord> SpillPlace::seal(const Key& key) {
  std::vector<std::uint32_t> table(block_count(bytes_.size()));
  for (std::uint64_t i = 0; i < table.size(); ++i) table[i] = crc32c(block_of(bytes_, i));
  if (!write_frame(range_.descriptor, 0, key, bytes_.size(), table)) return disk_failure("cannot finish a spill file");
  return SpillRecord{file_, 0, bytes_.size()};
}

}  // namespace weft::worker
