// What workers and the scheduler say to each other. Each message says who sends it, when, and what answers it.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/message_parts.h"

namespace weft {

// ---------------------------------------------------------------------------------------------- worker -> scheduler

struct RunningAttempt {
  AttemptId attempt;
  Key key;
  bool started = false;
  template <class A>
  void fields(A& a) {
    a(attempt, key, started);
  }
};

/// First message of every connection: who I am, what I hold, what I run. Answered by WorkerWelcome and the difference.
struct WorkerHello {
  std::uint32_t protocol_min = 0, protocol_max = 0;
  std::string name;
  std::uint64_t instance = 0;        // drawn at process start
  std::uint64_t epoch = 0;           // of the scheduler last obeyed; 0 for the first time
  std::uint32_t slots = 1;
  std::uint64_t memory_limit = 0;
  std::map<std::string, double> resources;
  std::string endpoint;              // where others fetch values
  Bytes public_key;                  // of that socket
  Bytes secret;                      // 16 bytes: tokens for this worker's values are sealed with it
  std::string host;                  // same text = same machine
  std::string memory;                // where readers on our host borrow values (Location::memory); empty: nowhere
  std::uint64_t pid = 0;
  bool runs_user_code = true;
  std::uint64_t reports = 0;         // AttemptFinished and ValuesHeld so far, on whatever link
  std::vector<Held> held;
  std::vector<RunningAttempt> running;
  template <class A>
  void fields(A& a) {
    a(protocol_min, protocol_max, name, instance, epoch, slots, memory_limit, resources, endpoint, public_key, secret, host,
      memory, pid, runs_user_code, reports, held, running);
  }
};
/// Who is to blame if we die now: attempts that still run when the worker's outbox is flushed. Where runs are known to be over within
/// half a millisecond, only those that last longer.
struct AttemptStarted {
  AttemptId attempt;
  Key key;
  template <class A>
  void fields(A& a) {
    a(attempt, key);
  }
};
/// How far a running task says it is, from 0 to 1: the newest word, at most ten times a second. Lost with the link.
struct AttemptProgress {
  AttemptId attempt;
  Key key;
  double fraction = 0;
  template <class A>
  void fields(A& a) {
    a(attempt, key, fraction);
  }
};
struct AttemptFinished {
  AttemptId attempt;
  Key key;
  std::uint64_t bytes = 0;
  Duration run_time{};
  Bytes small;                       // the whole value when it is small
  template <class A>
  void fields(A& a) {
    a(attempt, key, bytes, run_time, small);
  }
};
struct AttemptFailed {
  AttemptId attempt;
  Key key;
  WireFailure failure;
  template <class A>
  void fields(A& a) {
    a(attempt, key, failure);
  }
};
/// Answer to Revoke{hard = false}: it had not started, and is forgotten here. (If it had, AttemptStarted says so.)
struct AttemptReturned {
  AttemptId attempt;
  Key key;
  template <class A>
  void fields(A& a) {
    a(attempt, key);
  }
};
/// Values that came here by fetch or by put.
struct ValuesHeld {
  std::vector<Held> values;
  template <class A>
  void fields(A& a) {
    a(values);
  }
};
/// Values that are not here (any more): a damaged spill block, or a drop we did not ask for.
struct ValuesLost {
  std::vector<Key> keys;
  template <class A>
  void fields(A& a) {
    a(keys);
  }
};
/// None of the places named for this input could give it. Answered by Holders when there are some.
struct InputMissing {
  Key key;
  std::vector<WorkerId> tried;
  template <class A>
  void fields(A& a) {
    a(key, tried);
  }
};
struct WorkerHeartbeat {
  std::uint64_t tick = 0;            // last heard: shows that the other direction works
  std::uint64_t managed_bytes = 0;
  std::uint64_t spilled_bytes = 0;
  std::uint64_t process_bytes = 0;
  std::uint32_t running = 0;
  std::uint32_t queued = 0;
  bool paused = false;               // memory is nearly full: send no more work
  template <class A>
  void fields(A& a) {
    a(tick, managed_bytes, spilled_bytes, process_bytes, running, queued, paused);
  }
};
/// SIGTERM came: hand over what only I hold, then say Leave.
struct WorkerLeaving {
  template <class A>
  void fields(A& a) {
    a();
  }
};
/// A task's own client speaks: its session's messages ride on the worker's link.
struct FromTask {
  std::uint64_t channel = 0;
  std::vector<ClientMessage> messages;
  template <class A>
  void fields(A& a) {
    a(channel, messages);
  }
};
/// A line for the cluster's event list (levels as in syslog).
struct LogLine {
  std::uint32_t level = 6;
  Key key;
  std::string text;
  template <class A>
  void fields(A& a) {
    a(level, key, text);
  }
};

using WorkerMessage = std::variant<WorkerHello, AttemptStarted, AttemptFinished, AttemptFailed, AttemptReturned, ValuesHeld,
                                   ValuesLost, InputMissing, WorkerHeartbeat, WorkerLeaving, FromTask, LogLine,
                                   AttemptProgress>;

// ---------------------------------------------------------------------------------------------- scheduler -> worker

struct WorkerWelcome {
  std::uint32_t protocol = 0;
  std::uint64_t epoch = 0;
  WorkerId worker;
  Duration heartbeat_interval{};
  Duration lease{};
  template <class A>
  void fields(A& a) {
    a(protocol, epoch, worker, heartbeat_interval, lease);
  }
};
/// The link is refused; the worker stops and prints why.
struct WorkerRefused {
  WireFailure failure;
  template <class A>
  void fields(A& a) {
    a(failure);
  }
};
/// A template that later Assigns of this connection name by number.
struct DefineTemplate {
  std::uint32_t number = 0;
  Template shape;
  template <class A>
  void fields(A& a) {
    a(number, shape);
  }
};
/// The files of a program that later templates name. Sent once per connection, before the first such template.
struct DefineProgram {
  Key program;
  Bytes files;
  template <class A>
  void fields(A& a) {
    a(program, files);
  }
};
struct AssignedInput {
  Key key;
  std::uint32_t part = whole_value;
  std::uint64_t bytes = 0;               // 0 when not known yet
  Bytes small;                           // the whole value when it is small and not at the worker
  std::vector<Location> locations;       // none: it is here, or made here by an earlier Assign, or Holders will follow
  template <class A>
  void fields(A& a) {
    a(key, part, bytes, small, locations);
  }
};
/// Run this. Answered by AttemptFinished, AttemptFailed or AttemptReturned.
struct Assign {
  AttemptId attempt;
  Key key;
  std::uint32_t number = 0;              // of the template
  std::uint32_t try_number = 1;          // shown to the user
  std::int64_t rank = 0;                 // smaller runs first
  std::int64_t rank_minor = 0;
  Bytes arguments;
  std::vector<AssignedInput> inputs;
  template <class A>
  void fields(A& a) {
    a(attempt, key, number, try_number, rank, rank_minor, arguments, inputs);
  }
};
/// Soft: give it back if it has not started. Hard: stop it even if it runs; no answer is wanted.
struct Revoke {
  AttemptId attempt;
  bool hard = false;
  template <class A>
  void fields(A& a) {
    a(attempt, hard);
  }
};
/// Forget these values: said after that many of the worker's reports (WorkerHello::reports). What a later report says to be
/// there stays: that report is answered for itself.
struct Drop {
  std::vector<Key> keys;
  std::uint64_t reports = 0;
  template <class A>
  void fields(A& a) {
    a(keys, reports);
  }
};
/// Fetch a copy and keep it. Answered by ValuesHeld or InputMissing.
struct Replicate {
  AssignedInput input;
  template <class A>
  void fields(A& a) {
    a(input);
  }
};
/// Answer to InputMissing, or news for attempts that wait for this key.
struct Holders {
  AssignedInput input;
  template <class A>
  void fields(A& a) {
    a(input);
  }
};
/// A client will put this key's bytes here with this token.
struct ExpectPut {
  Key key;
  std::uint64_t bytes = 0;
  Token token;
  template <class A>
  void fields(A& a) {
    a(key, bytes, token);
  }
};
/// Everything that only you held is elsewhere: exit.
struct Leave {
  template <class A>
  void fields(A& a) {
    a();
  }
};
struct ToTask {
  std::uint64_t channel = 0;
  std::vector<ClientBound> messages;
  template <class A>
  void fields(A& a) {
    a(channel, messages);
  }
};

/// The cluster is restarted: every executor process of user code ends, and new ones start when there is work for them.
struct RestartExecutors {
  template <class A>
  void fields(A& a) {
    a();
  }
};

using WorkerBound = std::variant<WorkerWelcome, WorkerRefused, DefineProgram, DefineTemplate, Assign, Revoke, Drop, Replicate, Holders,
                                 ExpectPut, Leave, ToTask, SchedulerTick, RestartExecutors>;

}  // namespace weft
