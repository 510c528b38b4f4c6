#include "client/throw_trace.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <exception>
#include <typeinfo>

#include <cxxabi.h>
#include <dlfcn.h>
#include <unwind.h>

#include "client/images.h"
#include "client/symbols.h"

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
  for (std::size_t i = 0; i < thrown.count; ++i)
    failure.frames.push_back(frame_at(reinterpret_cast<std::uintptr_t>(thrown.frames[i]) - 1));  // inside the call, not behind it
  try {
    throw;
  } catch (const Error& error) {
    if (!error.failure().traceback.empty()) failure.traceback = "caused by\n" + error.failure().traceback;
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
