// What executors are given, seen from inside a task; and what they leave behind.
#include <doctest/doctest.h>

#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>

#include "support/daemons.h"
#include "support/sanitized.h"

using namespace weft;
using namespace std::chrono_literals;
using test::contains;
using test::Daemons;
using test::failure_of;
namespace fs = std::filesystem;

namespace {

constexpr auto limit = 60s;

std::string variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? value : "(none)";
}
std::string attached(const std::string& name) {
  std::ifstream in(weft::attached_file(name));
  return {std::istreambuf_iterator<char>(in), {}};
}
std::string read_here(const std::string& name) {
  std::ifstream in(name);
  return {std::istreambuf_iterator<char>(in), {}};
}
std::string folder_of_task(int) { return fs::current_path().string(); }
int read_input(int) {
  char byte;
  return int(read(0, &byte, 1));
}
int one(int) { return 1; }
int segfault(int) { return raise(SIGSEGV); }
std::size_t allocate(std::size_t bytes) { return std::vector<char>(bytes).size(); }
std::size_t size_of(const std::string& text) { return text.size(); }
std::string loader_of_task(int) { return fs::read_symlink("/proc/self/exe").filename().string(); }

// Leaves the executor's session and writes to a pipe's name when it is there; lives until it is killed.
int leave_a_child(const std::string& note, bool twice, bool new_program) {
  if (pid_t first = fork(); first != 0) {
    while (!fs::exists(note)) usleep(1000);
    return int(getpid());
  }
  setsid();
  if (twice && fork() != 0) _exit(0);
  for (int i = 1; i < 64; ++i) close(i);
  std::ofstream(note + ".part") << getpid() << std::flush;
  fs::rename(note + ".part", note);
  if (new_program) execlp("sleep", "sleep", "1000", nullptr);
  for (;;) pause();
}

int number_in(const std::string& path) {
  int number = 0;
  std::ifstream(path) >> number;
  return number;
}
// A killed process is gone when it is reaped; a zombie of nobody's is not alive either.
bool is_alive(int pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  std::size_t at = text.rfind(')');
  return at != std::string::npos && text[at + 2] != 'Z';
}

std::string write_file(const std::string& path, const std::string& text, fs::perms mode = fs::perms::owner_all) {
  std::ofstream(path) << text;
  fs::permissions(path, mode);
  return path;
}

}  // namespace

TEST_CASE("a task's process has what its worker lets through and what its client sets, an own folder and no input") {
  test::PrivateFolder files;
  write_file(files.path + "/model.txt", "weights");
  Daemons daemons({"--inherit-environment", "off"}, {{"WEFT_TEST_SECRET", "x"}, {"LC_TIME", "C"}, {"OMP_NUM_THREADS", "3"}});
  Client client(daemons.address(), {.environment = {{"GREETING", "hello"}, {"LC_TIME", "POSIX"}}, .files = {files.path + "/model.txt"}});
  CHECK(client.submit(variable, std::string("GREETING")).result(limit) == "hello");
  CHECK(client.submit(variable, std::string("LC_TIME")).result(limit) == "POSIX");
  CHECK(client.submit(variable, std::string("OMP_NUM_THREADS")).result(limit) == "3");
  CHECK(client.submit(variable, std::string("WEFT_TEST_SECRET")).result(limit) == "(none)");
  CHECK(client.submit(variable, std::string("PATH")).result(limit) == variable("PATH"));
  CHECK(client.submit(attached, std::string("model.txt")).result(limit) == "weights");
  CHECK(client.submit(read_here, std::string("model.txt")).result(limit) == "weights");
  CHECK(client.submit(read_input, 0).result(limit) == 0);
  CHECK(contains(client.submit(folder_of_task, 0).result(limit), daemons.folder() + "/local/executors-"));
  CHECK(contains(failure_of<TaskError>(client.submit(attached, std::string("other.txt"))).message, "attached no file 'other.txt'"));
}

