// What a browser may order: the verbs of /api/v1/control, and the JSON that each takes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <weft/key.h>

#include "dashboard/query.h"

namespace weft::dashboard {

struct Order {
  std::string verb;
  std::vector<std::string> words;
  std::vector<Key> keys;
};
/// Nothing if `body` is what the verb takes; it is in `order` then.
std::optional<Refusal> read_order(std::string_view verb, std::string_view body, Order& order);

}  // namespace weft::dashboard
