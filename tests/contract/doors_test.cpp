// Who gets in by TCP: the traps of CURVE and ZAP, each tried with plain libzmq.
#include <doctest/doctest.h>
#include <zmq.h>

#include <array>

#include "common/transport/zeromq_zap.h"
#include "support/endpoints.h"

using namespace weft;
using namespace weft::test;

namespace {

/// A program with libzmq that knows the address and, if it is given them, keys. Says one frame again and again.
struct Caller {
  enum class How { null, plain, curve };
  void* context = zmq_ctx_new();
  void* dealer = zmq_socket(context, ZMQ_DEALER);
  void* monitor = zmq_socket(context, ZMQ_PAIR);

  Caller(How how, const std::string& address, const std::string& server_key = {}, const KeyPair& keys = make_key_pair()) {
    int none = 0, never = -1;
    zmq_setsockopt(dealer, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(dealer, ZMQ_RECONNECT_IVL, &never, sizeof never);
    zmq_setsockopt(dealer, ZMQ_ROUTING_ID, "0123456789abcdef", 16);
    if (how == How::plain) {
      zmq_setsockopt(dealer, ZMQ_PLAIN_USERNAME, "client", 6);
      zmq_setsockopt(dealer, ZMQ_PLAIN_PASSWORD, "client", 6);
    } else if (how == How::curve) {
      zmq_setsockopt(dealer, ZMQ_CURVE_SERVERKEY, server_key.c_str(), server_key.size());
      zmq_setsockopt(dealer, ZMQ_CURVE_PUBLICKEY, keys.public_key.c_str(), keys.public_key.size());
      zmq_setsockopt(dealer, ZMQ_CURVE_SECRETKEY, keys.secret_key.z85().c_str(), 40);
    }
    zmq_socket_monitor(dealer, "inproc://caller", ZMQ_EVENT_ALL);
    zmq_connect(monitor, "inproc://caller");
    REQUIRE(zmq_connect(dealer, address.c_str()) == 0);
    zmq_send(dealer, "let me in", 9, ZMQ_DONTWAIT);
  }
  ~Caller() {
    zmq_socket_monitor(dealer, nullptr, 0);
    zmq_close(monitor);
    zmq_close(dealer);
    zmq_ctx_term(context);
  }
  /// How the handshake ended; "" while it has not.
  std::string fate() {
    zmq_msg_t part;
    zmq_msg_init(&part);
    std::string text;
    while (zmq_msg_recv(&part, monitor, ZMQ_DONTWAIT) >= 0) {
      if (!zmq_msg_more(&part)) continue;
      std::uint16_t event = *static_cast<std::uint16_t*>(zmq_msg_data(&part));
      if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) text = "in";
      if (event == ZMQ_EVENT_DISCONNECTED || event == ZMQ_EVENT_CLOSED || event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH ||
          event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL || event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        if (text.empty()) text = "refused";
    }
    zmq_msg_close(&part);
    return text;
  }
};

struct Door {
  KeyPair keys = make_key_pair(), client = make_key_pair(), worker = make_key_pair();
  Side server;
  std::string client_address, worker_address;

  Door() {
    ZeromqOptions options{.keys = keys};
    options.allow = [this](const std::string& role, const std::string& key) { return key == (role == "client" ? client : worker).public_key; };
    server.endpoint = make_zeromq_endpoint(options);
    client_address = *server.endpoint->listen("tcp://127.0.0.1:0", "client");
    worker_address = *server.endpoint->listen("tcp://127.0.0.1:0", "worker");
  }
  std::string fate_of(Caller& caller) {
    std::string fate;
    until({&server}, [&] {
      if (fate.empty()) fate = caller.fate();
      return fate == "refused" || !server.events.empty();
    });
    return server.events.empty() ? "refused" : "in";
  }
};

}  // namespace

TEST_CASE("A36: whoever comes without the right key, or by another mechanism, is refused at both ports") {
  using How = Caller::How;
  for (bool at_clients : {true, false}) {
    CAPTURE(at_clients);
    Door door;
    const std::string& address = at_clients ? door.client_address : door.worker_address;
    const KeyPair& right = at_clients ? door.client : door.worker;
    const KeyPair& wrong = at_clients ? door.worker : door.client;
    {
      Caller null(How::null, address), plain(How::plain, address), random(How::curve, address, door.keys.public_key),
          other_role(How::curve, address, door.keys.public_key, wrong), servers_own(How::curve, address, door.keys.public_key, door.keys),
          other_server(How::curve, address, make_key_pair().public_key, right);
      KeyPair borrowed{right.public_key, make_key_pair().secret_key};  // the public half alone is worth nothing
      Caller halves(How::curve, address, door.keys.public_key, borrowed);
      for (Caller* caller : {&null, &plain, &random, &other_role, &servers_own, &other_server, &halves}) CHECK(door.fate_of(*caller) == "refused");
    }
    Caller good(How::curve, address, door.keys.public_key, right);
    CHECK(door.fate_of(good) == "in");
  }
}

TEST_CASE("A36: where the doorman is missing the door is closed, not open") {
  zeromq::Context context(1);
  KeyPair keys = make_key_pair();
  zeromq::Socket listener(context, ZMQ_ROUTER);
  listener.set(ZMQ_LINGER, 0);
  SUBCASE("there was none") {}
  SUBCASE("it has gone") { zeromq::Doorman gone(context, [](auto&, auto&) { return true; }); }
  zeromq::Doorman::guard(listener, "client", &keys);
  REQUIRE(zmq_bind(listener.handle(), "tcp://127.0.0.1:*") == 0);
  std::array<char, 256> address{};
  std::size_t size = address.size();
  zmq_getsockopt(listener.handle(), ZMQ_LAST_ENDPOINT, address.data(), &size);
  Caller caller(Caller::How::curve, address.data(), keys.public_key);
  std::string fate;
  // At once as a rule. Who asked the doorman while it was going gets no answer, and is cut when its time for a handshake (30 s) is over.
  for (Time deadline = monotonic_now() + 60s; fate.empty() && monotonic_now() < deadline;) fate = caller.fate();
  CHECK(fate == "refused");
  zeromq::Part part;
  CHECK_FALSE(listener.receive(part));
}

TEST_CASE("A36: while the loop that answers stands still, nobody gets in") {
  Door door;
  Caller good(Caller::How::curve, door.client_address, door.keys.public_key, door.client);
  std::string fate;
  for (Time end = monotonic_now() + 100ms; monotonic_now() < end;) fate += good.fate();
  CHECK(fate.empty());
  CHECK(door.fate_of(good) == "in");
}