TEST_CASE("two clients of one program have each their environment and files") {
  test::PrivateFolder files;
  write_file(files.path + "/a.txt", "a");
  Daemons daemons;
  Client first(daemons.address(), {.environment = {{"WHO", "first"}}, .files = {files.path + "/a.txt"}});
  Client second(daemons.address(), {.environment = {{"WHO", "second"}}});
  Options impure{.pure = false};
  CHECK(first.submit(impure, variable, std::string("WHO")).result(limit) == "first");
  CHECK(second.submit(impure, variable, std::string("WHO")).result(limit) == "second");
  CHECK(first.submit(attached, std::string("a.txt")).result(limit) == "a");
  // A task's own tasks run in the same surroundings.
  auto nested = [](int) { return weft::this_task().client().submit(Options{.pure = false}, variable, std::string("WHO")).result(); };
  CHECK(first.submit(nested, 0).result(limit) == "first");
  CHECK_THROWS_AS(Client(daemons.address(), {.files = {files.path + "/none"}}).submit(one, 1), IoError);
}

TEST_CASE("a LocalCluster's tasks inherit environment and folder; an embedded client's find attached files where they are") {
  test::PrivateFolder files;
  write_file(files.path + "/b.txt", "b");
  setenv("WEFT_TEST_INHERITED", "yes", 1);
  {
    LocalCluster cluster({.workers = 1, .memory_limit = 1u << 30});
    Client client(cluster, {.files = {files.path + "/b.txt"}});
    CHECK(client.submit(variable, std::string("WEFT_TEST_INHERITED")).result(limit) == "yes");
    CHECK(client.submit(folder_of_task, 0).result(limit) == fs::current_path());
    CHECK(client.submit(read_input, 0).result(limit) == 0);
    CHECK(client.submit(attached, std::string("b.txt")).result(limit) == "b");
  }
  unsetenv("WEFT_TEST_INHERITED");
  Client embedded("", {.files = {files.path + "/b.txt"}});
  CHECK(embedded.submit(attached, std::string("b.txt")).result(limit) == "b");
}

TEST_CASE("a wrapper stands before the program of each executor") {
  test::PrivateFolder folder;
  std::string script = write_file(folder.path + "/wrap", "#!/bin/sh\necho \"$@\" > " + folder.path + "/argv\nshift\nexec \"$@\"\n");
  LocalCluster cluster({.workers = 1, .memory_limit = 1u << 30, .executor_wrapper = script + " --quiet"});
  Client client(cluster);
  CHECK(client.submit(one, 1).result(limit) == 1);
  CHECK(*read_whole_file(folder.path + "/argv") == "--quiet " + fs::read_symlink("/proc/self/exe").string() + "\n");
}

TEST_CASE("a crash leaves a core file where it was asked for, and says where" * doctest::skip(test::sanitized)) {
  std::string pattern = read_here("/proc/sys/kernel/core_pattern");
  if (pattern.starts_with('|') || pattern.starts_with('/')) {
    MESSAGE("skipped: cores go to " << pattern);
    return;
  }
  test::PrivateFolder folder;
  LocalCluster cluster({.workers = 1, .memory_limit = 1u << 30, .executor_core_files = folder.path + "/cores"});
  Client client(cluster);
  Failure failure = failure_of<TaskCrashed>(client.submit(Options{.max_attempts = 1}, segfault, 1));
  std::size_t at = failure.message.find("its core file is ");
  REQUIRE_MESSAGE(at != std::string::npos, failure.message);
  std::string path = failure.message.substr(at + 17);
  CHECK(fs::path(path).parent_path() == folder.path + "/cores");
  CHECK_MESSAGE(fs::file_size(path) > 4096, path);
}

