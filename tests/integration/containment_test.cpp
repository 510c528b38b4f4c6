// What tasks of a stand-alone worker can do, and what not.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include <weft/weft.h>

#include "common/scheduler_file.h"
#include "forbidden_acts.h"
#include "support/running_programs.h"
#include "support/sanitized.h"
#include "worker/landlock.h"
#include "worker/system_call_filter.h"

using namespace weft;
using namespace weft::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// A scheduler and a worker with keys, over TCP, and a client of theirs.
struct Site {
  explicit Site(std::vector<std::string> worker_options = {}) {
    scheduler = home.scheduler({"--no-dashboard"});
    worker = home.worker("w", worker_options);
    setenv("WEFT_SCHEDULER_FILE", home.file().c_str(), 1);
    client = std::make_unique<Client>();
    unsetenv("WEFT_SCHEDULER_FILE");
  }
  std::string local() const { return home.path + "/weft-" + std::to_string(geteuid()); }

  Home home;
  std::unique_ptr<Running> scheduler, worker;
  std::unique_ptr<Client> client;
};

int child_of(int process, const std::string& name) {
  std::ifstream in("/proc/" + std::to_string(process) + "/task/" + std::to_string(process) + "/children");
  for (int child; in >> child;) {
    std::string comm;
    std::getline(std::ifstream("/proc/" + std::to_string(child) + "/comm") >> std::ws, comm);
    if (comm == name) return child;
  }
  return 0;
}

/// A child that left its parent's session, has no environment, and never ends by itself. Returns its number.
int hide_a_child() {
  int ends[2];
  if (pipe(ends) != 0) return 0;
  if (pid_t first = fork(); first == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    int self = getpid();
    if (write(ends[1], &self, sizeof self) < 0) _exit(1);
    for (int i = 0; i < 64; ++i) close(i);
    char* const words[] = {const_cast<char*>("sleep"), const_cast<char*>("1000"), nullptr};
    char* const nothing[] = {nullptr};
    execve("/bin/sleep", words, nothing);
    _exit(1);
  }
  int child = 0;
  if (read(ends[0], &child, sizeof child) != sizeof child) return 0;
  close(ends[0]), close(ends[1]);
  return child;
}
int hide_one(int) { return hide_a_child(); }
/// Never returns; what it started is named in its output.
int hide_many_and_spin(int count) {
  for (int i = 0; i < count; ++i) std::printf("%d\n", hide_a_child());
  std::fflush(stdout);
  for (;;) pause();
}
/// Whether it ends; waits for that.
bool ends(int process) {
  int handle = static_cast<int>(syscall(434 /* pidfd_open */, process, 0));
  if (handle < 0) return errno == ESRCH;
  pollfd look{handle, POLLIN, 0};
  bool ended = poll(&look, 1, int(limit / 1ms)) == 1;
  close(handle);
  return ended;
}

/// What an ordinary program does; empty, or what it could not do.
std::string ordinary_work(const std::string& input, const std::string& allowed) {
  std::string word;
  if (!(std::ifstream(input) >> word) || word != "hello") return "read an input file";
  if (!(std::ofstream(allowed + "/out.txt") << word << std::flush)) return "write an output file";
  fs::create_directory("part");
  if (!(std::ofstream("part/notes.txt") << word << std::flush)) return "write in its folder";
  std::error_code error;
  fs::rename("part/notes.txt", "notes.txt", error);
  if (error) return "move a file between its folders: " + error.message();
  std::string temporary = (fs::temp_directory_path() / "weft-XXXXXX").string();
  if (mkstemp(temporary.data()) < 0) return "make a temporary file";
  if (std::system("echo $((6 * 7)) | grep -q 42 > /dev/null 2>&1") != 0) return "start programs";
  int sum = 0;
  std::thread([&] { sum = 1; }).join();
  if (sum != 1) return "start a thread";
  pid_t child = fork();
  if (child == 0) pause();
  if (child < 0 || kill(child, SIGKILL) != 0) return "end a child";
  if (fs::directory_iterator("/", error) == fs::directory_iterator() || error) return "list a folder";
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || setrlimit(RLIMIT_NOFILE, &files) != 0) return "set a limit of its own";
  return {};
}
std::string who_am_i(int) {
  std::string name;
  std::getline(std::ifstream("/proc/self/comm"), name);
  return name;
}
bool write_there(const std::string& path) { return bool(std::ofstream(path) << "x" << std::flush); }

bool confined_here() { return worker::landlock::version() >= 6 && worker::has_system_call_filters(); }

}  // namespace

