#include "common/programs.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <unistd.h>

using namespace weft;
namespace fs = std::filesystem;

namespace {

// A folder in $PATH, and the variable for the program, both put back at the end.
struct Place {
  fs::path path = fs::temp_directory_path() / ("weft-programs-" + std::to_string(getpid()));
  std::string path_variable = std::getenv("PATH");
  Place() {
    fs::create_directories(path);
    setenv("PATH", (path_variable + ':' + path.string()).c_str(), 1);
  }
  ~Place() {
    setenv("PATH", path_variable.c_str(), 1);
    unsetenv("WEFT_NONESUCH_PROGRAM");
    fs::remove_all(path);
    fs::remove(beside());
  }
  static fs::path beside() { return fs::read_symlink("/proc/self/exe").parent_path() / "weft-nonesuch"; }
  static void make(const fs::path& program, bool executable = true) {
    std::ofstream(program) << "#!/bin/sh\n";
    fs::permissions(program, executable ? fs::perms::owner_all : fs::perms::owner_read);
  }
};

}  // namespace

TEST_CASE("a program is found by its variable, then beside us, then in PATH") {
  Place place;
  Place::make(place.path / "weft-nonesuch");
  CHECK(*find_program("weft-nonesuch") == place.path / "weft-nonesuch");
  Place::make(Place::beside());
  CHECK(*find_program("weft-nonesuch") == Place::beside());
  Place::make(place.path / "mine");
  setenv("WEFT_NONESUCH_PROGRAM", (place.path / "mine").c_str(), 1);
  CHECK(*find_program("weft-nonesuch") == place.path / "mine");
}

TEST_CASE("a missing program is answered by where it was looked for") {
  Place place;
  Place::make(place.path / "weft-nonesuch", false);
  fs::create_directories(place.path / "folder");
  auto found = find_program("weft-nonesuch");
  REQUIRE_FALSE(found);
  CHECK(found.error().message.find(place.path) != std::string::npos);
  CHECK(found.error().message.find(Place::beside().parent_path()) != std::string::npos);
  CHECK(found.error().message.find("$WEFT_NONESUCH_PROGRAM") != std::string::npos);
}

TEST_CASE("a variable that names no program is an error, not a reason to look elsewhere") {
  Place place;
  Place::make(place.path / "weft-nonesuch");
  setenv("WEFT_NONESUCH_PROGRAM", place.path.c_str(), 1);
  auto found = find_program("weft-nonesuch");
  REQUIRE_FALSE(found);
  CHECK(found.error().message.find("names " + place.path.string()) != std::string::npos);
}
