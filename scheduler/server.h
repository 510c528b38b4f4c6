// The scheduler's loop: receive, step, perform. All decisions are in State; all sockets are in the Endpoint.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "common/transport/endpoint.h"
#include "scheduler/prober.h"
#include "scheduler/quarantine.h"
#include "scheduler/recorder.h"
#include "scheduler/state.h"
#include "scheduler/store_thread.h"

namespace weft::scheduler {

class Server {
 public:
  /// Roles of the endpoint's listens.
  static constexpr const char* client_role = "client";
  static constexpr const char* worker_role = "worker";

  /// The endpoint listens already, with these roles.
  Server(Options options, std::unique_ptr<Endpoint> endpoint);
  /// Go on where an earlier scheduler stopped, and keep what must outlive this one. Once, before `run`.
  void keep_in(std::unique_ptr<Store> store, std::vector<Record> records);

  /// Whose connections may stay, by role and public key; asked at a peer's first frame and after `access_changed`. Default:
  /// everybody's. Called on the thread of `run`; set before it. Peers without a key are not asked about.
  using Allow = std::function<bool(const std::string& role, const std::string& public_key)>;
  void set_allow(Allow allow) { allow_ = std::move(allow); }
  /// From any thread: the list behind `allow` is another one now; who is no longer on it is told so and cut.
  void access_changed();
  /// Serve until `stop`. Called on one thread.
  void run();
  /// From any thread or a signal handler's pipe: end `run` after the present step.
  void stop();
  /// Stop by itself when no client was here and no task was open for this long; 0: never. Set before `run`.
  void set_idle_timeout(Duration timeout) { idle_timeout_ = timeout; }
  bool ended_idle() const { return ended_idle_; }
  /// Why `run` ended by itself: the store took nothing more.
  const std::optional<Failure>& store_failure() const { return store_failure_; }
  /// Show what happens to this observer, which outlives `run`. Set before `run`.
  void observe(Observer& observer) {
    observer_ = &observer;
    state_.observe(&observer);
  }

  /// Keep what the State is given. Set before `run`.
  void record(std::unique_ptr<Recorder> recorder) { recorder_ = std::move(recorder); }

  using Answered = std::function<void(Result<std::string>)>;
  /// From any thread: put a question to the State between two steps; `answered` is called on the scheduler's thread and must not
  /// block. False: too many wait already, and nothing will be called.
  bool ask(Ask question, Answered answered);

 private:
  void receive(EndpointEvent& event, std::vector<Event>& batch);
  void perform(Action& action);
  void hear_store(std::vector<Event>& batch);
  bool may_stay(PeerId peer) const;
  void review_access(std::vector<Event>& batch);
  void close(PeerId peer);
  void log_recovery();
  void refuse(PeerId peer, const std::string& why);
  bool is_idle_for_too_long(Time now);
  void answer_questions();
  void note_recorder();
  void found_gone(WorkerId worker);
  void hear_prober(std::vector<Event>& batch);
  void return_memory(Time now);

  State state_;
  std::unique_ptr<Endpoint> endpoint_;
  struct Question {
    Ask ask;
    Answered answered;
  };
  Observer* observer_ = nullptr;
  std::unique_ptr<Recorder> recorder_;   // null: nothing is recorded, or nothing more
  std::mutex questions_mutex_;
  std::vector<Question> questions_;
  std::atomic<bool> has_questions_{false};
  std::vector<Event> lost_;              // peers that took nothing more, for the next step
  Allow allow_;
  std::set<PeerId> peers_;               // that were heard and are not gone
  Quarantine quarantine_;
  std::atomic<bool> access_changed_{false};
  std::atomic<bool> stopping_{false};
  Duration idle_timeout_{};
  Time busy_at_;
  bool ended_idle_ = false;
  std::size_t free_rows_ = 0;            // of the task table, after the last step
  Time return_memory_at_ = Time::never();
  std::uint64_t committed_ = 0;          // as the state knows
  Gate gate_;
  Time started_;
  bool was_recovering_ = false;
  std::optional<Failure> store_failure_;
  std::mutex gone_mutex_;
  std::vector<WorkerId> gone_;
  std::unique_ptr<StoreThread> store_;   // these last: their threads wake the endpoint
  std::unique_ptr<Prober> prober_;       // null: no link broke yet
};

}  // namespace weft::scheduler
