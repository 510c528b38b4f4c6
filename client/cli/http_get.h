// A small HTTP client for our own dashboard: one GET, one answer, over plain TCP.
#pragma once

#include <string>

#include "common/time.h"

namespace weft::cli {

struct HttpAnswer {
  int status = 0;
  std::string type, body;
};

/// `url`: http://host:port/prefix/, `target` begins with /. Throws ConnectionFailed with a sentence if nobody answers in time.
HttpAnswer http_get(const std::string& url, const std::string& target, const std::string& token, Duration timeout);

}  // namespace weft::cli
