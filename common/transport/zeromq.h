// Endpoints between processes, over ZeroMQ: `ipc://` sockets in a private folder, and TCP under CURVE. This file knows no
// ZeroMQ; only zeromq*.cpp and keys.cpp include it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/time.h"
#include "common/transport/endpoint.h"
#include "common/transport/keys.h"

namespace weft {

struct ZeromqOptions {
  /// Our own keys. Default: a fresh pair, good for connecting to those who were told of it.
  KeyPair keys;
  /// Who may come in by TCP: asked once for each handshake, on the thread that polls, with the role of the `listen` and the
  /// key (Z85) that the peer has proved to own. Default: nobody.
  std::function<bool(const std::string& role, const std::string& public_key)> allow;
  /// The key (Z85) that must answer when `connect` is not given one.
  std::string server_key;
  /// Listen by TCP without CURVE and without asking `allow`; connect without CURVE where `connect` is given no key (with a key
  /// it is as always). For the value plane of a trusted network only (`--encrypt-values off`); never for control links.
  /// Default false.
  bool clear_values = false;

  /// Largest frame a peer may send us, in bytes; a peer that announces a larger one is cut. Default 65 MiB: a control frame
  /// of the codec's limit and some room.
  std::size_t frame_bytes_max = 65u << 20;
  /// Bytes that may wait for one peer before `send` says false. A single larger frame passes when nothing waits. Default
  /// 256 MiB. Frames of at most 512 bytes are not counted; libzmq's own limit of 65,536 frames a peer bounds them.
  std::size_t queue_bytes_max = 256u << 20;
  /// Frames that wait unread from one peer before the system stops reading its socket. Default 1000.
  int receive_frames_max = 1000;
  /// How long a connection may take, handshake included, before it is reported lost. Default 3 s.
  Duration connect_timeout = 3s;
  /// How long closing waits for queued frames to leave. Default 1 s.
  Duration linger = 1s;
  /// Kernel-side threads of libzmq. Default 1; it saturates about 2 M small frames/s.
  int io_threads = 1;
};

/// Make an endpoint for `tcp://host:port` and `ipc:///folder/name` (the folder has mode 0700; naming only the folder gets a
/// free name in it). ROUTER and DEALER stay inside; so do routing ids, which are random and never identities.
std::unique_ptr<Endpoint> make_zeromq_endpoint(const ZeromqOptions& options = {});

}  // namespace weft
