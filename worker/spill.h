// Values on disk. A spill file holds records; a record is a header (key, size, checksum of header and table), the value's
// bytes, and a table with one CRC32C per 64 KiB block. Nothing here survives the process: the folder is private, removed at
// exit, and folders of dead processes are removed at the next start. No fsync, on purpose.
//
// Thread: everything may be called from any thread; one record at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <weft/buffer.h>
#include <weft/key.h>

#include "common/data/segments.h"
#include "common/result.h"

namespace weft::worker {

/// This process's own folder for spill files, with a count of the bytes in it.
class SpillFolder {
 public:
  /// Make the folder inside `directory` (made too if missing), and remove what dead processes left there. `limit`: bytes on
  /// disk; 0 is no limit.
  static Result<std::shared_ptr<SpillFolder>> open(const std::string& directory, std::uint64_t limit);
  ~SpillFolder();
  SpillFolder(const SpillFolder&) = delete;
  SpillFolder& operator=(const SpillFolder&) = delete;

  const std::string& path() const { return path_; }
  /// Bytes of all living files.
  std::uint64_t file_bytes() const { return bytes_; }

 private:
  friend class SpillFile;
  SpillFolder(std::string path, int lock, std::uint64_t limit) : path_(std::move(path)), lock_(lock), limit_(limit) {}
  bool claim(std::uint64_t bytes);

  std::string path_;
  int lock_;                     // held (flock) as long as this process lives
  std::uint64_t limit_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> count_{0};
};

/// One file; removed when its last record is dropped.
class SpillFile {
 public:
  /// Fails with io_error when the disk or the limit does not have that much; the space is the file's from then on.
  static Result<std::shared_ptr<SpillFile>> create(std::shared_ptr<SpillFolder> folder, std::uint64_t bytes);
  ~SpillFile();
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  friend class SpillPlace;
  friend Result<std::vector<struct SpillRecord>> write_records(const std::shared_ptr<SpillFolder>&,
                                                               std::span<const struct SpillItem>);
  SpillFile(std::shared_ptr<SpillFolder> folder, std::string path) : folder_(std::move(folder)), path_(std::move(path)) {}
  void close_descriptor();

  std::shared_ptr<SpillFolder> folder_;
  std::string path_;
  int descriptor_ = -1;          // open only while it is written
  std::uint64_t bytes_ = 0;
};

/// Where one value lies on disk.
struct SpillRecord {
  std::shared_ptr<SpillFile> file;
  std::uint64_t offset = 0;      // of the header
  std::uint64_t size = 0;        // of the value
};

struct SpillItem {
  Key key;
  Buffer bytes;
};

/// Write values into one new file; all or nothing. Fails with io_error.
Result<std::vector<SpillRecord>> write_records(const std::shared_ptr<SpillFolder>& folder, std::span<const SpillItem> items);

/// Read a value back into `into` (of the record's size). Fails with data_lost if any byte of the record changed.
Result<void> read_record(const SpillRecord& record, const Key& key, std::span<std::byte> into);

/// A record's bytes as a mapping of its file, for values that do not fit into memory: either made in place (`create`, fill,
/// `seal`) or checked and mapped read-only (`open`). The pages are the system's cache, which it may drop at any time.
class SpillPlace {
 public:
  /// The space on disk is allocated now, so filling it cannot fail.
  static Result<std::shared_ptr<SpillPlace>> create(const std::shared_ptr<SpillFolder>& folder, std::uint64_t bytes);
  static Result<std::shared_ptr<SpillPlace>> open(const SpillRecord& record, const Key& key);
  ~SpillPlace();
  SpillPlace(const SpillPlace&) = delete;
  SpillPlace& operator=(const SpillPlace&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }
  /// For the process that fills the place: can be mapped writable.
  SegmentRange range() const { return range_; }
  /// For readers: cannot be mapped writable.
  SegmentRange shared_range() const;
  void shrink(std::uint64_t bytes);
  /// Write header and checksums; the bytes must not change any more.
  Result<SpillRecord> seal(const Key& key);

 private:
  SpillPlace() = default;
  std::shared_ptr<SpillFile> file_;
  void* base_ = nullptr;
  std::size_t mapped_ = 0;
  std::span<std::byte> bytes_;
  SegmentRange range_;
  int read_only_ = -1;
};

}  // namespace weft::worker
