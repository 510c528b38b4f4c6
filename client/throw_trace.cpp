#include "client/throw_trace.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <exception>
#include <mutex>
#include <typeinfo>

#if __has_include(<backtrace.h>)
#include <backtrace.h>
#else
// g++ ships libbacktrace's header in a folder of its own, where clang does not look; the library is the same.
#include <cstdint>
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
#include <dlfcn.h>
#include <link.h>
#include <unwind.h>

namespace weft {
namespace {

constexpr std::size_t frames_max = 32;
constexpr std::size_t message_max = 64 << 10;
constexpr int causes_max = 16;

struct Thrown {
  void* exception = nullptr;
  std::size_t count = 0;
  std::array<void*, frames_max> frames{};
};
// The last few throws of this thread: a task's exception may meet others while it unwinds.
struct Recorder {
  int scopes = 0;
  std::size_t next = 0;
  std::array<Thrown, 8> ring;
};
constinit thread_local Recorder recorder;

struct Walk {
  Thrown* thrown;
  std::size_t skip;
};
_Unwind_Reason_Code step(_Unwind_Context* context, void* data) {
  auto& walk = *static_cast<Walk*>(data);
  auto address = _Unwind_GetIP(context);
  if (address == 0) return _URC_END_OF_STACK;
  if (walk.skip > 0) --walk.skip;
  else walk.thrown->frames[walk.thrown->count++] = reinterpret_cast<void*>(address);
  return walk.thrown->count < frames_max ? _URC_NO_REASON : _URC_END_OF_STACK;
}

[[gnu::noinline]] void record(void* exception) {
  Thrown& thrown = recorder.ring[recorder.next++ % recorder.ring.size()];
  thrown.exception = exception;
  thrown.count = 0;
  Walk walk{&thrown, 2};   // this function and __cxa_throw
  _Unwind_Backtrace(step, &walk);
}

const Thrown* recorded(const void* exception) {
  for (std::size_t back = 1; back <= recorder.ring.size() && back <= recorder.next; ++back) {
    const Thrown& thrown = recorder.ring[(recorder.next - back) % recorder.ring.size()];
    if (thrown.exception == exception) return &thrown;
  }
  return nullptr;
}

void ignore(void*, const char*, int) {}

// libbacktrace reads the list of images once, so images opened later need a new state. States are never freed: libbacktrace has
// no such function.
backtrace_state* symbols() {
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

struct Lines {
  std::string text;
  const void* address = nullptr;
};
void add_line(Lines& lines, const char* function, const char* file, int line) {
  lines.text += "  at ";
  lines.text += function ? demangle(function) : std::string("?");
  if (file) {
    lines.text += " (";
    lines.text += file;
    lines.text += ':' + std::to_string(line) + ')';
  } else if (Dl_info info; dladdr(lines.address, &info) && info.dli_fname) {
    char offset[32];
    std::snprintf(offset, sizeof offset, "+0x%zx)",
                  static_cast<std::size_t>(static_cast<const char*>(lines.address) - static_cast<const char*>(info.dli_fbase)));
    lines.text += std::string(" (") + info.dli_fname + offset;
  }
  lines.text += '\n';
}

std::string bounded(const char* text) {
  if (!text) return "";
  std::size_t length = ::strnlen(text, message_max + 1);
  if (length <= message_max) return std::string(text, length);
  return std::string(text, message_max) + " ... (cut)";
}

struct Description {
  std::string type, message, cause;
};
Description describe_current(int depth);

// The exception nested inside, if any, as further sentences.
std::string cause_of(const std::exception& exception, int depth) {
  auto* nested = dynamic_cast<const std::nested_exception*>(&exception);
  if (!nested || !nested->nested_ptr() || depth >= causes_max) return "";
  try {
    nested->rethrow_nested();
  } catch (...) {
    Description inner = describe_current(depth + 1);
    return "\ncaused by " + inner.type + ": " + inner.message + inner.cause;
  }
}

Description describe_current(int depth) {
  Description result;
  if (auto* type = abi::__cxa_current_exception_type()) result.type = demangle(type->name());
  else result.type = "a foreign exception";
  try {
    throw;
  } catch (const Error& error) {
    result.type = std::string("weft::") + name_of(error.kind());
    result.message = bounded(error.what());
    result.cause = cause_of(error, depth);
  } catch (const std::exception& exception) {
    result.message = bounded(exception.what());
    result.cause = cause_of(exception, depth);
  } catch (const std::string& text) {
    result.message = bounded(text.c_str());
  } catch (const char* text) {
    result.message = bounded(text);
  } catch (int number) {
    result.message = std::to_string(number);
  } catch (...) {
    result.message = "an exception of type " + result.type + ", which is not a std::exception";
  }
  return result;
}

}  // namespace

ThrowTrace::Scope::Scope() { ++recorder.scopes; }
ThrowTrace::Scope::~Scope() {
  if (--recorder.scopes == 0) recorder.ring = {}, recorder.next = 0;
}

std::string demangle(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = text ? text : name;
  std::free(text);
  return result;
}

std::string symbol_at(const void* address) {
  std::string result;
  auto found = [](void* out, std::uintptr_t, const char* name, std::uintptr_t, std::uintptr_t) {
    if (name) *static_cast<std::string*>(out) = demangle(name);
  };
  backtrace_syminfo(symbols(), reinterpret_cast<std::uintptr_t>(address), found, ignore, &result);
  return result;
}

std::string symbolise(std::span<void* const> frames) {
  Lines lines;
  auto on_line = [](void* out, std::uintptr_t, const char* file, int line, const char* function) {
    if (function || file) add_line(*static_cast<Lines*>(out), function, file, line);
    return 0;
  };
  auto* state = symbols();
  for (void* frame : frames) {
    // What called the user's function is ours, and nobody's concern.
    if (std::size_t caller = lines.text.find("weft::detail::Caller<"); caller != std::string::npos) {
      lines.text.resize(lines.text.rfind('\n', caller) + 1);
      break;
    }
    auto address = reinterpret_cast<std::uintptr_t>(frame) - 1;   // inside the call, not behind it
    lines.address = reinterpret_cast<void*>(address);
    std::size_t before = lines.text.size();
    backtrace_pcinfo(state, address, on_line, ignore, &lines);
    if (lines.text.size() != before) continue;
    std::string symbol = symbol_at(lines.address);
    add_line(lines, symbol.empty() ? nullptr : symbol.c_str(), nullptr, 0);
  }
  return std::move(lines.text);
}

Failure failure_from_current_exception() {
  Failure failure{.kind = ErrorKind::task_error};
  if (!std::current_exception()) {
    // Not C++: for example a foreign runtime's. It cannot be looked into.
    failure.type = "a foreign exception";
    failure.message = "an exception that is not from C++";
    return failure;
  }
  void* object = nullptr;
  {
    // libstdc++'s exception_ptr is one pointer to the exception object, which is what __cxa_throw was given.
    std::exception_ptr pointer = std::current_exception();
    static_assert(sizeof pointer == sizeof object);
    std::memcpy(&object, &pointer, sizeof object);
  }
  // Copied first: looking at the causes may throw again.
  Thrown thrown;
  if (const Thrown* found = recorded(object)) thrown = *found;
  Description description = describe_current(0);
  failure.type = std::move(description.type);
  failure.message = description.message + description.cause;
  if (failure.message.size() > message_max) failure.message = bounded(failure.message.c_str());
  failure.traceback = symbolise(std::span<void* const>(thrown.frames.data(), thrown.count));
  try {
    throw;
  } catch (const Error& error) {
    if (!error.failure().traceback.empty()) failure.traceback += "caused by\n" + error.failure().traceback;
  } catch (...) {
  }
  return failure;
}

}  // namespace weft

/// Stands before libstdc++'s own function of this name, notes where we are if this thread wants it, and goes on there.
extern "C" [[gnu::visibility("default")]] void __cxxabiv1::__cxa_throw(void* exception, std::type_info* type,
                                                                       void(_GLIBCXX_CDTOR_CALLABI* destroy)(void*)) {
  using Throw = void (*)(void*, std::type_info*, void (*)(void*));
  static const Throw libstdcxx_throw = reinterpret_cast<Throw>(dlsym(RTLD_NEXT, "__cxa_throw"));
  if (!libstdcxx_throw) std::terminate();
  if (weft::recorder.scopes > 0) weft::record(exception);
  libstdcxx_throw(exception, type, destroy);
  __builtin_unreachable();
}
