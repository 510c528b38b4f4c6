// Text files: found and cut into partitions, and read line by line.
#include <weft/bag/text.h>

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <limits>

#include <weft/error.h>

#include "common/check.h"

namespace weft::detail {
namespace {

// Measured on the kernel's texts: 128 KiB to 512 KiB are equal, larger windows leave the L2 cache.
constexpr std::size_t window = 256 << 10;

[[noreturn]] void refused(const std::string& what, const std::string& path, int error) {
  throw IoError(what + " '" + path + "': " + std::strerror(error));
}

std::int64_t modified_of(const struct stat& info) { return info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec; }

const char* kind_of(mode_t mode) {
  return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

std::vector<std::string> files_of(const std::string& pattern) {
  struct Matches : glob_t {
    Matches() : glob_t{} {}
    ~Matches() { globfree(this); }
  } matches;
  int code = glob(pattern.c_str(), GLOB_BRACE | GLOB_NOSORT, nullptr, &matches);
  if (code != 0 && code != GLOB_NOMATCH) refused("cannot look for files", pattern, code == GLOB_NOSPACE ? ENOMEM : EIO);
  std::vector<std::string> paths(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
  if (paths.empty()) paths.push_back(pattern);   // a plain name with a '[' in it
  mode_t other = S_IFDIR;
  std::erase_if(paths, [&](const std::string& path) {
    struct stat info;
    bool is_other = stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode);
    if (is_other) other = info.st_mode;
    return is_other;
  });
  if (paths.empty() && matches.gl_pathc != 0)
    throw IoError("'" + pattern + "' is " + kind_of(other) + " where the workers look for it; " +
                  (S_ISDIR(other) ? "name its files: '" + pattern + "/*'" : "only files can be read in blocks: copy what it says into one"));
  if (matches.gl_pathc == 0 && (paths.empty() || access(pattern.c_str(), F_OK) != 0)) paths.clear();
  if (paths.empty()) throw IoError("no file matches '" + pattern + "' where the workers look for it");
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Files of /proc have no size and tell their content as they are read.
bool has_content(const std::string& path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) refused("cannot open", path, errno);
  char byte;
  ssize_t count;
  do count = pread(descriptor, &byte, 1, 0);
  while (count < 0 && errno == EINTR);
  int error = errno;
  close(descriptor);
  if (count < 0) refused("cannot read", path, error);
  return count != 0;
}

constexpr std::uint64_t to_the_end = std::numeric_limits<std::int64_t>::max();   // sums with it do not wrap

// Text compresses to about a quarter; a compressed file cannot be cut, so it counts for what it will become.
constexpr std::uint64_t gzip_factor = 4;

class Cutter {
 public:
  explicit Cutter(std::uint64_t blocksize) : blocksize_(blocksize) {}

  void add(const std::string& path) {
    struct stat info;
    if (stat(path.c_str(), &info) != 0) refused("cannot look at", path, errno);
    TextSlice slice{.path = path, .size = static_cast<std::uint64_t>(info.st_size), .modified = modified_of(info)};
    slice.gzip = path.ends_with(".gz");
    slice.end = slice.size;
    if (slice.size == 0) return add_unsized(std::move(slice));
    if (slice.gzip) return put(std::move(slice), slice.size * gzip_factor);
    // Even slices, none above the block size; small files share a partition.
    std::uint64_t size = slice.size, count = size / blocksize_ + (size % blocksize_ != 0);
    for (std::uint64_t i = 0; i < count; ++i) {
      slice.begin = size / count * i + std::min(i, size % count);
      slice.end = size / count * (i + 1) + std::min(i + 1, size % count);
      put(slice, slice.end - slice.begin);
    }
  }
  std::vector<TextPartition> take() {
    if (partitions_.empty()) partitions_.emplace_back();   // only empty files: one partition without lines
    return std::move(partitions_);
  }

 private:
  // Nobody knows where to cut it, and no time says when its content changed: each plan reads it again.
  void add_unsized(TextSlice slice) {
    if (!has_content(slice.path)) return;
    slice.end = to_the_end;
    slice.modified = std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
    put(std::move(slice), blocksize_);
  }
  void put(TextSlice slice, std::uint64_t bytes) {
    bool full = filled_ > 0 && (filled_ >= blocksize_ || bytes > blocksize_ - filled_);
    if (partitions_.empty() || full) partitions_.emplace_back(), filled_ = 0;
    partitions_.back().push_back(std::move(slice));
    filled_ += bytes;
  }
  std::uint64_t blocksize_, filled_ = 0;
  std::vector<TextPartition> partitions_;
};

}  // namespace

std::vector<TextPartition> cut_files(const std::vector<std::string>& patterns, std::uint64_t blocksize) {
  Cutter cutter(std::max<std::uint64_t>(1, blocksize));
  for (const std::string& pattern : patterns)
    for (const std::string& path : files_of(pattern)) cutter.add(path);
  return cutter.take();
}

/// Where bytes come from: the file itself by offset, or its decompressed stream.
struct LineReader::File {
  int descriptor = -1;
  gzFile stream = nullptr;
  ~File() {
    if (stream) gzclose(stream);
    else if (descriptor >= 0) close(descriptor);
  }

