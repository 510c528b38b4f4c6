// Pairs of endpoints to tell stories about, one for each kind.
#pragma once

#include <stdlib.h>

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/transport/in_process.h"
#include "common/transport/zeromq.h"

namespace weft::test {

/// A folder of mode 0700 that is gone at the end.
struct PrivateFolder {
  std::string path;
  PrivateFolder() {
    char name[] = "/tmp/weft-test-XXXXXX";
    REQUIRE(mkdtemp(name));
    path = name;
  }
  ~PrivateFolder() { std::filesystem::remove_all(path); }
  PrivateFolder(const PrivateFolder&) = delete;
};

/// One endpoint and all that ever happened to it.
struct Side {
  std::unique_ptr<Endpoint> endpoint;
  std::vector<EndpointEvent> events;

  void poll() { endpoint->poll(events, monotonic_now() + 2ms); }
  template <class T>
  std::vector<const T*> all() const {
    std::vector<const T*> found;
    for (const auto& event : events)
      if (auto* one = std::get_if<T>(&event)) found.push_back(one);
    return found;
  }
  std::vector<std::string> heads() const {
    std::vector<std::string> texts;
    for (auto* frame : all<Received>()) texts.emplace_back(frame->head.text());
    return texts;
  }
  bool heard(const std::string& head) const {
    for (auto* frame : all<Received>())
      if (frame->head.text() == head) return true;
    return false;
  }
  /// Why this peer was lost; empty if it was not, "twice" if it was told twice.
  std::string lost(PeerId peer) const {
    std::string reason;
    for (auto* lost : all<PeerLost>())
      if (lost->peer == peer) reason = reason.empty() ? lost->reason : "twice";
    return reason;
  }
};

inline Bytes bytes(std::string_view text) {
  auto view = std::as_bytes(std::span<const char>(text.data(), text.size()));
  return Bytes(view.begin(), view.end());
}

/// Poll all sides until it is so; the limit only ends a test that has failed.
inline void until(std::initializer_list<Side*> sides, const std::function<bool()>& so, Duration limit = 20s) {
  const Time deadline = monotonic_now() + limit;
  while (!so()) {
    REQUIRE_MESSAGE(monotonic_now() < deadline, "it did not happen in time");
    for (Side* side : sides)
      if (side->endpoint) side->poll();
  }
}

struct KindOptions {
  std::size_t queue_bytes_max = 256u << 20;
  int receive_frames_max = 1000;
};

/// How to make two endpoints of one kind that may speak to each other.
struct Kind {
  std::string name;
  std::string free_place;                   // where a listen finds a free place
  std::function<Side(KindOptions)> server;
  std::function<Side(KindOptions)> client;  // of any server of this Kind
};

struct Pair {
  Side server, client;
  std::string address;
  PeerId to_server, to_client;
};

inline Kind in_process_kind() {
  auto make = [](KindOptions o) { return Side{make_in_process_endpoint({.queue_bytes_max = o.queue_bytes_max}), {}}; };
  return {"in process", "inproc://", make, make};
}

inline Kind zeromq_kind(std::string name, std::string free_place) {
  auto server_keys = std::make_shared<KeyPair>(make_key_pair());
  auto client_keys = std::make_shared<KeyPair>(make_key_pair());
  auto server = [=](KindOptions o) {
    ZeromqOptions options{.keys = *server_keys};
    options.allow = [=](const std::string&, const std::string& key) { return key == client_keys->public_key; };
    options.queue_bytes_max = o.queue_bytes_max;
    options.receive_frames_max = o.receive_frames_max;
    return Side{make_zeromq_endpoint(options), {}};
  };
  auto client = [=](KindOptions o) {
    ZeromqOptions options{.keys = *client_keys};
    options.server_key = server_keys->public_key;
    options.connect_timeout = 15s;  // of a busy test machine
    options.queue_bytes_max = o.queue_bytes_max;
    options.receive_frames_max = o.receive_frames_max;
    return Side{make_zeromq_endpoint(options), {}};
  };
  return {std::move(name), std::move(free_place), server, client};
}

/// Run the story once for each kind.
inline void for_each_kind(const std::function<void(const Kind&)>& story) {
  PrivateFolder folder;
  for (const Kind& kind : {in_process_kind(), zeromq_kind("ipc", "ipc://" + folder.path),
                           zeromq_kind("tcp", "tcp://127.0.0.1:0")}) {
    SUBCASE(kind.name.c_str()) { story(kind); }
  }
}

/// A server and a client that have exchanged one frame each way; their events are cleared.
inline Pair connected(const Kind& kind, KindOptions options = {}) {
  Pair pair{kind.server(options), kind.client(options), {}, {}, {}};
  auto address = pair.server.endpoint->listen(kind.free_place, "guest");
  REQUIRE_MESSAGE(address, address.error().message);
  pair.address = *address;
  auto peer = pair.client.endpoint->connect(pair.address);
  REQUIRE(peer);
  pair.to_server = *peer;
  REQUIRE(pair.client.endpoint->send(pair.to_server, bytes("hello")));
  until({&pair.server, &pair.client}, [&] { return pair.server.heard("hello"); });
  pair.to_client = pair.server.all<Received>()[0]->peer;
  REQUIRE(pair.server.endpoint->send(pair.to_client, bytes("welcome")));
  until({&pair.server, &pair.client}, [&] { return pair.client.heard("welcome"); });
  pair.server.events.clear();
  pair.client.events.clear();
  return pair;
}

}  // namespace weft::test
