// The addresses that this machine has now.
#pragma once

#include <string>

namespace weft {

/// Whether `address`, as digits (10.0.0.1, fe80::1), is one of ours. A name is none.
bool has_address(const std::string& address);

}  // namespace weft
