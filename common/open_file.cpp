#include "common/open_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

namespace weft {

namespace {

// The coarsest steps in common use are two seconds.
constexpr std::int64_t settling_time = 2'000'000'000;

std::int64_t nanoseconds_of(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

std::optional<FileStamp> stamp_from(int trouble, const struct stat& status) {
  if (trouble != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return FileStamp{status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size), nanoseconds_of(status.st_mtim),
                   nanoseconds_of(status.st_ctim)};
}

}  // namespace

// A pipe under this name must not hold us up: some paths come from processes of users.
OpenFile::OpenFile(const std::string& path) : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
OpenFile::~OpenFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}
std::size_t OpenFile::read(void* data, std::size_t bytes, std::uint64_t offset) const {
  std::size_t done = 0;
  while (done < bytes) {
    ssize_t n = ::pread(descriptor_, static_cast<char*>(data) + done, bytes - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

std::optional<FileStamp> stamp_of(const OpenFile& file) {
  struct stat status {};
  return stamp_from(::fstat(file.number(), &status), status);
}
std::optional<FileStamp> stamp_of(const std::string& path) {
  struct stat status {};
  return stamp_from(::stat(path.c_str(), &status), status);
}
bool is_settled(const FileStamp& stamp) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds_of(now) - stamp.changed > settling_time;
}

}  // namespace weft
