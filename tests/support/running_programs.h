// Our programs as processes: what they print, and a home of keys and files for each test.
#pragma once

#include <doctest/doctest.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/exit_codes.h"
#include "common/process.h"
#include "common/programs.h"
#include "support/endpoints.h"

namespace weft::test {

using Json = nlohmann::json;

// Ends a test that has failed already; no test waits for it to pass.
inline constexpr Duration limit = 60s;

/// One of our programs with its output in pipes.
class Running {
 public:
  Running(const std::string& name, std::vector<std::string> arguments, std::map<std::string, std::string> environment) {
    int out[2], err[2];
    REQUIRE(pipe2(out, O_CLOEXEC) == 0);
    REQUIRE(pipe2(err, O_CLOEXEC) == 0);
    ChildOptions options{.arguments = std::move(arguments), .environment = std::move(environment)};
    options.output = out[1];
    options.errors = err[1];
    auto path = find_program(name);
    REQUIRE_MESSAGE(path, path.error().message);
    auto child = ChildProcess::start(*path, options);
    close(out[1]);
    close(err[1]);
    out_ = out[0];
    err_ = err[0];
    REQUIRE_MESSAGE(child, child.error().message);
    child_.emplace(std::move(*child));
  }
  Running(const Running&) = delete;
  ~Running() {
    child_.reset();
    close(out_);
    close(err_);
  }

  void signal(int number) { child_->signal(number); }
  int pid() const { return child_->pid(); }
  /// Read until this text was written; the texts so far. False if the program ended without it.
  bool says(const std::string& text) {
    while (output.find(text) == output.npos && errors.find(text) == errors.npos)
      if (!read_some()) return false;
    return true;
  }
  int exit_code() {
    while (read_some()) {
    }
    auto code = child_->wait(monotonic_now() + limit);
    REQUIRE_MESSAGE(code, "it does not end: " << errors);
    return *code;
  }

  std::string output, errors;

 private:
  bool read_some() {
    pollfd look[] = {{out_open_ ? out_ : -1, POLLIN, 0}, {err_open_ ? err_ : -1, POLLIN, 0}};
    if (!out_open_ && !err_open_) return false;
    REQUIRE_MESSAGE(poll(look, 2, int(limit / 1ms)) > 0, "it says nothing more: " << output << errors);
    char buffer[4096];
    auto take = [&](int file, short ready, bool& open, std::string& into) {
      if (!ready) return;
      ssize_t size = read(file, buffer, sizeof buffer);
      if (size <= 0) open = false;
      else into.append(buffer, std::size_t(size));
    };
    take(out_, look[0].revents, out_open_, output);
    take(err_, look[1].revents, err_open_, errors);
    return true;
  }

  int out_ = -1, err_ = -1;
  bool out_open_ = true, err_open_ = true;
  std::optional<ChildProcess> child_;
};

/// A home of its own: keys and files of one test.
struct Home : PrivateFolder {
  std::string keys() const { return path + "/.config/weft/keys"; }
  std::string file() const { return path + "/scheduler.json"; }
  std::map<std::string, std::string> environment(std::map<std::string, std::string> more = {}) const {
    more.insert({{"HOME", path}, {"XDG_CONFIG_HOME", ""}, {"XDG_RUNTIME_DIR", ""}, {"WEFT_ADDRESS", ""}, {"WEFT_KEYS", ""},
                 {"WEFT_SCHEDULER_FILE", ""}, {"TMPDIR", path}});
    return more;
  }
  std::unique_ptr<Running> run(const std::string& name, std::vector<std::string> arguments,
                               std::map<std::string, std::string> more = {}) const {
    return std::make_unique<Running>(name, std::move(arguments), environment(std::move(more)));
  }
  /// A scheduler on free ports that has announced itself.
  std::unique_ptr<Running> scheduler(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"--port", "0", "--worker-port", "0", "--scheduler-file", file()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto running = run("weft-scheduler", arguments);
    REQUIRE_MESSAGE(running->says("keys: "), running->errors);
    return running;
  }
  std::unique_ptr<Running> worker(const std::string& name, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"--scheduler-file", file(), "--name", name, "--nthreads", "1", "--death-timeout", "60s"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run("weft-worker", arguments);
  }
  /// `weft ARGUMENTS`, to its end.
  std::unique_ptr<Running> weft(std::vector<std::string> arguments, int code = exit_code::ok) const {
    auto running = run("weft", std::move(arguments), {{"WEFT_SCHEDULER_FILE", std::filesystem::exists(file()) ? file() : ""}});
    int got = running->exit_code();
    CHECK_MESSAGE(got == code, running->output << running->errors);
    return running;
  }
  /// Wait until so many workers are there; each look is an answer of the scheduler.
  Json workers(std::size_t count) const {
    Time deadline = monotonic_now() + limit;
    for (;;) {
      Json data = Json::parse(weft({"workers", "-o", "json"})->output).at("data");
      if (data.size() == count) return data;
      REQUIRE(monotonic_now() < deadline);
    }
  }
};

inline unsigned mode_of(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 ? status.st_mode & 0777 : 0;
}

}  // namespace weft::test
