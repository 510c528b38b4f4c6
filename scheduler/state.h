// The scheduler's brain: events in, actions out. It knows no socket, thread, clock or log; the server around it does.
//
// Every task is in one of six states (scheduler/task.h) and `move_to` is the only writer of that state. What is needed is
// computed: a task is needed when somebody wants it or an open task depends on it. After every batch of events the state
// settles (frees what nobody needs), then places work once, then says everything to each peer in one frame.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/key_index.h"
#include "scheduler/events.h"
#include "scheduler/observer.h"
#include "scheduler/options.h"
#include "scheduler/tables.h"
#include "scheduler/task_table.h"
#include "scheduler/worker.h"

namespace weft::scheduler {

class State {
 public:
  explicit State(Options options = {});

  /// Handle a batch of events, then place work once. Actions are in the order in which they must be performed.
  std::vector<Action> step(Time now, std::vector<Event> batch);
  /// Copy what happens to this observer from now on; null: to nobody. It learns nothing by itself and changes nothing here.
  void observe(Observer* observer) { observer_ = observer; }
  /// Answer a question, or carry out a verb, that came by no session: from the dashboard. Orders leave with the next step.
  Result<std::string> answer(Time now, const Ask& ask);
  /// Take back what an earlier scheduler wrote, in the order of kinds. Once, before the first step.
  void restore(Time now, std::vector<Record> records);
  /// After a restart, until the workers that were here have come back: work is taken over, none is given out.
  bool recovering() const { return recovering_; }
  /// When `step` must be called with a Tick at the latest.
  Time wake_at() const;

  /// Recount every index and counter from scratch; stops the process at the first difference. For tests and simulation.
  void check() const;
  /// Nothing is left of any client: no task, no want, no session.
  bool empty() const;

  std::size_t free_rows() const { return tasks_.free_rows(); }
  /// Lets the system have the memory of these rows. Changes nothing else.
  void return_memory() { tasks_.return_memory(); }

  // What screens and tests may look at.
  Counts counts() const;
  std::size_t sessions() const { return sessions_.size(); }
  const Options& options() const { return options_; }
  const Task* find(const Key& key) const;
  const Worker* find_worker(std::string_view name_or_endpoint) const;
  const Worker* worker(WorkerId id) const;
  /// Whether this client holds a future of it.
  bool wants(SessionId session, const Key& key) const;
  /// Every finished run so far; rises by one for each accepted AttemptFinished.
  std::uint64_t finished_runs() const { return finished_runs_; }
  const std::deque<Transition>& story() const { return story_; }

 private:
  friend struct Questions;  // queries.cpp
  friend struct Snapshot;   // snapshot.cpp

  // Dispatch (state.cpp).
  void on(const FromClient& event);
  void on(const FromWorker& event);
  void on(const LinkLost& event);
  void on(const AccessRevoked& event);
  void on(const ProcessGone& event);
  void on(const Tick&) {}
  void on(const Committed& event);
  void forgive_own_sleep();
  void check_leases();
  std::vector<Action> collect();

