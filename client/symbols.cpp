#include "client/symbols.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>

#if __has_include(<backtrace.h>)
#include <backtrace.h>
#else
// g++ ships libbacktrace's header in a folder of its own, where clang does not look; the library is the same.
extern "C" {
struct backtrace_state;
typedef void (*backtrace_error_callback)(void* data, const char* message, int error);
typedef int (*backtrace_full_callback)(void* data, std::uintptr_t pc, const char* file, int line, const char* function);
typedef void (*backtrace_syminfo_callback)(void* data, std::uintptr_t pc, const char* name, std::uintptr_t value, std::uintptr_t size);
backtrace_state* backtrace_create_state(const char* file, int threaded, backtrace_error_callback error, void* data);
int backtrace_pcinfo(backtrace_state*, std::uintptr_t pc, backtrace_full_callback, backtrace_error_callback, void* data);
int backtrace_syminfo(backtrace_state*, std::uintptr_t address, backtrace_syminfo_callback, backtrace_error_callback, void* data);
}
#endif
#include <cxxabi.h>
#include <link.h>

#include "client/images.h"
#include "common/image_files.h"

namespace weft {
namespace {

void ignore(void*, const char*, int) {}

// libbacktrace reads the list of images once, so images opened later need a new state. States are never freed: libbacktrace has
// no such function.
backtrace_state* symbols_here() {
  static std::mutex mutex;
  static backtrace_state* state = nullptr;
  static unsigned long long seen = ~0ull;
  unsigned long long opened = 0;
  dl_iterate_phdr([](dl_phdr_info* info, std::size_t, void* out) {
    *static_cast<unsigned long long*>(out) = info->dlpi_adds;
    return 1;
  }, &opened);
  std::lock_guard lock(mutex);
  if (opened != seen) {
    state = backtrace_create_state(nullptr, 1, ignore, nullptr);
    seen = opened;
  }
  return state;
}

// A place as libbacktrace can be asked for it.
struct Place {
  backtrace_state* state = nullptr;
  std::uintptr_t address = 0;
};

// A file that this process does not map: libbacktrace takes it for the program itself, and so expects its code where the
// program's is.
std::optional<Place> place_in_file(const Frame& frame) {
  struct Known {
    backtrace_state* state = nullptr;
    std::uintptr_t base = 0;
  };
  static std::mutex mutex;
  static auto& known = *new std::map<std::pair<std::string, Key>, Known>;  // names must outlive the states, which are never freed
  std::lock_guard lock(mutex);
  auto [at, is_new] = known.try_emplace({frame.image, frame.build});
  Known& file = at->second;
  if (is_new) {
    Bytes id = build_id_of_file(frame.image);
    if (!id.empty() && image_key(id) == frame.build) file.state = backtrace_create_state(at->first.first.c_str(), 1, ignore, nullptr);
    dl_iterate_phdr([](dl_phdr_info* info, std::size_t, void* out) {
      *static_cast<std::uintptr_t*>(out) = info->dlpi_addr;
      return 1;
    }, &file.base);
    if (link_base_of_file(frame.image) != 0) file.base = 0;
  }
  if (!file.state) return std::nullopt;
  return Place{file.state, file.base + frame.offset};
}

std::optional<Place> place_of(const Frame& frame) {
  if (auto address = address_of(frame)) return Place{symbols_here(), *address};
  return place_in_file(frame);
}

std::string name_at(const Place& place) {
  std::string result;
  auto found = [](void* out, std::uintptr_t, const char* name, std::uintptr_t, std::uintptr_t) {
    if (name) *static_cast<std::string*>(out) = demangle(name);
  };
  backtrace_syminfo(place.state, place.address, found, ignore, &result);
  return result;
}

// With debug information: a line for the function and for each that was inlined there.
int add_line(void* out, std::uintptr_t, const char* file, int line, const char* function) {
  if (!function && !file) return 0;
  std::string& text = *static_cast<std::string*>(out);
  text += "  at " + (function ? demangle(function) : std::string("?"));
  if (file) text += std::string(" (") + file + ':' + std::to_string(line) + ')';
  text += '\n';
  return 0;
}

std::string lines_of(const Frame& frame) {
  std::string text, name = frame.symbol;
  if (auto place = place_of(frame)) {
    backtrace_pcinfo(place->state, place->address, add_line, ignore, &text);
    if (!text.empty()) return text;
    if (std::string found = name_at(*place); !found.empty()) name = found;
  }
  char offset[32];
  std::snprintf(offset, sizeof offset, "+0x%llx", static_cast<unsigned long long>(frame.offset));
  return "  at " + (name.empty() ? "?" : name) + " (" + frame.image + offset + ")\n";
}

}  // namespace

std::string demangle(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = text ? text : name;
  std::free(text);
  // What libstdc++ says about its own history, not about the function.
  constexpr std::string_view tag = "[abi:cxx11]";
  for (std::size_t at = 0; (at = result.find(tag, at)) != std::string::npos;) result.erase(at, tag.size());
  return result;
}

std::string symbol_at(const void* address) { return name_at({symbols_here(), reinterpret_cast<std::uintptr_t>(address)}); }

std::string symbolise(std::span<const Frame> frames) {
  std::string text;
  for (const Frame& frame : frames) {
    text += lines_of(frame);
    std::size_t caller = text.find("weft::detail::Caller<");
    if (caller == std::string::npos) continue;
    text.resize(text.rfind('\n', caller) + 1);
    break;
  }
  return text;
}

Failure symbolised(Failure failure) {
  if (failure.frames.empty()) return failure;
  failure.traceback.insert(0, symbolise(failure.frames));
  failure.frames.clear();
  return failure;
}

}  // namespace weft
