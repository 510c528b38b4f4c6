#include "common/transport/zeromq_listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/transport/zeromq_connection.h"

namespace weft::zeromq {
namespace {

// How long a peer may take to hang up after our goodbye before we cut it.
constexpr Duration goodbye_patience = 2s;
// Questions, at growing distance, until we cut it although bytes wait for it: two seconds more.
constexpr int flush_questions = 11;
// Questions, at growing distance, to a suspect whose descriptor is open and its own: about ten seconds.
constexpr int questions_max = 20;

Part copy_part(std::string_view text) { return Part(std::as_bytes(std::span<const char>(text.data(), text.size()))); }

}  // namespace

Listener::Listener(const Context& context, const ZeromqOptions& options)
    : options_(options), doorman_(context, options.allow), context_(context), socket_(context, ZMQ_ROUTER),
      monitor_(context, socket_, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) {
  int linger = int(std::chrono::ceil<std::chrono::milliseconds>(options.linger).count());
  set_limits(socket_, {options.frame_bytes_max, options.receive_frames_max, linger});
  socket_.set(ZMQ_ROUTER_MANDATORY, 1);
  socket_.set(ZMQ_BACKLOG, 4096);
}

Listener::~Listener() {
  for (const auto& file : files_) ::unlink(file.c_str());
}

Result<std::string> Listener::listen(const std::string& address, const std::string& role) {
  const bool tcp = address.starts_with("tcp://");
  const bool keys_needed = tcp && !options_.clear_values;
  if (keys_needed && !tested_) {
    if (auto proved = doorman_.self_test(context_, options_.keys); !proved) return proved.error();
    tested_ = true;
  }
  Doorman::guard(socket_, role, keys_needed ? &options_.keys : nullptr);
  socket_.set(ZMQ_IPV6, address.find('[') != std::string::npos ? 1 : 0);
  std::string place = address;
  if (tcp && place.ends_with(":0")) place.replace(place.size() - 1, 1, "*");
  if (zmq_bind(socket_.handle(), place.c_str()) != 0) {
    std::string why = errno == EADDRINUSE ? "it is in use; stop the other program, choose another one, or 0 for a free one"
                    : errno == ENODEV ? "this machine has no such interface or address; name one of its own, or * for all"
                                      : zmq_strerror(errno);
    std::string what = tcp ? "port " + address.substr(address.rfind(':') + 1) + " of " + address : address;
    return failure(ErrorKind::connection_failed, "cannot listen on " + what + ": " + why);
  }
  std::array<char, 512> bound{};
  std::size_t size = bound.size();
  WEFT_CHECK(zmq_getsockopt(socket_.handle(), ZMQ_LAST_ENDPOINT, bound.data(), &size) == 0);
  if (!tcp) files_.push_back(address.substr(std::string_view("ipc://").size()));
  return std::string(bound.data());
}

bool Listener::send(PeerId to, Bytes head, Buffer payload) {
  auto found = peers_.find(to);
  if (found == peers_.end()) return false;
  Peer& peer = found->second;
  if (peer.closed || peer.gone) return false;
  std::size_t before = peer.waiting->load(std::memory_order_relaxed);
  if (before != 0 && before + head.size() + payload.size() > options_.queue_bytes_max) return false;
  std::optional<Part> second;
  if (!payload.empty()) second = outgoing(std::move(payload), peer.waiting);
  Sent sent = transmit(peer, outgoing(std::move(head), peer.waiting), std::move(second));
  if (sent == Sent::gone) suspect(to, monotonic_now());
  return sent == Sent::yes;
}

/// ROUTER checks room and existence with the first part, the route; what follows belongs to it.
Listener::Sent Listener::transmit(const Peer& peer, Part first, std::optional<Part> second) {
  Part route(std::as_bytes(std::span(&peer.route, 1)));
  unread_ = true;  // sending can swallow the descriptor's signal that something arrived
  if (!socket_.send(route, true)) return errno == EHOSTUNREACH ? Sent::gone : Sent::full;
  socket_.send(first, second.has_value());
  if (second) socket_.send(*second, false);
  return Sent::yes;
}

void Listener::close(PeerId id) {
  auto found = peers_.find(id);
  if (found == peers_.end() || found->second.closed) return;
  Peer& peer = found->second;
  peer.closed = true;
  if (peer.gone) return;
  transmit(peer, Part(), copy_part("bye"));
  due_.emplace(monotonic_now() + goodbye_patience, id);
}

PeerIdentity Listener::identity(PeerId peer) const {
  auto found = peers_.find(peer);
  return found == peers_.end() || found->second.closed ? PeerIdentity{} : found->second.identity;
}

void Listener::read_side_channels(Time now) {
  doorman_.answer();
  read_monitor(now);
}

void Listener::read(std::vector<EndpointEvent>& events, Time now) {
  while (!due_.empty() && due_.begin()->first <= now) {
    PeerId peer = due_.begin()->second;
    due_.erase(due_.begin());
    ask_after(peer, now);
  }
  std::size_t bytes = 0;
  unread_ = true;
  for (int i = 0; unread_ && i < frames_per_turn && bytes < bytes_per_turn; ++i) unread_ = receive(events, bytes, now);
  // Under constant load nothing is ever "all read"; by then the ROUTER has given the lost their turns many times.
  if (!unread_ || (!gone_.empty() && now - gone_since_ > 1s)) forget_gone(events);
  if (unread_) return;
  for (const Route& route : buried_) routes_.erase(route);
  buried_.clear();
}

/// One frame; false if none is there.
bool Listener::receive(std::vector<EndpointEvent>& events, std::size_t& bytes, Time now) {
  Part route, head, payload;
  if (!socket_.receive(route)) return false;
  if (!route.more() || !socket_.receive(head)) return true;
  const bool two = head.more();
  if (two) socket_.receive(payload);
  const bool surplus = two && payload.more();
  for (Part rest; surplus && socket_.receive(rest) && rest.more();) {
  }
  bytes += head.bytes().size() + payload.bytes().size();
  PeerId id = peer_of(route, head, now);
  auto found = peers_.find(id);
  if (found == peers_.end() || found->second.closed) return true;
  Peer& peer = found->second;
  if (surplus) {
    events.push_back(PeerLost{id, "it sent what no peer may send"});
    peer.closed = true;
    due_.emplace(now, id);
  } else if (!head.bytes().empty()) {
    events.push_back(
        Received{id, to_buffer(std::move(head), false), two ? to_buffer(std::move(payload), true) : Buffer()});
  }
  return true;
}

PeerId Listener::peer_of(Part& part, Part& first, Time now) {
  // A foreign program with an allowed key may have any routing id; ours have 16 bytes. Nobody answers the others.
  Route route;
  if (part.bytes().size() != sizeof route) return {};
  std::memcpy(&route, part.bytes().data(), sizeof route);
  auto found = routes_.find(route);
  return found != routes_.end() ? found->second : learn(route, first, now);
}

PeerId Listener::learn(const Route& route, Part& first, Time now) {
  read_monitor(now);  // what happened to the descriptor before this frame is known from here on
  PeerId id = new_peer_id();
  Peer peer{.route = route};
  peer.descriptor = zmq_msg_get(first.raw(), ZMQ_SRCFD);
  if (const char* user = zmq_msg_gets(first.raw(), "User-Id")) {
    std::string_view text(user);
    peer.identity.role = text.substr(0, text.find(' '));
    if (auto space = text.find(' '); space != text.npos) peer.identity.public_key = text.substr(space + 1);
  }
  Descriptor& descriptor = descriptors_[peer.descriptor];
  descriptor.peers.push_back(id);
  routes_.emplace(route, id);
  peers_.emplace(id, std::move(peer));
  if (!descriptor.open || descriptor.doubtful || descriptor.peers.size() > 1)
    for (PeerId each : descriptor.peers) suspect(each, now);
  descriptor.doubtful = false;
  return id;
}

void Listener::read_monitor(Time now) {
  while (auto event = monitor_.next()) {
    Descriptor& descriptor = descriptors_[event->value];
    descriptor.open = event->event == ZMQ_EVENT_ACCEPTED;
    if (descriptor.open) continue;
    if (descriptor.peers.empty()) descriptor.doubtful = true;
    for (PeerId peer : descriptor.peers) suspect(peer, now);
  }
}

void Listener::suspect(PeerId id, Time now) {
  Peer& peer = peers_.find(id)->second;
  peer.questions = 0;
  if (peer.suspected || peer.gone) return;
  peer.suspected = true;
  due_.emplace(now, id);
}

/// Send an empty frame: the ROUTER says whether it still has this peer.
void Listener::ask_after(PeerId id, Time now) {
  auto found = peers_.find(id);
  if (found == peers_.end() || found->second.gone) return;
  Peer& peer = found->second;
  if (transmit(peer, Part(), {}) == Sent::gone) {
    peer.gone = true;
    if (gone_.empty()) gone_since_ = now;
    gone_.push_back(id);
    return;
  }
  const Descriptor& descriptor = descriptors_[peer.descriptor];
  bool flushed = peer.waiting->load(std::memory_order_relaxed) == 0;
  if (peer.closed && (flushed || peer.questions >= flush_questions)) cut(peer);
  bool alive = descriptor.open && descriptor.peers.size() == 1 && peer.questions >= questions_max;
  if (alive && !peer.closed) {
    peer.suspected = false;
    return;
  }
  Duration distance = std::min<Duration>(1ms * (1 << std::min(peer.questions, 10)), 1s);
  ++peer.questions;
  due_.emplace(now + distance, id);
}

/// End a connection that its peer does not end. Only while the descriptor is surely this connection's.
void Listener::cut(const Peer& peer) {
  const Descriptor& descriptor = descriptors_[peer.descriptor];
  if (descriptor.open && descriptor.peers.size() == 1) ::shutdown(peer.descriptor, SHUT_RDWR);
}

void Listener::forget_gone(std::vector<EndpointEvent>& events) {
  for (PeerId id : gone_) {
    auto found = peers_.find(id);
    Peer& peer = found->second;
    std::erase(descriptors_[peer.descriptor].peers, id);
    buried_.push_back(peer.route);
    if (!peer.closed) events.push_back(PeerLost{id, "the connection broke"});
    peers_.erase(found);
  }
  gone_.clear();
}

}  // namespace weft::zeromq
