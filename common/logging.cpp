#include "common/logging.h"

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <memory>
#include <mutex>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "common/options.h"
#include "common/process.h"

namespace weft {

namespace {

constexpr std::array level_names = {"debug", "info", "warning", "error", "off"};

// What the running log needs; immutable once published.
struct Log {
  LogOptions options;
  std::shared_ptr<spdlog::logger> logger;
};

std::atomic<LogLevel> least_level = LogLevel::warning;

std::shared_ptr<const Log> make_log(const LogOptions& options, spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("weft", std::move(sink));
  // Lines come ready made; spdlog adds only their end. A full disk must not throw into a server.
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::warn);
  logger->set_error_handler([](const std::string& what) { std::fprintf(stderr, "weft: cannot log: %s\n", what.c_str()); });
  return std::make_shared<const Log>(Log{options, std::move(logger)});
}

// The one log of the process. Never destroyed: threads may log while statics die. (libstdc++ 12's atomic shared_ptr is what
// TSan reports, so a mutex; only lines that are written come here.)
struct Current {
  std::mutex mutex;
  std::shared_ptr<const Log> log = make_log({}, std::make_shared<spdlog::sinks::stderr_sink_mt>());

  static Current& instance() {
    static auto& current = *new Current;
    return current;
  }
  std::shared_ptr<const Log> get() {
    std::lock_guard lock(mutex);
    return log;
  }
};

bool is_secret(std::string_view name) {
  for (std::string_view word : {"secret", "token", "password", "private_key"})
    if (name.find(word) != std::string_view::npos) return true;
  return false;
}

// Text between quotes for both formats: JSON's escapes; other control characters as \u00XX, so that one line stays one line.
void append_quoted(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      ((out += "\\u00") += hex[byte >> 4]) += hex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

// How many bytes of well-formed UTF-8 begin at `at`; 0 if it is not one character (RFC 3629, section 4).
std::size_t utf8_length(std::string_view text, std::size_t at) {
  auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  auto tail = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  unsigned lead = byte(0), second = byte(1);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef)
    return tail(1) && tail(2) && !(lead == 0xe0 && second < 0xa0) && !(lead == 0xed && second > 0x9f) ? 3 : 0;
  if (lead >= 0xf0 && lead <= 0xf4)
    return tail(1) && tail(2) && tail(3) && !(lead == 0xf0 && second < 0x90) && !(lead == 0xf4 && second > 0x8f) ? 4 : 0;
  return 0;
}

// Peers and users choose some texts; whatever bytes they hold, a line is valid UTF-8.
std::string clean(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = utf8_length(text, at);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      ++at;
    } else {
      out += text.substr(at, length);
      at += length;
    }
  }
  return out;
}

void append_text(std::string& out, LogFormat format, std::string_view text) {
  bool bare = format == LogFormat::logfmt && !text.empty();
  for (char c : text) bare = bare && static_cast<unsigned char>(c) > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f;
  if (bare) out += text;
  else append_quoted(out, clean(text));
}

void append_number(std::string& out, LogFormat format, double number) {
  // JSON has no infinity.
  if (!std::isfinite(number)) return append_text(out, format, number != number ? "nan" : number > 0 ? "inf" : "-inf");
  std::array<char, 32> buffer;
  out.append(buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr);
}

void append_name(std::string& out, LogFormat format, std::string_view name) {
  if (!out.empty()) out += format == LogFormat::json ? ',' : ' ';
  if (format == LogFormat::json) {
    append_quoted(out, name);
    out += ':';
  } else {
    (out += name) += '=';
  }
}

void append_field(std::string& out, LogFormat format, const LogField& field) {
  append_name(out, format, field.name);
  if (is_secret(field.name)) return append_text(out, format, "***");
  struct Writer {
    std::string& out;
    LogFormat format;
    void operator()(bool value) const { out += value ? "true" : "false"; }
    void operator()(std::int64_t value) const { out += std::to_string(value); }
    void operator()(std::uint64_t value) const { out += std::to_string(value); }
    void operator()(double value) const { append_number(out, format, value); }
    void operator()(const std::string& value) const { append_text(out, format, value); }
  };
  std::visit(Writer{out, format}, field.value);
}

// RFC 3339 in UTC with milliseconds.
std::string timestamp(std::int64_t unix_nanoseconds) {
  std::time_t seconds = unix_nanoseconds / 1'000'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 40> buffer;
  std::size_t length = std::strftime(buffer.data(), buffer.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(buffer.data() + length, buffer.size() - length, ".%03dZ",
                static_cast<int>(unix_nanoseconds / 1'000'000 % 1000));
  return buffer.data();
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  constexpr std::array levels = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err,
                                 spdlog::level::off};
  return levels[static_cast<std::size_t>(level)];
}

}  // namespace

std::string log_line(LogFormat format, std::string_view program, std::int64_t unix_nanoseconds, LogLevel level,
                     std::string_view event, LogFields fields) {
  std::string out;
  append_field(out, format, {"time", timestamp(unix_nanoseconds)});
  append_field(out, format, {"level", level_names[static_cast<std::size_t>(level)]});
  append_field(out, format, {"program", program});
  append_field(out, format, {"event", event});
  for (const LogField& field : fields) append_field(out, format, field);
  return format == LogFormat::json ? '{' + out + '}' : out;
}

Result<void> start_logging(const LogOptions& options) {
  try {
    spdlog::sink_ptr sink;
    if (!options.file.empty())
      if (auto good = check_writable(options.file); !good) return good;  // the sink would make its folders
    if (options.file.empty()) sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    else
      sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(options.file, options.file_bytes_max.bytes,
                                                                    options.files_max);
    auto log = make_log(options, std::move(sink));
    std::lock_guard lock(Current::instance().mutex);
    Current::instance().log = std::move(log);
    least_level = options.level;
  } catch (const spdlog::spdlog_ex& error) {
    return failure(ErrorKind::io_error, "cannot write the log file " + options.file + ": " + error.what());
  }
  return {};
}

void flush_log() { Current::instance().get()->logger->flush(); }

bool logs(LogLevel level) { return level >= least_level.load(std::memory_order_relaxed) && level != LogLevel::off; }

void log(LogLevel level, std::string_view event, LogFields fields) {
  if (!logs(level)) return;
  auto log = Current::instance().get();
  auto now = std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()).count();
  log->logger->log(to_spdlog(level), "{}", log_line(log->options.format, log->options.program, now, level, event, fields));
}

void add_log_options(ProgramOptions& options, LogOptions& log) {
  options.add_choice<LogLevel>("log-level", log.level,
                               {{"debug", LogLevel::debug},
                                {"info", LogLevel::info},
                                {"warning", LogLevel::warning},
                                {"error", LogLevel::error},
                                {"off", LogLevel::off}},
                               "least level that is logged");
  options.add_choice<LogFormat>("log-format", log.format, {{"logfmt", LogFormat::logfmt}, {"json", LogFormat::json}},
                                "how a line is written");
  options.add("log-file", log.file, "log there instead of stderr");
  options.add("log-file-size", log.file_bytes_max, "largest log file; a full one becomes FILE.1");
  options.add("log-files", log.files_max, "how many full log files are kept");
}

}  // namespace weft