  // Clients (state_clients.cpp).
  void client_message(HolderNumber session, const ClientMessage& message);
  void hello(PeerId peer, const ClientHello& message, WorkerId through, std::uint64_t channel);
  void enter_channel(Holder& session, WorkerId through, std::uint64_t channel, TaskNumber parent);
  void leave_channel(Holder& session);
  void resume(HolderNumber session);
  bool is_next(HolderNumber session, std::uint64_t sequence);
  void refuse(HolderNumber session, std::uint64_t sequence, Failure failure);
  void handle(HolderNumber session, const Submit& message);
  void handle(HolderNumber session, const Want& message);
  void handle(HolderNumber session, const Release& message);
  void handle(HolderNumber session, const Cancel& message);
  void handle(HolderNumber session, const Retry& message);
  void handle(HolderNumber session, const Scatter& message);
  void handle(HolderNumber session, const Publish& message);
  void handle(HolderNumber session, const FireAndForget& message);
  void handle(HolderNumber session, const Locate& message);
  void handle(HolderNumber session, const AnnounceProgram& message);
  void handle(HolderNumber session, const Ask& message);
  void handle(HolderNumber session, const ClientHeartbeat& message);
  void handle(HolderNumber session, const ClientGoodbye& message);
  Result<void> admit(HolderNumber session, const Submit& message);
  GraphRows add_rows(const GraphChunk& chunk, const std::vector<std::uint32_t>& shapes, Rank base);
  std::uint32_t scatter_shape(const Scatter& message, WorkerId at);
  std::vector<TaskNumber> add_data(const Scatter& message, std::uint32_t shape);
  Result<void> check_against_known(const GraphChunk& chunk, const std::vector<std::uint32_t>& shapes) const;
  bool waits_for_its_own_task(const Holder& session, std::vector<TaskNumber> tasks) const;
  bool is_same_call(TaskNumber number, const GraphChunk& chunk, std::size_t row, const std::vector<std::uint32_t>& shapes) const;
  void cancel_task(TaskNumber number, const std::string& reason);
  std::set<TaskNumber> needed_by_others(HolderNumber session, const std::vector<Key>& keys) const;
  void refuse_graph(HolderNumber session, const Failure& failure);
  void detach(HolderNumber session);
  HolderNumber new_holder(Holder::Kind kind);
  void end_holder(HolderNumber holder);
  void add_want(HolderNumber holder, TaskNumber task);
  bool remove_want(HolderNumber holder, TaskNumber task);
  void tell(HolderNumber session, ClientBound message);
  void tell_failed(HolderNumber session, const Key& key, Failure failure);
  static Failure unknown_task(const Key& key);
  void tell_outcome(HolderNumber holder, TaskNumber task);
  void tell_everyone(TaskNumber task);
  void answer(HolderNumber session, std::uint64_t request, std::string body);
  void answer_failure(HolderNumber session, std::uint64_t request, Failure failure);

  // Questions (queries.cpp).
  Result<std::string> query(const Ask& ask, const std::string& by);
  Result<std::string> explain(const Task& task) const;
  Result<std::string> describe(const Task& task) const;

  // Verbs that change something (control.cpp).
  Result<std::string> control(const Ask& ask, const std::string& by);
  Result<std::string> retire_named(const Ask& ask, const std::string& by);
  std::size_t rebalance();
  std::size_t restart(const std::string& who, const std::string& by);

  // The store (state_store.cpp).
  bool durable() const { return options_.durable && !restoring_; }
  void persist(Record record) { records_.push_back(std::move(record)); }
  std::uint32_t new_intent(HolderNumber session, const ClientMessage& command, Rank base);
  void log_want(HolderNumber holder, TaskNumber task, bool added);
  void log_end(const Holder& holder);
  void mark(TaskNumber number) { if (options_.durable) changed_tasks_.push_back(number); }
  void forget_stored(TaskNumber number);
  bool is_committed(const Task& task) const { return intents_[task.intent].ticket <= committed_; }
  bool runs_once(const Task& task) const;
  bool must_wait_to_start(TaskNumber number);
  void order_run(TaskNumber number, Worker& worker, Assign order);
  bool may_have_run(const Task& task) const { return task.begun && !orders_held_.contains(task.attempt); }
  Failure unknown_end(TaskNumber number, const std::string& why) const;
  bool keep_until_committed(TaskNumber number);
  void hold(TaskNumber number);
  bool take_over(Worker& worker, TaskNumber number, const RunningAttempt& attempt);
  void retract_stranded(const Worker& worker);
  void flush_wants();
  void flush_tasks();
  void flush_sessions();
  void flush_records(std::vector<Action>& actions);
  void take_back(StoredProgram& stored);
  void take_back(StoredSession& stored);
  void take_back(StoredName& stored);
  void take_back(StoredIntent& stored);
  void take_back(StoredTask& stored);
  void take_back(StoredWants& stored);
  void take_back(StoredWorker& stored);
  void take_back(Erased&) {}
  void forget_outdated(TaskNumber first);
  void check_recovery();

