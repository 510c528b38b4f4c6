// A scheduler and very many who come to it, over real sockets and CURVE. The quick form has hundreds of clients; WEFT_CLIENTS=10000
// is the check itself (it needs a limit of 20,000 open files). Figures are printed; only what does not depend on the machine is
// asserted.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#include "common/machine.h"
#include "common/messages.h"
#include "scheduler/server.h"
#include "support/endpoints.h"

using namespace weft;
using namespace weft::test;

namespace {

/// A scheduler on a thread of this process, open to every key.
struct Host {
  KeyPair keys = make_key_pair();
  std::string address;
  std::unique_ptr<scheduler::Server> server;
  std::thread loop;

  Host() {
    ZeromqOptions options{.keys = keys};
    options.allow = [](auto&, auto&) { return true; };
    auto endpoint = make_zeromq_endpoint(options);
    address = *endpoint->listen("tcp://127.0.0.1:0", scheduler::Server::client_role);
    server = std::make_unique<scheduler::Server>(scheduler::Options{}, std::move(endpoint));
    loop = std::thread([this] { server->run(); });
  }
  ~Host() {
    server->stop();
    loop.join();
  }
  double cpu_seconds() {
    clockid_t clock;
    timespec time{};
    pthread_getcpuclockid(loop.native_handle(), &clock);
    clock_gettime(clock, &time);
    return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
  }
};

/// This program again, as one of the children below.
struct Again {
  pid_t pid = -1;
  int out = -1;
  Again(const std::string& test, const std::string& words) {
    std::string environment = "WEFT_MANY=" + words, filter = "-tc=" + test;
    std::vector<const char*> environments;
    for (char** variable = environ; *variable; ++variable) environments.push_back(*variable);
    environments.insert(environments.end(), {environment.c_str(), nullptr});
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    pid = fork();
    if (pid == 0) {
      dup2(ends[1], STDERR_FILENO);
      const char* arguments[] = {"contract_tests", filter.c_str(), "-ns", nullptr};
      execve("/proc/self/exe", const_cast<char**>(arguments), const_cast<char**>(environments.data()));
      _exit(127);
    }
    ::close(ends[1]);
    out = ends[0];
  }
  Again(Again&& other) noexcept : pid(std::exchange(other.pid, -1)), out(std::exchange(other.out, -1)) {}
  ~Again() {
    if (pid > 0) kill(pid, SIGKILL), waitpid(pid, nullptr, 0);
    if (out >= 0) ::close(out);
  }
  std::string line() {
    std::string text;
    for (char c; read(out, &c, 1) == 1 && c != '\n';) text += c;
    return text;
  }
};

/// Sessions of one process, which beat as often as they are told to.
class Clients {
 public:
  Clients(const std::string& address, const std::string& server_key, std::size_t count, std::uint64_t first)
      : endpoint_(make_zeromq_endpoint({.server_key = server_key, .connect_timeout = 60s})) {
    for (std::size_t i = 0; i < count; ++i) {
      PeerId peer = *endpoint_->connect(address);
      endpoint_->send(peer, encode(std::vector<ClientMessage>{ClientHello{1, 1, {2, first + i}, "many"}}));
      peers_.push_back(peer);
      if (i % 50 == 0) turn(monotonic_now());
    }
  }
  void turn(Time until) {
    std::vector<EndpointEvent> events;
    endpoint_->poll(events, until);
    for (EndpointEvent& event : events) {
      if (std::holds_alternative<PeerLost>(event)) ++lost;
      else hear(std::get<Received>(event));
    }
    if (welcomed == 0 || monotonic_now() < beat_at_) return;
    beat_at_ = monotonic_now() + interval_;
    for (PeerId peer : peers_) endpoint_->send(peer, encode(std::vector<ClientMessage>{ClientHeartbeat{}}));
  }
  /// Submit one task, and wait until that is acknowledged: how long it took.
  Duration submit() {
    Key key = Key::random();
    auto raw = std::as_bytes(std::span(&key, 1));
    GraphChunk chunk{.templates = {Template{.label = "t"}}, .template_of = {0}, .keys = {raw.begin(), raw.end()}, .argument_ends = {0}, .wanted = {0}};
    Time began = monotonic_now();
    endpoint_->send(peers_[0], encode(std::vector<ClientMessage>{Submit{++sequence_, std::move(chunk), true}}));
    while (executed_ < sequence_ && lost == 0) turn(monotonic_now() + 50ms);
    return monotonic_now() - began;
  }
  std::size_t welcomed = 0, lost = 0, ticks = 0;

