#include "common/transport/zeromq_connection.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <utility>

namespace weft::zeromq {
namespace {

constexpr int watched_events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                               ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_DELAYED;

// Frames that may wait for a connection to stand: all fit into libzmq's queue at once.
constexpr std::size_t early_frames_max = 60'000;

/// A routing id must never be guessed (whoever knows it can take the seat) and never be used twice.
std::string random_routing_id() {
  std::array<char, 16> bytes;
  WEFT_CHECK(getrandom(bytes.data(), bytes.size(), 0) == ssize_t(bytes.size()));
  bytes[0] |= 1;  // ids that start with zero are libzmq's own
  return std::string(bytes.data(), bytes.size());
}

}  // namespace

Connection::Connection(const Context& context, PeerId peer, const std::string& address, const ZeromqOptions& options,
                       const std::string& server_key)
    : peer_(peer), address_(address), encrypted_(!server_key.empty()), queue_bytes_max_(options.queue_bytes_max),
      check_at_(monotonic_now() + options.connect_timeout), socket_(context, ZMQ_DEALER),
      monitor_(context, socket_, watched_events) {
  auto milliseconds = [](Duration d) { return int(std::chrono::ceil<std::chrono::milliseconds>(d).count()); };
  set_limits(socket_, {options.frame_bytes_max, options.receive_frames_max, milliseconds(options.linger)});
  socket_.set(ZMQ_ROUTING_ID, random_routing_id());
  socket_.set(ZMQ_PROBE_ROUTER, 1);    // the listener learns of us even if we say nothing
  socket_.set(ZMQ_IMMEDIATE, 1);       // no silent queue on a broken connection
  socket_.set(ZMQ_RECONNECT_IVL, -1);  // a new connection is a new Connection
  socket_.set(ZMQ_CONNECT_TIMEOUT, milliseconds(options.connect_timeout));
  if (address.find('[') != std::string::npos) socket_.set(ZMQ_IPV6, 1);
  if (encrypted_) {
    socket_.set(ZMQ_CURVE_SERVERKEY, server_key);
    socket_.set(ZMQ_CURVE_PUBLICKEY, options.keys.public_key);
    socket_.set(ZMQ_CURVE_SECRETKEY, options.keys.secret_key.z85());
  }
  if (zmq_connect(socket_.handle(), address.c_str()) != 0)
    throw_failure(failure(ErrorKind::invalid_argument, "cannot connect to " + address + ": " + zmq_strerror(errno)));
}

bool Connection::send(Bytes head, Buffer payload) {
  if (stage_ == Stage::broken || closing_) return false;
  std::size_t bytes = head.size() + payload.size();
  std::size_t before = waiting_->load(std::memory_order_relaxed) + early_bytes_;
  if (before != 0 && before + bytes > queue_bytes_max_) return false;
  if (stage_ == Stage::ready) return transmit(std::move(head), std::move(payload));
  if (early_.size() == early_frames_max) return false;
  early_bytes_ += bytes;
  early_.emplace_back(std::move(head), std::move(payload));
  return true;
}

bool Connection::transmit(Bytes head, Buffer payload) {
  Part first = outgoing(std::move(head), waiting_);
  if (!socket_.send(first, !payload.empty())) return false;
  if (payload.empty()) return true;
  Part second = outgoing(std::move(payload), waiting_);
  return socket_.send(second, false);
}

void Connection::read(std::vector<EndpointEvent>& events, Time now) {
  if (stage_ == Stage::connecting && now >= check_at_) {
    break_off("no answer from " + address_ + " in time" + (host_found_ ? "" : ": no such host was found"));
  }
  // libzmq reports a break before it hands us the last frames. Once it has taken the pipe away (no room to send), all of
  // them are here.
  const bool complete = stage_ == Stage::broken && !(socket_.get(ZMQ_EVENTS) & ZMQ_POLLOUT);
  std::size_t bytes = 0;
  unread_ = true;
  for (int i = 0; unread_ && !over_ && i < frames_per_turn && bytes < bytes_per_turn; ++i) unread_ = receive(events, bytes);
  if (over_) return;
  if (stage_ == Stage::ready) {
    check_at_ = Time::never();
  } else if (stage_ == Stage::broken && !unread_) {
    if (complete) return end(events);
    check_at_ = now + patience_;
    patience_ = std::min<Duration>(patience_ * 2, 1s);
  }
}

/// One frame; false if none is there.
bool Connection::receive(std::vector<EndpointEvent>& events, std::size_t& bytes) {
  Part head, payload;
  if (!socket_.receive(head)) return false;
  bool two = head.more();
  if (two) socket_.receive(payload);
  bool surplus = two && payload.more();
  for (Part rest; surplus && socket_.receive(rest) && rest.more();) {
  }
  bytes += head.bytes().size() + payload.bytes().size();
  if (surplus) {
    break_off(address_ + " sent what no peer may send");
    end(events);
  } else if (!head.bytes().empty()) {
    if (!closing_)
      events.push_back(Received{peer_, to_buffer(std::move(head), false),
                                two ? to_buffer(std::move(payload), true) : Buffer()});
  } else if (two) {
    break_off("the other side closed the connection");
    end(events);
  }
  return true;
}

void Connection::read_monitor() {
  while (auto event = monitor_.next()) {
    const char* not_proved = encrypted_ ? " (is it a Weft port, and is its key the one we were told?)"
                                        : " (does it want a key, or is it no Weft port?)";
    switch (event->event) {
      case ZMQ_EVENT_CONNECTED:
      case ZMQ_EVENT_CONNECT_DELAYED:
        host_found_ = true;
        break;
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        if (stage_ != Stage::connecting) break;
        stage_ = Stage::ready;
        for (auto& [head, payload] : early_) transmit(std::move(head), std::move(payload));
        early_.clear();
        early_bytes_ = 0;
        if (closing_) over_ = true;  // the socket lingers until they have left
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        break_off(address_ + " refused us: our key is not on its list (is this its port for such as us?)");
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
      case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        break_off("the handshake with " + address_ + " failed" + not_proved);
        break;
      case ZMQ_EVENT_DISCONNECTED:
        break_off(stage_ == Stage::ready ? "the connection broke" : "the handshake with " + address_ + " broke off" + not_proved);
        break;
      case ZMQ_EVENT_CLOSED:
        if (stage_ == Stage::connecting) break_off("nobody answers at " + address_);
        break;
    }
  }
}

void Connection::break_off(std::string why) {
  if (stage_ == Stage::broken) return;
  stage_ = Stage::broken;
  reason_ = std::move(why);
  early_.clear();
}

void Connection::end(std::vector<EndpointEvent>& events) {
  over_ = true;
  unread_ = false;
  socket_.set(ZMQ_LINGER, 0);
  if (!closing_) events.push_back(PeerLost{peer_, reason_});
}

void Connection::close() {
  closing_ = true;
  // Frames that wait for the connection to stand still go out; otherwise libzmq lingers for the rest.
  if (early_.empty()) over_ = true;
}

}  // namespace weft::zeromq
