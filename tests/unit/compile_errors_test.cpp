// The first thing that a user reads when something cannot travel: each case of compile_errors/cases.txt is given to the compiler,
// and its first `error:` line must say what to write instead.
#include <doctest/doctest.h>

#include <filesystem>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

namespace {

struct Case {
  std::string expected, code, said;
};

const std::string folder = WEFT_SOURCE_DIR "/tests/unit/compile_errors";

std::vector<Case> read_cases() {
  std::vector<Case> cases;
  std::ifstream file(folder + "/cases.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#") && cases.empty()) continue;
    if (line.starts_with("== ")) cases.push_back({line.substr(3), {}, {}});
    else if (!cases.empty()) cases.back().code += line + "\n";
  }
  return cases;
}

const char* const prelude = R"(#include <weft/call.h>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
using namespace weft::detail;
struct Thing { int size; int grow() { return ++size; } };
)";

std::string compile(const std::string& arguments) {
  const char* compiler = std::getenv("CXX");
  return std::string(compiler ? compiler : "g++") + " -std=c++20 -I" WEFT_SOURCE_DIR "/client/include -I" WEFT_SOURCE_DIR
         "/common/include " + arguments + " 2>&1";
}

// The first error line of the compiler, or "ok".
std::string first_error(const std::string& code, const std::string& place, std::size_t number) {
  std::string name = place + "/case" + std::to_string(number) + ".cpp";
  std::ofstream(name) << code;
  FILE* pipe = ::popen(compile("-fsyntax-only -include " + place + "/prelude.h " + name).c_str(), "re");
  std::string found = "ok";
  char* line = nullptr;
  std::size_t room = 0;
  while (::getline(&line, &room, pipe) > 0) {
    std::string text = line;
    if (found == "ok" && text.find("error: ") != std::string::npos) found = text;
  }
  std::free(line);
  ::pclose(pipe);
  return found;
}

TEST_CASE("what cannot travel is refused with a sentence that says what to write") {
  auto cases = read_cases();
  REQUIRE(cases.size() > 30);
  char place[] = "/tmp/weft-compile-XXXXXX";
  REQUIRE(mkdtemp(place));
  const std::string header = place + std::string("/prelude.h");
  std::ofstream(header) << prelude;
  CHECK(std::system(compile("-x c++-header " + header + " -o " + header + ".gch").c_str()) == 0);
  std::atomic<std::size_t> next = 0;
  auto work = [&] {
    for (std::size_t i; (i = next++) < cases.size();)
      cases[i].said = first_error(cases[i].code, place, i);
  };
  {
    std::jthread other(work);
    work();
  }
  for (const Case& one : cases) {
    INFO(one.code);
    INFO("said: ", one.said);
    CHECK(one.said.find(one.expected) != std::string::npos);
    CHECK((one.expected == "ok" || one.said.find("weft: ") != std::string::npos));
  }
  std::filesystem::remove_all(place);
}

}  // namespace
