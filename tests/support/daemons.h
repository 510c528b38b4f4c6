// A scheduler and workers as processes with options of a test's own, and a client to them; `weft` as a person runs it.
#pragma once

#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include <weft/weft.h>

#include "common/process.h"
#include "common/programs.h"
#include "support/endpoints.h"

namespace weft::test {

struct Said {
  int code = 0;
  std::string output, errors;
};

/// `weft ARGUMENTS`, to its end.
inline Said run_weft(std::vector<std::string> arguments) {
  PrivateFolder folder;
  std::string out = folder.path + "/out", err = folder.path + "/err";
  ChildOptions options{.arguments = std::move(arguments)};
  options.output = open(out.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  options.errors = open(err.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  auto child = ChildProcess::start(*find_program("weft"), options);
  close(options.output);
  close(options.errors);
  REQUIRE_MESSAGE(child, child.error().message);
  Said said{.code = child->wait().value_or(-1)};
  said.output = *read_whole_file(out);
  said.errors = *read_whole_file(err);
  return said;
}

class Daemons {
 public:
  explicit Daemons(std::vector<std::string> worker_options = {}, std::map<std::string, std::string> environment = {}) {
    start("weft-scheduler", {"--listen", address(), "--worker-listen", "ipc://" + folder_.path + "/worker", "--log-level", "warning"}, {});
    std::vector<std::string> arguments = {"ipc://" + folder_.path + "/worker", "--name", "w", "--nthreads", "1", "--local-directory",
                                          folder_.path + "/local", "--listen-address", "ipc://" + folder_.path + "/w.values", "--log-level", "warning"};
    arguments.insert(arguments.end(), worker_options.begin(), worker_options.end());
    start("weft-worker", std::move(arguments), std::move(environment));
  }
  std::string address() const { return "ipc://" + folder_.path + "/client"; }
  const std::string& folder() const { return folder_.path; }
  ChildProcess& worker() { return children_.back(); }

 private:
  void start(const std::string& name, std::vector<std::string> arguments, std::map<std::string, std::string> environment) {
    ChildOptions options{.arguments = std::move(arguments), .environment = std::move(environment)};
    auto child = ChildProcess::start(*find_program(name), options);
    REQUIRE_MESSAGE(child, child.error().message);
    children_.push_back(std::move(*child));
  }
  PrivateFolder folder_;
  std::vector<ChildProcess> children_;
};

/// The failure that a future ends with.
template <class E, class T>
Failure failure_of(const Future<T>& future) {
  try {
    future.result(std::chrono::seconds(60));
  } catch (const E& error) {
    return error.failure();
  }
  FAIL("no failure came");
  return {};
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace weft::test
