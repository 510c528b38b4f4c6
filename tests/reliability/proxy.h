// A link that a test can break: connections to `port()` are led to another port of this machine, byte by byte, by one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace weft::reliability {

class Proxy {
 public:
  /// Which way bytes are held back: `forth` are those of whoever connected.
  enum Way : int { none = 0, forth = 1, back = 2, both = 3 };

  /// Listens on a free port of 127.0.0.1.
  Proxy();
  ~Proxy();
  Proxy(const Proxy&) = delete;

  std::uint16_t port() const { return port_; }
  /// Where new connections go; 0: they are refused.
  void lead_to(std::uint16_t target) { target_ = target; }
  /// Hold bytes back, as a network does that loses packets which TCP sends again later.
  void block(Way way) { blocked_ = way; }
  /// Most bytes a second in each direction of each connection; 0: as many as come.
  void slow(std::uint32_t bytes_per_second) { bytes_per_second_ = bytes_per_second; }
  /// End every connection with RST: what is on its way is lost.
  void reset() { ++resets_; }

 private:
  struct Connection;
  void run();

  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<std::uint16_t> target_{0};
  std::atomic<int> blocked_{none};
  std::atomic<std::uint32_t> bytes_per_second_{0};
  std::atomic<std::uint32_t> resets_{0};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

/// A port that nobody listens on now.
std::uint16_t free_port();

}  // namespace weft::reliability