TEST_CASE("A41: a task's forbidden acts are refused, every one, and its worker goes on" * doctest::skip(test::sanitized)) {
  if (!confined_here()) {
    MESSAGE("skipped: this kernel has no Landlock of version 6 or no seccomp filters");
    return;
  }
  Site site;
  std::ofstream(site.home.path + "/precious") << "data";
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{.sun_family = AF_UNIX};
  std::string name = "weft-test-" + std::to_string(getpid());
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  REQUIRE(bind(listener, reinterpret_cast<sockaddr*>(&address), socklen_t(offsetof(sockaddr_un, sun_path) + 1 + name.size())) == 0);
  REQUIRE(listen(listener, 100) == 0);

  REQUIRE(site.client->submit([](int x) { return x; }, 1).result(limit) == 1);
  Target target{site.worker->pid(), child_of(site.worker->pid(), "weft-keeper"), site.home.keys(), site.local(), site.home.path,
                site.home.path + "/precious", read_scheduler_file(site.home.file())->worker_address, name};
  REQUIRE(target.keeper > 0);
  CHECK(count_of_acts() >= 40);
  std::vector<Future<std::string>> said;
  for (std::uint64_t i = 0; i < count_of_acts(); ++i) said.push_back(site.client->submit(Options{.pure = false}, try_act, i, target));
  for (auto& each : said) {
    std::string text = each.result(limit);
    CHECK_MESSAGE(text.find(": refused") != text.npos, text);
  }
  close(listener);
  CHECK(*read_whole_file(site.home.path + "/precious") == "data");
  CHECK(site.client->submit([](int x) { return x; }, 2).result(limit) == 2);
}

TEST_CASE("A41: what a task hides dies with it, and with its worker however that dies") {
  Site site;
  std::vector<int> hidden;
  try {
    site.client->submit(Options{.max_attempts = 1, .timeout = 2s}, hide_many_and_spin, 50).result(limit);
    FAIL("an endless task ended");
  } catch (const TaskTimeout& error) {
    std::istringstream lines(error.failure().output);
    for (int pid; lines >> pid;) hidden.push_back(pid);
  }
  CHECK(hidden.size() == 50);
  for (int pid : hidden) CHECK(ends(pid));

  int child = site.client->submit(hide_one, 1).result(limit);
  REQUIRE(child > 0);
  CHECK(kill(child, 0) == 0);
  site.worker->signal(SIGKILL);
  CHECK(ends(child));
}

TEST_CASE("A41: an ordinary program works as ever, and writes where the worker allows it") {
  PrivateFolder data;
  fs::create_directory(data.path + "/in"), fs::create_directory(data.path + "/out");
  std::ofstream(data.path + "/in/words.txt") << "hello";
  Site site({"--executor-allow-path", data.path + "/out"});
  CHECK(site.client->submit(ordinary_work, data.path + "/in/words.txt", data.path + "/out").result(limit) == "");
  CHECK(*read_whole_file(data.path + "/out/out.txt") == "hello");
  CHECK(site.client->submit(write_there, data.path + "/in/no").result(limit) == !confined_here());
  CHECK(site.client->submit(who_am_i, 1).result(limit) == fs::read_symlink("/proc/self/exe").filename().string().substr(0, 15));
}

TEST_CASE("A41: a path that would open the keys is refused, and so is confinement by name where there is none") {
  Home home;
  auto scheduler = home.scheduler({"--no-dashboard"});
  auto above = home.worker("w", {"--executor-allow-path", home.path});
  CHECK(above->exit_code() == exit_code::usage);
  CHECK_MESSAGE(above->errors.find("would open the keys in " + home.keys()) != std::string::npos, above->errors);
  auto missing = home.worker("w", {"--executor-allow-path", home.path + "/none"});
  CHECK(missing->exit_code() == exit_code::usage);
}

TEST_CASE("A41: a LocalCluster's tasks write where their user may, and cannot touch their worker") {
  PrivateFolder folder;
  LocalCluster cluster({.workers = 1, .memory_limit = 1u << 30});
  Client client(cluster);
  CHECK(client.submit(write_there, folder.path + "/mine").result(limit));
  if (!confined_here()) return;
  auto signals = [](int process) { return kill(process, 0); };
  CHECK(client.submit(signals, cluster.worker_pids()[0]).result(limit) == -1);
}

TEST_CASE("A41: weft doctor has a line for each mechanism") {
  Home home;
  auto doctor = home.run("weft", {"doctor", "-o", "json"});
  doctor->exit_code();
  std::map<std::string, std::string> found;
  Json said = Json::parse(doctor->output);
  for (const Json& line : said.at("data")) found[line.at("check")] = line.at("found");
  for (const char* name : {"landlock", "seccomp", "orphans", "namespaces", "user"}) CHECK_MESSAGE(found.contains(name), doctor->output);
}
