// JSON that may hold a user's bytes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace weft {

/// On one line. What is not UTF-8 is replaced: a name must not make an answer impossible.
inline std::string json_text(const nlohmann::json& json) { return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

}  // namespace weft
