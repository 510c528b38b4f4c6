#include <doctest/doctest.h>

#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include <weft/init.h>
#include <weft/error.h>

namespace {

struct Ended {
  int code = 0;
  std::string output;
};

Ended run(const std::string& environment, const std::string& mode) {
  auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "init_program";
  FILE* pipe = popen((environment + " timeout 20 '" + program.string() + "' " + mode + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  Ended ended;
  char part[512];
  while (std::fgets(part, sizeof part, pipe)) ended.output += part;
  int status = pclose(pipe);
  ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return ended;
}

}  // namespace

TEST_CASE("a process started to run tasks that makes a Client instead says what is missing and stops") {
  Ended ended = run("WEFT_EXECUTOR=3", "without-init");
  CHECK(ended.code == 64);
  CHECK(ended.output.find("call weft::init(argc, argv) first in main") != std::string::npos);
  CHECK(ended.output.find("made a client") == std::string::npos);
}

TEST_CASE("a Client of a cluster refuses a program without init, and says what to write") {
  Ended ended = run("", "without-init");
  CHECK(ended.code == 0);
  CHECK(ended.output.find("call weft::init(argc, argv) first in main") != std::string::npos);
  CHECK(ended.output.find("made a client") == std::string::npos);
}

TEST_CASE("init returns in the user's program, hooks do not run there, and come too late after it") {
  Ended ended = run("", "with-init");
  CHECK(ended.output.find("first in main") == std::string::npos);
  CHECK(ended.output.find("a late hook was refused") != std::string::npos);
  CHECK(ended.output.find("hooks ran in the user's program: no") != std::string::npos);
}

TEST_CASE("an executor variable that is no descriptor stops the process with a word") {
  Ended ended = run("WEFT_EXECUTOR=x", "with-init");
  CHECK(ended.code == 64);
  CHECK(ended.output.find("WEFT_EXECUTOR") != std::string::npos);
}
