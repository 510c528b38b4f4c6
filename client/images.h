// The program as mapped files ("images"): names code by (build id of its image, offset in it), finds it again in another process
// that maps the same image, and lists the files that another machine needs to run this program.
//
// Thread-safe. Images opened or closed later (dlopen, dlclose) are noticed at the next call.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <weft/function.h>

#include "common/graph.h"
#include "common/result.h"

namespace weft {

/// One file of the program, for shipping.
struct ImageFile {
  std::string path;
  Key build_id;          // as in FunctionRef: a hash of the build id, or of the file if it has none
  std::string sha256;    // of the whole file, hexadecimal
  std::uint64_t size = 0;
  bool main = false;     // the program itself; the others are its libraries
};

/// Name a thunk, and for plain functions the function. Fails with program_changed when a file of the program was rebuilt, and with
/// invalid_argument when code lies in no image (made at run time).
Result<FunctionRef> function_ref(detail::Thunk thunk, void (*target)());

/// Find what another process named. Only registered thunks are ever returned, and `target` is null or in an executable segment
/// of exactly the named image.
Result<detail::Thunk> resolve_function(const FunctionRef& function, void (**target)());

/// What this program is: a hash over the build ids of the program and of all libraries that are not the system's. It changes when
/// the program opens another library.
Result<Key> program_id();

/// The files behind `program_id`, the program first. Reads and hashes each file.
Result<std::vector<ImageFile>> program_files();

}  // namespace weft
