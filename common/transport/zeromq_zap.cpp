#include "common/transport/zeromq_zap.h"

#include <poll.h>

#include <array>
#include <vector>

#include "common/time.h"

namespace weft::zeromq {
namespace {

// ZMQ_ZAP_ENFORCE_DOMAIN: a draft in the header, in force in the binary. Without it a missing doorman lets everybody in.
constexpr int zap_enforce_domain = 93;

Part text_part(std::string_view text) { return Part(std::as_bytes(std::span<const char>(text.data(), text.size()))); }

/// The question's parts by position: version, request, domain, address, identity, mechanism, credentials.
struct Question {
  std::vector<std::string> parts;
  std::string request() const { return parts.size() > 1 ? parts[1] : ""; }
  bool well_formed() const { return parts.size() >= 6 && parts[0] == "1.0" && !parts[2].empty(); }
  const std::string& role() const { return parts[2]; }
  const std::string& mechanism() const { return parts[5]; }
  std::string public_key() const {
    if (parts.size() != 7 || parts[6].size() != 32) return {};
    std::array<char, 41> text{};
    zmq_z85_encode(text.data(), reinterpret_cast<const std::uint8_t*>(parts[6].data()), 32);
    return text.data();
  }
};

}  // namespace

Doorman::Doorman(const Context& context, Allow allow) : socket_(context, ZMQ_REP), allow_(std::move(allow)) {
  socket_.set(ZMQ_LINGER, 0);
  if (zmq_bind(socket_.handle(), "inproc://zeromq.zap.01") != 0)
    throw_failure(failure(ErrorKind::io_error, std::string("cannot guard the listening sockets: ") + zmq_strerror(errno)));
}

void Doorman::answer() {
  for (;;) {
    Question question;
    Part part;
    if (!socket_.receive(part)) return;
    question.parts.emplace_back(part.text());
    while (part.more() && socket_.receive(part)) question.parts.emplace_back(part.text());

    bool welcome = false;
    std::string user;
    if (question.well_formed() && question.mechanism() == "NULL") {
      welcome = true;  // only a listen that we made plain speaks NULL: a private folder, or values in clear
      user = question.role();
    } else if (question.well_formed() && question.mechanism() == "CURVE") {
      std::string key = question.public_key();
      welcome = !key.empty() && key != stranger_ && allow_ && allow_(question.role(), key);
      user = question.role() + " " + key;
    }
    std::array<std::string, 6> reply = {"1.0", question.request(), welcome ? "200" : "400",
                                        welcome ? "OK" : "this key is not on the list", welcome ? user : "", ""};
    for (std::size_t i = 0; i < reply.size(); ++i) {
      Part out = text_part(reply[i]);
      socket_.send(out, i + 1 != reply.size());
    }
  }
}

void Doorman::guard(Socket& listener, const std::string& role, const KeyPair* keys) {
  if (keys) listener.set(ZMQ_CURVE_SECRETKEY, keys->secret_key.z85());
  listener.set(ZMQ_CURVE_SERVER, keys ? 1 : 0);  // last: it chooses the mechanism
  listener.set(ZMQ_ZAP_DOMAIN, role);
  listener.set(zap_enforce_domain, 1);
}

Result<void> Doorman::self_test(const Context& context, const KeyPair& keys) {
  Socket listener(context, ZMQ_ROUTER);
  listener.set(ZMQ_LINGER, 0);
  guard(listener, "self-test", &keys);
  if (zmq_bind(listener.handle(), "tcp://127.0.0.1:*") != 0)
    return failure(ErrorKind::io_error, std::string("cannot listen on 127.0.0.1: ") + zmq_strerror(errno));
  std::array<char, 256> address{};
  std::size_t size = address.size();
  zmq_getsockopt(listener.handle(), ZMQ_LAST_ENDPOINT, address.data(), &size);

  KeyPair stranger = make_key_pair();
  stranger_ = stranger.public_key;
  Socket dealer(context, ZMQ_DEALER);
  dealer.set(ZMQ_LINGER, 0);
  dealer.set(ZMQ_RECONNECT_IVL, -1);
  dealer.set(ZMQ_CURVE_SERVERKEY, keys.public_key);
  dealer.set(ZMQ_CURVE_PUBLICKEY, stranger.public_key);
  dealer.set(ZMQ_CURVE_SECRETKEY, stranger.secret_key.z85());
  Monitor monitor(context, dealer, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
  zmq_connect(dealer.handle(), address.data());
  const Time deadline = monotonic_now() + 5s;
  while (monotonic_now() < deadline) {
    if (auto event = monitor.next()) {
      if (event->event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) return {};
      return failure(ErrorKind::io_error, "this libzmq lets strangers in; refusing to listen");
    }
    answer();
    std::array<pollfd, 2> wait = {pollfd{monitor.descriptor(), POLLIN, 0}, pollfd{descriptor(), POLLIN, 0}};
    ::poll(wait.data(), wait.size(), 100);
  }
  return failure(ErrorKind::io_error, "cannot prove that strangers are refused (no answer on 127.0.0.1); refusing to listen");
}

}  // namespace weft::zeromq
