// Names for places in code: what stands at an address of this process, and what a frame that another process recorded means, if
// its file is here. Thread-safe. The first look at an image reads its debug information: some hundred milliseconds for a big one.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <weft/error.h>

namespace weft {

/// A C++ name as people write it.
std::string demangle(const char* name);

/// The demangled name of the function at an address of this process; empty if unknown.
std::string symbol_at(const void* address);

/// One line a frame: function, file and line where there is debug information, else the symbol, image and offset. Ends before
/// the frames that called the user's function, which are ours.
std::string symbolise(std::span<const Frame> frames);

/// The failure as its user sees it: its frames as text in front of its traceback.
Failure symbolised(Failure failure);

}  // namespace weft
