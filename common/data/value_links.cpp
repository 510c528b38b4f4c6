#include "common/data/value_links.h"

#include <algorithm>

namespace weft {

// Two workers at one address are told apart by their keys.
static std::string name_of(const Location& location) {
  return location.endpoint + '|' +
         std::string(reinterpret_cast<const char*>(location.public_key.data()), location.public_key.size());
}

ValueLinks::ValueLinks(Endpoint& endpoint, Connect connect, std::size_t links_max, std::size_t in_flight_max,
                       std::size_t in_flight_per_peer_max, Duration idle_close, Duration stall)
    : endpoint_(endpoint), connect_(std::move(connect)), links_max_(links_max), in_flight_max_(in_flight_max),
      per_peer_max_(in_flight_per_peer_max), idle_close_(idle_close), stall_(stall) {
  if (!connect_) connect_ = [this](const Location& location) { return endpoint_.connect(location.endpoint); };
}

ValueLinks::~ValueLinks() {
  for (const auto& [peer, link] : links_) endpoint_.close(peer);
}

Result<PeerId> ValueLinks::acquire(const Location& location, Time now) {
  std::string address = name_of(location);
  if (auto at = by_address_.find(address); at != by_address_.end()) {
    ++links_.at(at->second).users;
    return at->second;
  }
  if (links_.size() >= links_max_) {
    PeerId oldest;
    for (const auto& [peer, link] : links_)
      if (link.users == 0 && link.owed == 0 && (!oldest || link.last < links_.at(oldest).last)) oldest = peer;
    if (!oldest) return PeerId{};
    forget(oldest, true);
  }
  auto peer = connect_(location);
  if (!peer) return peer.error();
  links_[*peer] = {.address = address, .users = 1, .last = now};
  by_address_[address] = *peer;
  return *peer;
}

void ValueLinks::release(PeerId peer) {
  auto at = links_.find(peer);
  if (at == links_.end()) return;
  WEFT_CHECK(at->second.users > 0);
  --at->second.users;
}

// A transfer alone may always go on, however small the bounds are.
bool ValueLinks::has_room(PeerId peer, std::size_t bytes) const {
  const Link& link = links_.at(peer);
  bool in_all = in_flight_ == 0 || in_flight_ + bytes <= in_flight_max_;
  bool for_peer = link.in_flight == 0 || link.in_flight + bytes <= per_peer_max_;
  return in_all && for_peer;
}

void ValueLinks::charge(PeerId peer, std::size_t bytes, Time now) {
  Link& link = links_.at(peer);
  if (link.owed++ == 0) link.last = now;
  link.in_flight += bytes;
  in_flight_ += bytes;
}

void ValueLinks::refund(PeerId peer, std::size_t bytes) {
  auto at = links_.find(peer);
  if (at == links_.end()) return;
  Link& link = at->second;
  bytes = std::min(bytes, link.in_flight);
  link.in_flight -= bytes;
  in_flight_ -= bytes;
  if (link.owed > 0) --link.owed;
}

void ValueLinks::heard(PeerId peer, Time now) {
  if (auto at = links_.find(peer); at != links_.end()) at->second.last = now;
}

void ValueLinks::forget(PeerId peer, bool close) {
  auto at = links_.find(peer);
  if (at == links_.end()) return;
  in_flight_ -= at->second.in_flight;
  by_address_.erase(at->second.address);
  links_.erase(at);
  if (close) endpoint_.close(peer);
}

std::size_t ValueLinks::in_flight_of(PeerId peer) const {
  auto at = links_.find(peer);
  return at == links_.end() ? 0 : at->second.in_flight;
}

std::vector<PeerId> ValueLinks::expire(Time now) {
  std::vector<PeerId> silent, idle;
  for (const auto& [peer, link] : links_) {
    if (link.owed > 0) {
      if (now - link.last >= stall_) silent.push_back(peer);
    } else if (link.users == 0 && now - link.last >= idle_close_) {
      idle.push_back(peer);
    }
  }
  for (PeerId peer : idle) forget(peer, true);
  return silent;
}

Time ValueLinks::wake_at() const {
  Time at = Time::never();
  for (const auto& [peer, link] : links_) {
    if (link.owed > 0) at = std::min(at, link.last + stall_);
    else if (link.users == 0) at = std::min(at, link.last + idle_close_);
  }
  return at;
}

}  // namespace weft