  // Workers (state_workers.cpp).
  std::optional<Failure> refusal_of(const WorkerHello& message) const;
  Worker& row_of(const WorkerHello& message);
  void worker_hello(PeerId peer, const WorkerHello& message);
  void take_inventory(Worker& worker, const WorkerHello& message);
  void handle(Worker& worker, const WorkerHello& message);
  void handle(Worker& worker, const AttemptStarted& message);
  void handle(Worker& worker, const AttemptProgress& message);
  void handle(Worker& worker, const AttemptFinished& message);
  void handle(Worker& worker, const AttemptFailed& message);
  void handle(Worker& worker, const AttemptReturned& message);
  void handle(Worker& worker, const ValuesHeld& message);
  void handle(Worker& worker, const ValuesLost& message);
  void handle(Worker& worker, const InputMissing& message);
  void handle(Worker& worker, const WorkerHeartbeat& message);
  void handle(Worker& worker, const WorkerLeaving& message);
  void handle(Worker& worker, const FromTask& message);
  void handle(Worker& worker, const LogLine& message);
  TaskNumber find_attempt(const Worker& worker, const Key& key, AttemptId attempt) const;
  void accept_value(Worker& worker, TaskNumber task, AttemptId attempt, std::uint64_t bytes, const Bytes& small);
  void adopt(Worker& worker, const Key& key, std::uint64_t bytes);
  void lose_worker(WorkerId id, bool blame, const std::string& why);
  void lose_replica(TaskNumber task, WorkerId worker);
  void tell(Worker& worker, WorkerBound message);
  void tell_drop(Worker& worker, const Key& key, std::uint64_t bytes);
  void flush_drops(Worker& worker);
  void restore_copies();
  void spread_replicas(TaskNumber task, std::uint32_t copies);
  void advance_retirements();
  bool retire(Worker& worker, bool at_any_price);
  void hand_over(Worker& worker, bool& holds_unique);
  WorkerId place_for_copy(TaskNumber number);
  Worker& worker_ref(WorkerId id);

  // Tasks (state_tasks.cpp).
  TaskNumber number_of(const Key& key) const { return index_.find(key, tasks_); }
  TaskNumber create(const Key& key, std::uint32_t shape);
  void move_to(TaskNumber number, TaskState state);
  void leave_assigned(TaskNumber number, TaskState to);
  void leave_stored(TaskNumber number);
  void enter_waiting(TaskNumber number, bool was_open);
  void enter_stored(TaskNumber number);
  void count_ahead(TaskNumber number, WorkerId worker, bool arrived);
  void require(TaskNumber number);
  std::shared_ptr<const Failure> data_lost(TaskNumber number) const;
  void fail(TaskNumber number, std::shared_ptr<const Failure> failure);
  void fail_or_retry(TaskNumber number, const Failure& failure);
  void keep_inputs(TaskNumber number);
  void release_inputs(TaskNumber number);
  void run_again(TaskNumber number, Duration delay);
  void revoke(TaskNumber number, bool hard);
  void settle();
  void drop_value(TaskNumber number);
  void forget(TaskNumber number);
  void add_replica(TaskNumber task, Worker& worker);
  void remove_replica(TaskNumber task, WorkerId worker);

  // Templates, and what is counted by them (state_shapes.cpp).
  std::uint32_t intern_shape(const Template& shape);
  std::uint32_t queue_for(const Key& signature);
  std::uint32_t group_for(const std::string& label);
  void leave_shape(std::uint32_t number);
  void free_unused_shapes();
  void leave_program(const Key& program);
  void end_programs_of(SessionId session);
  void end_programs_of_strangers();
  void add_program(const AnnounceProgram& message, SessionId owner);
  Group& group_of(const Task& task) { return groups_[shapes_[task.shape].group]; }
  const Group& group_of(const Task& task) const { return groups_[shapes_[task.shape].group]; }
  std::uint32_t queue_of(const Task& task) const { return shapes_[task.shape].queue; }
  const Template& shape_of(const Task& task) const { return shapes_[task.shape].what; }

  // Placement (placement.cpp).
  void enqueue(TaskNumber number);
  void keep_for(TaskNumber number, Worker& worker);
  void keep_no_more(TaskNumber number);
  TaskNumber first(Line& line) const;
  std::vector<std::pair<Rank, std::uint32_t>> queues_in_order();
  void make_hungry(Worker& worker);
  void note_room(Worker& worker);
  void rethink();
  void add_candidate(WorkerId id);
  void add_idle_candidates(std::size_t count);
  WorkerId pop_candidate(std::uint32_t queue, std::vector<Candidate>& refused);
  void schedule();
  void send_ahead();
  void place_fed(Queue& queue);
  void deal_roots(std::uint32_t queue);
  bool free_a_reservation(std::uint32_t queue);
  TaskNumber next_root(std::uint32_t queue, Worker& worker);
  TaskNumber root_in_turn(std::uint32_t queue, const Worker& worker);
  // What belongs together (families.cpp).
  TaskNumber reader_of(TaskNumber number) const;
  std::optional<std::vector<TaskNumber>> roots_under(TaskNumber top, std::size_t most) const;
  void reserve_family(TaskNumber number, Worker& worker, bool whole_share);
  bool is_current(TaskNumber number, std::uint32_t serial) const;
  bool is_root_like(const Task& task) const;
  // What nobody may run (unrunnable.cpp).
  void review_unrunnable();
  void tell_of_unrunnable(Queue& queue);
  void give_up_data(TaskNumber number);
  std::string why_unrunnable(const Task& task) const;
  std::set<HolderNumber> sessions_waiting_for(TaskNumber number) const;

