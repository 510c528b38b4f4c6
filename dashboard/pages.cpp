// Queries, ranges of time, and which page answers what.
#include "dashboard/pages.h"

#include <algorithm>
#include <charconv>

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

static std::optional<std::string> decoded(std::string_view text) {
  auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') plain += ' ';
    else if (text[i] != '%') plain += text[i];
    else if (i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      plain += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      return std::nullopt;
    }
  }
  return plain;
}

Result<Query> Query::read(std::string_view target) {
  Query query;
  auto bad = [] {
    return failure(ErrorKind::invalid_argument, "the path is not a path: write %XX with two hexadecimal digits");
  };
  std::string_view path = target.substr(0, target.find('?'));
  std::string_view rest = path.size() < target.size() ? target.substr(path.size() + 1) : std::string_view();
  if (!path.starts_with("/api/v1/")) return failure(ErrorKind::invalid_argument, "a resource begins with /api/v1/");
  path.remove_prefix(8);
  while (!path.empty()) {
    std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), segment.size() + 1));
    auto plain = decoded(segment);
    if (!plain) return bad();
    query.path.push_back(std::move(*plain));
  }
  while (!rest.empty()) {
    std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    std::string_view name = pair.substr(0, pair.find('='));
    auto plain = decoded(name.size() < pair.size() ? pair.substr(name.size() + 1) : std::string_view());
    if (!plain) return bad();
    query.parameters[std::string(name)] = std::move(*plain);
  }
  return query;
}

std::string Query::get(const std::string& name) const {
  auto found = parameters.find(name);
  return found == parameters.end() ? "" : found->second;
}

Result<double> Query::number(const std::string& name, double otherwise, double least, double most) const {
  auto found = parameters.find(name);
  if (found == parameters.end() || found->second.empty()) return otherwise;
  double value = 0;
  const std::string& text = found->second;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= least && value <= most))
    return failure(ErrorKind::invalid_argument,
                   name + " is a number from " + to_text(Json(least)) + " to " + to_text(Json(most)));
  return value;
}

/// Times outside of what is held are clamped to it.
Result<Range> Pages::range(const Query& query, bool all_time) const {
  constexpr double most = 9e15;
  Range range;
  range.live = !query.has("t1");
  Result<double> t1 = query.number("t1", static_cast<double>(feed_.now()), -most, most);
  if (!t1) return t1.error();
  range.t1 = std::clamp<Micros>(static_cast<Micros>(*t1), 0, feed_.now());
  Micros begin = all_time ? 0 : range.t1 - window;
  Result<double> t0 = query.number("t0", static_cast<double>(begin), -most, most);
  if (!t0) return t0.error();
  range.t0 = std::clamp<Micros>(static_cast<Micros>(*t0), 0, range.t1);
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
  static constexpr Route routes[] = {{"overview", &Pages::overview, false},  {"workers", &Pages::workers, false},
                                     {"groups", &Pages::groups, false},      {"graph", &Pages::graph, true},
                                     {"tasks", &Pages::tasks, true},         {"critical_path", &Pages::critical_path, true},
                                     {"memory", &Pages::memory, false},      {"network", &Pages::network, false},
                                     {"profile", &Pages::profile, true},     {"errors", &Pages::errors, true},
                                     {"events", &Pages::events, true},       {"logs", &Pages::logs, true},
                                     {"series", &Pages::series, true},       {"runs", &Pages::runs, true},
                                     {"system", &Pages::system, false},      {"config", &Pages::config, true},
                                     {"scale", &Pages::scale, false},        {"timeline", &Pages::timeline, false},
                                     {"stream", &Pages::stream_page, false}, {"trace", &Pages::trace_page, true},
                                     {"schema", &Pages::schema, true}};
  for (const Route& route : routes) {
    if (query.path.empty() || query.path[0] != route.name) continue;
    Result<Range> time = range(query, route.all_time);
    return time ? (this->*route.page)(query, *time) : error_body(400, time.error().message);
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
