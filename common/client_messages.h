// What clients and the scheduler say to each other. Each message says who sends it, when, and what answers it.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/message_parts.h"

namespace weft {

// ---------------------------------------------------------------------------------------------- client -> scheduler

/// What a file is to its program.
enum class FileRole : std::uint8_t {
  library = 0,
  main = 1,                          // the program itself; exactly one
  attached = 2,                      // for its tasks to read
  loader = 3,                        // the system's dynamic loader, for workers whose own is older
  system = 4,                        // a library of the system, likewise
};
/// One file of a program. Files of the system are named by their build id alone: hashing them all would cost more than most
/// programs' first task.
struct ProgramFile {
  Key key;                           // under which its bytes can be fetched when a worker does not have it
  std::string path;                  // where the client has it
  std::string name;                  // what it must be called to be found
  std::string sha256;                // of its bytes, hexadecimal; empty for files of the system
  Key build;                         // hash of its build id; none: attached
  std::uint64_t size = 0;
  FileRole role = FileRole::library;
  template <class A>
  void fields(A& a) {
    a(key, path, name, sha256, build, size, role);
  }
};
/// All that a worker must know to start a program as an executor. Two clients that start one program differently have two.
struct ProgramSetup {
  std::vector<ProgramFile> files;
  std::map<std::string, std::string> environment;  // what the client sets
  std::string glibc;                 // of the client, such as "2.36"
  template <class A>
  void fields(A& a) {
    a(files, environment, glibc);
  }
};

/// What templates of this program need. Sent before the first Submit that names the program, again after a reconnect. A worker
/// that lacks a file asks for its key, and the client is told to send it (SendFile).
struct AnnounceProgram {
  Key program;
  Bytes files;                       // encoded ProgramSetup; the scheduler hands them to workers unread
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
/// A wanted task has its result: small ones inside, others at these places. `executed`, here and below: how many commands of the
/// session were done when it was said; one that asked for the key since makes it stale.
struct TaskStored {
  Key key;
  std::uint64_t bytes = 0;
  Bytes small;
  std::vector<Location> locations;
  std::uint64_t executed = UINT64_MAX;
  template <class A>
  void fields(A& a) {
    a(key, bytes, small, locations, executed);
  }
};
/// Wanted tasks ended without a result and for the same reason; where that names no task, each is its own.
struct TaskFailed {
  std::vector<Key> keys;
  WireFailure failure;
  std::uint64_t executed = UINT64_MAX;
  template <class A>
  void fields(A& a) {
    a(keys, failure, executed);
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
/// Something that the person at the client should know; nothing of what it asked for has failed.
struct Advice {
  std::string text;
  template <class A>
  void fields(A& a) {
    a(text);
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
                                 SchedulerTick, Goodbye, Advice>;

}  // namespace weft
