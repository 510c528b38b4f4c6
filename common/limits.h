// How long texts of peers may be, and how large the numbers that are added up. Other limits are where what they limit is; README.md has the table of all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/time.h"

namespace weft {

/// Names and labels: of clients, workers, tasks, resources, data sets. A longer one is refused.
inline constexpr std::size_t name_bytes_max = 1024;
/// Texts of a failure (message, traceback, output). What is beyond is left out.
inline constexpr std::size_t failure_text_max = 64 * 1024;
/// One line of the cluster's event list. What is beyond is left out.
inline constexpr std::size_t log_line_max = 8 * 1024;

/// Times that somebody may ask for (timeouts, delays, intervals), so that adding one to now is always a time.
inline constexpr Duration duration_max = std::chrono::hours(24 * 366 * 10);
/// Bytes of one value that anybody is believed to hold.
inline constexpr std::uint64_t value_bytes_max = std::uint64_t(1) << 50;

/// Leave out what is beyond the limit, and say so.
inline void shorten(std::string& text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return;
  std::string note = "\n... (" + std::to_string(text.size()) + " bytes in all)";
  std::size_t end = bytes_max - note.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not in the middle of a character
  text.resize(end);
  text += note;
  text.shrink_to_fit();
}

}  // namespace weft
