// Running one function: find its code, call it, and turn whatever comes out into a value or a Failure. The same for threads
// and for executor processes.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>

#include <weft/function.h>

#include "common/graph.h"
#include "common/limits.h"
#include "common/result.h"
#include "common/time.h"

namespace weft::worker {

/// How user code is found and its exceptions are described; given from outside so that executors know no images.
struct FunctionRuntime {
  /// The typed caller of a function; `target` becomes the address of a plain function. Thread-safe.
  std::function<Result<detail::Thunk>(const FunctionRef&, void (**target)())> resolve;
  /// Describe the exception being handled. Called inside a catch block.
  std::function<Failure()> describe_exception;
  /// Executor processes only: runs once before the first task (weft::on_executor_start).
  std::function<void()> on_start = [] {};
  /// Executor processes only: the function at an address of this process, for samples of stacks; empty if unknown. Thread-safe.
  std::function<std::string(const void*)> name_of = nullptr;
};

/// A place for the result could not be had. Thrown by sinks through user code's thunk; never leaves `run_function`.
struct NoPlace {
  Failure failure;
};

/// A duration as a person writes it: "250 ms", "1.5 s".
std::string text_of(Duration duration);
/// What a process may allocate, and how to raise it.
std::string memory_limit_in_words(std::uint64_t bytes);

/// Code found before. One per thread.
class FunctionCache {
 public:
  struct Code {
    detail::Thunk thunk = nullptr;
    void (*target)() = nullptr;
  };
  Result<Code> find(const FunctionRef& function, const FunctionRuntime& runtime);

 private:
  struct Hash {
    std::size_t operator()(const FunctionRef& function) const noexcept;
  };
  std::unordered_map<FunctionRef, Code, Hash> found_;
};

/// Call the function. Nothing that it throws passes; `kind == none` says that the result is in the call's sink.
Failure run_function(const Template& shape, detail::Call& call, FunctionCache& cache, const FunctionRuntime& runtime);

}  // namespace weft::worker
