#include "common/logging.h"

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

#include <doctest/doctest.h>
#include <unistd.h>

#include "common/messages.h"

using namespace weft;

namespace {

constexpr std::int64_t noon = 1'700'000'000'123'000'000;

std::string logfmt(std::string_view event, LogFields fields = {}) {
  return log_line(LogFormat::logfmt, "p", noon, LogLevel::info, event, fields);
}
std::string json(std::string_view event, LogFields fields = {}) {
  return log_line(LogFormat::json, "p", noon, LogLevel::info, event, fields);
}

// A folder of one test, and the silent log again behind it.
struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("weft-log-" + std::to_string(getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() {
    (void)start_logging({.level = LogLevel::warning});
    std::filesystem::remove_all(path);
  }
  std::string read(const char* name) {
    std::ifstream in(path / name);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
};

// Raw bytes, tokens and pointers are no fields: the mistake of logging a secret does not compile.
static_assert(!std::is_constructible_v<LogField, const char*, std::span<const std::byte>>);
static_assert(!std::is_constructible_v<LogField, const char*, Bytes>);
static_assert(!std::is_constructible_v<LogField, const char*, Token>);
static_assert(!std::is_constructible_v<LogField, const char*, const void*>);

}  // namespace

TEST_CASE("a line has time, level, program, event and typed fields") {
  LogFields fields = {{"id", WorkerId{7}}, {"threads", 4},           {"ratio", 0.5},
                      {"ready", true},     {"address", "tcp://a:1"}, {"lease", Duration(1500ms)},
                      {"name", "a \"b\""}};
  CHECK(logfmt("worker joined", fields) ==
        "time=2023-11-14T22:13:20.123Z level=info program=p event=\"worker joined\" id=7 threads=4 ratio=0.5 ready=true "
        "address=tcp://a:1 lease=1.5 name=\"a \\\"b\\\"\"");
  CHECK(json("worker joined", fields) ==
        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"program\":\"p\",\"event\":\"worker joined\",\"id\":7,"
        "\"threads\":4,\"ratio\":0.5,\"ready\":true,\"address\":\"tcp://a:1\",\"lease\":1.5,\"name\":\"a \\\"b\\\"\"}");
}

TEST_CASE("hostile text stays one line of valid UTF-8") {
  std::string hostile = "x\nlevel=error \x1b[31m \xff\xc0\xaf\xed\xa0\x80 ü\t";
  for (const std::string& line : {logfmt("e", {{"text", hostile}}), json("e", {{"text", hostile}})}) {
    CHECK(line.find('\n') == std::string::npos);
    CHECK(line.find('\x1b') == std::string::npos);
    CHECK(line.find("\\nlevel=error") != std::string::npos);
    CHECK(line.find('\xff') == std::string::npos);
    CHECK(line.find("\xed\xa0") == std::string::npos);
    CHECK(line.find("ü") != std::string::npos);
  }
  CHECK(logfmt("e", {{"text", ""}}).ends_with("text=\"\""));
  CHECK(logfmt("e", {{"text", "a=b"}}).ends_with("text=\"a=b\""));
  CHECK(json("e", {{"x", std::numeric_limits<double>::infinity()}}).ends_with("\"x\":\"inf\"}"));
}

TEST_CASE("fields called like a secret are blanked") {
  CHECK(logfmt("e", {{"fetch_token", "abc"}}).ends_with("fetch_token=***"));
  CHECK(json("e", {{"secret", 17}}).ends_with("\"secret\":\"***\"}"));
}

TEST_CASE("a log file gets lines of its level only, and rotates") {
  Folder folder;
  REQUIRE(start_logging({.level = LogLevel::info, .file = folder.path / "log", .file_bytes_max = {400}, .files_max = 2}));
  CHECK(logs(LogLevel::info));
  CHECK_FALSE(logs(LogLevel::debug));
  log_debug("not written");
  log_info("first");
  flush_log();
  CHECK(folder.read("log").find("event=first") != std::string::npos);
  CHECK(folder.read("log").find("not written") == std::string::npos);
  for (int i = 0; i < 50; ++i) log_info("filler", {{"i", i}});
  flush_log();
  CHECK(folder.read("log").find("i=49") != std::string::npos);
  CHECK(std::filesystem::exists(folder.path / "log.1"));
  CHECK(std::filesystem::exists(folder.path / "log.2"));
  CHECK_FALSE(std::filesystem::exists(folder.path / "log.3"));
}

TEST_CASE("lines of many threads stay whole") {
  Folder folder;
  REQUIRE(start_logging({.file = folder.path / "log"}));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 100; ++i) log_info("line", {{"thread", t}, {"i", i}});
    });
  for (auto& thread : threads) thread.join();
  flush_log();
  std::istringstream in(folder.read("log"));
  int lines = 0;
  for (std::string line; std::getline(in, line); ++lines) CHECK(line.starts_with("time="));
  CHECK(lines == 400);
}

TEST_CASE("a log file that cannot be written is an error that names it") {
  auto started = start_logging({.file = "/proc/no/such/folder/log"});
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("/proc/no/such/folder/log") != std::string::npos);
}
