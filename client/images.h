// The program as mapped files ("images"): names code by (build id of its image, offset in it), finds it again in another process
// that maps the same image, and lists the files that another machine needs to run this program.
//
// Thread-safe. Images opened or closed later (dlopen, dlclose) are noticed at the next call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <weft/error.h>
#include <weft/function.h>

#include "common/graph.h"
#include "common/result.h"

namespace weft {

/// One file of the program, for shipping.
struct ImageFile {
  std::string path;
  std::string name;      // under which the loader found it
  Key build_id;          // as in FunctionRef: a hash of the build id, or of the file if it has none
  std::string sha256;    // of the whole file, hexadecimal; empty: a system's file
  std::uint64_t size = 0;
  bool main = false;     // the program itself; the others are its libraries
  bool system = false;   // the operating system's
};

/// Name a thunk, and for plain functions the function. Fails with invalid_argument when code lies in no image (made at run
/// time).
Result<FunctionRef> function_ref(detail::Thunk thunk, void (*target)());

/// Find what another process named. Only registered thunks are ever returned, and `target` is null or in an executable segment
/// of exactly the named image.
Result<detail::Thunk> resolve_function(const FunctionRef& function, void (**target)());

/// Name a place in the code of this process, for others that have the same file.
Frame frame_at(std::uintptr_t address);
/// Where a frame's place is in this process; nothing if its image is not mapped here.
std::optional<std::uintptr_t> address_of(const Frame& frame);

/// What this program is: a hash over the build ids of the program and of all libraries that are not the system's. It changes when
/// the program opens another library.
Result<Key> program_id();

/// The files behind `program_id`, the program first, and those of the system that it maps. Reads and hashes the program's own.
Result<std::vector<ImageFile>> program_files();

}  // namespace weft
