// How actors exchange frames. An Endpoint delivers whole frames in order within one connection, says when a connection is
// gone, and never blocks its owner. It knows nothing of what is inside a frame. Two kinds: in_process and zeromq, under one
// contract suite (tests/contract).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
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
/// The connection is gone; frames sent and not delivered are lost. The id is never used again.
struct PeerLost {
  PeerId peer;
  std::string reason;
};
using EndpointEvent = std::variant<Received, PeerLost>;

/// A set of connections that one loop owns. Not thread-safe except `wake`.
class Endpoint {
 public:
  virtual ~Endpoint() = default;

  /// Accept connections here. Port 0 and `ipc://` folders get a free place; returns the address to connect to.
  virtual Result<std::string> listen(const std::string& address) = 0;
  /// Open a connection. It is usable at once; failure arrives as PeerLost.
  virtual Result<PeerId> connect(const std::string& address) = 0;
  /// Queue a frame. False: the peer is gone or its queue is full (the caller then treats it as lost or waits).
  virtual bool send(PeerId peer, Bytes head, Buffer payload = {}) = 0;
  /// Forget a connection after what was queued for it has been handed to the system.
  virtual void close(PeerId peer) = 0;

  /// Wait until something is readable, `wake` was called, a watched descriptor is readable, or the deadline; then append all
  /// that is there (bounded) to `events`. Returns descriptors that became readable.
  virtual std::vector<int> poll(std::vector<EndpointEvent>& events, Time deadline) = 0;
  /// Also wait for this descriptor to become readable (pidfd, eventfd, timerfd).
  virtual void watch(int descriptor) = 0;
  virtual void unwatch(int descriptor) = 0;

  /// Make a running or the next `poll` return. From any thread.
  virtual void wake() = 0;
};

}  // namespace weft
