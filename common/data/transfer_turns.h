// Who may send next: for each connection the transfers that could, in turn.
#pragma once

#include <deque>
#include <map>
#include <unordered_set>
#include <vector>

#include "common/ids.h"

namespace weft {

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

  /// Give one turn after another, round all connections and transfers, until each is blocked or done. `go(id)` may call
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
        Turn turn = go(id);
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
