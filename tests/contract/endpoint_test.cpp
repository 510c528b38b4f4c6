// The contract of Endpoint, told once and kept by every kind.
#include <doctest/doctest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "support/endpoints.h"

using namespace weft;
using namespace weft::test;

TEST_CASE("frames of one connection arrive whole and in order, both ways") {
  for_each_kind([](const Kind& kind) {
    Pair pair = connected(kind);
    std::vector<std::string> sent;
    for (int i = 0; i < 3000; ++i) {
      sent.push_back("frame " + std::to_string(i) + std::string(std::size_t(i), 'x'));
      Buffer payload = i % 3 ? Buffer() : Buffer::copy(sent.back());
      REQUIRE(pair.client.endpoint->send(pair.to_server, bytes(sent.back()), payload));
      REQUIRE(pair.server.endpoint->send(pair.to_client, bytes(sent.back()), payload));
    }
    until({&pair.server, &pair.client},
          [&] { return pair.server.events.size() >= sent.size() && pair.client.events.size() >= sent.size(); });
    for (Side* side : {&pair.server, &pair.client}) {
      CHECK(side->heads() == sent);
      auto frames = side->all<Received>();
      for (std::size_t i = 0; i < frames.size(); ++i) CHECK((frames[i]->payload.text() == (i % 3 ? "" : sent[i])));
    }
  });
}

TEST_CASE("a large payload arrives unchanged, is not copied on the way out, and is let go afterwards") {
  for_each_kind([](const Kind& kind) {
    Pair pair = connected(kind);
    auto owner = std::make_shared<Bytes>(40u << 20);
    for (std::size_t i = 0; i < owner->size(); i += 997) (*owner)[i] = std::byte(i / 997);
    std::weak_ptr<Bytes> watcher = owner;
    const std::byte* place = owner->data();
    Bytes expected = *owner;
    REQUIRE(pair.client.endpoint->send(pair.to_server, bytes("big"), Buffer(owner, *owner)));
    owner.reset();
    CHECK(!watcher.expired());  // no copy was made: the bytes themselves wait to be sent
    until({&pair.server, &pair.client}, [&] { return pair.server.heard("big"); });
    {
      Buffer payload = pair.server.all<Received>()[0]->payload;
      CHECK(payload == Buffer::own(std::move(expected)));
      if (kind.name == "in process") CHECK(payload.data() == place);
    }
    pair.server.events.clear();
    until({&pair.server, &pair.client}, [&] { return watcher.expired(); });
  });
}

