// The worker's brain. Same shape as scheduler::State: events in, actions out.
//
// What is wanted and what is happening are separate tables: attempts that the scheduler wants run, and runs and fetches under
// way. Nothing is ever half-cancelled: an attempt that is no longer wanted leaves its table, and what its run or fetch brings
// later is dropped by a plain branch.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/key_table.h"
#include "worker/events.h"

namespace weft::worker {

struct StateOptions {
  WorkerHello identity;                   // what the hello says; inventory and epoch are filled in
  Duration reconnect_interval = 500ms;    // between attempts to connect
  Duration death_timeout = 600s;          // without a scheduler for so long: exit. 0: never
  std::uint32_t fetches_max = 50;         // under way at once
  std::uint64_t fetch_bytes_max = 256u << 20;
  Duration ask_interval = 2s;             // between questions for an input that nobody sends
  Duration tiny = 500us;                  // runs shorter than this are handed over many at a time
  std::uint32_t tiny_depth = 64;          // how many per slot
  Duration progress_interval = 100ms;     // between two words about the progress of one run
};

class State {
 public:
  explicit State(StateOptions options);

  std::vector<Action> step(Time now, std::vector<Event> batch);
  Time wake_at() const;

  /// Recount every index and counter from scratch; stops the process at the first difference.
  void check() const;
  bool connected() const { return link_ == Link::welcomed; }
  /// Nothing wanted, running, fetched or held.
  bool empty() const;
  std::size_t held_count() const { return held_count_; }
  std::uint64_t held_bytes() const { return held_bytes_; }
  std::vector<Held> inventory() const;
  /// What it waits for and what runs, one line each: for dumps and failing simulations.
  std::string describe() const;

 private:
  enum class Link { none, connecting, greeted, welcomed };

  /// A try that the scheduler wants run here.
  struct Attempt {
    Assign order;
    std::shared_ptr<const Template> shape;
    std::uint32_t makes = KeyIndex::none; // the item of its key
    std::uint32_t missing = 0;            // inputs that are not here yet
    bool in_hand = false;                 // with the executors
    bool started = false;
    bool blocked = false;
    bool announced = false;               // the scheduler knows that it runs
    std::optional<double> progress;       // not passed on yet
    Time progress_again;                  // the next word of it not before

    friend AttemptId key_of(const Attempt& attempt) { return attempt.order.attempt; }
    bool ready() const { return missing == 0 && !in_hand; }
  };
  using Place = std::tuple<std::int64_t, std::int64_t, AttemptId>;

  /// A key that is here, that an attempt here makes, or that somebody here waits for. Parts of values have items of their own.
  struct Item {
    Key key;                              // under which the store has it
    Key source;                           // whose part it is, or the same key
    std::uint32_t part = whole_value;
    bool held = false;
    bool keep = false;                    // the scheduler ordered a copy
    std::uint64_t reported = 0;           // the last of our reports that said it is here
    std::uint64_t bytes = 0;
    std::uint32_t makers = 0;             // attempts of its key: nobody need be asked for it
    std::set<AttemptId> users;            // wanted attempts, not in hand, that need it
    std::vector<Location> locations;      // not tried yet
    std::vector<WorkerId> tried;
    FetchId fetch;                        // under way, booked with so many bytes
    std::uint64_t fetch_bytes = 0;
    bool queued = false;                  // for fetching, at this place
    Place queue_place;
    bool asks = false;                    // in asks_: the scheduler will be asked where it is
    Time ask_again;

    bool awaited() const { return keep || !users.empty(); }
  };
  using ItemNumber = std::uint32_t;

