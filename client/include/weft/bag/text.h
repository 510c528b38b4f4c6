// Lines of text files: which slices of which files make a partition, and reading and writing them. Internal.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::detail {

/// The lines of a file that start in [begin, end). Size and time say which edition of the file is meant.
struct TextSlice {
  std::string path;
  std::uint64_t begin = 0, end = 0;
  std::uint64_t size = 0;
  std::int64_t modified = 0;   // nanoseconds since 1970
  bool gzip = false;           // then the slice is the whole file
};
using TextPartition = std::vector<TextSlice>;

/// Find the files and cut them into partitions of about `blocksize` bytes. Runs where the workers see the files.
///
/// Errors: throws IoError naming the pattern if no regular file matches, or a file that cannot be looked at.
std::vector<TextPartition> cut_files(const std::vector<std::string>& patterns, std::uint64_t blocksize);

/// Reads the lines of a slice through a window that stays in the cache; only a line longer than the window makes it grow.
class LineReader {
 public:
  /// Errors: throws IoError if the file cannot be read or is not the edition that was listed.
  explicit LineReader(const TextSlice& slice);
  ~LineReader();
  LineReader(const LineReader&) = delete;

  /// Some whole lines, each with its newline but perhaps the file's last; valid until the next call. False at the end.
  bool next(std::string_view& lines);

 private:
  struct File;
  bool skip_first();
  bool fill();
  void drop(std::size_t bytes);

  std::unique_ptr<File> file_;
  std::string path_;
  std::uint64_t at_, end_;        // where `text_` begins in the file; where the slice ends
  std::unique_ptr<char[]> text_;
  std::size_t size_ = 0, capacity_ = 0, given_ = 0;
  bool skip_, file_ended_ = false, finished_ = false;
};

/// Call f with each line, without its "\n" or "\r\n"; stops early when `full()`.
template <class F, class Full>
void each_line(std::string_view lines, F&& f, Full&& full) {
  const char* at = lines.data();
  const char* end = at + lines.size();
  while (at != end && !full()) {
    const char* newline = static_cast<const char*>(std::memchr(at, '\n', end - at));
    const char* stop = newline ? newline : end;
    std::size_t length = stop - at;
    if (newline && length != 0 && at[length - 1] == '\r') --length;
    f(std::string_view(at, length));
    at = newline ? newline + 1 : end;
  }
}

/// Writes a file that appears under its name only when it is complete, so a task that runs twice does no harm.
class LineWriter {
 public:
  explicit LineWriter(std::string path);   // compressed if it ends in ".gz"
  ~LineWriter();                           // an unfinished file disappears
  LineWriter(LineWriter&&) noexcept;
  void line(std::string_view text);
  std::string finish();

 private:
  struct File;
  std::unique_ptr<File> file_;
};

/// The file of partition `number` of `count`: '*' in the pattern becomes the number with leading zeros; a pattern without '*'
/// is a folder.
std::string numbered_path(const std::string& pattern, std::size_t number, std::size_t count);
std::string absolute_path(const std::string& path);

}  // namespace weft::detail
