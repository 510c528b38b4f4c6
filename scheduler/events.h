// What goes into the scheduler's State and what comes out.
#pragma once

#include <variant>
#include <vector>

#include "common/messages.h"

namespace weft::scheduler {

struct FromClient {
  PeerId peer;
  ClientMessage message;
};
struct FromWorker {
  PeerId peer;
  WorkerMessage message;
};
struct LinkLost {
  PeerId peer;
};
/// The key of this peer was taken back: its session ends at once, or its worker is given up.
struct AccessRevoked {
  PeerId peer;
};
/// Time passed: sent when `State::wake_at()` is reached, and at least every second.
struct Tick {};

using Event = std::variant<FromClient, FromWorker, LinkLost, AccessRevoked, Tick>;

/// One frame for one peer: everything this step has to say to it, in order.
struct ToClient {
  PeerId peer;
  std::vector<ClientBound> messages;
};
struct ToWorker {
  PeerId peer;
  std::vector<WorkerBound> messages;
};
struct CloseLink {
  PeerId peer;
};

using Action = std::variant<ToClient, ToWorker, CloseLink>;

}  // namespace weft::scheduler
