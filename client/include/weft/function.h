// PLACEHOLDER-INTERFACE: see the task description; the thunk ABI below is what executors call.
#pragma once

#include <cstdint>
#include <span>

#include <weft/value.h>

namespace weft::detail {

/// Where a thunk puts its result: it asks once for a place of exactly the value's size and writes the value there.
class ResultSink {
 public:
  virtual ~ResultSink() = default;
  virtual std::span<std::byte> place(std::uint64_t bytes) = 0;
};

/// One call of user code, as an executor sees it.
struct Call {
  std::span<const std::byte> shared_arguments;
  std::span<const std::byte> arguments;
  std::span<const Value> inputs;
  void (*target)() = nullptr;   // plain functions: their address in this process
  ResultSink* result = nullptr;
};

/// Decodes the arguments, calls the function, encodes the result. Lets the function's exceptions through.
using Thunk = void (*)(Call&);

}  // namespace weft::detail
