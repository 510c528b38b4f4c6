// How actors exchange frames. An Endpoint delivers whole frames in order within one connection, says when a connection is
// gone, and never blocks its owner. It knows nothing of what is inside a frame. Two kinds: in_process and zeromq, under one
// contract suite (tests/contract).
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <weft/buffer.h>

#include "common/ids.h"
#include "common/result.h"
#include "common/time.h"

namespace weft {

/// One delivered frame: a head, and bulk payload that is never copied on the way (values; empty for control messages).
struct Received {
  PeerId peer;
  Buffer head;
  Buffer payload;
};
/// The connection is gone; frames sent and not delivered are lost. The id is never used again. Comes after every frame that
/// arrived, exactly once for each connection that the owner did not close itself.
struct PeerLost {
  PeerId peer;
  std::string reason;
};
using EndpointEvent = std::variant<Received, PeerLost>;

/// Who is at the other end, as far as the transport has proved it.
struct PeerIdentity {
  std::string role;        // of the `listen` through which it came; empty for connections that we opened
  std::string public_key;  // the CURVE key it proved to own (Z85); empty on ipc, in clear and in process
};

/// A set of connections that one loop owns. Not thread-safe except `wake`.
class Endpoint {
 public:
  virtual ~Endpoint() = default;

  /// Accept connections here, and remember that those who come this way have this role (a word without spaces). May be called
  /// several times. Port 0 and `ipc://` folders get a free place; returns the address to connect to. A peer becomes known
  /// with its first frame.
  virtual Result<std::string> listen(const std::string& address, const std::string& role = "peer") = 0;
  /// Open a connection. It is usable at once; failure arrives as PeerLost, an address that cannot be meant as a Failure.
  /// `server_key`: the public key (Z85) that must answer; empty: the one from the endpoint's options.
  virtual Result<PeerId> connect(const std::string& address, const std::string& server_key = {}) = 0;
  /// Queue a frame; the head is not empty. False: the peer is gone or its queue is full (the caller then treats it as lost or
  /// waits for an answer to make room).
  virtual bool send(PeerId peer, Bytes head, Buffer payload = {}) = 0;
  /// Forget a connection after what was queued for it has been handed to the system. No event of it comes any more.
  virtual void close(PeerId peer) = 0;
  /// What is proved about a live peer; empty fields for an unknown one.
  virtual PeerIdentity identity(PeerId peer) const = 0;

  /// Wait until something is readable, `wake` was called, a watched descriptor is readable, or the deadline; then append all
  /// that is there (bounded) to `events`. Returns descriptors that became readable.
  virtual std::vector<int> poll(std::vector<EndpointEvent>& events, Time deadline) = 0;
  /// Also wait for this descriptor to become readable (pidfd, eventfd, timerfd). Unwatch it before closing it.
  virtual void watch(int descriptor) = 0;
  virtual void unwatch(int descriptor) = 0;

  /// Make a running or the next `poll` return. From any thread.
  virtual void wake() = 0;
};

/// Draw a connection number that nothing in this process had. For implementations of Endpoint.
PeerId new_peer_id();

}  // namespace weft
