// A scheduler that is killed while work with side effects runs: every run is counted, and none happens twice.
// WEFT_SCHEDULER_DEATHS=100 makes it die at so many points instead of a few.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>
#include <thread>

#include <weft/weft.h>

#include "common/exit_codes.h"
#include "common/process.h"
#include "common/programs.h"
#include "support/sanitized.h"

using namespace weft;
namespace fs = std::filesystem;

namespace {

constexpr Duration patience = 60s;  // ends a test that has failed already

/// Runs once, or the file says how often.
int leave_trace(std::string folder, int number, int milliseconds) {
  for (std::string name : {"/task-" + std::to_string(number), std::string("/all")}) {
    int file = open((folder + name).c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0 || write(file, "x", 1) != 1) throw std::runtime_error("no trace can be left");
    close(file);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  return number;
}
int sum_of(int a, int b) { return a + b; }

/// A cluster whose scheduler can be killed and started again.
class Cluster {
 public:
  explicit Cluster(int workers) {
    char name[] = "/tmp/weft-death-XXXXXX";
    REQUIRE(mkdtemp(name));
    folder_ = name;
    start_scheduler();
    for (int i = 0; i < workers; ++i) {
      std::string worker = "w" + std::to_string(i);
      workers_.push_back(start("weft-worker", {"ipc://" + folder_ + "/worker", "--name", worker, "--nthreads", "2", "--memory-limit", "1GiB",
                                               "--local-directory", folder_ + '/' + worker, "--listen-address",
                                               "ipc://" + folder_ + '/' + worker + ".values", "--log-level", "error"}));
    }
  }
  ~Cluster() {
    workers_.clear();
    scheduler_.reset();
    fs::remove_all(folder_);
  }
  const std::string& folder() const { return folder_; }
  std::string address() const { return "ipc://" + folder_ + "/client"; }
  static ChildProcess start(const std::string& program, std::vector<std::string> arguments) {
    auto child = ChildProcess::start(find_program(program).value_or_throw(), {.arguments = std::move(arguments)});
    REQUIRE(child);
    return std::move(*child);
  }
  void start_scheduler() { scheduler_.emplace(start("weft-scheduler", {"--folder", folder_, "--log-level", "error"})); }
  ChildProcess& scheduler() { return *scheduler_; }
  void kill_scheduler() {
    scheduler_->signal(SIGKILL);
    scheduler_->wait();
    scheduler_.reset();
  }
  std::uintmax_t traces() const {
    std::error_code none;
    std::uintmax_t size = fs::file_size(folder_ + "/all", none);
    return none ? 0 : size;
  }
  /// Until so many runs have begun.
  void await_traces(std::uintmax_t count) const {
    Time deadline = monotonic_now() + patience;
    while (traces() < count && monotonic_now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    REQUIRE(traces() >= count);
  }

 private:
  std::string folder_;
  std::optional<ChildProcess> scheduler_;
  std::vector<ChildProcess> workers_;
};

/// A peer on a scheduler's socket whose message has ever more parts. Source: ZMTP 3.1, rfc.zeromq.org/spec/37, mechanism NULL.
class EndlessMessage {
 public:
  explicit EndlessMessage(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    std::string greeting(64, '\0');
    greeting.replace(0, 1, "\xff").replace(9, 2, "\x7f\x03").replace(12, 4, "NULL");
    const std::string ready = std::string("\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06" "DEALER", 30);
    REQUIRE(say(greeting));
    REQUIRE(say(ready));
    // Its greeting and its READY: before that nothing may be sent.
    char answers[64 + 43];
    REQUIRE(::recv(socket_, answers, sizeof answers, MSG_WAITALL) == sizeof answers);
  }
  ~EndlessMessage() { ::close(socket_); }
  EndlessMessage(const EndlessMessage&) = delete;
  /// One more part. False: the other side is gone.
  bool go_on(std::uint64_t size) {
    std::string part = "\x03";   // more follow; eight bytes of length
    for (int shift = 56; shift >= 0; shift -= 8) part += static_cast<char>(size >> shift);
    return say(part.append(size, 'x'));
  }

 private:
  bool say(const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      ssize_t sent = ::send(socket_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      at += static_cast<std::size_t>(sent);
    }
    return true;
  }
  int socket_;
};

}  // namespace

TEST_CASE("a scheduler killed at random points: every result is right and every side effect happened once") {
  const char* chosen = std::getenv("WEFT_SCHEDULER_DEATHS");
  const int deaths = chosen ? std::atoi(chosen) : 5;
  unsigned seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  Cluster cluster(2);
  Client client(cluster.address());
  const int batch = 24;
  int number = 0;
  for (int death = 0; death < deaths; ++death) {
    std::uintmax_t before = cluster.traces();
    std::vector<Future<int>> traced, sums;
    for (int i = 0; i < batch; ++i)
      traced.push_back(client.submit(Options{.pure = false}, leave_trace, cluster.folder(), number++, static_cast<int>(random() % 30)));
    for (int i = 0; i + 1 < batch; i += 2) sums.push_back(client.submit(sum_of, traced[i], traced[i + 1]));
    // 0: while the graph is on its way; otherwise in the middle of its runs.
    cluster.await_traces(before + random() % (batch - 4));
    if (random() % 2) std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    cluster.kill_scheduler();
    cluster.start_scheduler();
    for (int i = 0; i < batch / 2; ++i) {
      int first = number - batch + 2 * i;
      CHECK(sums[i].result(60s) == 2 * first + 1);
    }
    for (int i = 0; i < batch; ++i) {
      int which = number - batch + i;
      CHECK(traced[i].result(60s) == which);
      CHECK(fs::file_size(cluster.folder() + "/task-" + std::to_string(which)) == 1);
    }
  }
}

TEST_CASE("published data and what was fired and forgotten outlive client and scheduler") {
  Cluster cluster(1);
  {
    Client client(cluster.address());
    auto kept = client.submit(sum_of, 40, 2);
    CHECK(kept.result(60s) == 42);
    client.publish("answer", kept);
    for (int i = 0; i < 6; ++i) client.fire_and_forget(client.submit(Options{.pure = false}, leave_trace, cluster.folder(), i, 50));
    cluster.await_traces(2);
  }
  cluster.kill_scheduler();
  cluster.start_scheduler();
  Client client(cluster.address());
  CHECK(client.get_dataset<int>("answer").at(0).result(60s) == 42);
  cluster.await_traces(6);
  // Anything run twice would come before this.
  CHECK(client.submit(Options{.pure = false}, leave_trace, cluster.folder(), 6, 0).result(60s) == 6);
  for (int i = 0; i < 7; ++i) CHECK(fs::file_size(cluster.folder() + "/task-" + std::to_string(i)) == 1);
}

TEST_CASE("a second scheduler for the same folder is refused, and the first goes on") {
  Cluster cluster(1);
  Client client(cluster.address());
  CHECK(client.submit(sum_of, 1, 2).result(60s) == 3);
  CHECK(Cluster::start("weft-scheduler", {"--folder", cluster.folder(), "--log-level", "off"}).wait() == exit_code::cannot_create);
  CHECK(Cluster::start("weft-scheduler", {"--port", "0", "--worker-port", "0", "--store", cluster.folder() + "/store", "--keys",
                                          cluster.folder() + "/keys", "--log-level", "off"}).wait() == exit_code::io_error);
  CHECK(fs::exists(cluster.folder() + "/scheduler.json"));
  CHECK(client.submit(sum_of, 2, 2).result(60s) == 4);
}

// libzmq collects all parts of a message before anybody sees one, and has no bound for their number: what bounds it is the memory
// that the process may have (a container's limit, here its address space), and what saves the work is the store. libzmq itself would
// not send such a message, so the peer speaks for itself.
TEST_CASE("A34: a message without an end, from a peer with the right key, costs no accepted work" *
          doctest::skip(test::sanitized)) {
  Cluster cluster(1);
  Client client(cluster.address());
  client.publish("answer", client.submit(sum_of, 40, 2));
  CHECK(client.get_dataset<int>("answer").at(0).result(60s) == 42);
  const rlim_t room = 1ull << 30;
  const rlimit limit{room, room};
  REQUIRE(prlimit(cluster.scheduler().pid(), RLIMIT_AS, &limit, nullptr) == 0);
  EndlessMessage message(cluster.folder() + "/client");
  const std::uint64_t part = 64 << 10;
  std::uint64_t sent = 0;
  while (sent < 2 * room && message.go_on(part)) sent += part;
  CHECK(sent > 10 * part);
  // Out of memory libzmq cuts the peer, where it can; another part of it, or of us, may abort.
  auto alive = client.submit(sum_of, 2, 3);
  std::optional<int> code;
  while (!alive.done() && !code) code = cluster.scheduler().wait(monotonic_now() + 10ms);
  MESSAGE((sent >> 20) << " MiB were sent; " << std::string(code ? "the scheduler's process ended" : "the scheduler went on"));
  if (code) {
    CHECK(*code == 128 + SIGABRT);
    cluster.start_scheduler();
  }
  CHECK(client.get_dataset<int>("answer").at(0).result(60s) == 42);
  CHECK(alive.result(60s) == 5);
}
