// Whether a process is gone: a machine that refuses is proof, silence is not.
#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "scheduler/prober.h"
#include "support/endpoints.h"

using namespace weft;
using scheduler::Prober;
using namespace std::chrono_literals;

namespace {

/// A port of this machine: closed, or somebody who takes connections and greets, drops them or says nothing.
class Door {
 public:
  enum Kind { closed, greets, drops, silent };
  explicit Door(Kind kind) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in here{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof here;
    REQUIRE(bind(socket_, reinterpret_cast<sockaddr*>(&here), size) == 0);
    REQUIRE(getsockname(socket_, reinterpret_cast<sockaddr*>(&here), &size) == 0);
    address_ = "tcp://127.0.0.1:" + std::to_string(ntohs(here.sin_port));
    if (kind == closed) return;
    REQUIRE(listen(socket_, 4) == 0);
    if (kind == silent) return;
    thread_ = std::thread([this, kind] {
      int taken = accept(socket_, nullptr, nullptr);
      if (taken < 0) return;
      if (kind == greets) CHECK(send(taken, "hello", 5, MSG_NOSIGNAL) == 5);
      if (kind == greets) std::this_thread::sleep_for(10ms);  // it goes on living
      ::close(taken);
    });
  }
  ~Door() {
    shutdown(socket_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    ::close(socket_);
  }
  const std::string& address() const { return address_; }

 private:
  int socket_;
  std::string address_;
  std::thread thread_;
};

}  // namespace

TEST_CASE("a process whose address refuses or drops connections is gone; one that greets or is silent may live") {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<WorkerId> gone;
  Prober prober([&](WorkerId worker) {
    std::lock_guard lock(mutex);
    gone.push_back(worker);
    changed.notify_all();
  });
  auto heard = [&](WorkerId worker) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 60s, [&] { return std::find(gone.begin(), gone.end(), worker) != gone.end(); });
  };
  Door closed(Door::closed), greets(Door::greets), drops(Door::drops), silent(Door::silent);
  prober.ask({1}, silent.address());
  prober.ask({2}, greets.address());
  prober.ask({3}, closed.address());
  CHECK(heard({3}));
  prober.ask({4}, drops.address());
  CHECK(heard({4}));
  test::PrivateFolder folder;
  sockaddr_un left{.sun_family = AF_UNIX, .sun_path = {}};  // the socket of a process that was killed stays
  std::strcpy(left.sun_path, (folder.path + "/left").c_str());
  int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(bind(socket, reinterpret_cast<sockaddr*>(&left), sizeof left) == 0);
  close(socket);
  prober.ask({5}, "ipc://" + folder.path + "/left");
  CHECK(heard({5}));
  prober.ask({9}, "ipc://" + folder.path + "/nobody");
  prober.ask({6}, "not an address");
  prober.ask({7}, "inproc://values");
  prober.ask({8}, closed.address());  // asked last, answered last
  CHECK(heard({8}));
  std::lock_guard lock(mutex);
  CHECK(gone == std::vector<WorkerId>{{3}, {4}, {5}, {8}});
}
