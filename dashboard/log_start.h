// Which starts of a scheduler the folder of an event log has.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft::dashboard {

/// What a folder has of one start of a scheduler.
struct LogStart {
  std::uint64_t epoch = 0;
  std::int64_t origin_unix_us = 0, written_unix_us = 0;  // its beginning, and when it last wrote
  std::uint64_t bytes = 0;
};
/// All of them, the newest last.
std::vector<LogStart> log_starts(const std::string& folder);

}  // namespace weft::dashboard
