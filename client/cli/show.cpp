// Tables, JSON and numbers for people.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "client/cli/cli.h"

namespace weft::cli {

namespace {

// Characters, not bytes: bytes that begin one in UTF-8.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool is_number(const std::string& text) { return !text.empty() && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9')); }

std::string short_number(double number) {
  std::array<char, 32> buffer;
  std::snprintf(buffer.data(), buffer.size(), number < 10 && number != std::floor(number) ? "%.1f" : "%.0f", number);
  return buffer.data();
}

}  // namespace

bool colours() {
  const char* no = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(STDOUT_FILENO) && !(no && *no) && terminal && std::string_view(terminal) != "dumb";
}

std::string Table::text(bool bold) const {
  const std::size_t columns = headings_.size();
  std::vector<std::size_t> widths(columns);
  std::vector<bool> right(columns, !rows_.empty());
  for (std::size_t i = 0; i < columns; ++i) {
    widths[i] = width_of(headings_[i]);
    for (const auto& row : rows_) {
      widths[i] = std::max(widths[i], width_of(row[i]));
      if (!row[i].empty() && !is_number(row[i])) right[i] = false;
    }
  }
  auto line = [&](const std::vector<std::string>& cells) {
    std::string out;
    for (std::size_t i = 0; i < columns; ++i) {
      std::string pad(widths[i] - width_of(cells[i]), ' ');
      out += (i ? "  " : "") + (right[i] ? pad + cells[i] : cells[i] + pad);
    }
    return out.substr(0, out.find_last_not_of(' ') + 1);
  };
  std::string out = (bold ? "\x1b[1m" : "") + line(headings_) + (bold ? "\x1b[0m\n" : "\n");
  for (const auto& row : rows_) out += line(row) + '\n';
  return out;
}

void Table::print() const { cli::print(text(colours())); }

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void print_json(const std::string& verb, const Json& data) {
  Json all = {{"version", 1}, {"command", verb}, {"data", data}};
  print(all.dump(2, ' ', false, Json::error_handler_t::replace) + '\n');
}

std::string harmless(const std::string& text, bool lines) {
  std::string out = text;
  for (char& c : out)
    if ((static_cast<unsigned char>(c) < 0x20 && !(lines && (c == '\n' || c == '\t'))) || c == 0x7f) c = '?';
  return out;
}

std::string show_bytes(double bytes) {
  constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < units.size()) bytes /= 1024, ++unit;
  return bytes == 0 ? "0" : short_number(bytes) + ' ' + units[unit];
}

std::string show_seconds(double seconds) {
  if (seconds < 1) return short_number(std::max(0.0, seconds * 1000)) + " ms";
  if (seconds < 120) return short_number(seconds) + " s";
  if (seconds < 7200) return short_number(seconds / 60) + " min";
  return short_number(seconds / 3600) + " h";
}

}  // namespace weft::cli