  // Dispatch (state.cpp).
  void on(const LinkUp&);
  void on(const LinkLost&);
  void on(Message& event);
  void on(const RunStarted& event);
  void on(const RunBlocked& event);
  void on(const RunProgress& event);
  void on(RunEnded& event);
  void on(const RunImpossible& event);
  void on(const FetchDone& event);
  void on(const FetchFailed& event);
  void on(const PutArrived& event);
  void on(const ValueDamaged& event);
  void on(const Pressure& event);
  void on(TaskSays& event);
  void on(const Logged& event);
  void on(const NeedValue& event);
  void on(const Terminate&);
  void on(const Tick&) {}
  void handle(const WorkerWelcome& message);
  void handle(const WorkerRefused& message);
  void handle(DefineProgram& message);
  void handle(DefineTemplate& message);
  void handle(Assign& message);
  void handle(const Revoke& message);
  void handle(const Drop& message);
  void handle(const Replicate& message);
  void handle(const Holders& message);
  void handle(const ExpectPut& message);
  void handle(const Leave& message);
  void handle(ToTask& message);
  void handle(const SchedulerTick& message);
  void handle(const RestartExecutors&) { actions_.push_back(RenewExecutors{}); }
  void announce_runs();
  void pass_progress_on();
  void keep_link(Time now);
  void send(WorkerMessage message);

  // Values (state_values.cpp).
  static Key part_key(const Key& key, std::uint32_t part);
  ItemNumber number_of(const Key& stored_as) const { return items_.find(stored_as); }
  ItemNumber item_for(const Key& key, std::uint32_t part);
  void use(Attempt& attempt, const AssignedInput& input);
  void learn_locations(ItemNumber number, const std::vector<Location>& locations);
  void mark_held(ItemNumber number, std::uint64_t bytes);
  void report_held(ItemNumber number);
  void serve_parts(ItemNumber whole);
  void mark_gone(ItemNumber number);
  void release_uses(Attempt& attempt);
  void forget_if_idle(ItemNumber number);
  void end_fetch(ItemNumber number);
  void start_fetches();
  void try_next_location(ItemNumber number);
  void ask_for(ItemNumber number);
  void ask_later(ItemNumber number);
  bool is_held(const Key& key) const;
  bool is_made_here(const Key& key) const;

  // Runs (state.cpp).
  void start_runs();
  void line_up(const Attempt& attempt);
  Attempt* first_ready();
  std::uint32_t depth() const;
  void forget(AttemptId id);
  void drop_if_ownerless(const Key& key);
  Place place_of(const Attempt& attempt) const {
    return {attempt.order.rank, attempt.order.rank_minor, attempt.order.attempt};
  }

  StateOptions options_;
  Time now_;
  std::vector<Action> actions_;
  std::vector<WorkerMessage> outbox_;

  Link link_ = Link::none;
  Time link_since_;
  Time alone_since_;
  Time heard_;
  Time beat_at_;
  Duration heartbeat_interval_ = 1s;
  Duration lease_ = 15s;
  std::uint64_t last_tick_ = 0;
  std::uint64_t reports_ = 0;             // of values that are here (WorkerHello::reports)
  std::uint64_t epoch_ = 0;
  bool leaving_ = false;
  bool exited_ = false;
  Pressure pressure_;

  std::map<std::uint32_t, std::shared_ptr<const Template>> shapes_;
  KeyTable<Attempt> attempts_;
  std::vector<Place> ready_;                     // a heap, first on top; of attempts that are not ready any more, too
  std::uint32_t ready_count_ = 0;
  std::deque<std::pair<Time, AttemptId>> fresh_runs_;  // the scheduler hears of them then, if they still run
  std::set<std::pair<Time, AttemptId>> progress_;  // due to be passed on
  std::vector<WorkerMessage> unreported_;        // failures that ended while there was no link
  std::uint32_t in_hand_cores_ = 0;
  std::uint32_t in_hand_wide_ = 0;               // of those, attempts of more than one core
  std::uint32_t lent_ = 0;
  std::int64_t mean_run_time_ = -1;

  KeyTable<Item> items_;
  std::map<FetchId, ItemNumber> fetches_;
  std::set<std::pair<Place, ItemNumber>> fetch_queue_;
  std::map<Key, std::set<ItemNumber>> parts_;    // by the key of the whole value
  std::set<std::pair<Time, ItemNumber>> asks_;
  std::uint64_t fetch_count_ = 0;
  std::uint64_t fetch_bytes_ = 0;
  std::size_t held_count_ = 0;
  std::uint64_t held_bytes_ = 0;
};

}  // namespace weft::worker
