// What nobody without a key sees: open ports, keys in what programs write, values on their way.
#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <thread>

#include <weft/weft.h>

#include "common/codec.h"
#include "common/credentials.h"
#include "common/scheduler_file.h"
#include "common/value_messages.h"
#include "support/running_programs.h"
#include "support/sanitized.h"

using namespace weft;
using namespace weft::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }
std::string whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Where these processes listen by TCP, as the kernel writes addresses.
std::vector<std::string> listening(const std::vector<int>& processes) {
  std::set<std::string> sockets;
  std::error_code ignored;
  for (int process : processes)
    for (const auto& file : fs::directory_iterator("/proc/" + std::to_string(process) + "/fd", ignored))
      sockets.insert(fs::read_symlink(file.path(), ignored).string());
  std::vector<std::string> found;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::istringstream lines(whole(table));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      std::array<std::string, 10> field;
      for (std::string& each : field) words >> each;
      if (field[3] == "0A" && sockets.contains("socket:[" + field[9] + "]")) found.push_back(field[1].substr(0, field[1].find(':')));
    }
  }
  return found;
}
bool is_loopback(const std::string& address) { return address == "0100007F" || address == "00000000000000000000000001000000"; }

std::vector<int> with_children(std::vector<int> processes) {
  for (std::size_t i = 0; i < processes.size(); ++i) {
    std::string folder = "/proc/" + std::to_string(processes[i]) + "/task";
    std::error_code ignored;
    for (const auto& thread : fs::directory_iterator(folder, ignored)) {
      std::ifstream in(thread.path() / "children");
      for (int child; in >> child;) processes.push_back(child);
    }
  }
  return processes;
}

int fails(int) { throw std::runtime_error("on purpose"); }
int crashes(int) { return raise(SIGSEGV); }
int identity(int x) { return x; }
std::string big_secret(int megabytes) {
  std::string text;
  while (text.size() < std::size_t(megabytes) << 20) text += "a value that nobody may read ";
  return text;
}

