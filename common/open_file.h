// A file held open, and the stamp by which a change of it is seen without reading it again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace weft {

/// A file that stays the one that was opened, whatever is put under its path.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  explicit operator bool() const { return descriptor_ >= 0; }
  int number() const { return descriptor_; }
  /// Bytes read; fewer at the end of the file, or of trouble.
  std::size_t read(void* data, std::size_t bytes, std::uint64_t offset) const;

 private:
  int descriptor_;
};

/// Which file it is and when it was last changed: another one, or other bytes in it, have another stamp.
struct FileStamp {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t written = 0, changed = 0;  // nanoseconds since 1970
  bool operator==(const FileStamp&) const = default;
};
/// Nothing if it is no ordinary file.
std::optional<FileStamp> stamp_of(const OpenFile& file);
std::optional<FileStamp> stamp_of(const std::string& path);
/// Whether a later change would surely give another stamp: file systems count time in steps.
bool is_settled(const FileStamp& stamp);

}  // namespace weft
