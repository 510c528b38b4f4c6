#include "common/option_values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace weft {

namespace {

Failure wrong(std::string_view text, const char* sentence) {
  return failure(ErrorKind::invalid_argument, '"' + std::string(text) + "\" is no " + sentence);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

struct Quantity {
  double number;
  std::string unit;  // as written, without blanks around it
};

// "1.5 GiB" is a number and its unit. Nothing if there is no finite number in front.
std::optional<Quantity> read_quantity(std::string_view text) {
  text = trimmed(text);
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number)) return std::nullopt;
  return Quantity{number, std::string(trimmed({end, static_cast<std::size_t>(text.data() + text.size() - end)}))};
}

struct Unit {
  std::string_view name;
  double factor;
};
constexpr std::array durations = {Unit{"ns", 1},     Unit{"us", 1e3},      Unit{"ms", 1e6},       Unit{"s", 1e9},
                                  Unit{"min", 60e9}, Unit{"m", 60e9},      Unit{"h", 3600e9},     Unit{"d", 86400e9},
                                  Unit{"sec", 1e9},  Unit{"hour", 3600e9}, Unit{"hours", 3600e9}, Unit{"days", 86400e9}};
constexpr double ki = 1024, mi = ki * 1024, gi = mi * 1024, ti = gi * 1024;
constexpr std::array amounts = {Unit{"", 1},     Unit{"b", 1},    Unit{"k", ki},   Unit{"m", mi},   Unit{"g", gi},
                                Unit{"t", ti},   Unit{"kb", 1e3}, Unit{"mb", 1e6}, Unit{"gb", 1e9}, Unit{"tb", 1e12},
                                Unit{"kib", ki}, Unit{"mib", mi}, Unit{"gib", gi}, Unit{"tib", ti}};

template <std::size_t N>
std::optional<double> in_units(const Quantity& quantity, const std::array<Unit, N>& units) {
  std::string name = lower(quantity.unit);
  for (const Unit& unit : units)
    if (unit.name == name) return quantity.number * unit.factor;
  return std::nullopt;
}

// The shortest text that reads back as the same number.
std::string shortest(double number) {
  std::array<char, 32> buffer;
  auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number);
  return error == std::errc{} ? std::string(buffer.data(), end) : std::to_string(number);
}

constexpr double integer_limit = 9.2e18;