  void open(const TextSlice& slice) {
    descriptor = ::open(slice.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) refused("cannot open", slice.path, errno);
    struct stat info;
    if (fstat(descriptor, &info) != 0) refused("cannot look at", slice.path, errno);
    bool same_time = modified_of(info) == slice.modified || slice.size == 0;
    if (static_cast<std::uint64_t>(info.st_size) != slice.size || !same_time)
      throw IoError("'" + slice.path + "' changed since its blocks were planned; compute again to read the new text");
    if (slice.gzip) {
      stream = gzdopen(descriptor, "rb");
      if (!stream) refused("cannot open", slice.path, ENOMEM);
      gzbuffer(stream, window);
      if (gzdirect(stream) != 0 && info.st_size != 0)   // zlib would hand such bytes through as they are
        throw IoError("cannot decompress '" + slice.path + "': it ends in .gz but is not compressed by gzip; rename it");
    } else {
      posix_fadvise(descriptor, slice.begin, slice.end - slice.begin, POSIX_FADV_SEQUENTIAL);
    }
  }

  /// 0 at the end of the file.
  std::size_t read(char* to, std::size_t bytes, std::uint64_t offset, const std::string& path) {
    if (!stream) {
      ssize_t count;
      do count = pread(descriptor, to, bytes, offset);
      while (count < 0 && errno == EINTR);
      if (count < 0) refused("cannot read", path, errno);
      return count;
    }
    int count = gzread(stream, to, static_cast<unsigned>(std::min<std::size_t>(bytes, 1 << 30)));
    int error = Z_OK;
    const char* why = gzerror(stream, &error);
    if (count < 0 || (error != Z_OK && error != Z_STREAM_END))
      throw IoError("cannot decompress '" + path + "': " + (error == Z_BUF_ERROR ? "it is cut off" : why));
    return count;
  }
};

LineReader::LineReader(const TextSlice& slice)
    : file_(std::make_unique<File>()), path_(slice.path), at_(slice.begin), end_(slice.end), skip_(slice.begin > 0) {
  file_->open(slice);
  if (slice.gzip) end_ = to_the_end;
  if (skip_) --at_;   // a newline right before the slice means that a line starts at its very beginning
  capacity_ = window;
  text_.reset(new char[capacity_]);
}
LineReader::~LineReader() = default;

void LineReader::drop(std::size_t bytes) {
  std::memmove(text_.get(), text_.get() + bytes, size_ - bytes);
  size_ -= bytes;
  at_ += bytes;
}

bool LineReader::fill() {
  if (file_ended_) return false;
  if (size_ == capacity_) {
    std::unique_ptr<char[]> larger(new char[2 * capacity_]);
    std::memcpy(larger.get(), text_.get(), size_);
    text_ = std::move(larger);
    capacity_ *= 2;
  }
  // Behind the slice's end only the rest of its last line is wanted.
  std::uint64_t offset = at_ + size_;
  constexpr std::size_t rest = 16 << 10;
  std::size_t wanted = offset < end_ ? std::min<std::uint64_t>(capacity_ - size_, end_ - offset + rest) : capacity_ - size_;
  std::size_t count = file_->read(text_.get() + size_, wanted, offset, path_);
  file_ended_ = count == 0;
  size_ += count;
  return count != 0;
}

// Throw away the rest of the line that began in an earlier slice. False: no line starts in this one.
bool LineReader::skip_first() {
  while (skip_) {
    if (size_ == 0 && !fill()) return false;
    const void* newline = std::memchr(text_.get(), '\n', size_);
    skip_ = newline == nullptr;
    drop(newline ? static_cast<const char*>(newline) + 1 - text_.get() : size_);
    if (at_ >= end_) return false;
  }
  return true;
}

bool LineReader::next(std::string_view& lines) {
  drop(std::exchange(given_, 0));
  if (finished_ || !skip_first()) return false;
  if (at_ >= end_) return false;
  std::size_t searched = 0;   // bytes that hold no newline
  for (;;) {
    bool more = size_ > searched || fill();
    const char* text = text_.get();
    if (!more) {   // the file's last line has no newline
      finished_ = true;
      given_ = size_;
    } else if (at_ + size_ >= end_) {
      // The line that covers the slice's last byte is ours, and the last one.
      std::size_t last = end_ - 1 - at_, from = std::max(last, searched);
      if (const void* newline = std::memchr(text + from, '\n', size_ - from)) {
        finished_ = true;
        given_ = static_cast<const char*>(newline) + 1 - text;
      }
    }
    if (given_ == 0 && !finished_)
      if (const void* newline = memrchr(text + searched, '\n', size_ - searched))
        given_ = static_cast<const char*>(newline) + 1 - text;
    if (given_ != 0 || finished_) {
      lines = {text, given_};
      return given_ != 0;
    }
    searched = size_;
  }
}

std::string absolute_path(const std::string& path) {
  std::error_code error;
  std::filesystem::path whole = std::filesystem::absolute(path, error);
  if (error) throw IoError("cannot find '" + path + "' from the current folder: " + error.message());
  return whole.lexically_normal().string();
}

}  // namespace weft::detail
