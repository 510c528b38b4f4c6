// Ranges of time, and which page answers what.
#include "dashboard/pages.h"

#include <algorithm>

#include "common/json_text.h"

namespace weft::dashboard {

static constexpr Micros window = 5'000'000;

std::string to_text(const Json& json) {
  std::string text = json_text(json);
  if (text.find_first_of("<>&") == text.npos) return text;
  std::string safe;  // these stand in strings only; whoever takes the text for HTML finds no markup in it
  for (char c : text)
    if (c == '<') safe += "\\u003c";
    else if (c == '>') safe += "\\u003e";
    else if (c == '&') safe += "\\u0026";
    else safe += c;
  return safe;
}

Body error_body(int code, const std::string& text) {
  return {.status = code, .json = {{"error", {{"code", code}, {"text", text}}}}};
}

Body error_body(const Refusal& refusal) {
  Body body = error_body(refusal.code, refusal.text);
  if (!refusal.parameter.empty())
    body.json["error"].update({{"parameter", refusal.parameter}, {"expected", refusal.expected}});
  return body;
}

/// Times outside of what is held are clamped to it.
Range Pages::range(const Query& query, bool all_time) const {
  Range range;
  range.live = !query.has("t1");
  range.t1 = std::clamp<Micros>(static_cast<Micros>(query.number("t1", static_cast<double>(feed_.now()))), 0, feed_.now());
  Micros begin = all_time ? 0 : range.t1 - window;
  range.t0 = std::clamp<Micros>(static_cast<Micros>(query.number("t0", static_cast<double>(begin))), 0, range.t1);
  const Moment* now = feed_.moments().at(range.t1);
  const Moment* before = feed_.moments().at(range.t0);
  range.now = range.live ? feed_.moment() : now ? *now : Moment{};
  if (before) range.before = *before;
  // Rates are between two moments: say the times of these, not the ones asked for.
  if (before && !all_time) range.t0 = std::min(range.t0, std::max(before->t, Micros{0}));
  return range;
}

Json Pages::header(const Range& range) const { return {{"t0", range.t0}, {"t1", range.t1}, {"live", range.live}}; }

Body Pages::get(const Query& query) const {
  struct Route {
    std::string_view name;
    Page page;
    bool all_time;  // without t0 it is about everything held
  };
  static constexpr Route routes[] = {{"overview", &Pages::overview, false},  {"progress", &Pages::progress, false},
                                     {"workers", &Pages::workers, false},
                                     {"groups", &Pages::groups, false},      {"graph", &Pages::graph, true},
                                     {"tasks", &Pages::tasks, true},         {"critical_path", &Pages::critical_path, true},
                                     {"memory", &Pages::memory, false},      {"network", &Pages::network, false},
                                     {"profile", &Pages::profile, true},     {"errors", &Pages::errors, true},
                                     {"events", &Pages::events, true},       {"logs", &Pages::logs, true},
                                     {"series", &Pages::series, true},       {"runs", &Pages::runs, true},
                                     {"system", &Pages::system, false},      {"config", &Pages::config, true}, {"starts", &Pages::starts, true},
                                     {"scale", &Pages::scale, false},        {"timeline", &Pages::timeline, false},
                                     {"stream", &Pages::stream_page, false}, {"trace", &Pages::trace_page, true},
                                     {"schema", &Pages::schema, true}};
  if (auto refusal = refusal_of(query)) return error_body(*refusal);
  for (const Route& route : routes) {
    if (query.path[0] != route.name) continue;
    return (this->*route.page)(query, range(query, route.all_time));
  }
  return error_body(404, "there is no such resource; /api/v1/schema lists them");
}

Json merge_patch(const Json& from, const Json& to) {
  Json patch = Json::object();
  for (const auto& [name, value] : to.items()) {
    auto old = from.find(name);
    if (old == from.end()) patch[name] = value;
    else if (old->is_object() && value.is_object()) {
      if (Json inner = merge_patch(*old, value); !inner.empty()) patch[name] = std::move(inner);
    } else if (*old != value) {
      patch[name] = value;
    }
  }
  for (const auto& [name, value] : from.items())
    if (!to.contains(name)) patch[name] = nullptr;
  return patch;
}

}  // namespace weft::dashboard