TEST_CASE("what a task left behind ends with its executor, and all of it with the cluster") {
  test::PrivateFolder folder;
  auto note = [&](const char* name) { return folder.path + '/' + name; };
  int late = 0;
  {
    LocalCluster cluster({.workers = 1, .memory_limit = 1u << 30});
    Client client(cluster);
    client.submit(leave_a_child, note("session"), false, false).result(limit);
    client.submit(leave_a_child, note("daemon"), true, true).result(limit);
    CHECK(is_alive(number_in(note("session"))));
    CHECK(is_alive(number_in(note("daemon"))));
    failure_of<TaskCrashed>(client.submit(Options{.max_attempts = 1}, segfault, 1));
    // The failure is told after the executor's descendants have been killed.
    CHECK_FALSE(is_alive(number_in(note("session"))));
    CHECK_FALSE(is_alive(number_in(note("daemon"))));
    client.submit(leave_a_child, note("late"), true, false).result(limit);
    late = number_in(note("late"));
    CHECK(is_alive(late));
  }
  CHECK_FALSE(is_alive(late));
}

TEST_CASE("a task that allocates more than it may is told the limit, its value and the option that raises it" * doctest::skip(test::sanitized)) {
  LocalCluster cluster({.workers = 1, .memory_limit = 1u << 30, .executor_memory = 256u << 20});
  Client client(cluster);
  Failure failure = failure_of<MemoryLimit>(client.submit(Options{.max_attempts = 1}, allocate, std::size_t(600) << 20));
  INFO(failure.message);
  CHECK(contains(failure.message, "256.0 MiB"));
  CHECK(contains(failure.message, "`executor_memory`"));
  CHECK(contains(failure.message, "--executor-memory"));
  CHECK(client.submit(allocate, std::size_t(100) << 20).result(limit) == std::size_t(100) << 20);
}

TEST_CASE("the limit of a worker's memory bounds its tasks too, and a scattered value may be larger than it" * doctest::skip(test::sanitized)) {
  LocalCluster cluster({.workers = 1, .memory_limit = 128u << 20, .executor_memory = 1u << 30});
  Client client(cluster);
  auto big = client.scatter(std::string(std::size_t(160) << 20, 'x'));
  CHECK(client.submit(size_of, big).result(limit) == std::size_t(160) << 20);
  LocalCluster small({.workers = 1, .memory_limit = 256u << 20});
  Client other(small);
  CHECK(contains(failure_of<MemoryLimit>(other.submit(Options{.max_attempts = 1}, allocate, std::size_t(600) << 20)).message, "256.0 MiB"));
}

TEST_CASE("a worker with an older glibc starts the program by the shipped loader") {
  Daemons daemons({}, {{"WEFT_FORCE_SHIPPED_LOADER", "1"}});
  Client client(daemons.address());
  CHECK(contains(client.submit(loader_of_task, 0).result(limit), "ld-"));
  CHECK(client.submit(variable, std::string("LD_LIBRARY_PATH")).result(limit) == variable("LD_LIBRARY_PATH"));
}

TEST_CASE("a library that the loader refuses on a worker is named") {
  test::PrivateFolder folder;
  write_file(folder.path + "/libsodium.so.23", "");
  LocalCluster cluster({.workers = 1, .memory_limit = 1u << 30});
  Client client(cluster, {.environment = {{"LD_LIBRARY_PATH", folder.path}}});
  Failure failure = failure_of<ProgramError>(client.submit(one, 5));
  CHECK_MESSAGE(contains(failure.message, "cannot be loaded on this worker"), failure.message);
  CHECK_MESSAGE(contains(failure.message, "libsodium.so.23"), failure.message);
}

TEST_CASE("a function of a library that the program opens later runs in executors, too") {
  LocalCluster cluster({.workers = 1});
  Client client(cluster);
  CHECK(client.submit(one, 0).result(limit) == 1);
  void* library = dlopen((fs::read_symlink("/proc/self/exe").parent_path() / "later_library.so").c_str(), RTLD_NOW);
  REQUIRE_MESSAGE(library, dlerror());
  auto* later = reinterpret_cast<int (*)(int)>(dlsym(library, "add_seven"));
  REQUIRE(bool(later));
  CHECK(client.submit(later, 1).result(limit) == 8);
  CHECK(client.submit(one, 1).result(limit) == 1);
}
