// The connections that a transfer opened, by address: opened lazily, shared by all transfers with that peer, closed when idle
// or when another is needed. Counts the bytes on their way.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/messages.h"
#include "common/transport/endpoint.h"

namespace weft {

class ValueLinks {
 public:
  /// How to connect to a location (address and key).
  using Connect = std::function<Result<PeerId>(const Location&)>;

  ValueLinks(Endpoint& endpoint, Connect connect, std::size_t links_max, std::size_t in_flight_max,
             std::size_t in_flight_per_peer_max, Duration idle_close, Duration stall);
  ~ValueLinks();
  ValueLinks(const ValueLinks&) = delete;
  ValueLinks& operator=(const ValueLinks&) = delete;

  /// The connection to this location, for one more user. PeerId 0: all connections are busy, try again later.
  Result<PeerId> acquire(const Location& location, Time now);
  /// One user less.
  void release(PeerId peer);
  bool knows(PeerId peer) const { return links_.contains(peer); }

  bool has_room(PeerId peer, std::size_t bytes) const;
  void charge(PeerId peer, std::size_t bytes, Time now);
  /// Answered: the bytes are no longer on their way. More than was charged is the peer's lie, and ignored.
  void refund(PeerId peer, std::size_t bytes);
  void heard(PeerId peer, Time now);
  /// It is gone, or we close it; its charges end.
  void forget(PeerId peer, bool close);

  std::size_t in_flight() const { return in_flight_; }
  std::size_t in_flight_of(PeerId peer) const;
  /// Closes idle connections; returns the peers that owe an answer for too long.
  std::vector<PeerId> expire(Time now);
  Time wake_at() const;

 private:
  struct Link {
    std::string address;
    std::size_t users = 0;
    std::size_t in_flight = 0;
    std::size_t owed = 0;              // answers not come yet
    Time last;                         // heard, or first owed
  };
  Endpoint& endpoint_;
  Connect connect_;
  std::size_t links_max_, in_flight_max_, per_peer_max_;
  Duration idle_close_, stall_;
  std::map<PeerId, Link> links_;
  std::map<std::string, PeerId> by_address_;
  std::size_t in_flight_ = 0;
};

/// Who may send next: for each connection the transfers that could, in turn.
class TransferTurns {
 public:
  enum class Turn { blocked, done, again };

  void add(PeerId peer, FetchId id) {
    of_[peer].push_back(id);
    members_.insert(id);
  }
  void drop(PeerId peer, FetchId id) {
    if (!members_.erase(id)) return;
    if (auto at = of_.find(peer); at != of_.end()) std::erase(at->second, id);
  }
  void forget(PeerId peer) {
    auto at = of_.find(peer);
    if (at == of_.end()) return;
    for (FetchId id : at->second) members_.erase(id);
    of_.erase(at);
  }

  /// Give one turn after another, round all connections and transfers, until each is blocked or done. `go(peer, id)` may call
  /// everything here.
  template <class Go>
  void run(Go go) {
    for (bool moved = true; moved;) {
      moved = false;
      std::erase_if(of_, [](const auto& entry) { return entry.second.empty(); });
      std::vector<PeerId> peers;
      for (const auto& [peer, queue] : of_) peers.push_back(peer);
      for (PeerId peer : peers) {
        auto at = of_.find(peer);
        if (at == of_.end() || at->second.empty()) continue;
        FetchId id = at->second.front();
        Turn turn = go(peer, id);
        if (turn == Turn::blocked) continue;
        moved = true;
        at = of_.find(peer);
        if (at == of_.end()) continue;
        if (at->second.empty() || at->second.front() != id) continue;  // it was dropped meanwhile
        at->second.pop_front();
        if (turn == Turn::again) at->second.push_back(id);
        else members_.erase(id);
      }
    }
  }

 private:
  std::map<PeerId, std::deque<FetchId>> of_;
  std::unordered_set<FetchId> members_;
};

}  // namespace weft
