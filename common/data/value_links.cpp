#include "common/data/value_links.h"

#include <algorithm>

namespace weft {

static std::string key_of(const Location& location) {
  return {reinterpret_cast<const char*>(location.public_key.data()), location.public_key.size()};
}

ValueLinks::~ValueLinks() {
  for (const auto& [peer, link] : links_) endpoint_.close(peer);
}

// ---------------------------------------------------------------------------------------------- the user's side

void ValueLinks::join(FetchId id) {
  line_.push_back(id);
  changed_ = true;
}

void ValueLinks::leave(PeerId peer, FetchId id) {
  turns_.drop(peer, id);
  auto at = links_.find(peer);
  if (at == links_.end()) return;
  WEFT_CHECK(at->second.users > 0);
  --at->second.users;
  changed_ = true;
}

void ValueLinks::want_turn(PeerId peer, FetchId id) {
  turns_.add(peer, id);
  changed_ = true;
}

// A transfer alone may always go on, however small the bounds are.
bool ValueLinks::has_room(PeerId peer, std::size_t bytes) const {
  const Link& link = links_.at(peer);
  bool in_all = in_flight_ == 0 || in_flight_ + bytes <= options_.in_flight_max;
  bool for_peer = link.in_flight == 0 || link.in_flight + bytes <= options_.in_flight_per_peer_max;
  return in_all && for_peer;
}

void ValueLinks::say(PeerId peer, ValueRequest message, Buffer bytes, std::size_t charge, Time now) {
  Link& link = links_.at(peer);
  if (link.frames.empty()) talked_.push_back(peer);
  link.frames.add(std::move(message), std::move(bytes));
  changed_ = true;
  if (link.owed++ == 0) link.last = now;
  link.in_flight += charge;
  in_flight_ += charge;
}

void ValueLinks::refund(PeerId peer, std::size_t charge) {
  auto at = links_.find(peer);
  if (at == links_.end()) return;
  Link& link = at->second;
  charge = std::min(charge, link.in_flight);
  link.in_flight -= charge;
  in_flight_ -= charge;
  if (link.owed > 0) --link.owed;
  changed_ = true;
}

// ---------------------------------------------------------------------------------------------- events and time

bool ValueLinks::on_event(const EndpointEvent& event, Time now) {
  if (auto* gone = std::get_if<PeerLost>(&event)) {
    if (!knows(gone->peer)) return false;
    forget(gone->peer, false);
    user_.lost(gone->peer, "the connection to the worker was lost: " + gone->reason);
    return true;
  }
  const auto& received = std::get<Received>(event);
  auto at = links_.find(received.peer);
  if (at == links_.end()) return false;
  at->second.last = now;
  auto replies = decode<std::vector<ValueReply>>(received.head.bytes());
  bool good = replies && for_each_message(*replies, received.payload, [&](const ValueReply& reply, const Buffer& bytes) {
    return user_.on_reply(received.peer, reply, bytes);
  });
  if (!good) cut(received.peer, "the worker sent something that is not an answer to what it was asked");
  return true;
}

void ValueLinks::serve(Time now) {
  expire(now);
  do {
    connect_line(now);
    turns_.run([&](FetchId id) { return user_.speak(id, now); });
  } while (!flush());
  changed_ = false;
}

Time ValueLinks::wake_at() const {
  if (changed_) return {};
  Time at = Time::never();
  for (const auto& [peer, link] : links_) {
    if (link.owed > 0) at = std::min(at, link.last + options_.stall);
    else if (link.users == 0) at = std::min(at, link.last + options_.idle_close);
  }
  return at;
}

void ValueLinks::connect_line(Time now) {
  while (!line_.empty()) {
    FetchId id = line_.front();
    const Location* location = user_.destination(id, now);
    Result<PeerId> peer = location ? acquire(*location, now) : PeerId{};
    if (location && peer && !*peer) return;   // all are busy
    line_.pop_front();
    if (!location) continue;
    if (peer) user_.connected(id, *peer);
    else user_.unreachable(id, peer.error());
  }
}

/// The connection to this location, for one more user. PeerId 0: all connections are busy.
Result<PeerId> ValueLinks::acquire(const Location& location, Time now) {
  std::string address = location.endpoint + '|' + key_of(location);   // two workers at one address are told apart by their keys
  if (auto at = by_address_.find(address); at != by_address_.end()) {
    ++links_.at(at->second).users;
    return at->second;
  }
  if (links_.size() >= options_.links_max) {
    PeerId oldest;
    for (const auto& [peer, link] : links_)
      if (link.users == 0 && link.owed == 0 && (!oldest || link.last < links_.at(oldest).last)) oldest = peer;
    if (!oldest) return PeerId{};
    forget(oldest, true);
  }
  auto peer = endpoint_.connect(location.endpoint, key_of(location));
  if (!peer) return peer.error();
  links_[*peer] = {.address = address, .frames = {}, .users = 1, .last = now};
  by_address_[address] = *peer;
  return *peer;
}

/// False if a peer was lost by it: its transfers are in line again.
bool ValueLinks::flush() {
  bool sent = true;
  for (PeerId peer : std::exchange(talked_, {})) {
    auto at = links_.find(peer);
    if (at == links_.end()) continue;
    for (auto& frame : at->second.frames.take()) {
      if (endpoint_.send(peer, encode(frame.messages), std::move(frame.payload))) continue;
      cut(peer, "the connection takes no more");
      sent = false;
      break;
    }
  }
  return sent;
}

void ValueLinks::expire(Time now) {
  std::vector<PeerId> silent, idle;
  for (const auto& [peer, link] : links_) {
    if (link.owed > 0) {
      if (now - link.last >= options_.stall) silent.push_back(peer);
    } else if (link.users == 0 && now - link.last >= options_.idle_close) {
      idle.push_back(peer);
    }
  }
  for (PeerId peer : idle) forget(peer, true);
  for (PeerId peer : silent) cut(peer, "the worker did not answer in time");
}

void ValueLinks::cut(PeerId peer, const std::string& why) {
  forget(peer, true);
  user_.lost(peer, why);
}

/// It is gone, or we close it; its charges end.
void ValueLinks::forget(PeerId peer, bool close) {
  auto at = links_.find(peer);
  if (at == links_.end()) return;
  in_flight_ -= at->second.in_flight;
  by_address_.erase(at->second.address);
  links_.erase(at);
  turns_.forget(peer);
  if (close) endpoint_.close(peer);
  changed_ = true;
}

}  // namespace weft