// One item of a list, quoted if it could be read as something else.
std::string quoted_if_needed(const std::string& item) {
  bool plain = !item.empty() && trimmed(item).size() == item.size() && item.find_first_of(",\"[]\\") == std::string::npos;
  if (plain) return item;
  std::string out = "\"";
  for (char c : item) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

// The next item of a list, up to its comma; `text` is left behind it. Nothing if a quote stays open.
std::optional<std::string> next_item(std::string_view& text) {
  text = trimmed(text);
  std::string item;
  if (!text.empty() && text[0] == '"') {
    std::size_t at = 1;
    for (; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\' && at + 1 < text.size()) ++at;
      item += text[at];
    }
    if (at >= text.size()) return std::nullopt;
    text = trimmed(text.substr(at + 1));
    if (!text.empty() && text[0] != ',') return std::nullopt;
    text.remove_prefix(text.empty() ? 0 : 1);
    return item;
  }
  std::size_t comma = std::min(text.find(','), text.size());
  item = trimmed(text.substr(0, comma));
  text.remove_prefix(std::min(comma + 1, text.size()));
  return item;
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

Result<void> read_option(std::string_view text, bool& value) {
  std::string word = lower(trimmed(text));
  for (const char* yes : {"true", "yes", "on", "1"})
    if (word == yes) return value = true, Result<void>();
  for (const char* no : {"false", "no", "off", "0"})
    if (word == no) return value = false, Result<void>();
  return wrong(text, "choice: write true or false");
}

Result<void> read_option(std::string_view text, std::string& value) {
  value = text;
  return {};
}

Result<void> read_option(std::string_view text, double& value) {
  auto quantity = read_quantity(text);
  if (!quantity || !quantity->unit.empty()) return wrong(text, "number");
  value = quantity->number;
  return {};
}

Result<void> read_option(std::string_view text, Share& value) {
  auto quantity = read_quantity(text);
  double part = !quantity ? -1 : quantity->unit == "%" ? quantity->number / 100 : quantity->unit.empty() ? quantity->number : -1;
  if (part < 0 || part > 1) return wrong(text, "share: write 0.7 or 70%, from 0 to 1");
  value.share = part;
  return {};
}

Result<std::int64_t> option_detail::read_integer(std::string_view text, std::int64_t least, std::int64_t most) {
  std::string digits(trimmed(text));
  std::erase(digits, '_');
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error == std::errc::invalid_argument || end != digits.data() + digits.size()) return wrong(text, "whole number");
  if (error != std::errc{} || number < least || number > most)
    return failure(ErrorKind::invalid_argument,
                   '"' + std::string(text) + "\" is outside " + std::to_string(least) + " to " + std::to_string(most));
  return number;
}

Result<void> read_option(std::string_view text, Duration& value) {
  auto quantity = read_quantity(text);
  if (quantity && quantity->number == 0 && quantity->unit.empty()) return value = Duration::zero(), Result<void>();
  std::optional<double> count = quantity ? in_units(*quantity, durations) : std::nullopt;
  if (!count || *count < 0 || *count > integer_limit) return wrong(text, "duration: write 100ms, 10s or 1.5h");
  value = Duration(static_cast<std::int64_t>(std::llround(*count)));
  return {};
}

Result<void> read_option(std::string_view text, ByteCount& value) {
  auto quantity = read_quantity(text);
  std::optional<double> count = quantity ? in_units(*quantity, amounts) : std::nullopt;
  if (!count || *count < 0 || *count > integer_limit) return wrong(text, "amount of bytes: write 4GiB, 500MB or 4096");
  value.bytes = static_cast<std::uint64_t>(std::llround(*count));
  return {};
}

Result<void> read_option(std::string_view text, MemoryAmount& value) {
  using Kind = MemoryAmount::Kind;
  std::string word = lower(trimmed(text));
  if (word == "auto") return value = {}, Result<void>();
  auto quantity = read_quantity(word);
  bool percent = quantity && quantity->unit == "%";
  if (percent || (quantity && quantity->unit.empty() && word.find('.') != std::string::npos)) {
    double fraction = percent ? quantity->number / 100 : quantity->number;
    if (fraction <= 0 || fraction > 1) return wrong(text, "fraction of the machine: write 0.6 or 60%");
    value = {.kind = Kind::fraction, .fraction = fraction, .count = {}};
    return {};
  }
  ByteCount count;
  if (!read_option(text, count)) return wrong(text, "amount of memory: write auto, 0.6, 60% or 4GiB");
  value = {.kind = Kind::bytes, .count = count};
  return {};
}

Result<void> read_option(std::string_view text, TextList& value) {
  std::string_view rest = trimmed(text);
  if (rest.size() >= 2 && rest.front() == '[' && rest.back() == ']') rest = trimmed(rest.substr(1, rest.size() - 2));
  TextList items;
  while (!rest.empty()) {
    auto item = next_item(rest);
    if (!item) return wrong(text, "list: a quote is not closed, or a comma is missing behind it");
    items.push_back(std::move(*item));
  }
  value = std::move(items);
  return {};
}

Result<void> read_option(std::string_view text, Amounts& value) {
  // "GPU=2 MEM=10e9" is the same list: a blank between two amounts separates as a comma does.
  std::string list(trimmed(text));
  bool quoted = list.find('"') != std::string::npos;
  for (std::size_t at = quoted ? std::string::npos : list.find(' '), next; at != std::string::npos; at = list.find(' ', next)) {
    next = list.find_first_not_of(' ', at);
    bool separates = list[at - 1] != ',' && list[at - 1] != '=' && list[next] != ',' && list[next] != '=';
    if (separates) list[at] = ',';
  }
  TextList items;
  if (auto read = read_option(list, items); !read) return read;
  Amounts out;
  for (const std::string& item : items) {
    std::size_t equals = item.find('=');
    std::string name(trimmed(std::string_view(item).substr(0, equals)));
    double amount = 0;
    if (equals == std::string::npos || name.empty() || !read_option(std::string_view(item).substr(equals + 1), amount) ||
        amount < 0)
      return wrong(item, "named amount: write GPU=2,ram=1.5");
    if (!out.emplace(name, amount).second) return failure(ErrorKind::invalid_argument, '"' + name + "\" is given twice");
  }
  value = std::move(out);
  return {};
}

std::string show_option(bool value) { return value ? "true" : "false"; }
std::string show_option(const std::string& value) { return value; }
std::string show_option(double value) { return shortest(value); }

std::string show_option(Duration value) {
  std::int64_t count = value.count();
  if (count == 0) return "0s";
  constexpr std::array<std::pair<const char*, std::int64_t>, 6> units = {{{"h", 3'600'000'000'000},
                                                                          {"min", 60'000'000'000},
                                                                          {"s", 1'000'000'000},
                                                                          {"ms", 1'000'000},
                                                                          {"us", 1'000},
                                                                          {"ns", 1}}};
  for (auto [name, factor] : units)
    if (count % factor == 0) return std::to_string(count / factor) + name;
  return {};
}

std::string show_option(ByteCount value) {
  constexpr std::array<std::pair<const char*, std::uint64_t>, 4> units = {
      {{"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}}};
  for (auto [name, factor] : units)
    if (value.bytes != 0 && value.bytes % factor == 0) return std::to_string(value.bytes / factor) + name;
  return std::to_string(value.bytes);
}

std::string show_option(const MemoryAmount& value) {
  switch (value.kind) {
    case MemoryAmount::Kind::automatic:
      return "auto";
    case MemoryAmount::Kind::bytes:
      return show_option(value.count);
    case MemoryAmount::Kind::fraction:
      break;
  }
  return shortest(value.fraction * 100) + "%";
}

std::string show_option(Share value) { return shortest(value.share); }

std::string show_option(const TextList& value) {
  std::string out;
  for (const std::string& item : value) out += (out.empty() ? "" : ",") + quoted_if_needed(item);
  return out;
}

std::string show_option(const Amounts& value) {
  TextList items;
  for (const auto& [name, amount] : value) items.push_back(name + '=' + shortest(amount));
  return show_option(items);
}

std::uint64_t MemoryAmount::resolve(std::uint64_t total, double share) const {
  switch (kind) {
    case Kind::automatic:
      return static_cast<std::uint64_t>(static_cast<double>(total) * share);
    case Kind::fraction:
      return static_cast<std::uint64_t>(static_cast<double>(total) * fraction);
    case Kind::bytes:
      break;
  }
  return count.bytes;
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& names) {
  std::string best;
  // Source: Damerau (1964), optimal string alignment: an edit is one letter more, less, other, or two swapped.
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const std::string& other : names) {
    std::vector<std::size_t> two_back, last(other.size() + 1), row(other.size() + 1);
    for (std::size_t j = 0; j <= other.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= name.size(); ++i) {
      row[0] = i;
      for (std::size_t j = 1; j <= other.size(); ++j) {
        row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (name[i - 1] == other[j - 1] ? 0 : 1)});
        if (i > 1 && j > 1 && name[i - 1] == other[j - 2] && name[i - 2] == other[j - 1])
          row[j] = std::min(row[j], two_back[j - 2] + 1);
      }
      two_back = last;
      last = row;
    }
    if (last[other.size()] < best_distance) best_distance = last[other.size()], best = other;
  }
  return best;
}

}  // namespace weft
