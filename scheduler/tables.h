// Rows of the tables that the scheduler's state keeps beside its tasks, workers and holders.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "scheduler/task.h"
#include "scheduler/worker.h"

namespace weft::scheduler {

struct Counts {
  std::size_t tasks = 0, workers = 0, sessions = 0;
  std::uint64_t by_state[task_state_count] = {};
};

/// The tasks of a chunk's rows: all, those that are new, and those that were known and run again.
struct GraphRows {
  std::vector<TaskNumber> all, fresh, revived;
};

inline constexpr std::size_t reason_bytes_max = 256;

/// One change of a task's state, for stories, screens and the event log.
struct Transition {
  Time when;
  Key key;
  std::uint32_t group = 0;
  TaskState from = TaskState::released;
  TaskState to = TaskState::released;
  WorkerId worker;
  AttemptId attempt;
  std::shared_ptr<const std::string> why;     // where there is more to say than the states do
};

/// A template, and what is counted by it.
struct Shape {
  Template what;
  Key hash;
  std::uint32_t group = 0;
  std::uint32_t queue = 0;
  std::uint32_t serial = 0;  // tells it from another one that had its number before
  std::uint32_t tasks = 0;   // that have it
  bool unused = false;       // in unused_shapes_
};

/// A ready task in a queue; stale once the task has another serial.
struct Entry {
  Rank rank;
  TaskNumber task;
  std::uint32_t serial;
  friend bool operator<(const Entry& a, const Entry& b) {  // for a heap whose top runs first
    return std::tie(a.rank, a.task, a.serial) > std::tie(b.rank, b.task, b.serial);
  }
};

/// Ready tasks by rank. Graphs come in the order of their ranks, so nearly all of them wait in a plain queue.
struct Line {
  std::deque<std::pair<TaskNumber, std::uint32_t>> in_order;  // with their serials
  Rank last;                                                  // of `in_order`
  std::vector<Entry> others;                                  // a heap
  bool empty() const { return in_order.empty() && others.empty(); }
};

/// Ready tasks that ask the same of a worker.
struct Queue {
  Key signature;                 // what its tasks ask of a worker
  std::uint32_t shapes = 0;      // templates that go through it
  Line fed;                      // tasks with inputs to move
  Line roots;                    // tasks held back until a worker has credit
  std::uint32_t blocked_on = 0;  // serial of the fed task that nobody could take
  std::uint32_t kept = 0;        // tasks of it that are kept for a worker
  bool fresh = false;            // has tasks that were not offered to anybody yet
  bool busy = false;             // in busy_queues_
  bool all_told = false;         // whoever waits for its tasks knows that nobody may run them
  Time nobody_since;             // nobody may run its tasks; 0: somebody may
};

/// A worker that may be given root tasks in this step.
struct Candidate {
  double filled = 0;
  WorkerId worker;
  friend bool operator<(const Candidate& a, const Candidate& b) {  // for a heap whose top is the emptiest
    return std::tie(a.filled, a.worker) > std::tie(b.filled, b.worker);
  }
};

/// Stays while a client that announced it or a template needs it.
struct Program {
  Bytes files;                                // as the client said
  std::set<SessionId> owners;
  std::uint32_t shapes = 0;
};

/// A copy of a value on its way.
struct Flight {
  WorkerId from, to;
  bool ordered;                               // by Replicate; else some attempt there reads it
};

/// A value that many fetch at once.
struct Spread {
  std::vector<Flight> flights;
  std::deque<WorkerId> readers;               // wait for a place to fetch from
  std::map<WorkerId, std::uint32_t> served;   // copies that left each holder in this burst
};

struct LoggedLine {
  Time when;
  std::string worker;
  std::uint32_t level;
  Key key;
  std::string text;
};

/// A command in the store.
struct Intent {
  std::uint64_t id = 0, ticket = 0;
  std::uint64_t tasks = 0;                    // that it made and that are still here
};

struct WantChange {
  std::uint64_t holder;
  HolderNumber number;
  Key key;
  bool added;
};

/// The order of a task that may run only once, until the store knows that a worker has it.
struct HeldOrder {
  std::uint64_t ticket;
  TaskNumber task;
  Assign order;
};

/// An impure attempt, until the command that asked for it is committed.
struct HeldStart {
  std::uint64_t ticket;
  TaskNumber task;
  std::uint32_t serial;
};

}  // namespace weft::scheduler
