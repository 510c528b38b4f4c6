#include "common/process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "support/endpoints.h"

using namespace weft;

namespace {

constexpr Duration limit = 30s;

/// The signals that came, for a test to wait for.
struct Heard {
  std::mutex mutex;
  std::condition_variable news;
  std::vector<int> all;
  void note(int signal) {
    std::lock_guard lock(mutex);
    all.push_back(signal);
    news.notify_all();
  }
  bool until(std::vector<int> wanted) {
    std::unique_lock lock(mutex);
    return news.wait_for(lock, limit, [&] { return all == wanted; });
  }
};

}  // namespace

TEST_CASE("signals become calls in order, and a cut lifeline too") {
  Heard heard;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  {
    Signals signals({SIGUSR1, SIGUSR2}, [&](int signal) { heard.note(signal); }, ends[0]);
    raise(SIGUSR1);
    raise(SIGUSR2);
    CHECK(heard.until({SIGUSR1, SIGUSR2}));
    close(ends[1]);
    CHECK(heard.until({SIGUSR1, SIGUSR2, Signals::lifeline_cut}));
  }
  close(ends[0]);
  struct sigaction now {};
  sigaction(SIGUSR1, nullptr, &now);
  CHECK((now.sa_handler == SIG_DFL));
}

TEST_CASE("a pid file belongs to one living process") {
  test::PrivateFolder place;
  std::string path = place.path + "/pid";
  REQUIRE(write_whole_file(path, "999999\n"));  // left by a dead process
  {
    auto held = PidFile::create(path);
    REQUIRE(held);
    CHECK(*read_whole_file(path) == std::to_string(getpid()) + "\n");
    auto second = PidFile::create(path);
    REQUIRE_FALSE(second);
    CHECK(second.error().message.find("process " + std::to_string(getpid())) != std::string::npos);
    CHECK(std::filesystem::exists(path));
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a file is written whole or not at all") {
  test::PrivateFolder place;
  REQUIRE(write_whole_file(place.path + "/f", "one", 0600));
  REQUIRE(write_whole_file(place.path + "/f", "two", 0600));
  CHECK(*read_whole_file(place.path + "/f") == "two");
  CHECK_FALSE(read_whole_file(place.path + "/f", 2));
  CHECK_FALSE(write_whole_file(place.path + "/missing/f", "x"));
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(place.path)) ++files;
  CHECK(files == 1);
}

TEST_CASE("a child's end is its exit code or 128 and the signal") {
  auto run = [](const std::string& script) {
    auto child = ChildProcess::start("sh", {.arguments = {"-c", script}, .environment = {{"WORD", "five"}}});
    REQUIRE_MESSAGE(child, child.error().message);
    return child->wait(monotonic_now() + limit);
  };
  CHECK(run("exit 7") == 7);
  CHECK(run("test \"$WORD\" = five") == 0);
  CHECK(run("kill -9 $$") == 128 + SIGKILL);
  CHECK(run("read line") == 1);  // its stdin is empty
  auto none = ChildProcess::start("/nowhere/nothing", {});
  REQUIRE_FALSE(none);
  CHECK(none.error().kind == ErrorKind::program_error);
}

TEST_CASE("a child that is dropped is killed") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  {
    auto child = ChildProcess::start("sleep", {.arguments = {"1000"}, .output = ends[1]});
    REQUIRE(child);
    CHECK_FALSE(child->wait(monotonic_now()));
  }
  close(ends[1]);
  char byte;
  CHECK(read(ends[0], &byte, 1) == 0);  // nobody holds the other end any more
  close(ends[0]);
}
