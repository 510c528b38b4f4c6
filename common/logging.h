// The log: facts at the edges, one line each, typed fields. Servers and mains log; states do not. Thread-safe. Before
// `start_logging` only warnings and errors appear, on stderr: that is what a user's own program sees of the library.
//
//   log_info("worker joined", {{"id", id}, {"threads", 4}, {"address", address}});
//   -> time=2026-11-22T20:07:03.123Z level=info program=weft-scheduler event="worker joined" id=7 threads=4 address=tcp://…
//
// Secrets cannot be logged: raw bytes, pointers and tokens do not convert to a field, and fields called like a secret are
// blanked.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "common/ids.h"
#include "common/option_values.h"
#include "common/result.h"
#include "common/time.h"

namespace weft {

enum class LogLevel : std::uint8_t { debug, info, warning, error, off };
enum class LogFormat : std::uint8_t { logfmt, json };

struct LogOptions {
  std::string program = "weft";
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::logfmt;
  std::string file;                       // empty: stderr
  ByteCount file_bytes_max{50ull << 20};  // then it becomes file.1, and so on
  std::uint16_t files_max = 5;            // old files kept
};

/// One named value of a line. Durations are written in seconds.
class LogField {
 public:
  using Value = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;

  LogField(std::string_view name, std::string_view text) : name(name), value(std::string(text)) {}
  LogField(std::string_view name, const std::string& text) : name(name), value(text) {}
  LogField(std::string_view name, const char* text) : name(name), value(std::string(text)) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  LogField(std::string_view name, T number) : name(name), value(widened(number)) {}
  LogField(std::string_view name, Duration duration) : name(name), value(std::chrono::duration<double>(duration).count()) {}
  LogField(std::string_view name, ByteCount count) : name(name), value(count.bytes) {}
  LogField(std::string_view name, const Key& key) : name(name), value(key.hex()) {}
  template <class Tag, class Number>
  LogField(std::string_view name, Id<Tag, Number> id) : name(name), value(std::uint64_t{id.number}) {}

  std::string_view name;  // a literal: lower case, words joined by _
  Value value;

 private:
  template <class T>
  static Value widened(T number) {
    if constexpr (std::is_same_v<T, bool>) return number;
    else if constexpr (std::is_floating_point_v<T>) return static_cast<double>(number);
    else if constexpr (std::is_signed_v<T>) return static_cast<std::int64_t>(number);
    else return static_cast<std::uint64_t>(number);
  }
};
using LogFields = std::initializer_list<LogField>;

/// Log like this from now on. Call it once, in `main`, before other threads log; fails if the file cannot be written.
Result<void> start_logging(const LogOptions& options);
/// Write what is buffered; a program calls it before it ends.
void flush_log();

/// Write one line: what happened, in the past tense, and what about it.
void log(LogLevel level, std::string_view event, LogFields fields = {});
inline void log_debug(std::string_view event, LogFields fields = {}) { log(LogLevel::debug, event, fields); }
inline void log_info(std::string_view event, LogFields fields = {}) { log(LogLevel::info, event, fields); }
inline void log_warning(std::string_view event, LogFields fields = {}) { log(LogLevel::warning, event, fields); }
inline void log_error(std::string_view event, LogFields fields = {}) { log(LogLevel::error, event, fields); }
/// Whether a line of this level would be written; for fields that are costly to compute.
bool logs(LogLevel level);

class ProgramOptions;
/// Declare --log-level, --log-format, --log-file, --log-file-size and --log-files.
void add_log_options(ProgramOptions& options, LogOptions& log);

/// The line without its end, as it is written; for tests and for what is forwarded to others.
std::string log_line(LogFormat format, std::string_view program, std::int64_t unix_nanoseconds, LogLevel level,
                     std::string_view event, LogFields fields);

}  // namespace weft