/// Passes bytes between whoever connects and `target`, and keeps a copy of all.
class Wiretap {
 public:
  Wiretap() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in here{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof here;
    REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&here), size) == 0);
    REQUIRE(listen(listener_, 16) == 0);
    REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&here), &size) == 0);
    port_ = ntohs(here.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Wiretap() {
    stop_ = true;
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  std::string address() const { return "tcp://127.0.0.1:" + std::to_string(port_); }
  void lead_to(const std::string& address) { target_ = std::stoi(address.substr(address.rfind(':') + 1)); }
  /// Ends the tapping.
  std::string heard() {
    std::lock_guard lock(mutex_);
    return heard_;
  }

 private:
  void serve() {
    std::vector<std::pair<int, int>> pairs;
    while (!stop_) {
      std::vector<pollfd> look{{listener_, POLLIN, 0}};
      for (auto [a, b] : pairs) look.push_back({a, POLLIN, 0}), look.push_back({b, POLLIN, 0});
      if (poll(look.data(), look.size(), -1) < 0) break;
      for (std::size_t i = 0; i < pairs.size(); ++i) {
        auto [a, b] = pairs[i];
        bool alive = (!look[2 * i + 1].revents || pass(a, b)) && (!look[2 * i + 2].revents || pass(b, a));
        if (!alive) close(a), close(b), pairs[i] = {-1, -1};
      }
      std::erase(pairs, std::pair(-1, -1));
      if (!look[0].revents || stop_) continue;
      int from = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC), to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in there{.sin_family = AF_INET, .sin_port = htons(std::uint16_t(target_)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
      if (from >= 0 && connect(to, reinterpret_cast<sockaddr*>(&there), sizeof there) == 0) pairs.emplace_back(from, to);
      else close(from), close(to);
    }
    for (auto [a, b] : pairs) close(a), close(b);
  }
  bool pass(int from, int to) {
    std::array<char, 65536> bytes;
    ssize_t size = read(from, bytes.data(), bytes.size());
    if (size <= 0) return false;
    {
      std::lock_guard lock(mutex_);
      heard_.append(bytes.data(), std::size_t(size));
    }
    return send(to, bytes.data(), std::size_t(size), MSG_NOSIGNAL) == size;
  }

  int listener_;
  int port_ = 0;
  std::atomic<int> target_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::string heard_;
  std::thread thread_;
};

std::string word_behind(const std::string& text, const std::string& name) {
  std::size_t at = text.find(name + "=");
  REQUIRE_MESSAGE(at != text.npos, text);
  at += name.size() + 1;
  return text.substr(at, text.find_first_of(" \n", at) - at);
}

std::unique_ptr<Client> client_of(const Home& home, const std::string& address) {
  setenv("WEFT_KEYS", home.keys().c_str(), 1);
  auto client = std::make_unique<Client>(address);
  unsetenv("WEFT_KEYS");
  return client;
}

}  // namespace

TEST_CASE("A37: by default every process listens on loopback only") {
  Home home;
  auto scheduler = home.scheduler();
  auto worker = home.worker("w");
  home.workers(1);
  auto client = client_of(home, read_scheduler_file(home.file())->client_address);
  CHECK(client->submit(identity, 1).result(limit) == 1);
  LocalCluster cluster({.workers = 2, .memory_limit = 1u << 30});
  Client local(cluster), embedded("", {.dashboard = true});
  CHECK(local.submit(identity, 1).result(limit) == 1);
  auto outside = home.run("weft", {"local", "--workers", "1"});
  REQUIRE(outside->says("Ctrl-C ends it"));

  std::vector<int> all{scheduler->pid(), worker->pid(), outside->pid(), cluster.scheduler_pid(), getpid()};
  for (int pid : cluster.worker_pids()) all.push_back(pid);
  CHECK(listening({scheduler->pid()}).size() == 3);  // clients, workers, browsers
  CHECK(listening({worker->pid()}).size() == 1);     // values
  CHECK(listening({getpid()}).size() == 1);          // the embedded cluster's dashboard
  for (const std::string& address : listening(with_children(all))) CHECK_MESSAGE(is_loopback(address), address);
  outside->signal(SIGINT);
  CHECK(outside->exit_code() == exit_code::ok);
}

TEST_CASE("A37: other interfaces without keys that are fit for use end a program with exit code 78") {
  Home home;
  auto open_scheduler = [&](std::vector<std::string> more = {}, std::map<std::string, std::string> environment = {}) {
    std::vector<std::string> arguments = {"--host", "0.0.0.0", "--port", "0", "--worker-port", "0", "--store", "none", "--no-dashboard"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto running = home.run("weft-scheduler", arguments, environment);
    int code = running->exit_code();
    return std::pair(code, running->errors);
  };
  SUBCASE("no folder for keys") { CHECK(open_scheduler({}, {{"HOME", ""}}).first == exit_code::configuration); }
  SUBCASE("a key that others can read") {
    REQUIRE(KeyFolder(home.keys()).init());
    fs::permissions(home.keys() + "/scheduler.key", fs::perms::others_read, fs::perm_options::add);
    CHECK(open_scheduler().first == exit_code::configuration);
  }
  SUBCASE("a list that others can change") {
    REQUIRE(KeyFolder(home.keys()).init());
    fs::permissions(home.keys() + "/authorized_keys", fs::perms::group_write, fs::perm_options::add);
    CHECK(open_scheduler().first == exit_code::configuration);
  }
  SUBCASE("a token of the dashboard that others can read") {
    std::ofstream(home.path + "/token") << std::string(64, 'a');
    auto [code, errors] = open_scheduler({"--dashboard", "--dashboard-host", "0.0.0.0", "--dashboard-port", "0", "--dashboard-token-file", home.path + "/token"});
    CHECK_MESSAGE(code == exit_code::configuration, errors);
  }
  SUBCASE("no place for a token of the dashboard") {
    auto [code, errors] = open_scheduler({"--dashboard", "--dashboard-host", "0.0.0.0", "--dashboard-port", "0", "--dashboard-token-file", "/proc/nowhere/token"});
    CHECK_MESSAGE(code == exit_code::configuration, errors);
  }
  SUBCASE("a worker without a key") {
    auto worker = home.run("weft-worker", {"tcp://127.0.0.1:1", "--listen-address", "tcp://0.0.0.0:0"});
    CHECK(worker->exit_code() == exit_code::configuration);
  }
}

TEST_CASE("A36: a libzmq that lets strangers in ends a program with exit code 78 before it listens" * doctest::skip(test::sanitized)) {
  Home home;
  std::map<std::string, std::string> open{{"LD_PRELOAD", (fs::read_symlink("/proc/self/exe").parent_path() / "open_door_preload.so").string()}};
  auto scheduler = home.run("weft-scheduler", {"--port", "0", "--worker-port", "0", "--store", "none", "--no-dashboard"}, open);
  CHECK(scheduler->exit_code() == exit_code::configuration);
  CHECK_MESSAGE(contains(scheduler->errors, "lets strangers in"), scheduler->errors);
  auto worker = home.run("weft-worker", {"tcp://127.0.0.1:1"}, open);
  CHECK(worker->exit_code() == exit_code::configuration);
  CHECK_MESSAGE(contains(worker->errors, "lets strangers in"), worker->errors);
}

TEST_CASE("A36: a scheduler that stands still lets nobody in, and any thread's death is its own") {
  Home home;
  auto scheduler = home.scheduler({"--no-dashboard"});
  auto status = [&](const std::string& patience) {
    return home.run("weft", {"status", "--timeout", patience}, {{"WEFT_SCHEDULER_FILE", home.file()}})->exit_code();
  };
  scheduler->signal(SIGSTOP);
  CHECK(status("500ms") == exit_code::unavailable);
  scheduler->signal(SIGCONT);
  CHECK(status("60s") == exit_code::ok);
  std::string last;
  for (const auto& thread : fs::directory_iterator("/proc/" + std::to_string(scheduler->pid()) + "/task")) last = thread.path().filename();
  CHECK(last != std::to_string(scheduler->pid()));
  REQUIRE(syscall(SYS_tgkill, scheduler->pid(), std::stoi(last), SIGKILL) == 0);
  CHECK(scheduler->exit_code() == 128 + SIGKILL);
  CHECK(status("500ms") == exit_code::unavailable);
}

TEST_CASE("A36: an expired key is refused, one that ends today is let in") {
  Home home;
  REQUIRE(KeyFolder(home.keys()).init());
  auto scheduler = home.scheduler({"--no-dashboard"});
  std::string list = whole(home.keys() + "/authorized_keys"), client_key = read_key_file(home.keys() + "/client.key")->public_key;
  auto status_with = [&](const std::string& day) {
    REQUIRE(write_whole_file(home.keys() + "/authorized_keys", "client me " + client_key + " not-after=" + day + "\n", 0600));
    scheduler->output.clear(), scheduler->errors.clear();
    scheduler->signal(SIGHUP);
    REQUIRE(scheduler->says("allow-list read again"));
    return home.run("weft", {"status", "--timeout", "2s"}, {{"WEFT_SCHEDULER_FILE", home.file()}})->exit_code();
  };
  CHECK(status_with("2020-02-29") == exit_code::unavailable);
  CHECK(status_with(show_day(std::time(nullptr) + 1)) == exit_code::ok);
  CHECK(home.weft({"keys", "list"})->output.find(show_day(std::time(nullptr) + 1)) != std::string::npos);
}

TEST_CASE("A40: no key and no token is in anything that a cluster writes or shows") {
  Home home;
  rlimit before{}, unlimited{RLIM_INFINITY, RLIM_INFINITY};
  getrlimit(RLIMIT_CORE, &before);
  setrlimit(RLIMIT_CORE, &unlimited);
  fs::path folder = fs::current_path();
  fs::create_directory(home.path + "/cores");
  fs::current_path(home.path + "/cores");  // core files of the daemons
  std::vector<std::string> seen;
  {
    auto scheduler = home.scheduler({"--log-level", "debug", "--store", home.path + "/store", "--dashboard-history", home.path + "/history",
                                     "--recorder", home.path + "/recording", "--dashboard-host", "0.0.0.0", "--dashboard-port", "0"});
    auto worker = home.worker("w", {"--log-level", "debug", "--log-file", home.path + "/worker.log", "--executor-core-files", home.path + "/cores"});
    home.workers(1);
    auto client = client_of(home, read_scheduler_file(home.file())->client_address);
    CHECK(client->submit(identity, 1).result(limit) == 1);
    auto bad = client->submit(fails, 1), dead = client->submit(Options{.max_attempts = 1}, crashes, 1);
    CHECK_THROWS_AS(bad.result(limit), TaskError);
    CHECK_THROWS_AS(dead.result(limit), TaskCrashed);
    auto note = [&](std::unique_ptr<Running> said) {
      said->exit_code();
      seen.push_back(said->output + said->errors);
    };
    auto weft = [&](std::vector<std::string> words) { note(home.run("weft", std::move(words), {{"WEFT_SCHEDULER_FILE", home.file()}})); };
    weft({"dump", home.path + "/dump.json"});
    weft({"debug", bad.key().hex()});
    weft({"explain", bad.key().hex()});
    weft({"logs"}), weft({"keys", "list"}), weft({"keys", "list", "-o", "json"}), weft({"doctor"}), weft({"workers", "-o", "json"});
    weft({"config", "scheduler", "-o", "json"});
    note(home.run("weft", {"status", "--timeout", "1s", "--address", "tcp://127.0.0.1:1"}));
    for (int process : with_children({scheduler->pid(), worker->pid()})) {
      seen.push_back(whole("/proc/" + std::to_string(process) + "/environ"));
      seen.push_back(whole("/proc/" + std::to_string(process) + "/cmdline"));
      CHECK_FALSE(seen.back().empty());
    }
    worker->signal(SIGSEGV), scheduler->signal(SIGSEGV);
    note(std::move(worker)), note(std::move(scheduler));
  }
  fs::current_path(folder);
  setrlimit(RLIMIT_CORE, &before);
  for (const auto& entry : fs::recursive_directory_iterator(home.path))
    if (entry.is_regular_file() && !entry.path().string().starts_with(home.keys() + '/')) seen.push_back(whole(entry.path()));

  std::vector<std::string> secrets{whole(home.keys() + "/dashboard.token")};
  while (!secrets[0].empty() && secrets[0].back() == '\n') secrets[0].pop_back();
  CHECK(secrets[0].size() == 64);
  for (const char* name : {"scheduler", "client", "worker"}) {
    std::string text = read_key_file(home.keys() + '/' + name + ".key")->secret_key.z85();
    std::array<std::uint8_t, 32> bytes;
    REQUIRE(zmq_z85_decode(bytes.data(), text.c_str()));
    secrets.push_back(text);
    secrets.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::size_t total = 0;
  for (const std::string& text : seen) {
    total += text.size();
    for (const std::string& secret : secrets) CHECK_MESSAGE(!contains(text, secret), text.substr(0, 300));
  }
  CHECK(total > 10'000);
}

TEST_CASE("values on their way are encrypted, unless the worker says otherwise; the control link always is") {
  const std::string plain = "a value that nobody may read";
  bool encrypted = true;
  SUBCASE("as it is") {}
  SUBCASE("--encrypt-values off") { encrypted = false; }
  Home home;
  Wiretap values, control;
  auto scheduler = home.scheduler({"--no-dashboard"});
  auto worker = home.worker("w", {"--contact-address", values.address(), "--same-host-values", "off", encrypted ? "--encrypt-values" : "--no-encrypt-values"});
  REQUIRE(worker->says("listening"));
  REQUIRE(worker->says("scheduler="));
  values.lead_to(word_behind(worker->errors + worker->output, "values"));
  home.workers(1);
  control.lead_to(read_scheduler_file(home.file())->client_address);
  {
    auto client = client_of(home, control.address());
    CHECK(client->submit(big_secret, 4).result(limit) == big_secret(4));
    CHECK(client->submit([](const std::string& text) { return text.size(); }, plain).result(limit) == plain.size());
  }
  CHECK(values.heard().size() > 4u << 20);
  CHECK(contains(values.heard(), plain) == !encrypted);
  CHECK(control.heard().size() > 100);
  CHECK_FALSE(contains(control.heard(), plain));
  CHECK_FALSE(contains(control.heard(), "lambda"));
}

TEST_CASE("a value is not given without its one-time token, encrypted or not") {
  bool encrypted = true;
  SUBCASE("encrypted") {}
  SUBCASE("in clear") { encrypted = false; }
  Home home;
  auto scheduler = home.scheduler({"--no-dashboard"});
  auto worker = home.worker("w", {encrypted ? "--encrypt-values" : "--no-encrypt-values"});
  REQUIRE(worker->says("scheduler="));
  std::string place = word_behind(worker->errors + worker->output, "values");
  home.workers(1);
  auto client = client_of(home, read_scheduler_file(home.file())->client_address);
  auto future = client->submit(big_secret, 1);
  future.result(limit);

  // Whoever listens in knows the place, the key of the value and the public key of the worker.
  ZeromqOptions options{.keys = make_key_pair(), .server_key = read_key_file(home.keys() + "/worker.key")->public_key};
  if (!encrypted) options = {.clear_values = true};
  Side stranger{make_zeromq_endpoint(options), {}};
  auto peer = stranger.endpoint->connect(place);
  REQUIRE(peer);
  stranger.endpoint->send(*peer, encode(std::vector<ValueRequest>{GetRange{.request = 1, .key = future.key(), .length = 1u << 20}}));
  until({&stranger}, [&] { return !stranger.all<Received>().empty() || !stranger.lost(*peer).empty(); });
  REQUIRE(stranger.all<Received>().size() == 1);
  const Received& answer = *stranger.all<Received>()[0];
  CHECK(answer.payload.empty());
  auto replies = decode<std::vector<ValueReply>>(answer.head.bytes());
  REQUIRE(replies);
  REQUIRE(replies->size() == 1);
  CHECK_FALSE(std::get<ValueRange>(replies->front()).error.empty());
}
