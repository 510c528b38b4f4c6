// Connections that others opened to us: one ROUTER for all places where we listen. Private to zeromq*.cpp.
//
// libzmq says on a side channel which descriptor was disconnected, and marks each message with the descriptor it came by;
// both late, and descriptors are used again. So a disconnect only makes the peers of that descriptor suspects. A suspect is
// lost when the ROUTER itself no longer knows its routing id, which is exact, and after which no frame of it can come except
// those already here.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/transport/endpoint.h"
#include "common/transport/zeromq.h"
#include "common/transport/zeromq_socket.h"
#include "common/transport/zeromq_zap.h"

namespace weft::zeromq {

class Listener {
 public:
  Listener(const Context& context, const ZeromqOptions& options);
  ~Listener();

  /// The address has been checked and its folder is private.
  Result<std::string> listen(const std::string& address, const std::string& role);
  bool send(PeerId peer, Bytes head, Buffer payload);
  void close(PeerId peer);
  PeerIdentity identity(PeerId peer) const;

  /// Answer handshakes and take note of what was disconnected.
  void read_side_channels(Time now);
  /// Append what arrived, at most one poll's share.
  void read(std::vector<EndpointEvent>& events, Time now);
  /// More can be read without waiting for a descriptor.
  bool unread() const { return unread_; }
  Time check_at() const { return due_.empty() ? Time::never() : due_.begin()->first; }
  int descriptor() const { return socket_.descriptor(); }
  std::array<int, 2> side_descriptors() const { return {monitor_.descriptor(), doorman_.descriptor()}; }

 private:
  struct Route {
    std::uint64_t high = 0, low = 0;
    bool operator==(const Route&) const = default;
  };
  struct RouteHash {
    std::size_t operator()(const Route& route) const noexcept { return route.high ^ route.low; }
  };
  struct Peer {
    Route route;
    int descriptor = -1;
    PeerIdentity identity;
    Waiting waiting = std::make_shared<std::atomic<std::size_t>>(0);
    bool closed = false;     // the owner wants no more of it, or was told that it is lost
    bool suspected = false;  // is being asked after until it is lost or proves alive
    bool gone = false;       // in `gone_`
    int questions = 0;
  };
  /// What we know of one descriptor number.
  struct Descriptor {
    bool open = false;
    bool doubtful = false;  // somebody we had not heard of was disconnected: its frames may still come
    std::vector<PeerId> peers;
  };

  void read_monitor(Time now);
  bool receive(std::vector<EndpointEvent>& events, std::size_t& bytes, Time now);
  PeerId peer_of(Part& route, Part& first, Time now);
  PeerId learn(const Route& route, Part& first, Time now);
  void suspect(PeerId peer, Time now);
  void ask_after(PeerId peer, Time now);
  void cut(const Peer& peer);
  void forget_gone(std::vector<EndpointEvent>& events);
  enum class Sent { yes, full, gone };
  Sent transmit(const Peer& peer, Part first, std::optional<Part> second);

  const ZeromqOptions& options_;
  Doorman doorman_;
  bool tested_ = false;
  bool unread_ = false;
  std::unordered_map<PeerId, Peer> peers_;
  std::unordered_map<Route, PeerId, RouteHash> routes_;
  std::unordered_map<int, Descriptor> descriptors_;
  std::multimap<Time, PeerId> due_;  // suspects to ask after, closed peers to cut
  std::vector<PeerId> gone_;         // lost as soon as all that is here has been read
  Time gone_since_;                  // when the first of them came
  std::vector<Route> buried_;        // of the lost: what may still come from them is nobody's
  const Context& context_;
  Socket socket_;
  Monitor monitor_;
  std::vector<std::string> files_;   // sockets in folders, removed at the end
};

}  // namespace weft::zeromq