  WorkerId choose(const Task& task);
  Duration cost(const Task& task, const Worker& worker) const;
  bool may_run(const Task& task, const Worker& worker) const;
  bool fits_now(const Task& task, const Worker& worker) const;
  bool has_credit(const Task& task, const Worker& worker) const;
  Duration estimate(const Task& task) const;
  void assign(TaskNumber number, Worker& worker);
  void take_on(TaskNumber number, Worker& worker, AttemptId attempt);
  bool somebody_has_bytes(const Task& task) const;
  void await_bytes(TaskNumber number);
  void expect_put(TaskNumber number, Worker& worker);
  void recall_for_idle();
  Duration expected_wait(const Worker& worker) const;
  AssignedInput describe(TaskNumber input, std::uint32_t part, Worker& reader, bool ordered = false);
  Location locate(const Task& task, const Worker& holder);
  std::vector<Location> locations_for(TaskNumber number, Worker& reader, bool ordered);
  std::vector<Location> all_locations(TaskNumber number, const Worker& reader);
  void serve_waiting_readers(TaskNumber number);
  void forget_flights(WorkerId worker);
  void review_spread(TaskNumber number);
  bool end_flight(TaskNumber number, WorkerId to);

  void check_workers() const;
  void note_transition(const Task& task, TaskState from, TaskState to);
  void note_why(TaskNumber task, std::shared_ptr<const std::string> why);

  // What an observer is told (state_observed.cpp). Each returns at once when nobody watches.
  void show(Seen what, const Task& task, WorkerId worker, std::uint64_t amount = 0, std::uint32_t extra = 0);
  void show_transition(const Task& task, TaskState from, TaskState to);
  void show_finished(const Task& task, WorkerId worker, std::uint64_t bytes, Duration run_time);
  void show_parts(const Task& task, WorkerId to);
  void show_unblocked(const Task& task, const Key& by);
  void show_transfer(const Task& task, WorkerId to);
  void show_failure(const Task& task, const Failure& failure, bool runs_again, std::uint64_t like_it = 1);
  void show_ended(const std::vector<TaskNumber>& tasks, const std::string& why);
  void show_control(std::string_view verb, const std::string& by, const std::vector<Key>& keys, std::string what, const std::string& why);
  void show_edges(const Task& task);
  bool misses_records() const;
  void show_again();
  void show_worker(const Worker& worker);
  void show_worker_lost(const Worker& worker, bool blame, const std::string& why);
  void show_heartbeat(const Worker& worker);

  Options options_;
  Time now_, last_step_;
  Time leases_due_;                             // no lease ends before
  Time unrunnable_due_;                         // when to look for work that nobody may run
  std::uint64_t attempts_ = 0;
  std::uint64_t nonces_ = 0;
  std::uint64_t finished_runs_ = 0;
  std::size_t keepers_ = 0;               // tasks that keep their inputs
  std::uint32_t serials_ = 0;

  // Tasks.
  TaskTable tasks_;
  KeyIndex index_;
  std::vector<TaskNumber> review_;              // perhaps no longer needed
  std::vector<TaskNumber> ahead_;               // all missing inputs were with one worker when it was opened
  std::vector<TaskNumber> retract_;             // sent ahead for an input that will not be made there
  std::map<TaskNumber, double> progress_;       // assigned: the last that its run said of itself
  std::map<TaskNumber, std::uint32_t> replicas_wanted_;
  std::set<TaskNumber> copies_review_;          // of those, perhaps too few now
  std::map<TaskNumber, Time> bytes_awaited_;    // data that no client offers: since when
  std::map<TaskNumber, WorkerId> moving_;       // rebalance: dropped at the source once the copy is there
  std::set<std::tuple<Time, TaskNumber, std::uint32_t>> delayed_;

