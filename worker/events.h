// What goes into the worker's State and what comes out.
#pragma once

#include <variant>
#include <vector>

#include "common/messages.h"

namespace weft::worker {

// ------------------------------------------------------------------------------------------------ events

/// A connection to the scheduler is open: say hello.
struct LinkUp {};
struct LinkLost {};
/// From the scheduler.
struct Message {
  WorkerBound message;
};
/// The executors began to run it.
struct RunStarted {
  AttemptId attempt;
};
/// It waits in its own client, so its slot is free for others; or does no longer.
struct RunBlocked {
  AttemptId attempt;
  bool blocked = true;
};
/// It says how far it is.
struct RunProgress {
  AttemptId attempt;
  double fraction = 0;
};
/// It ended. With a result, the value is in the store already.
struct RunEnded {
  AttemptId attempt;
  Key key;
  Failure failure;                 // kind none: it has a result
  std::uint64_t bytes = 0;
  Bytes small;
  Duration run_time{};
};
/// It could not start: these inputs are not in the store any more.
struct RunImpossible {
  AttemptId attempt;
  std::vector<Key> lost;
};
/// A whole value or a part is in the store, under `StartFetch::store_as`.
struct FetchDone {
  FetchId fetch;
  std::uint64_t bytes = 0;
};
struct FetchFailed {
  FetchId fetch;
};
/// A client has put a value here.
struct PutArrived {
  Key key;
  std::uint64_t bytes = 0;
};
/// A stored value turned out to be damaged and was thrown away.
struct ValueDamaged {
  Key key;
};
/// Memory as the store sees it; sent when it changes and before each heartbeat.
struct Pressure {
  std::uint64_t managed_bytes = 0, spilled_bytes = 0, process_bytes = 0;
  bool paused = false;
};
/// A running task's own client says something.
struct TaskSays {
  FromTask message;
};
struct Logged {
  LogLine line;
};
/// The server needs this value for itself: a file of a program.
struct NeedValue {
  Key key;
};
/// Somebody wants this worker to end in good order.
struct Terminate {};
struct Tick {};

using Event = std::variant<LinkUp, LinkLost, Message, RunStarted, RunBlocked, RunProgress, RunEnded, RunImpossible, FetchDone,
                           FetchFailed, PutArrived, ValueDamaged, Pressure, TaskSays, Logged, NeedValue, Terminate, Tick>;

// ------------------------------------------------------------------------------------------------ actions

/// One frame for the scheduler.
struct Send {
  std::vector<WorkerMessage> messages;
};
/// Try to connect; answered by LinkUp or LinkLost.
struct Connect {};
/// The link is dead although nobody said so: throw it away. LinkLost is not expected for it.
struct HangUp {};
struct RunInput {
  Key store_key;                   // what to look up in the store
  std::uint32_t cut = whole_value; // this part of it only
  Bytes small;                     // or the value itself
};
struct StartRun {
  AttemptId attempt;
  Key key;
  std::uint32_t try_number = 1;
  std::shared_ptr<const Template> shape;
  Bytes arguments;
  std::vector<RunInput> inputs;
};
struct StopRun {
  AttemptId attempt;
};
struct StartFetch {
  FetchId fetch;
  Key key;
  std::uint32_t part = whole_value;
  Key store_as;
  std::uint64_t bytes = 0;         // as announced; 0 when unknown
  Location from;
};
struct AbortFetch {
  FetchId fetch;
};
struct DropValue {
  Key key;
};
/// Store a value that came inside a message.
struct StoreSmall {
  Key key;
  Bytes value;
};
struct AwaitPut {
  ExpectPut put;
};
struct TellTask {
  ToTask message;
};
/// The link is new: the scheduler has not heard what tasks' own clients said on the old one.
struct RenewTaskLinks {};
/// End every executor process; the next runs get new ones.
struct RenewExecutors {};
/// How to start a program as an executor.
struct LearnProgram {
  DefineProgram program;
};
struct Exit {
  int code = 0;
  std::string reason;
};

using Action = std::variant<Send, Connect, HangUp, StartRun, StopRun, StartFetch, AbortFetch, DropValue, StoreSmall, AwaitPut, TellTask,
                            RenewTaskLinks, RenewExecutors, LearnProgram, Exit>;

}  // namespace weft::worker
