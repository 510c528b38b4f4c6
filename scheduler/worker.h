// One worker process as the scheduler knows it, and the holders of futures.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/messages.h"
#include "scheduler/task.h"

namespace weft::scheduler {

struct Worker {
  WorkerId id;
  std::string name;
  std::uint64_t instance = 0;
  PeerId peer;                            // 0: not connected now
  Time heard;                             // last message
  Time echoed;                            // newest of our ticks that it has heard
  Time lost_at;                           // believed alive until then
  bool paused = false;                    // memory nearly full: gets no new work
  bool retiring = false;                  // hands over what only it holds, then leaves
  bool leave_sent = false;
  std::uint32_t slots = 1;
  std::uint64_t memory_limit = 0;
  std::map<std::string, double> resources;
  std::map<std::string, double> resources_free;
  std::uint32_t cores_reserved = 0;       // by tasks of more than one core
  std::string endpoint;
  Bytes public_key;
  Bytes secret;
  std::string host;
  std::string memory;                     // passed on in locations
  std::uint64_t pid = 0;
  bool runs_user_code = true;
  WorkerHeartbeat last;                   // as reported
  std::vector<TaskNumber> assigned;
  std::vector<TaskNumber> holding;
  std::set<Key> programs_known;           // likewise
  std::vector<std::uint32_t> shapes_known;  // templates it has on this connection: the serial of each number
  std::set<std::pair<Rank, TaskNumber>> reserved;  // root tasks kept for it because their siblings are here
  Duration load{};                        // expected work of all assigned tasks
  Time moved;                             // when an attempt last ended there, or came to an empty worker
  std::uint32_t recalls = 0;              // answers to Revoke outstanding
  std::uint64_t joined = 0;               // the store's ticket of its name
  Time recall_again;                      // looked through for recall not before
  Time hand_over_again;                   // retiring: what it holds is looked through not before
  std::uint64_t holding_bytes = 0;
  bool hungry = false;                    // in the list of those that changed
  bool candidate = false;                 // may be given root tasks in this step
  std::uint8_t refusals = 0;              // by queues in this step
  std::uint32_t idle_slot = no_slot;      // place in the list of those with an empty slot
  std::uint32_t nested = 0;               // sessions of tasks that run there: these tasks may wait and lend their slots
  std::vector<WorkerBound> outbox;
  std::uint64_t reports = 0;              // of finished attempts and values held, that were heard
  std::vector<Key> drops;                 // values that it may forget: said with the next word, or when they are many
  std::uint64_t drops_bytes = 0;

  static constexpr std::uint32_t no_slot = 0xffffffff;
  bool usable() const { return peer && !paused && !retiring; }
};

/// Whoever keeps tasks wanted.
struct Holder {
  enum class Kind { free, session, name, graph, fire_and_forget };
  Kind kind = Kind::free;
  std::uint64_t id = 0;                   // in the store; never used twice
  std::uint64_t logged = 0;               // keys in the store's rows of its wants
  bool changed = false;                   // the store's row of this session is old
  std::vector<TaskNumber> wanted;

  // Sessions.
  SessionId session;
  std::string name;                       // of the client, or of the published dataset
  PeerId peer;                            // 0: not connected now
  WorkerId through;                       // a task's own client: by way of this worker ...
  std::uint64_t channel = 0;              // ... on this channel, which is the number of its attempt
  Rank parent;                            // ... and that task's rank
  std::uint32_t cores_lent = 0;           // what that task reserved there is free for those it waits for
  std::uint64_t executed = 0;
  bool acknowledge = false;               // an Executed is due in this step
  Time expires;                           // when not connected
  Time heard;                             // last message
  struct Refusal {
    Time said;
    std::uint64_t sequence;
    Failure failure;
  };
  std::vector<Refusal> refusals;          // perhaps not heard: said again to a client that comes back
  HolderNumber graph = 0;                 // the holder that keeps tasks of an unfinished graph
  std::shared_ptr<const Failure> graph_refused;  // why the rest of an unfinished graph is refused
  std::int64_t generation = 0;            // of its last submission
  Time generation_began;
  Bytes note;                             // published: the client's description
  std::vector<ClientBound> outbox;
};

/// What tasks of one label have in common: counters for screens, measurements for placement.
struct Group {
  std::string label;
  Time born;
  std::uint32_t number = 0;               // for observers; never used twice
  std::uint32_t shapes = 0;               // templates of this label
  std::uint64_t counts[task_state_count] = {};
  std::uint64_t finished = 0;
  std::uint64_t errors = 0;
  std::int64_t run_time = -1;             // mean, nanoseconds; -1: not known yet
  std::int64_t bytes = -1;                // mean of results
  std::uint64_t bytes_total = 0;
  std::int64_t run_time_total = 0;
  bool told_unrunnable = false;           // somebody was told that nobody may run some of them
};

}  // namespace weft::scheduler
