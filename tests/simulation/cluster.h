// The simulated world from the inside: processes, links, disk and time, and what is true about every task. One file per idea:
// network, scheduler_process, client_process, worker_process, faults, workload, oracles; world.cpp runs them.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/session_state.h"
#include "scheduler/snapshot.h"
#include "scheduler/store.h"
#include "simulation/random.h"
#include "simulation/world.h"
#include "worker/state.h"

namespace weft::simulation {

using Hash = std::uint64_t;

inline Hash mix(Hash a, Hash b) {
  a = (a ^ b) * 0x9fb21c651e98df25;
  return a ^ (a >> 28);
}

/// What a task's value is, as bytes that travel.
Value value_of(Hash hash);
Hash hash_of(const Value& value);

// A task as the oracle knows it.
struct TrueTask {
  std::vector<Key> inputs;
  Hash value = 0;
  bool data = false;
  bool may_throw = false, may_crash = false, shared = false;
  bool once = false;                // no run of it may begin twice
  bool rotten = false;              // a copy of it was
  std::uint32_t begun = 0;          // runs that executors were given, and
  std::uint32_t started = 0;        // those that got a slot
  std::uint32_t runs = 0;           // those that ended well
  std::uint32_t thrown = 0;         // and those that did not
};

struct Link {
  bool open = true;
  bool late = false;                // what is on its way when it is cut arrives all the same
  Time up_frozen_until, down_frozen_until;
  Time last_up, last_down;          // FIFO: no frame overtakes another
  std::uint32_t frames = 0;         // on their way
  int client = -1, worker = -1;
};

struct ClientProcess {
  std::unique_ptr<client::SessionState> state;
  SessionId session;
  PeerId peer;
  std::set<Key> cancelled;                       // by itself
  std::map<Key, std::shared_ptr<const client::Outcome>> ended;
  std::set<Key> wanted;
  std::set<Key> stored;                          // it was told so
  std::set<std::size_t> graphs_seen;
  std::uint32_t graphs_left = 0;
  Time tick_at;
  bool finished = false;
  std::map<Key, Hash> scattered;
};

struct WorkerProcess {
  std::unique_ptr<worker::State> state;  // empty: not running
  std::string name;
  std::string endpoint;
  std::uint64_t instance = 0;
  PeerId peer;
  Time paused_until;
  Time restart_at;
  Time tick_at;
  bool leaving = false;                          // it was told to end
  std::map<Key, Hash> store;
  std::set<Key> rotten;                          // copies that nobody can read
  std::set<Key> stolen;                          // not in the store any more, and nobody knows yet
  std::set<AttemptId> undead;                    // in hand still, though it was to be stopped
  std::map<AttemptId, worker::StartRun> queue;   // in hand, not running yet
  std::map<Key, AttemptId> newest;               // attempts of a key only rise
  std::vector<AttemptId> order;
  std::set<AttemptId> running;
  std::set<FetchId> fetching;
  std::vector<worker::Event> news;               // done, and heard of behind what comes first
  std::set<std::uint64_t> puts;                  // nonces
};

// What the scheduler can know of a worker, by its own time: the time it slept does not count.
struct Acquaintance {
  std::uint64_t instance = 0;       // 0: a stranger
  PeerId peer;
  Time heard, echoed;               // the last word, and the last of our ticks that it had heard
  Time cut = Time::never();         // when its link was lost
  bool leaving = false;
};

// Something that will happen. Of one channel, what was sent first happens first.
struct Pending {
  Time when;
  std::uint64_t sequence;
  std::uint32_t actor, channel;
  Hash cause;
  std::function<void()> act;
  bool operator<(const Pending& other) const { return std::tie(when, sequence) > std::tie(other.when, other.sequence); }
};

class Cluster {
 public:
  Cluster(const Plan& plan, Chooser* chooser)
      : plan_(plan), chooser_(chooser), random_(plan.network_seed), graph_random_(plan.seed ^ 0x96af) {}

  Report run();

