#include "reliability/proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/time.h"

namespace weft::reliability {

namespace {

constexpr int look_every_milliseconds = 5;  // how soon a change of the link is felt
constexpr std::size_t held_max = 64 << 10;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

std::uint16_t bind_any(int socket) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (bind(socket, reinterpret_cast<sockaddr*>(&address), size) != 0 || getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no free port on 127.0.0.1");
  return ntohs(address.sin_port);
}

/// Bytes on their way from one socket to the other.
struct Stream {
  int from, to;
  Proxy::Way way;
  std::string held;
  bool ended = false, told = false;
  double allowance = 0;

  bool wants() const { return !ended && held.size() < held_max; }
  /// False when the connection is broken.
  bool take() {
    char buffer[16 << 10];
    ssize_t size = recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN;
    if (size == 0) ended = true;
    held.append(buffer, static_cast<std::size_t>(size));
    return true;
  }
  bool give(std::size_t most) {
    if (!held.empty() && most > 0) {
      ssize_t size = send(to, held.data(), std::min(held.size(), most), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (size < 0) return errno == EAGAIN;
      held.erase(0, static_cast<std::size_t>(size));
      allowance -= static_cast<double>(size);
    }
    if (ended && held.empty() && !std::exchange(told, true)) shutdown(to, SHUT_WR);
    return true;
  }
};

}  // namespace

struct Proxy::Connection {
  Connection(int near, int far) : near(near), far(far), streams{{near, far, forth, {}}, {far, near, back, {}}} {}
  ~Connection() {
    close(near);
    close(far);
  }
  Connection(const Connection&) = delete;
  void reset() {
    linger at_once{1, 0};
    for (int socket : {near, far}) setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  bool over() const { return streams[0].told && streams[1].told; }

  int near, far;
  Stream streams[2];
};

std::uint16_t free_port() {
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::uint16_t port = bind_any(socket);
  close(socket);
  return port;
}

Proxy::Proxy() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)), port_(bind_any(listener_)) {
  if (listen(listener_, 64) != 0) throw std::runtime_error("a proxy cannot listen");
  thread_ = std::thread([this] { run(); });
}

Proxy::~Proxy() {
  ending_ = true;
  thread_.join();
  close(listener_);
}

void Proxy::run() {
  std::list<Connection> connections;
  std::uint32_t resets = 0;
  Time before = monotonic_now();
  while (!ending_) {
    const int blocked = blocked_;
    const std::uint32_t rate = bytes_per_second_;
    auto open = [&](const Stream& stream) { return !(blocked & stream.way) && (rate == 0 || stream.allowance >= 1); };
    std::vector<pollfd> look{{listener_, POLLIN, 0}};
    for (Connection& c : connections)
      for (Stream& s : c.streams) {
        look.push_back({s.wants() ? s.from : -1, POLLIN, 0});
        look.push_back({open(s) && !s.held.empty() ? s.to : -1, POLLOUT, 0});
      }
    poll(look.data(), look.size(), look_every_milliseconds);
    Time now = monotonic_now();
    double seconds = static_cast<double>((now - std::exchange(before, now)).count()) / 1e9;
    bool reset = resets != resets_;
    resets = resets_;
    connections.remove_if([&](Connection& c) {
      if (reset) c.reset();
      bool good = !reset;
      for (Stream& s : c.streams) {
        s.allowance = std::min(s.allowance + rate * seconds, static_cast<double>(rate));
        if (good && s.wants()) good = s.take();
        if (good && open(s)) good = s.give(rate ? static_cast<std::size_t>(s.allowance) : held_max);
      }
      return !good || c.over();
    });
    for (int near; (near = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
      int far = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in address = loopback(target_);
      connections.emplace_back(near, far);
      // A connection to our own machine is answered at once, either way.
      if (target_ == 0 || connect(far, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        connections.back().reset();
        connections.pop_back();
      }
    }
  }
}

}  // namespace weft::reliability
