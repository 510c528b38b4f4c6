// Where exceptions are thrown: raw frames recorded at the throw, turned into text only when somebody asks.
#pragma once

#include <span>
#include <string>

#include <weft/error.h>

namespace weft {

class ThrowTrace {
 public:
  /// While one lives, this thread records the frames of each throw (about a microsecond each).
  class Scope {
   public:
    Scope();
    ~Scope();
    Scope(const Scope&) = delete;
  };
};

/// One line a frame: function, file and line where there is debug information, image and offset otherwise.
std::string symbolise(std::span<void* const> frames);

/// The demangled name of the function at an address; empty if unknown.
std::string symbol_at(const void* address);

/// A C++ name as people write it.
std::string demangle(const char* name);

/// In a catch block: the failure that tells of the exception, with the stack of its throw when this thread recorded it.
Failure failure_from_current_exception();

}  // namespace weft