 private:
  void hear(const Received& frame) {
    auto messages = decode<std::vector<ClientBound>>(frame.head.bytes());
    REQUIRE(messages);
    for (ClientBound& message : *messages) {
      if (auto* welcome = std::get_if<ClientWelcome>(&message)) ++welcomed, interval_ = welcome->heartbeat_interval;
      else if (auto* done = std::get_if<Executed>(&message)) executed_ = done->sequence;
      else if (std::holds_alternative<SchedulerTick>(message)) ++ticks;
    }
  }
  std::unique_ptr<Endpoint> endpoint_;
  std::vector<PeerId> peers_;
  Duration interval_ = 1s;
  Time beat_at_;
  std::uint64_t sequence_ = 0, executed_ = 0;
};

double resident_mib() {
  std::ifstream file("/proc/self/statm");
  double pages = 0;
  file >> pages >> pages;
  return pages * 4096 / (1 << 20);
}

}  // namespace

TEST_CASE("child: many clients" * doctest::skip()) {
  const char* told = getenv("WEFT_MANY");
  if (!told) return;
  std::istringstream words(told);
  std::string address, key;
  std::size_t count = 0;
  std::uint64_t first = 0;
  words >> address >> key >> count >> first;
  raise_open_files(65'536);
  Clients clients(address, key, count, first);
  bool said = false;
  for (;;) {
    clients.turn(monotonic_now() + 100ms);
    if (clients.lost > 0) std::fprintf(stderr, "lost\n"), _exit(1);
    if (!said && clients.welcomed == count) said = true, std::fprintf(stderr, "all\n");
  }
}

TEST_CASE("child: a scheduler with few open files" * doctest::skip()) {
  const char* told = getenv("WEFT_MANY");
  if (!told) return;
  rlimit limit{static_cast<rlim_t>(std::atoi(told)), static_cast<rlim_t>(std::atoi(told))};
  setrlimit(RLIMIT_NOFILE, &limit);
  Host host;
  std::fprintf(stderr, "%s\n%s\n", host.address.c_str(), host.keys.public_key.c_str());
  host.loop.join();
}

TEST_CASE("A27: very many clients are let in, kept and served") {
  const char* more = getenv("WEFT_CLIENTS");
  const std::size_t count = more ? std::strtoull(more, nullptr, 10) : 300, processes = count > 1000 ? 5 : 2;
  raise_open_files(65'536);
  Host host;
  double before = resident_mib();
  Time began = monotonic_now();
  std::vector<Again> others;
  for (std::size_t i = 0; i < processes; ++i)
    others.emplace_back("child: many clients", host.address + ' ' + host.keys.public_key + ' ' + std::to_string(count / processes) + ' ' + std::to_string(1 + i * count));
  for (Again& other : others) REQUIRE(other.line() == "all");
  Duration accepted = monotonic_now() - began;
  double each_kib = (resident_mib() - before) * 1024 / double(count);

  Clients one(host.address, host.keys.public_key, 1, 1'000'000);
  while (one.welcomed == 0) one.turn(monotonic_now() + 10ms);
  double cpu = host.cpu_seconds();
  for (Time end = monotonic_now() + (more ? Duration(10s) : Duration(1s)); monotonic_now() < end;) one.turn(end);
  double idle = (host.cpu_seconds() - cpu) / (more ? 10 : 1);
  std::vector<Duration> times;
  for (int i = 0; i < (more ? 2'000 : 100); ++i) times.push_back(one.submit());
  std::sort(times.begin(), times.end());
  MESSAGE(count << " clients: accepted in " << double(accepted.count()) * 1e-9 << " s, " << each_kib << " KiB each, idle CPU of the loop " << idle * 100
                << " %, submit p50 " << double(times[times.size() / 2].count()) * 1e-6 << " ms, p99 " << double(times[times.size() * 99 / 100].count()) * 1e-6 << " ms");
  CHECK(one.lost == 0);
  if (more) CHECK(each_kib < 40);
  for (Again& other : others) CHECK(waitpid(other.pid, nullptr, WNOHANG) == 0);  // one that lost somebody has ended
}

TEST_CASE("A28: a flood of connections up to the limit of open files disturbs nobody who is here, and others are let in afterwards") {
  Again scheduler("child: a scheduler with few open files", "200");
  std::string address = scheduler.line(), key = scheduler.line();
  Clients here(address, key, 3, 1);
  while (here.welcomed < 3) here.turn(monotonic_now() + 10ms);
  std::vector<int> flood;
  sockaddr_in place{.sin_family = AF_INET, .sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))))};
  inet_pton(AF_INET, "127.0.0.1", &place.sin_addr);
  for (int i = 0; i < 400; ++i) {
    flood.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    connect(flood.back(), reinterpret_cast<sockaddr*>(&place), sizeof place);
  }
  std::size_t ticks = here.ticks;
  while (here.ticks < ticks + 9 && here.lost == 0) here.turn(monotonic_now() + 50ms);  // three times round
  here.submit();
  CHECK(here.lost == 0);
  for (int descriptor : flood) ::close(descriptor);
  Clients late(address, key, 1, 100);
  while (late.welcomed == 0 && late.lost == 0) late.turn(monotonic_now() + 50ms);
  CHECK(late.welcomed == 1);
  CHECK(here.lost == 0);
  CHECK(waitpid(scheduler.pid, nullptr, WNOHANG) == 0);
}
