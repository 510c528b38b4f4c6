// One task as the scheduler knows it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <weft/error.h>

#include "common/graph.h"
#include "common/ids.h"
#include "common/small_vector.h"
#include "common/time.h"

namespace weft::scheduler {

/// Index into the task table; reused after the task is forgotten.
using TaskNumber = std::uint32_t;
inline constexpr TaskNumber no_task = 0xffffffff;
/// Index into the holder table: a session, a published name, an open graph, fire-and-forget.
using HolderNumber = std::uint32_t;

enum class TaskState : std::uint8_t {
  released,  // known; nobody needs its value now
  waiting,   // needed; an input is not stored
  ready,     // every input is stored; no worker has it yet
  assigned,  // a worker has it
  stored,    // at least one worker holds its value
  failed,    // it ended without a value
};
inline constexpr int task_state_count = 6;
const char* name_of(TaskState state);

inline bool is_open(TaskState state) {
  return state == TaskState::waiting || state == TaskState::ready || state == TaskState::assigned;
}

/// Order of running: smaller first. Major: user priority and submission; minor: place in the graph.
struct Rank {
  std::int64_t major = 0;
  std::int64_t minor = 0;
  auto operator<=>(const Rank&) const = default;
};

/// One input edge; `slot` is the place of this edge among the input's dependents.
struct InputEdge {
  TaskNumber task = no_task;
  std::uint32_t part = whole_value;
  std::uint32_t slot = 0;
};
/// The other end of an input edge.
struct DependentEdge {
  TaskNumber task = no_task;
  std::uint32_t input = 0;
};
/// Somebody who holds a future; `slot` is the place of this task in the holder's list.
struct WantEdge {
  HolderNumber holder = 0;
  std::uint32_t slot : 31 = 0;
  bool has_data : 1 = false;       // scattered: this client can put the bytes
};
/// A worker that has the value; `slot` is the place of this task in the worker's list.
struct Replica {
  WorkerId worker;
  std::uint32_t slot : 27 = 0;
  std::uint32_t strikes : 5 = 0;   // readers in a row that could not get it there
};
static_assert(sizeof(DependentEdge) == 8 && sizeof(WantEdge) == 8 && sizeof(Replica) == 8);  // one lies inside a SmallVector

using Blob = SmallVector<std::byte>;
inline Bytes bytes_of(const Blob& blob) { return {blob.begin(), blob.end()}; }

struct Task {
  Key key;
  Rank rank;
  std::uint32_t shape = 0;                   // template
  TaskState state = TaskState::released;
  bool is_data : 1 = false;                  // scattered: no function can make it again
  bool was_stored : 1 = false;               // its value was here once
  bool marked : 1 = false;                   // the store has a row about it
  bool failed_first : 1 = false;             // failed: by itself, not because of an input
  bool released_durably : 1 = false;         // unwanted, and the store knows
  bool keeps_inputs : 1 = false;             // it failed by itself: what it was given stays for a look at it
  bool recalling : 1 = false;                // assigned, and we asked for it back
  bool started : 1 = false;                  // assigned, and the worker said that it runs
  bool begun : 1 = false;                    // may run once, and a worker was told to: nobody else may be told
  bool delayed : 1 = false;                  // ready: in no queue before its retry is due
  std::uint16_t errors = 0;                  // exceptions and timeouts so far
  std::uint16_t losses = 0;                  // crashes and lost workers so far
  std::uint32_t intent = 0;                  // the stored command that made it
  std::uint32_t missing = 0;                 // open: input edges whose value is not stored
  std::uint32_t open_dependents = 0;         // dependent edges whose task is open
  std::uint32_t ahead_count = 0;             // waiting: missing inputs that are assigned to `ahead_worker`
  std::uint32_t kept_by = 0;                 // dependent edges whose task keeps its inputs
  WorkerId ahead_worker;
  WorkerId worker;                           // assigned: to whom
  std::uint32_t worker_slot = 0;             // assigned: place in the worker's list
  std::uint32_t estimate_us = 0;             // assigned: what it adds to its worker's load, in microseconds
  std::uint32_t queue_serial = 0;            // ready: tells a stale queue entry from the present one
  WorkerId kept_for;                         // ready: reserved for the worker that has its siblings
  WorkerId avoid;                            // where it crashed last
  AttemptId attempt;                         // assigned: which try
  AttemptId born;                            // attempts up to this one belong to an earlier task of the same key
  std::uint64_t bytes = 0;                   // of the value, once known
  Blob arguments;
  SmallVector<InputEdge> inputs;
  SmallVector<DependentEdge> dependents;
  SmallVector<WantEdge> wants;
  SmallVector<Replica> replicas;
  Blob small;                                // a small value rides along while somebody may ask for it
  std::shared_ptr<const Failure> failure;

  bool needed() const { return !wants.empty() || open_dependents > 0; }
};

}  // namespace weft::scheduler
