// The scheduler's loop: receive, step, perform. All decisions are in State; all sockets are in the Endpoint.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "common/transport/endpoint.h"
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

  using Answered = std::function<void(Result<std::string>)>;
  /// From any thread: put a question to the State between two steps; `answered` is called on the scheduler's thread and must not
  /// block. False: too many wait already, and nothing will be called.
  bool ask(Ask question, Answered answered);

 private:
  void receive(EndpointEvent& event, std::vector<Event>& batch);
  void perform(Action& action);
  void hear_store(std::vector<Event>& batch);
  void log_recovery();
  void refuse(PeerId peer, const std::string& why);
  bool is_idle_for_too_long(Time now);
  void answer_questions();

  State state_;
  std::unique_ptr<Endpoint> endpoint_;
  struct Question {
    Ask ask;
    Answered answered;
  };
  Observer* observer_ = nullptr;
  std::mutex questions_mutex_;
  std::vector<Question> questions_;
  std::atomic<bool> has_questions_{false};
  std::vector<Event> lost_;              // peers that took nothing more, for the next step
  std::atomic<bool> stopping_{false};
  Duration idle_timeout_{};
  Time busy_at_;
  bool ended_idle_ = false;
  std::uint64_t committed_ = 0;          // as the state knows
  Gate gate_;
  Time started_;
  bool was_recovering_ = false;
  std::optional<Failure> store_failure_;
  std::unique_ptr<StoreThread> store_;   // last: its thread wakes the endpoint
};

}  // namespace weft::scheduler