 private:
  static constexpr Time start{1'000'000'000};
  // Who something happens to.
  static constexpr std::uint32_t everybody = 0, the_scheduler = 1;
  std::uint32_t client_actor(int number) const { return 2 + static_cast<std::uint32_t>(number); }
  std::uint32_t worker_actor(int number) const { return 2 + plan_.clients + static_cast<std::uint32_t>(number); }

  // Time (world.cpp).
  void live();
  void at(Time when, std::uint32_t actor, std::function<void()> act, std::uint32_t channel = 0);
  void happen(Pending pending);
  void remember(std::uint32_t actor, Hash what);
  void choose_next();
  bool advance();
  void tick_all();
  Time next_tick() const;
  void finish_if_done();
  void note(std::uint64_t what) { report_.trace = mix(report_.trace, mix(what, static_cast<std::uint64_t>(now_.nanoseconds))); }
  void wrong(std::string what);
  Duration delay();

  // Network.
  PeerId open_link(int client, int worker);
  void cut(PeerId peer, bool tell_both);
  template <class Message>
  void to_scheduler(PeerId peer, std::vector<Message> messages);
  template <class Message>
  void from_scheduler(PeerId peer, std::vector<Message> messages);

  // Processes.
  void step_scheduler(std::vector<scheduler::Event> events);
  void pass_through_bytes();
  void look_for(WorkerId worker);
  void perform(scheduler::Action& action);
  bool crashes_here();
  void start_scheduler();
  void kill_scheduler();
  void persist(const scheduler::Persist& persist);
  void commit(std::uint64_t ticket);
  void commit_rows(const std::vector<scheduler::Row>& rows);
  bool store_is_empty() const;
  void step_client(int number, std::vector<client::Event> events);
  void perform(int number, client::Action& action, std::vector<ClientMessage>& frame);
  void read_for_client(int number, const client::Fetch& order);
  void put_value(int number, const Key& key, const Location& location);
  void step_worker(int number, std::vector<worker::Event> events);
  void perform(int number, worker::Action& action);
  void start_worker(int number);
  void kill_worker(int number);
  void begin_run(int number, worker::StartRun& run);
  void try_runs(int number);
  void end_run(int number, std::uint64_t instance, AttemptId attempt);
  void fetch(int number, const worker::StartFetch& order);

  void keep(WorkerProcess& process, const Key& key, Hash hash);

  // Story (workload.cpp, faults.cpp).
  void submit_graph(int number);
  bool share_graph(int number);
  void scatter(int number, GraphChunk& chunk, std::vector<client::Event>& events);
  void release_later(int number, const Key& key);
  std::vector<Key> add_tasks(ClientProcess& process, GraphChunk& chunk);
  void send_graph(int number, GraphChunk chunk, std::vector<client::Event> events);
  void strike(const Fault& fault);
  void strike_link(const Fault& fault, Random& random);
  void strike_worker(const Fault& fault, Random& random);
  void strike_value(const Fault& fault, Random& random, int number);
  bool loses_nothing(int number) const;
  void heal();

  // What is asked of each step (judges.cpp).
  struct Stale {
    Key key;
    WorkerId worker;
    AttemptId attempt;
    std::uint32_t errors, losses;
    bool started;
  };
  std::vector<Stale> stale_words(const std::vector<scheduler::Event>& events) const;
  void judge_stale(const std::vector<Stale>& before);
  void get_acquainted(const std::vector<scheduler::Event>& events);
  void judge_losses();
  void judge_idleness();
  void judge_storm();
  void judge_views();
  void judge_heartbeats(int number, const std::vector<worker::Action>& actions);
  /// Slots that its runs have, without those that were to be stopped.
  std::uint32_t in_hand(const WorkerProcess& process) const;

  // Oracles.
  Hash truth(const Key& key) { return truth_.at(key).value; }
  void judge(int number, const Key& key, const client::Outcome& outcome);
  bool is_allowed(int number, const Key& key, const Failure& failure);
  Duration patience() const;
  void judge_start(const Key& key);
  void judge_run(const Key& key, TrueTask& task);
  bool all_ended() const;
  bool is_clean() const;
  std::string what_is_left() const;

  Plan plan_;
  Chooser* chooser_;
  Random random_, graph_random_;
  Report report_;
  Time now_ = start;
  std::uint64_t sequence_ = 0;
  std::vector<Pending> agenda_;                  // a heap
  std::size_t next_fault_ = 0;

  // For the exhaustive mode: an actor's history says all about its state, and where it was made says all about a message.
  std::uint32_t actor_ = everybody;
  std::uint32_t made_ = 0;
  Time choosing_at_;                             // time stands still from here on, until a clock is needed
  std::vector<Hash> histories_;

  std::unique_ptr<scheduler::State> scheduler_;  // empty: not running
  Time scheduler_tick_at_, scheduler_paused_until_;
  std::vector<scheduler::Event> inbox_;          // of a scheduler that stands still
  std::optional<std::uint64_t> death_in_;        // boundaries
  bool dies_at_join_ = false;                    // when a worker comes that it does not know
  std::optional<int> dies_with_it_;              // a worker
  std::uint64_t epoch_ = 0;
  scheduler::Gate gate_;
  std::map<scheduler::RowId, Bytes> store_;      // what the disk has
  struct Commit {
    std::uint64_t ticket;
    std::vector<scheduler::Row> rows;
  };
  std::vector<Commit> unflushed_;                // what a crash may lose
  Time disk_free_at_;
  std::vector<std::unique_ptr<scheduler::State>> dead_;
  std::vector<ClientProcess> clients_;
  std::vector<WorkerProcess> workers_;
  std::map<PeerId, Link> links_;
  std::uint64_t peers_ = 0, instances_ = 0;
  std::map<Key, TrueTask> truth_;
  std::vector<GraphChunk> graphs_;               // that may be submitted again
  std::vector<Acquaintance> acquaintances_;      // by worker, of this scheduler
  Duration asleep_{};                            // the scheduler, since it started
  Time last_step_;
  Time idle_since_;                              // a task that could run and a slot for it, side by side
  Time second_, ended_at_;
  std::uint64_t events_at_second_ = 0;
  bool harm_ = false;                            // something was struck that costs work
  bool amnesia_ = false, rot_ = false;
  bool healed_ = false;
  bool releasing_ = false;                       // everything was answered
  bool changed_ = true;                          // perhaps all has ended now
};

}  // namespace weft::simulation
