// Preloaded into daemons by the checks: a wall clock that can be set, and death at a chosen write.
//   WEFT_CLOCK_FILE    a file with one 64-bit number: nanoseconds by which the wall clock is wrong
//   WEFT_DIE_AT_WRITE  the number of the pwrite, fdatasync, fsync or ftruncate before which the process dies
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>

namespace {

const std::atomic<std::int64_t>* map_offset() {
  const char* path = std::getenv("WEFT_CLOCK_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return nullptr;
  void* memory = mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, file, 0);
  close(file);
  return memory == MAP_FAILED ? nullptr : static_cast<const std::atomic<std::int64_t>*>(memory);
}

std::int64_t wall_clock() {
  static const std::atomic<std::int64_t>* offset = map_offset();
  timespec now{};
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000ll + now.tv_nsec + (offset ? offset->load() : 0);
}

void count_write() {
  static const long last = std::getenv("WEFT_DIE_AT_WRITE") ? std::atol(std::getenv("WEFT_DIE_AT_WRITE")) : 0;
  static std::atomic<long> count{0};
  if (last > 0 && ++count == last) kill(getpid(), SIGKILL);
}

template <class F>
F next(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) {
    static auto real = next<int (*)(clockid_t, timespec*)>("clock_gettime");
    return real(clock, time);
  }
  std::int64_t now = wall_clock();
  *time = {static_cast<time_t>(now / 1'000'000'000), static_cast<long>(now % 1'000'000'000)};
  return 0;
}
int gettimeofday(timeval* time, void*) noexcept {
  std::int64_t now = wall_clock();
  *time = {static_cast<time_t>(now / 1'000'000'000), static_cast<suseconds_t>(now / 1000 % 1'000'000)};
  return 0;
}
time_t time(time_t* into) noexcept {
  time_t now = static_cast<time_t>(wall_clock() / 1'000'000'000);
  if (into) *into = now;
  return now;
}

ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t at) {
  static auto real = next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  count_write();
  return real(file, bytes, size, at);
}
ssize_t pwrite(int file, const void* bytes, size_t size, off_t at) { return pwrite64(file, bytes, size, at); }
int fdatasync(int file) {
  static auto real = next<int (*)(int)>("fdatasync");
  count_write();
  return real(file);
}
int fsync(int file) {
  static auto real = next<int (*)(int)>("fsync");
  count_write();
  return real(file);
}
int ftruncate64(int file, off64_t size) noexcept {
  static auto real = next<int (*)(int, off64_t)>("ftruncate64");
  count_write();
  return real(file, size);
}
int ftruncate(int file, off_t size) noexcept { return ftruncate64(file, size); }

}  // extern "C"
