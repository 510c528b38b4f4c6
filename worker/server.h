// The worker's loop: messages, executors, fetches and the store become events; State decides; actions are performed here.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/data/lender.h"
#include "common/data/transfer.h"
#include "common/vectors.h"
#include "common/transport/endpoint.h"
#include "worker/executors.h"
#include "worker/outbox.h"
#include "worker/process_executors.h"
#include "worker/programs.h"
#include "worker/state.h"
#include "worker/task_values.h"
#include "worker/thread_executors.h"
#include "worker/value_store.h"

namespace weft::worker {

enum class Isolation { process, thread };

struct ServerOptions {
  std::string name;                      // unique in the cluster
  std::uint32_t slots = 1;
  std::map<std::string, double> resources;
  std::string scheduler;                 // address of its worker port
  std::string scheduler_key;             // the CURVE key that must answer there; empty on ipc and in process
  std::string endpoint;                  // where others reach our value socket, as bound (or the contact address)
  std::string public_key;                // of our value socket; empty when values are in clear or on ipc
  std::string host;                      // same text: same machine
  Isolation isolation = Isolation::process;
  FunctionRuntime runtime;               // for threads
  ProcessOptions process;                // for processes; `slots`, `program_for` and `values` are filled in
  std::string program_folder;            // where fetched files of users' programs are kept
  StoreOptions store;
  /// A private folder: readers on this host map values through a socket there, and we map theirs. Empty: values are copied.
  std::string memory_folder;
  Duration death_timeout = 600s;
  Duration grace = 25s;                  // from `terminate` until running tasks are given up
  std::function<void()> on_welcome;      // called once, on the server's thread: the scheduler knows us
};

class Server : private ValueHolder {
 public:
  /// The endpoint listens already for values.
  Server(ServerOptions options, std::unique_ptr<Endpoint> endpoint);
  ~Server();

  /// Serve until the state says Exit or `stop`; returns the exit code.
  int run();
  /// End now: executors are killed, nothing is handed over. From any thread.
  void stop();
  /// Retire: hand over what only we hold, finish what runs within the grace, then `run` returns 0. From any thread.
  void terminate();
  const std::string& exit_reason() const { return exit_reason_; }

 private:
  struct Fetching {
    Key store_as;
    std::unique_ptr<Reservation> place;
  };
  // A run whose inputs are not all in memory yet.
  struct Loading {
    StartRun order;
    std::set<Key> awaited;
    std::vector<Value> held;             // what is loaded already stays while the rest is
  };

  // Events (server.cpp).
  void receive(EndpointEvent& event);
  void send(std::vector<ServerFrame> frames);
  void flush();
  void take_news();
  void take_outcomes(Executors& executors);
  void end_run(Outcome& outcome);
  void store_put(TaskPut& put);
  void send_put(TaskPut& put);
  Result<void> keep(const Key& key, Value value);
  void take_store_news();
  void note_pressure();
  void serve_loans();
  Lender::Offer offer(const Borrow& ask);

  // Actions (server_actions.cpp).
  void perform(Action& action);
  void perform(Send& action) { outbox_.add(std::move(action.messages)); }
  void perform(Connect&);
  void perform(HangUp&);
  void perform(StartRun& action);
  void perform(StopRun& action);
  void perform(StartFetch& action);
  void perform(AbortFetch& action);
  void perform(DropValue& action);
  void perform(StoreSmall& action);
  void perform(AwaitPut&) {}             // the token says all
  void perform(TellTask& action);
  void perform(RenewTaskLinks&);
  void perform(RenewExecutors&) { user_code_->renew(); }
  void perform(Exit& action);
  void perform(LearnProgram& action);
  bool start_if_loaded(StartRun& order, std::set<Key>& awaited);
  Executors& executors_for(const Template& shape) { return shape.function.kernel ? *kernels_ : *user_code_; }
  ValueBridge bridge();
  void take_program_file(const Key& file);

  // ValueHolder.
  Found look_up(const Key& key) override;
  Result<std::span<std::byte>> begin_put(const Key& key, std::uint64_t total) override;
  Result<void> end_put(const Key& key, bool complete) override;

  ServerOptions options_;
  std::unique_ptr<Endpoint> endpoint_;
  Bytes secret_;
  ValueStore store_;
  std::unique_ptr<Lender> lender_;
  bool recalled_ = false;                // since memory became short
  Borrower borrower_;
  State state_;
  ValueServer values_;
  ValueFetcher fetcher_;
  TaskValues task_values_;
  std::unique_ptr<ThreadExecutors> kernels_;
  std::unique_ptr<Executors> user_code_;

  std::vector<Event> events_;
  Outbox outbox_;
  PeerId scheduler_;
  std::map<AttemptId, std::uint32_t> kernel_runs_;   // which executors have it
  std::map<FetchId, Fetching> fetches_;
  std::map<AttemptId, Loading> loading_;
  std::map<Key, std::uint32_t> awaited_;             // by loading runs: dropping waits
  std::set<Key> drop_later_;
  std::map<Key, std::unique_ptr<Reservation>> puts_;
  std::map<const std::byte*, std::unique_ptr<Reservation>> leased_;  // output of executors
  Programs programs_;
  std::map<Key, std::vector<StartRun>> unprepared_;  // runs whose program is not all here yet
  Pressure pressure_;
  Time measured_;                                    // our process's size
  std::set<int> watched_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> terminating_{false};
  bool told_to_leave_ = false;
  Time leave_by_ = Time::never();
  bool exited_ = false;
  int exit_code_ = 0;
  std::string exit_reason_;
};

}  // namespace weft::worker