  // Programs stay while a client that announced them or a template needs them.
  std::map<Key, Program> programs_;
  std::set<std::pair<Key, SessionId>> file_owners_;  // files of programs: who can send them
  // Templates, groups and queues stay while a task has them, and the last thousand templates after that.
  std::vector<Shape> shapes_;
  std::vector<std::uint32_t> free_shapes_;
  std::deque<std::uint32_t> unused_shapes_;
  std::uint32_t shape_serials_ = 0;
  std::multimap<Key, std::uint32_t> shapes_by_hash_;
  std::vector<Group> groups_;
  std::vector<std::uint32_t> free_groups_;
  std::map<std::string, std::uint32_t> group_by_label_;
  std::uint32_t group_numbers_ = 0;
  std::vector<Queue> queues_;
  std::vector<std::uint32_t> free_queues_;
  std::map<Key, std::uint32_t> queue_by_signature_;
  std::vector<std::uint32_t> busy_queues_;      // have tasks
  std::uint32_t kept_ = 0;                      // tasks that are kept for a worker

  // Holders of futures.
  std::vector<Holder> holders_;
  std::vector<HolderNumber> free_holders_;
  std::map<SessionId, HolderNumber> sessions_;
  std::map<PeerId, HolderNumber> session_of_peer_;
  std::map<std::pair<WorkerId, std::uint64_t>, HolderNumber> session_of_channel_;
  std::map<std::string, HolderNumber> names_;
  HolderNumber fire_and_forget_ = 0;
  std::int64_t generations_ = 0;

  // Workers.
  std::vector<std::optional<Worker>> workers_;  // by id; never reused
  std::vector<WorkerId> alive_;
  std::map<PeerId, WorkerId> worker_of_peer_;
  std::vector<WorkerId> hungry_;                // changed since work was placed last: may take more
  std::vector<WorkerId> idle_;                  // have a slot without a task
  std::vector<Candidate> candidates_;           // a heap: who may be given root tasks in this step
  std::set<WorkerId> retiring_;
  std::size_t idle_cursor_ = 0;
  Time recall_again_;                           // busy workers are looked through for idle ones not before
  std::size_t cursor_ = 0;                      // spreads choices among equals
  std::uint64_t slots_total_ = 0;

  // Values that many fetch at once.
  std::map<TaskNumber, Spread> spreads_;
  std::set<TaskNumber> spread_review_;          // an attempt that read it ended: its flight is perhaps off

  Observer* observer_ = nullptr;
  std::optional<TaskNumber> shown_again_;       // how far: the observer had dropped records
  std::uint64_t drops_seen_ = 0;
  Time show_again_;                             // not before
  std::deque<Transition> story_;
  std::deque<LoggedLine> log_;
  void log_line(std::uint32_t level, std::string text, std::string worker = {}, Key key = {});

  std::vector<WorkerId> speaking_workers_;      // perhaps have an outbox
  std::vector<HolderNumber> speaking_sessions_;
  // The store.
  std::vector<Intent> intents_{1};              // 0 is none
  std::vector<std::uint32_t> free_intents_;
  std::vector<Record> records_;
  std::vector<WantChange> want_changes_;
  std::vector<TaskNumber> changed_tasks_;
  std::vector<HeldStart> starts_held_;          // impure, until their command is committed
  std::map<AttemptId, HeldOrder> orders_held_;  // of what may run once, until the store knows that a worker has it
  std::vector<std::pair<std::uint64_t, Key>> held_back_;  // values, until their release is
  HolderNumber unreleased_ = 0;                 // wants what was released before the store knows
  std::uint64_t stored_ids_ = 0, ticket_ = 0, committed_ = 0;
  std::uint64_t last_join_ = 0;                 // ticket of the youngest worker
  bool restoring_ = false, recovering_ = false;
  Time recovering_until_;
  std::set<std::string> workers_expected_;
  std::map<std::uint64_t, HolderNumber> restored_holders_;  // while restoring
  std::vector<Key> restored_done_;              // had a value that cannot be made again
  std::vector<Key> restored_begun_;             // may run once, and a worker had them

  std::vector<Note> notes_;
  std::vector<Probe> probes_;
  std::vector<PeerId> to_close_;
  std::vector<std::pair<PeerId, ClientBound>> stray_;        // answers to peers without a session
  std::vector<std::pair<PeerId, WorkerBound>> stray_workers_;
};

}  // namespace weft::scheduler
