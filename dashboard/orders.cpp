#include "dashboard/orders.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace weft::dashboard {

using Json = nlohmann::json;

namespace {

struct Verb {
  std::string_view name, list, other;  // the list that it needs, and a text that it may have
};
constexpr Verb verbs[] = {{"retire", "workers", ""},
                          {"cancel", "keys", "reason"},
                          {"retry", "keys", ""},
                          {"rebalance", "", ""},
                          {"restart", "", ""}};

Refusal wrong(const std::string& name, std::string expected) {
  return {400, name + " is " + expected, name, std::move(expected)};
}

std::optional<Refusal> take(const Verb& verb, const std::string& name, const Json& value, Order& order) {
  if (name == verb.other) {
    if (!value.is_string()) return wrong(name, "text");
    order.words.push_back(value);
    return std::nullopt;
  }
  if (name != verb.list || name.empty()) {
    std::string takes = verb.list.empty()
                            ? "no field: send {}"
                            : std::string(verb.list) + (verb.other.empty() ? "" : " and " + std::string(verb.other));
    return Refusal{400, "there is no field '" + name.substr(0, 60) + "' here; " + std::string(verb.name) + " takes " + takes,
                   name, takes};
  }
  const bool names = name == "workers";
  const std::string expected =
      names ? "a list of workers' names: [\"worker-0\"]" : "a list of keys of 32 hexadecimal digits: [\"…\"]";
  if (!value.is_array() || value.empty()) return wrong(name, expected);
  for (const Json& each : value) {
    auto key = each.is_string() && !names ? Key::from_hex(each.get<std::string>()) : std::nullopt;
    if (!each.is_string() || (!names && !key)) return wrong(name, expected);
    if (names) order.words.push_back(each);
    else order.keys.push_back(*key);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> read_order(std::string_view name, std::string_view text, Order& order) {
  auto verb = std::find_if(std::begin(verbs), std::end(verbs), [&](const Verb& each) { return each.name == name; });
  if (verb == std::end(verbs)) return Refusal{404, "verbs are retire, cancel, retry, rebalance and restart", "", ""};
  Json body = Json::parse(text, nullptr, false);
  if (!body.is_object()) return Refusal{400, "the body is a JSON object", "", ""};
  order.verb = name;
  for (const auto& [field, value] : body.items())
    if (auto bad = take(*verb, field, value, order)) return bad;
  if (!verb->list.empty() && !body.contains(verb->list)) return take(*verb, std::string(verb->list), Json(), order);
  if (name == "cancel" && order.words.empty()) order.words = {"cancelled from the dashboard"};
  if (name == "restart") order.words = {"the dashboard"};
  return std::nullopt;
}

}  // namespace weft::dashboard
