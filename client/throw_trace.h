// Where exceptions are thrown: raw frames recorded at the throw, named only when they fail a task, and made into text
// only where the user is.
#pragma once

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

/// In a catch block: the failure that tells of the exception, with the stack of its throw when this thread recorded it.
Failure failure_from_current_exception();

}  // namespace weft