TEST_CASE("a received payload outlives its endpoint") {
  for_each_kind([](const Kind& kind) {
    Buffer kept;
    {
      Pair pair = connected(kind);
      REQUIRE(pair.client.endpoint->send(pair.to_server, bytes("keep"), Buffer::copy(std::string(100'000, 'k'))));
      until({&pair.server, &pair.client}, [&] { return pair.server.heard("keep"); });
      kept = pair.server.all<Received>()[0]->payload;
    }
    CHECK(kept.text() == std::string(100'000, 'k'));
  });
}

TEST_CASE("wake ends a poll from another thread, and the next one if none runs") {
  for_each_kind([](const Kind& kind) {
    Side side = kind.server({});
    side.endpoint->wake();
    side.endpoint->poll(side.events, Time::never());
    std::thread other([&] { side.endpoint->wake(); });
    side.endpoint->poll(side.events, Time::never());
    other.join();
    CHECK(side.events.empty());
  });
}

TEST_CASE("poll keeps its deadline when nothing happens") {
  for_each_kind([](const Kind& kind) {
    Pair pair = connected(kind);
    Time deadline = monotonic_now() + 30ms;
    for (int polls = 0; monotonic_now() < deadline; ++polls) {
      REQUIRE(polls < 10);  // it sleeps rather than spins
      pair.server.endpoint->poll(pair.server.events, deadline);
    }
    CHECK(pair.server.events.empty());
  });
}

TEST_CASE("a watched descriptor ends a poll until it is unwatched") {
  for_each_kind([](const Kind& kind) {
    Pair pair = connected(kind);
    int descriptor = eventfd(1, EFD_CLOEXEC);
    pair.server.endpoint->watch(descriptor);
    CHECK(pair.server.endpoint->poll(pair.server.events, Time::never()) == std::vector<int>{descriptor});
    // Traffic does not hide it.
    for (int i = 0; i < 100; ++i) pair.client.endpoint->send(pair.to_server, bytes("noise"));
    int seen = 0;
    until({&pair.client}, [&] {
      seen += int(pair.server.endpoint->poll(pair.server.events, monotonic_now() + 1ms).size());
      return pair.server.events.size() == 100;
    });
    CHECK(seen > 0);
    pair.server.endpoint->unwatch(descriptor);
    CHECK(pair.server.endpoint->poll(pair.server.events, monotonic_now() + 1ms).empty());
    ::close(descriptor);
  });
}

TEST_CASE("what was sent before a close arrives, then PeerLost, and nothing after it") {
  for_each_kind([](const Kind& kind) {
    Pair pair = connected(kind);
    bool client_closes = false;
    SUBCASE("the side that opened closes") { client_closes = true; }
    SUBCASE("the side that listens closes") {}
    Side& closer = client_closes ? pair.client : pair.server;
    Side& other = client_closes ? pair.server : pair.client;
    PeerId there = client_closes ? pair.to_server : pair.to_client;
    PeerId here = client_closes ? pair.to_client : pair.to_server;

    for (int i = 0; i < 500; ++i) REQUIRE(closer.endpoint->send(there, bytes(std::to_string(i)), Buffer::copy("payload")));
    closer.endpoint->close(there);
    CHECK_FALSE(closer.endpoint->send(there, bytes("late")));
    until({&other, &closer}, [&] { return !other.lost(here).empty(); });
    CHECK(other.all<Received>().size() == 500);
    CHECK(std::holds_alternative<PeerLost>(other.events.back()));
    CHECK_FALSE(other.endpoint->send(here, bytes("late")));
    closer.endpoint->close(there);  // twice is nothing
    for (int i = 0; i < 20; ++i) closer.poll(), other.poll();
    CHECK(closer.events.empty());
    CHECK(other.events.size() == 501);
  });
}

TEST_CASE("an endpoint that goes away is lost to all its peers") {
  for_each_kind([](const Kind& kind) {
    Pair pair = connected(kind);
    SUBCASE("the listening one") {
      pair.server.endpoint.reset();
      until({&pair.client}, [&] { return !pair.client.lost(pair.to_server).empty(); });
      CHECK_FALSE(pair.client.endpoint->send(pair.to_server, bytes("late")));
    }
    SUBCASE("the connecting one") {
      pair.client.endpoint.reset();
      until({&pair.server}, [&] { return !pair.server.lost(pair.to_client).empty(); });
      CHECK_FALSE(pair.server.endpoint->send(pair.to_client, bytes("late")));
    }
  });
}

TEST_CASE("an address where nobody listens is a lost peer, not an error") {
  for_each_kind([](const Kind& kind) {
    Pair pair = connected(kind);
    pair.server.endpoint.reset();
    auto peer = pair.client.endpoint->connect(pair.address);
    REQUIRE(peer);
    pair.client.endpoint->send(*peer, bytes("into the void"));
    until({&pair.client}, [&] { return !pair.client.lost(*peer).empty(); });
    CHECK(pair.client.lost(*peer).find("nobody") != std::string::npos);
    CHECK_FALSE(pair.client.endpoint->send(*peer, bytes("late")));
  });
}

TEST_CASE("connections that come and go before anybody looks are each told in full") {
  for_each_kind([](const Kind& kind) {
    Pair pair = connected(kind);
    Side passer_by = kind.client({});
    for (int i = 0; i < 60; ++i) {
      // Each closes before the next opens, so that the system gives it the same descriptor again.
      auto peer = passer_by.endpoint->connect(pair.address);
      REQUIRE(peer);
      REQUIRE(passer_by.endpoint->send(*peer, bytes("visit " + std::to_string(i))));
      passer_by.endpoint->close(*peer);
      passer_by.poll();
      if (i % 20 == 0) pair.server.poll();
    }
    until({&passer_by, &pair.server}, [&] { return pair.server.all<PeerLost>().size() == 60; });
    CHECK(pair.server.all<Received>().size() == 60);
    for (auto* frame : pair.server.all<Received>()) CHECK((pair.server.lost(frame->peer) != ""));
    // The one that stayed is not mistaken for one of them.
    REQUIRE(pair.server.endpoint->send(pair.to_client, bytes("still there?")));
    until({&pair.client, &pair.server}, [&] { return pair.client.heard("still there?"); });
    CHECK(pair.server.lost(pair.to_client).empty());
  });
}

TEST_CASE("a place where somebody listens is refused by name") {
  for_each_kind([](const Kind& kind) {
    Pair pair = connected(kind);
    auto again = kind.server({}).endpoint->listen(pair.address, "guest");
    REQUIRE_FALSE(again);
    CHECK(again.error().kind == ErrorKind::connection_failed);
    std::string place = kind.name == "tcp" ? "port " + pair.address.substr(pair.address.rfind(':') + 1) : pair.address;
    CHECK_MESSAGE(again.error().message.find(place) != std::string::npos, again.error().message);
  });
}

TEST_CASE("two free places differ, and each gives its role") {
  for_each_kind([](const Kind& kind) {
    Side server = kind.server({}), client = kind.client({});
    auto a = server.endpoint->listen(kind.free_place, "client");
    auto b = server.endpoint->listen(kind.free_place, "worker");
    REQUIRE(a);
    REQUIRE(b);
    CHECK(*a != *b);
    client.endpoint->send(*client.endpoint->connect(*a), bytes("client"));
    client.endpoint->send(*client.endpoint->connect(*b), bytes("worker"));
    until({&server, &client}, [&] { return server.events.size() == 2; });
    for (auto* frame : server.all<Received>()) {
      PeerIdentity identity = server.endpoint->identity(frame->peer);
      CHECK(identity.role == frame->head.text());
      CHECK(identity.public_key.size() == (kind.name == "tcp" ? 40 : 0));
    }
    CHECK(server.endpoint->identity(PeerId{1}).role.empty());
  });
}

TEST_CASE("send says false when a peer reads too slowly, and true again when it has read") {
  for_each_kind([](const Kind& kind) {
    Pair pair = connected(kind, {.queue_bytes_max = 8u << 20, .receive_frames_max = 4});
    Buffer payload = Buffer::own(Bytes(1u << 20));
    std::size_t sent = 0;
    while (sent < 200 && pair.client.endpoint->send(pair.to_server, bytes("block"), payload)) ++sent;
    CHECK(sent >= 7);
    REQUIRE(sent < 200);
    until({&pair.server, &pair.client}, [&] { return pair.server.all<Received>().size() == sent; });
    CHECK(pair.client.endpoint->send(pair.to_server, bytes("block"), payload));
  });
}

TEST_CASE("a thousand connections are open at once") {
  for_each_kind([](const Kind& kind) {
    Side server = kind.server({}), client = kind.client({});
    auto address = server.endpoint->listen(kind.free_place, "guest");
    REQUIRE(address);
    std::vector<PeerId> peers;
    for (int i = 0; i < 1000; ++i) {
      auto peer = client.endpoint->connect(*address);
      REQUIRE(peer);
      peers.push_back(*peer);
      REQUIRE(client.endpoint->send(*peer, bytes("hello")));
      // In waves, so that a busy machine does not let handshakes expire; all stay open.
      if (i % 50 == 49) until({&server, &client}, [&] { return server.events.size() == peers.size(); });
    }
    CHECK(client.events.empty());
    for (auto* frame : server.all<Received>()) REQUIRE(server.endpoint->send(frame->peer, bytes("welcome")));
    until({&server, &client}, [&] { return client.events.size() == 1000; });
    CHECK(client.all<Received>().size() == 1000);
    client.endpoint.reset();
    until({&server}, [&] { return server.all<PeerLost>().size() == 1000; });
  });
}
