// What the system refused, in its own words.
#pragma once

#include <string.h>

#include <cerrno>
#include <string>

#include "common/result.h"

namespace weft {

/// `what` it was that failed, with which file, and why: errno says it.
inline Failure io_failure(const std::string& what, const std::string& path) {
  return failure(ErrorKind::io_error, what + ' ' + path + ": " + strerror(errno));
}

}  // namespace weft
