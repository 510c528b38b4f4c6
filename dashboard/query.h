// What is asked of /api/v1, taken apart and checked: which resources there are, which parameters each takes, and what these
// may be. Pages answer only what has passed, and check nothing again.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace weft::dashboard {

/// `/api/v1/groups?t1=5`: path segments behind /api/v1, and decoded parameters. An empty value is as if it was not given.
struct Query {
  std::vector<std::string> path;
  std::map<std::string, std::string> parameters;
  std::string twice;  // a parameter that was given again

  static Result<Query> read(std::string_view target);
  std::string get(const std::string& name, const std::string& otherwise = "") const;
  bool has(const std::string& name) const { return !get(name).empty(); }
  double number(const std::string& name, double otherwise) const;
};

/// Why a query is not answered.
struct Refusal {
  int code = 400;
  std::string text;                 // a sentence
  std::string parameter, expected;  // empty if the path is wrong
};
/// Nothing if there is such a resource and it takes these parameters with these values.
std::optional<Refusal> refusal_of(const Query& query);

struct LaneRange {
  std::size_t first = 0, last = 0xffffffff;
};
/// "4" or "0-63".
std::optional<LaneRange> lanes_in(std::string_view text);

/// The names that `series` knows, in pages_series.cpp.
std::vector<std::string_view> names_of_series(bool by_worker);

}  // namespace weft::dashboard
