// Only what has the announced hash is started.
#include <doctest/doctest.h>

#include <elf.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "common/codec.h"
#include "common/image_files.h"
#include "tests/support/endpoints.h"
#include "tests/support/executor_functions.h"
#include "worker/process_executors.h"
#include "worker/programs.h"

using namespace weft;
using namespace weft::worker;
namespace fs = std::filesystem;

namespace {

std::string program_beside_us() {
  return (fs::read_symlink("/proc/self/exe").parent_path() / "executor_program").string();
}
std::string whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  fs::permissions(path, fs::perms::owner_all);
}
/// In its place and without its writer's knowledge, as a rebuild or an attacker would.
void flip(const std::string& path, std::size_t at) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(std::streamoff(at));
  char byte = char(file.get());
  file.seekp(std::streamoff(at));
  file.put(char(byte ^ 0x40));
}
void make_old(const std::string& path) { fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(1)); }

struct Site {
  static constexpr Key program{1, 2}, file{3, 4};
  weft::test::PrivateFolder folder;
  std::string path = folder.path + "/app";
  Programs programs{folder.path + "/kept"};

  explicit Site(std::string bytes) { write(path, bytes); }
  /// The client says what it runs: this file as it is now.
  std::vector<Key> announce(const std::string& where) {
    auto hash = hash_file(path);
    ProgramSetup setup;
    ProgramFile main;
    main.key = file;
    main.path = where;
    main.name = "app";
    main.sha256 = hex_of(hash->sha256);
    main.size = hash->size;
    main.role = FileRole::main;
    setup.files.push_back(main);
    return programs.add({.program = program, .files = encode(setup)});
  }
  std::vector<Key> announce() { return announce(path); }
  Value value_of(const std::string& bytes) {
    auto part = std::as_bytes(std::span(bytes.data(), bytes.size()));
    return Value::make(7, {&part, 1});
  }
};

/// Runs one task with this program; the failure, or none.
Failure run_one(Programs& programs, const std::function<void()>& before_start = [] {}) {
  ProcessOptions options;
  options.program_for = [&](const Key& key) {
    auto spec = programs.spec(key);
    before_start();
    return spec;
  };
  ProcessExecutors executors(std::move(options));
  Template shape;
  shape.function.thunk_offset = weft::test::echo;
  shape.function.program = Site::program;
  std::uint64_t number = 41;
  auto bytes = std::as_bytes(std::span(&number, 1));
  executors.start({AttemptId{1}, Key{1, 1}, 1, std::make_shared<const Template>(shape), Bytes(bytes.begin(), bytes.end()), {}});
  for (Time end = monotonic_now() + 60s; monotonic_now() < end;) {
    pollfd ready{executors.descriptors().at(0), POLLIN, 0};
    poll(&ready, 1, 5);
    for (Outcome& outcome : executors.take(monotonic_now()).ended) return outcome.failure;
  }
  return failure(ErrorKind::wait_timeout, "no task ended");
}

}  // namespace

TEST_CASE("A42: a program as announced is started") {
  Site site(whole(program_beside_us()));
  CHECK(site.announce().empty());
  Failure why = run_one(site.programs);
  CHECK_MESSAGE(why.kind == ErrorKind::none, why.message);
}

TEST_CASE("A42: of a thousand programs with one byte flipped none is started, here or from the client") {
  std::mt19937_64 random(7);
  std::string bytes = whole(program_beside_us()).substr(0, 40'000);
  Site site(bytes);
  REQUIRE(site.announce().empty());
  int started = 0, kept = 0;
  for (int i = 0; i < 1000; ++i) {
    std::size_t at = random() % bytes.size();
    flip(site.path, at);
    started += bool(site.programs.spec(Site::program));
    flip(site.path, at);
    Site elsewhere(bytes);
    REQUIRE(elsewhere.announce("/nonexistent/app").size() == 1);
    std::string damaged = bytes;
    damaged[at] = char(damaged[at] ^ 0x40);
    elsewhere.programs.provide(Site::file, elsewhere.value_of(damaged));
    kept += elsewhere.programs.state(Site::program) == Programs::State::ready;
  }
  CHECK(started == 0);
  CHECK(kept == 0);
  CHECK(site.programs.spec(Site::program));  // as it was again
}

TEST_CASE("A42: a change is seen although its writer puts back size and time") {
  Site site(whole(program_beside_us()).substr(0, 40'000));
  make_old(site.path);
  REQUIRE(site.announce().empty());
  REQUIRE(site.programs.spec(Site::program));
  auto time = fs::last_write_time(site.path);
  flip(site.path, 12'345);
  fs::last_write_time(site.path, time);
  auto spec = site.programs.spec(Site::program);
  REQUIRE_FALSE(spec);
  CHECK(spec.error().kind == ErrorKind::program_changed);
  CHECK_MESSAGE(spec.error().message.find("rebuilt while the program runs") != std::string::npos, spec.error().message);
}

TEST_CASE("A42: what is put in the program's place between check and start is not started") {
  Site site(whole(program_beside_us()));
  REQUIRE(site.announce().empty());
  // A program that tells that it ran.
  std::string proof = site.folder.path + "/ran";
  write(site.folder.path + "/evil", "#!/bin/sh\ntouch " + proof + "\nsleep 60\n");
  bool swapped = false;
  Failure why = run_one(site.programs, [&] {
    if (!std::exchange(swapped, true)) fs::rename(site.folder.path + "/evil", site.path);
  });
  CHECK_MESSAGE(why.kind == ErrorKind::program_changed, why.message);
  CHECK_FALSE(fs::exists(proof));
}

TEST_CASE("A42: a program for another machine is not started, and the failure says so") {
  std::string bytes = whole(program_beside_us());
  bytes[offsetof(Elf64_Ehdr, e_machine)] = char(EM_RISCV);
  bytes[offsetof(Elf64_Ehdr, e_machine) + 1] = 0;
  Site site(bytes);
  REQUIRE(site.announce().empty());
  Failure why = run_one(site.programs);
  CHECK(why.kind == ErrorKind::program_error);
  CHECK_MESSAGE(why.message.find("Exec format error") != std::string::npos, why.message);
}
