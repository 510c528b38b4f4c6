#include "dashboard/query.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <weft/key.h>

#include "dashboard/feed.h"

namespace weft::dashboard {

// ------------------------------------------------------------------------------------------------ taken apart

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
    if (!query.parameters.emplace(name, std::move(*plain)).second) query.twice = name;
  }
  return query;
}

std::string Query::get(const std::string& name, const std::string& otherwise) const {
  auto found = parameters.find(name);
  return found == parameters.end() || found->second.empty() ? otherwise : found->second;
}

static std::optional<double> number_in(std::string_view text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

double Query::number(const std::string& name, double otherwise) const { return number_in(get(name)).value_or(otherwise); }

std::optional<LaneRange> lanes_in(std::string_view text) {
  auto whole = [](std::string_view digits, std::size_t& value) {
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return !digits.empty() && error == std::errc() && end == digits.data() + digits.size() && value <= 0xffffffff;
  };
  LaneRange range;
  std::size_t dash = text.find('-');
  if (!whole(text.substr(0, dash), range.first)) return std::nullopt;
  range.last = range.first;
  if (dash != text.npos && !whole(text.substr(dash + 1), range.last)) return std::nullopt;
  return range.first <= range.last ? std::optional(range) : std::nullopt;
}

// ------------------------------------------------------------------------------------------------ checked

namespace {

constexpr double time_most = 9e15;
constexpr std::string_view task_states = "released waiting ready assigned stored failed forgotten running";
constexpr std::string_view event_kinds = "worker_joined worker_lost worker_status failed retried gap client control";

enum class Kind { text, time, whole, word, key, digits, lanes, series };

struct Parameter {
  std::string_view name;
  Kind kind = Kind::text;
  double least = 0, most = 0;
  std::string_view words = {};  // with a space between
  bool needed = false;
};

constexpr Parameter limit{"limit", Kind::whole, 1, 10'000}, list_after{"after", Kind::whole, 0, time_most}, worker{"worker"},
    lanes{"lanes", Kind::lanes};
constexpr Parameter times[] = {{"t0", Kind::time}, {"t1", Kind::time}};

struct Resource {
  std::string_view path;  // a * is any name or key
  std::vector<Parameter> parameters;
};

const std::vector<Resource>& resources() {
  static const std::vector<Resource> all = {
      {"overview", {}},
      {"progress", {{"label"}, {"limit", Kind::whole, 1, 100'000}}},
      {"workers", {}},
      {"workers/*", {}},
      {"groups", {}},
      {"graph", {}},
      {"critical_path", {}},
      {"network", {}},
      {"errors", {}},
      {"runs", {}},
      {"system", {}},
      {"config", {}},
      {"starts", {}},
      {"scale", {}},
      {"schema", {}},
      {"graph/raster", {{"group", Kind::whole, 0, 0xffffffff, {}, true}, {"at", Kind::whole, 0, 0xffffffff}}},
      {"tasks",
       {{"label"}, {"state", Kind::word, 0, 0, task_states}, worker, {"key", Kind::digits}, limit, {"after", Kind::key}}},
      {"tasks/*", {}},
      {"tasks/*/story", {}},
      {"tasks/*/explain", {}},
      {"tasks/*/lineage", {{"hops", Kind::whole, 1, 20}}},
      {"memory", {{"by", Kind::word, 0, 0, "worker group key"}}},
      {"profile", {worker, {"group", Kind::whole, 0, 0xffffffff}, {"span", Kind::time}}},
      {"events", {{"kind", Kind::word, 0, 0, event_kinds}, limit, list_after}},
      {"logs", {worker, {"level", Kind::whole, 0, 7}, {"q"}, limit, list_after}},
      {"series", {{"by", Kind::word, 0, 0, "cluster worker"}, {"names", Kind::series}, {"px", Kind::whole, 2, 5'000}}},
      {"runs/compare", {{"a", Kind::whole, 0, 1e6, {}, true}, {"b", Kind::whole, 0, 1e6, {}, true}}},
      {"timeline", {{"px", Kind::whole, 1, 10'000}, lanes}},
      {"timeline/time", {{"span", Kind::time}, {"px", Kind::whole, 1, 10'000}}},
      {"stream", {{"px", Kind::whole, 1, 10'000}, lanes}},
      {"trace", {{"format", Kind::word, 0, 0, "chrome perfetto"}}}};
  return all;
}

/// "a, b or c", from "a b c".
std::string any_of(std::string_view words) {
  std::string text;
  while (!words.empty()) {
    std::string_view word = words.substr(0, words.find(' '));
    words.remove_prefix(std::min(words.size(), word.size() + 1));
    if (!text.empty()) text += words.empty() ? " or " : ", ";
    text += word;
  }
  return text;
}

bool has_word(std::string_view words, std::string_view wanted) {
  return wanted.find(' ') == wanted.npos &&
         (' ' + std::string(words) + ' ').find(' ' + std::string(wanted) + ' ') != std::string::npos;
}

std::string series_words(const Query& query) {
  std::string words;
  for (std::string_view name : names_of_series(query.get("by") == "worker"))
    words += (words.empty() ? "" : " ") + std::string(name);
  return words;
}

std::string whole_text(double value) { return std::to_string(static_cast<std::uint64_t>(value)); }

/// What it may be, in words; a sentence begins with the parameter's name and "is".
std::string expected_of(const Parameter& parameter, const Query& query) {
  switch (parameter.kind) {
    case Kind::text:
      return "text";
    case Kind::time:
      return "a number of microseconds from 0 to " + whole_text(time_most);
    case Kind::whole:
      return "a whole number from " + whole_text(parameter.least) + " to " + whole_text(parameter.most);
    case Kind::word:
      return any_of(parameter.words);
    case Kind::key:
      return "a key: 32 hexadecimal digits";
    case Kind::digits:
      return "the first digits of a key: at most 32 hexadecimal ones";
    case Kind::lanes:
      return "a lane or a range of them, such as 0-63";
    case Kind::series:
      return "a list, with commas between, of " + any_of(series_words(query));
  }
  return "text";
}

bool all_series(std::string_view names, std::string_view words) {
  for (std::size_t at = 0; at <= names.size();) {
    std::string_view name = names.substr(at, names.find(',', at) - at);
    if (!has_word(words, name)) return false;
    at += name.size() + 1;
  }
  return true;
}

bool fits(const Parameter& parameter, const std::string& value, const Query& query) {
  std::optional<double> number = number_in(value);
  switch (parameter.kind) {
    case Kind::text:
      return true;
    case Kind::time:
      return number && *number >= 0 && *number <= time_most;
    case Kind::whole:
      return number && *number >= parameter.least && *number <= parameter.most && *number == std::floor(*number);
    case Kind::word:
      return has_word(parameter.words, value);
    case Kind::key:
      return Key::from_hex(value).has_value();
    case Kind::digits:
      return value.size() <= 32 && value.find_first_not_of("0123456789abcdefABCDEF") == value.npos;
    case Kind::lanes:
      return lanes_in(value).has_value();
    case Kind::series:
      return all_series(value, series_words(query));
  }
  return false;
}

bool matches(std::string_view pattern, const std::vector<std::string>& path) {
  for (const std::string& segment : path) {
    std::string_view wanted = pattern.substr(0, pattern.find('/'));
    if (wanted.empty() || segment.empty() || (wanted != "*" && wanted != segment)) return false;
    pattern.remove_prefix(std::min(pattern.size(), wanted.size() + 1));
  }
  return pattern.empty();
}

Refusal wrong(const std::string& parameter, std::string expected, const std::string& found) {
  return {400, parameter + " is " + expected + found, parameter, std::move(expected)};
}

Refusal unknown_parameter(const Resource& resource, const std::string& name) {
  std::string words;
  for (const Parameter& parameter : resource.parameters) words += std::string(parameter.name) + ' ';
  words = any_of(words + "t0 t1");
  return {400, "there is no parameter '" + name.substr(0, 60) + "' here; " + std::string(resource.path) + " takes " + words,
          name, words};
}

std::optional<Refusal> refusal_of_values(const Resource& resource, const Query& query) {
  for (const auto& [name, value] : query.parameters) {
    auto named = [&](const Parameter& parameter) { return parameter.name == name; };
    auto its = std::find_if(resource.parameters.begin(), resource.parameters.end(), named);
    auto time = std::find_if(std::begin(times), std::end(times), named);
    if (its == resource.parameters.end() && time == std::end(times)) return unknown_parameter(resource, name);
    const Parameter& parameter = time != std::end(times) ? *time : *its;
    if (!value.empty() && !fits(parameter, value, query))
      return wrong(name, expected_of(parameter, query), ", not '" + value.substr(0, 60) + '\'');
  }
  for (const Parameter& parameter : resource.parameters)
    if (std::string name(parameter.name); parameter.needed && !query.has(name))
      return wrong(name, expected_of(parameter, query), ", and is needed here");
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> refusal_of(const Query& query) {
  auto found = std::find_if(resources().begin(), resources().end(),
                            [&](const Resource& resource) { return matches(resource.path, query.path); });
  if (found == resources().end()) return Refusal{404, "there is no such resource; /api/v1/schema lists them", "", ""};
  if (!query.twice.empty()) return Refusal{400, query.twice + " is given twice; give it once", query.twice, "given once"};
  if (auto bad = refusal_of_values(*found, query)) return bad;
  if (query.has("t0") && query.has("t1") && query.number("t0", 0) > query.number("t1", 0))
    return wrong("t0", "a time that is not after t1",
                 ": " + query.get("t0").substr(0, 60) + " is after " + query.get("t1").substr(0, 60));
  return std::nullopt;
}

}  // namespace weft::dashboard
