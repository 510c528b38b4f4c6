#include "worker/executor_crash.h"

#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <map>
#include <sstream>
#include <vector>

#include "common/image_files.h"

namespace weft::worker {
namespace {

CrashNote* the_note = nullptr;
constexpr int told_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

// Only async-signal-safe calls: images are told by copying /proc/self/maps, not by asking the loader, whose lock the crash
// may hold. `backtrace` is safe once libgcc is loaded.
void on_crash(int signal, siginfo_t* info, void* context) {
  CrashNote& note = *the_note;
  std::int32_t none = 0;
  if (note.signal.compare_exchange_strong(none, signal)) {
    bool fault = signal != SIGABRT && info->si_code > 0;
    note.address = fault ? reinterpret_cast<std::uint64_t>(info->si_addr) : 0;
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    std::uint32_t size = 0;
    while (maps >= 0 && size < CrashNote::maps_max) {
      ssize_t got = read(maps, note.maps + size, CrashNote::maps_max - size);
      if (got <= 0) break;
      size += static_cast<std::uint32_t>(got);
    }
    note.maps_size = size;
    void* frames[CrashNote::frames_max];
    int count = backtrace(frames, CrashNote::frames_max);
    void** first = std::find(frames, frames + count, interrupted_instruction(context));
    if (first == frames + count) first = frames;
    std::uint32_t kept = 0;
    for (; first != frames + count; ++first) note.frames[kept++] = reinterpret_cast<std::uint64_t>(*first);
    note.frame_count = kept;
  }
  struct sigaction fresh {};
  fresh.sa_handler = SIG_DFL;
  sigaction(signal, &fresh, nullptr);
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);  // delivered when this handler returns
}

struct Image {
  std::uint64_t begin = 0, end = 0;
  std::uint64_t base = 0;  // where the file's first byte is mapped
  std::string path;
};

std::vector<Image> images_of(const std::string& maps) {
  std::vector<Image> images;
  std::istringstream lines(maps);
  for (std::string line; std::getline(lines, line);) {
    Image image;
    int path_at = 0;
    int fields = std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %n", &image.begin, &image.end, &path_at);
    if (fields != 2 || path_at == 0 || line.size() <= static_cast<std::size_t>(path_at)) continue;
    image.path = line.substr(static_cast<std::size_t>(path_at));
    bool same_file = !images.empty() && images.back().path == image.path;
    image.base = same_file ? images.back().base : image.begin;
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace

void* interrupted_instruction([[maybe_unused]] void* context) {
#if defined(__x86_64__)
  return reinterpret_cast<void*>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return reinterpret_cast<void*>(static_cast<ucontext_t*>(context)->uc_mcontext.pc);
#else
  return nullptr;
#endif
}

void record_crashes(CrashNote& note) {
  the_note = &note;
  void* warm[1];
  backtrace(warm, 1);  // loads libgcc now, not inside the handler
  constexpr std::size_t stack_bytes = 128 * 1024;
  stack_t stack{};
  stack.ss_sp = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack.ss_size = stack_bytes;
  if (stack.ss_sp != MAP_FAILED) sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_crash;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (int signal : told_signals) sigaction(signal, &action, nullptr);
}

std::vector<Frame> crash_frames(const CrashNote& note) {
  std::size_t size = std::min<std::size_t>(note.maps_size.load(), CrashNote::maps_max);
  std::size_t count = std::min<std::size_t>(note.frame_count.load(), CrashNote::frames_max);
  std::vector<Image> images = images_of(std::string(note.maps, size));
  std::map<std::string, std::pair<Key, std::uint64_t>> files;  // build and link base, read once
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t address = note.frames[i] - (i > 0);  // of callers: inside the call, not behind it
    auto image = std::ranges::find_if(images, [&](const Image& m) { return m.begin <= address && address < m.end; });
    if (image == images.end()) {
      frames.push_back({.offset = address});
      continue;
    }
    auto [file, is_new] = files.try_emplace(image->path);
    if (is_new)
      if (Bytes id = build_id_of_file(image->path); !id.empty()) file->second = {image_key(id), link_base_of_file(image->path)};
    frames.push_back({.image = image->path, .build = file->second.first, .offset = address - image->base + file->second.second});
  }
  return frames;
}

}  // namespace weft::worker
