// What goes into the scheduler's State and what comes out.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/messages.h"
#include "scheduler/store_records.h"

namespace weft::scheduler {

struct FromClient {
  PeerId peer;
  ClientMessage message;
  template <class A>
  void fields(A& a) {
    a(peer, message);
  }
};
struct FromWorker {
  PeerId peer;
  WorkerMessage message;
  template <class A>
  void fields(A& a) {
    a(peer, message);
  }
};
struct LinkLost {
  PeerId peer;
  template <class A>
  void fields(A& a) {
    a(peer);
  }
};
/// The key of this peer was taken back: it is told so, its session ends at once, or its worker is given up.
struct AccessRevoked {
  PeerId peer;
  template <class A>
  void fields(A& a) {
    a(peer);
  }
};
/// The answer to Probe, if the process is gone.
struct ProcessGone {
  WorkerId worker;
  template <class A>
  void fields(A& a) {
    a(worker);
  }
};
/// Time passed: sent when `State::wake_at()` is reached, and at least every second.
struct Tick {
  template <class A>
  void fields(A&) {}
};

/// Everything persisted up to this ticket is on disk.
struct Committed {
  std::uint64_t ticket = 0;
  template <class A>
  void fields(A& a) {
    a(ticket);
  }
};

using Event = std::variant<FromClient, FromWorker, LinkLost, AccessRevoked, ProcessGone, Tick, Committed>;

/// Keep these records, all or none, in the order of tickets; answered by Committed. First of a step's actions.
struct Persist {
  std::uint64_t ticket = 0;
  std::vector<Record> records;
};
/// One frame for one peer: everything this step has to say to it, in order. It acknowledges what was persisted up to `ticket`
/// and must not leave before that is committed.
struct ToClient {
  PeerId peer;
  std::vector<ClientBound> messages;
  std::uint64_t ticket = 0;
};
struct ToWorker {
  PeerId peer;
  std::vector<WorkerBound> messages;
  std::uint64_t ticket = 0;  // for a task's own client
};
struct CloseLink {
  PeerId peer;
  std::uint64_t ticket = 0;
};

/// The link of this worker broke: find out whether its process is gone. Answered by ProcessGone or not at all.
struct Probe {
  WorkerId worker;
  std::string endpoint;
  std::uint64_t ticket = 0;  // waits for nothing
};

/// A fact for the scheduler's log; the cluster's event list has it already.
struct Note {
  std::string text;
  std::uint64_t ticket = 0;  // waits for nothing
};

using Action = std::variant<ToClient, ToWorker, CloseLink, Persist, Probe, Note>;

}  // namespace weft::scheduler
