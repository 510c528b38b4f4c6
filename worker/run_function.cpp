#include "worker/run_function.h"

#include <sys/resource.h>

#include <cstdio>
#include <new>

#include "worker/kernels/registry.h"
#include "worker/task_context.h"

namespace weft::worker {

thread_local TaskContext* TaskContext::current_ = nullptr;

std::string text_of(Duration duration) {
  char text[40];
  if (duration < 1s) std::snprintf(text, sizeof text, "%g ms", double(duration.count()) / 1e6);
  else std::snprintf(text, sizeof text, "%g s", double(duration.count()) / 1e9);
  return text;
}

std::size_t FunctionCache::Hash::operator()(const FunctionRef& function) const noexcept {
  std::size_t hash = function.kernel;
  for (std::uint64_t word : {function.program.low, function.thunk_image.low, function.thunk_offset, function.target_image.low,
                             function.target_offset}) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  return hash;
}

Result<FunctionCache::Code> FunctionCache::find(const FunctionRef& function, const FunctionRuntime& runtime) {
  if (auto known = found_.find(function); known != found_.end()) return known->second;
  Code code;
  if (function.kernel != 0) {
    code.thunk = kernels::find(function.kernel);
    if (!code.thunk) {
      return failure(ErrorKind::program_error, "this worker has no built-in kernel number " + std::to_string(function.kernel) +
                                                   "; it is of another version");
    }
  } else {
    Result<detail::Thunk> thunk = runtime.resolve(function, &code.target);
    if (!thunk) return thunk.error();
    code.thunk = *thunk;
  }
  if (found_.size() >= 4096) found_.clear();  // a scheduler that sends ever new functions must not fill our memory
  found_.emplace(function, code);
  return code;
}

std::string memory_limit_in_words(std::uint64_t bytes) {
  char amount[40];
  std::snprintf(amount, sizeof amount, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return std::string("the limit is ") + amount + " (" + std::to_string(bytes) +
         " bytes); raise it by `executor_memory` of LocalClusterOptions or weft-worker --executor-memory";
}

static std::string memory_refused(const std::string& what) {
  rlimit limit{};
  if (getrlimit(RLIMIT_DATA, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return "the task asked for more memory than there is (" + what + ")";
  return "the task asked for more memory than its process may allocate (" + what + "): " + memory_limit_in_words(limit.rlim_cur);
}

// Weft's words for the two exceptions that mean "no memory"; everything else is described by the runtime.
static Failure describe(const FunctionRuntime& runtime, bool no_memory) {
  Failure what;
  try {
    what = runtime.describe_exception();
  } catch (...) {
    what = failure(ErrorKind::task_error, "the task threw, and describing its exception threw again");
  }
  if (no_memory) {
    what.kind = ErrorKind::memory_limit;
    what.message = memory_refused(what.message);
  }
  if (what.kind == ErrorKind::none) what.kind = ErrorKind::task_error;
  shorten(what.message, failure_text_max);
  shorten(what.type, failure_text_max);
  shorten(what.traceback, failure_text_max);
  return what;
}

Failure run_function(const Template& shape, detail::Call& call, FunctionCache& cache, const FunctionRuntime& runtime) {
  struct End {  // what lives as long as the task ends with its function, either way
    ~End() {
      if (auto* task = TaskContext::current()) task->end();
    }
  } end;
  try {
    Result<FunctionCache::Code> code = cache.find(shape.function, runtime);
    if (!code) return code.error();
    call.shared_arguments = shape.shared_arguments;
    call.target = code->target;
    code->thunk(call);
    return {};
  } catch (NoPlace& refused) {
    return std::move(refused.failure);
  } catch (const std::bad_alloc&) {
    return describe(runtime, true);
  } catch (...) {
    return describe(runtime, false);
  }
}

}  // namespace weft::worker
