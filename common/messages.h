// Every message between the three actors. Each says who sends it, when, and what answers it. A frame on the wire is one
// vector of messages: whatever one step of the sender produced for that peer.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include <weft/error.h>

#include "common/codec.h"
#include "common/graph.h"
#include "common/ids.h"

namespace weft {

/// How a Failure travels.
struct WireFailure {
  Failure failure;
  template <class A>
  void fields(A& a) {
    auto& f = failure;
    a(f.kind, f.message, f.type, f.traceback, f.output, f.label, f.key, f.worker, f.attempt, f.signal, f.exit_code, f.address);
  }
};

/// The right to fetch one value from one worker once. Made by the scheduler from the holder's secret, checked by the holder.
struct Token {
  std::uint64_t nonce = 0;
  std::uint64_t seal = 0;
  template <class A>
  void fields(A& a) {
    a(nonce, seal);
  }
};

/// Where a value can be fetched.
struct Location {
  WorkerId worker;
  std::string endpoint;    // of the worker's value socket
  Bytes public_key;        // CURVE key of that socket; empty when values are in clear
  Token token;
  template <class A>
  void fields(A& a) {
    a(worker, endpoint, public_key, token);
  }
};

/// A value's key and how large it is.
struct Held {
  Key key;
  std::uint64_t bytes = 0;
  template <class A>
  void fields(A& a) {
    a(key, bytes);
  }
};

// ---------------------------------------------------------------------------------------------- client -> scheduler

/// One file of a program: its main image or a library of it.
struct ProgramFile {
  Key key;                           // under which its bytes can be fetched when a worker does not have it
  std::string path;                  // where the client has it
  std::string sha256;                // of its bytes, hexadecimal
  std::uint64_t size = 0;
  bool main = false;
  template <class A>
  void fields(A& a) {
    a(key, path, sha256, size, main);
  }
};
using ProgramFiles = std::vector<ProgramFile>;

/// What templates of this program need. Sent before the first Submit that names the program, again after a reconnect. A worker
/// that lacks a file asks for its key, and the client is told to send it (SendFile).
struct AnnounceProgram {
  Key program;
  Bytes files;                       // encoded ProgramFiles; the scheduler hands them to workers unread
  std::vector<Key> file_keys;
  template <class A>
  void fields(A& a) {
    a(program, files, file_keys);
  }
};

/// First message of every connection. Answered by ClientWelcome, or Refused with sequence 0 and the link is closed.
struct ClientHello {
  std::uint32_t protocol_min = 0, protocol_max = 0;
  SessionId session;
  std::string name;
  std::uint64_t epoch = 0;           // of the scheduler last heard; 0 for the first time
  std::uint64_t executed = 0;        // highest sequence number whose execution this client has seen acknowledged
  template <class A>
  void fields(A& a) {
    a(protocol_min, protocol_max, session, name, epoch, executed);
  }
};

// Numbered commands: executed exactly once and in order; acknowledged by Executed.

/// A chunk of a graph. Bad chunks are answered by Refused naming the key; nothing of them is kept. Until the last chunk the
/// scheduler keeps every task of the graph, since a later chunk may depend on it.
struct Submit {
  std::uint64_t sequence = 0;
  GraphChunk chunk;
  bool last = true;
  template <class A>
  void fields(A& a) {
    a(sequence, chunk, last);
  }
};
/// The client holds futures of these existing keys too. An unknown key is answered by TaskFailed{data_lost}.
struct Want {
  std::uint64_t sequence = 0;
  std::vector<Key> keys;
  template <class A>
  void fields(A& a) {
    a(sequence, keys);
  }
};
/// The last future of each key died.
struct Release {
  std::uint64_t sequence = 0;
  std::vector<Key> keys;
  template <class A>
  void fields(A& a) {
    a(sequence, keys);
  }
};
/// Give up these futures; the tasks stop unless another client wants them (or `force`). Answered by TaskFailed{cancelled}.
struct Cancel {
  std::uint64_t sequence = 0;
  std::vector<Key> keys;
  bool force = false;
  std::string reason;
  template <class A>
  void fields(A& a) {
    a(sequence, keys, force, reason);
  }
};
/// Run failed tasks, and the failed tasks they depend on, again.
struct Retry {
  std::uint64_t sequence = 0;
  std::vector<Key> keys;
  template <class A>
  void fields(A& a) {
    a(sequence, keys);
  }
};
/// The client has data to place. Answered by ScatterTo for each key; the client then puts the bytes on that worker.
struct Scatter {
  std::uint64_t sequence = 0;
  std::vector<Held> values;
  std::vector<std::string> workers;  // names or addresses; empty: any
  std::uint32_t replicas = 1;        // 0: one on every worker
  template <class A>
  void fields(A& a) {
    a(sequence, values, workers, replicas);
  }
};
/// Keep these keys alive under a name for every client; empty keys: forget the name.
struct Publish {
  std::uint64_t sequence = 0;
  std::string name;
  std::vector<Key> keys;
  Bytes note;                        // the client's own description (type tags, shape); handed back as it is
  bool replace = false;
  template <class A>
  void fields(A& a) {
    a(sequence, name, keys, note, replace);
  }
};
/// Run to the end even if this client leaves; the result is not kept.
struct FireAndForget {
  std::uint64_t sequence = 0;
  std::vector<Key> keys;
  template <class A>
  void fields(A& a) {
    a(sequence, keys);
  }
};

// Not numbered.

/// A fetch from a worker failed, or a location's token was used: tell me again where these are, when they are somewhere.
struct Locate {
  std::vector<Key> keys;
  template <class A>
  void fields(A& a) {
    a(keys);
  }
};
/// A question or a control verb ("workers", "who_has", "story", "retire", ...). Answered by Answer with the same number.
struct Ask {
  std::uint64_t request = 0;
  std::string verb;
  std::vector<std::string> words;
  std::vector<Key> keys;
  template <class A>
  void fields(A& a) {
    a(request, verb, words, keys);
  }
};
/// Every heartbeat interval; echoes the last tick heard.
struct ClientHeartbeat {
  std::uint64_t tick = 0;
  template <class A>
  void fields(A& a) {
    a(tick);
  }
};
/// The client leaves for good: release everything now. Answered by Goodbye.
struct ClientGoodbye {
  template <class A>
  void fields(A& a) {
    a();
  }
};

using ClientMessage = std::variant<ClientHello, Submit, Want, Release, Cancel, Retry, Scatter, Publish, FireAndForget,
                                   Locate, AnnounceProgram, Ask, ClientHeartbeat, ClientGoodbye>;

// ---------------------------------------------------------------------------------------------- scheduler -> client

struct ClientWelcome {
  std::uint32_t protocol = 0;
  std::uint64_t epoch = 0;
  std::uint64_t executed = 0;        // highest sequence number executed of this session; 0: session is new here
  Duration heartbeat_interval{};
  Duration lease{};
  template <class A>
  void fields(A& a) {
    a(protocol, epoch, executed, heartbeat_interval, lease);
  }
};
/// All numbered commands up to this one are executed.
struct Executed {
  std::uint64_t sequence = 0;
  template <class A>
  void fields(A& a) {
    a(sequence);
  }
};
/// A command was refused; nothing of it happened. Sequence 0: the hello itself, and the link closes.
struct Refused {
  std::uint64_t sequence = 0;
  WireFailure failure;
  template <class A>
  void fields(A& a) {
    a(sequence, failure);
  }
};
/// A wanted task has its result: small ones inside, others at these places.
struct TaskStored {
  Key key;
  std::uint64_t bytes = 0;
  Bytes small;
  std::vector<Location> locations;
  template <class A>
  void fields(A& a) {
    a(key, bytes, small, locations);
  }
};
/// A wanted task ended without a result.
struct TaskFailed {
  Key key;
  WireFailure failure;
  template <class A>
  void fields(A& a) {
    a(key, failure);
  }
};
/// A result that was stored is gone and is being computed again, or a failed task was retried: back to pending.
struct TaskPending {
  Key key;
  template <class A>
  void fields(A& a) {
    a(key);
  }
};
/// Put this key's bytes on that worker.
struct ScatterTo {
  Key key;
  Location location;
  template <class A>
  void fields(A& a) {
    a(key, location);
  }
};
/// A worker needs this file of an announced program: scatter it under this key.
struct SendFile {
  Key key;
  template <class A>
  void fields(A& a) {
    a(key);
  }
};
/// The answer to an Ask: JSON text, or why not.
struct Answer {
  std::uint64_t request = 0;
  WireFailure failure;               // kind none: success
  std::string body;
  template <class A>
  void fields(A& a) {
    a(request, failure, body);
  }
};
struct SchedulerTick {
  std::uint64_t tick = 0;
  template <class A>
  void fields(A& a) {
    a(tick);
  }
};
struct Goodbye {
  template <class A>
  void fields(A& a) {
    a();
  }
};

using ClientBound = std::variant<ClientWelcome, Executed, Refused, TaskStored, TaskFailed, TaskPending, ScatterTo, SendFile, Answer,
                                 SchedulerTick, Goodbye>;

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
  std::uint64_t pid = 0;
  bool runs_user_code = true;
  std::vector<Held> held;
  std::vector<RunningAttempt> running;
  template <class A>
  void fields(A& a) {
    a(protocol_min, protocol_max, name, instance, epoch, slots, memory_limit, resources, endpoint, public_key, secret, host,
      pid, runs_user_code, held, running);
  }
};
/// Sent only for attempts that are still running when the worker's outbox is flushed: who is to blame if we die now.
struct AttemptStarted {
  AttemptId attempt;
  Key key;
  template <class A>
  void fields(A& a) {
    a(attempt, key);
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
                                   ValuesLost, InputMissing, WorkerHeartbeat, WorkerLeaving, FromTask, LogLine>;

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
struct Drop {
  std::vector<Key> keys;
  template <class A>
  void fields(A& a) {
    a(keys);
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

using WorkerBound = std::variant<WorkerWelcome, WorkerRefused, DefineProgram, DefineTemplate, Assign, Revoke, Drop, Replicate, Holders,
                                 ExpectPut, Leave, ToTask, SchedulerTick>;

// ---------------------------------------------------------------------------------------------- value plane

/// Any holder of a token -> worker: send this range of this value. Answered by ValueRange (payload in the next frame).
struct GetRange {
  std::uint64_t request = 0;             // the asker's own number
  Key key;
  std::uint32_t part = whole_value;
  std::uint64_t offset = 0;              // inside the value or the part
  std::uint64_t length = 0;
  Token token;
  template <class A>
  void fields(A& a) {
    a(request, key, part, offset, length, token);
  }
};
struct ValueRange {
  std::uint64_t request = 0;
  std::uint64_t offset = 0;
  std::uint64_t total = 0;               // bytes of the whole value or part
  std::uint64_t content = 0;             // drawn when the value was made, carried by its copies: equal numbers, equal bytes
  std::string error;                     // empty: the payload follows
  template <class A>
  void fields(A& a) {
    a(request, offset, total, content, error);
  }
};
/// Client -> worker: bytes of a scattered value; ranges in order, payload in the next frame. Each is answered by PutDone.
struct PutRange {
  Key key;
  std::uint64_t offset = 0;
  std::uint64_t total = 0;
  Token token;
  template <class A>
  void fields(A& a) {
    a(key, offset, total, token);
  }
};
struct PutDone {
  Key key;
  std::uint64_t received = 0;            // bytes so far; equal to the total when all is stored
  std::string error;
  template <class A>
  void fields(A& a) {
    a(key, received, error);
  }
};

using ValueRequest = std::variant<GetRange, PutRange>;
using ValueReply = std::variant<ValueRange, PutDone>;

/// Results up to this size ride on AttemptFinished and TaskStored.
inline constexpr std::size_t small_value_max = 4096;
/// Arguments up to this size ride in the graph; bigger ones are scattered.
inline constexpr std::size_t inline_argument_max = 64 * 1024;
/// One range of a value on the wire.
inline constexpr std::size_t value_range_max = 1u << 20;

}  // namespace weft
