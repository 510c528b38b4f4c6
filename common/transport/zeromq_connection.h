// One connection that we opened: a DEALER, used for this one connection and thrown away when it breaks. Private to
// zeromq*.cpp.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "common/transport/endpoint.h"
#include "common/transport/zeromq.h"
#include "common/transport/zeromq_socket.h"

namespace weft::zeromq {

class Connection {
 public:
  /// `server_key` empty: no CURVE. The address has been checked.
  Connection(const Context& context, PeerId peer, const std::string& address, const ZeromqOptions& options,
             const std::string& server_key);

  bool send(Bytes head, Buffer payload);
  /// Take note of whether the connection stands or broke.
  void read_monitor();
  /// Append what arrived, at most one poll's share. Ends with PeerLost if the connection is over; then `over()`.
  void read(std::vector<EndpointEvent>& events, Time now);
  /// The owner wants no more events; it may be destroyed as soon as `over()`.
  void close();

  bool over() const { return over_; }
  /// More can be read without waiting for a descriptor.
  bool unread() const { return unread_; }
  /// When to call `read` even if nothing is readable.
  Time check_at() const { return check_at_; }
  int descriptor() const { return socket_.descriptor(); }
  int monitor_descriptor() const { return monitor_.descriptor(); }
  bool touched = false;  // the endpoint's note: read before the next sleep

 private:
  enum class Stage { connecting, ready, broken };

  void break_off(std::string why);
  void end(std::vector<EndpointEvent>& events);
  bool transmit(Bytes head, Buffer payload);
  bool receive(std::vector<EndpointEvent>& events, std::size_t& bytes);

  PeerId peer_;
  std::string address_;
  bool encrypted_;
  std::size_t queue_bytes_max_;
  Stage stage_ = Stage::connecting;
  bool host_found_ = false;  // its name was resolved
  std::string reason_;
  bool closing_ = false;
  bool over_ = false;
  bool unread_ = false;
  Time check_at_;
  Duration patience_ = 1ms;
  Waiting waiting_ = std::make_shared<std::atomic<std::size_t>>(0);
  std::deque<std::pair<Bytes, Buffer>> early_;  // frames sent before the connection stood
  std::size_t early_bytes_ = 0;
  Socket socket_;
  Monitor monitor_;
};

/// What one socket may give in one poll, so that others get their turn.
inline constexpr int frames_per_turn = 256;
inline constexpr std::size_t bytes_per_turn = 4u << 20;

}  // namespace weft::zeromq
