// Strong ids. A message that is about a connection, a session, a worker or an attempt says so in its type.
#pragma once

#include <cstdint>
#include <functional>

#include <weft/key.h>

namespace weft {

template <class Tag, class Number>
struct Id {
  Number number = 0;
  auto operator<=>(const Id&) const = default;
  explicit operator bool() const { return number != 0; }
};

/// One connection of one peer, given by the Endpoint; never used twice in a process.
using PeerId = Id<struct PeerTag, std::uint64_t>;
/// A worker process as the scheduler knows it; a restarted worker is another one. Never reused in an epoch.
using WorkerId = Id<struct WorkerTag, std::uint32_t>;
/// One try at running one task. Rises strictly within an epoch; (epoch << 40 | count), so it rises across restarts too.
using AttemptId = Id<struct AttemptTag, std::uint64_t>;
/// One transfer of one value on one worker.
using FetchId = Id<struct FetchTag, std::uint64_t>;

/// A client's session: drawn once by the client, survives reconnects.
struct SessionId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const SessionId&) const = default;
};

}  // namespace weft

template <class Tag, class Number>
struct std::hash<weft::Id<Tag, Number>> {
  std::size_t operator()(const weft::Id<Tag, Number>& id) const noexcept { return std::hash<Number>{}(id.number); }
};
