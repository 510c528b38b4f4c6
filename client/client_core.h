// One connected client: the thread that owns endpoint, session state and value transfers, and the mailbox through which any
// thread talks to it. API calls post; the loop drains all posts, takes one step, performs its actions and completes futures.
// A driven client (that of a task) has no thread: its maker's thread goes round the loop in its calls and waits.
#pragma once

#include <condition_variable>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <weft/detail/handle.h>
#include <weft/options.h>

#include "client/future_core.h"
#include "client/graph_builder.h"
#include "client/named_calls.h"
#include "client/session_state.h"
#include "client/value_link.h"

namespace weft::client {

/// One submitted call.
struct TaskCall {
  Template shape;
  Key key;
  Bytes arguments;
  std::vector<TaskInput> inputs;
  Key content;              // of the call, where its key is a name that the user chose; else none
};

/// Runs done callbacks in order on one thread, which starts with the first of them.
class CallbackQueue : public std::enable_shared_from_this<CallbackQueue> {
 public:
  void push(std::unique_ptr<detail::Callback> callback, detail::FutureHandle keep);
  /// Run what is queued, then end the thread; joins it unless called from it.
  void close();

 private:
  struct Item {
    std::unique_ptr<detail::Callback> callback;
    detail::FutureHandle keep;
  };
  void run();

  std::mutex mutex_;
  std::condition_variable news_;
  std::vector<Item> items_;
  bool started_ = false, closing_ = false;
  std::thread thread_;
};

class ClientCore : public std::enable_shared_from_this<ClientCore> {
 public:
  static std::shared_ptr<ClientCore> start(Links links, const ClientOptions& options);
  ~ClientCore();

  /// Throws in a child made by fork: the thread that serves this client is not there.
  void check_process() const;
  bool in_this_process() const;
  /// Whether this thread must go round the loop itself, by `serve`, instead of sleeping.
  bool is_driven_here() const { return driver_ == std::this_thread::get_id(); }
  /// Driven clients: wait until the scheduler knows us, so that what is submitted goes at once.
  void await_welcome();
  /// Go round the loop until `done` or the deadline; returns what `done` says. Throws Cancelled when the task is.
  template <class Done>
  bool serve(Done done, Time deadline) {
    while (!done()) {
      if (monotonic_now() >= deadline) return false;
      go_round(deadline);
    }
    return true;
  }

  // All of these may be called from any thread; those that submit may wait while too much is unacknowledged.
  detail::FutureHandle submit(TaskCall call, std::vector<detail::FutureHandle> holds = {});
  /// The chunks' wanted rows, in order, become the block's futures; the answer is in that order.
  /// `names`: of the wanted tasks whose keys the user chose, each with the content of its call. Both throw InvalidArgument for a name
  /// that stands for another call.
  std::vector<detail::FutureHandle> submit(std::vector<GraphChunk> chunks, std::vector<detail::FutureHandle> holds = {},
                                           std::span<const std::pair<Key, Key>> names = {});
  detail::FutureHandle attach(const Key& key);
  std::vector<detail::FutureHandle> scatter(std::vector<std::pair<Key, Value>> values, std::vector<std::string> workers,
                                            std::uint32_t replicas);
  void retry(const std::vector<detail::FutureHandle>& futures);
  /// Throws InvalidArgument for a future of another client.
  void check_own(const FutureCore& core) const;
  void read(const FutureCore& core) { post(ReadValue{core.key}); }
  void post(Event event);
  /// Ask and wait for the answer's body; throws what the scheduler answers.
  std::string ask(std::string verb, std::vector<std::string> words, std::vector<Key> keys, bool repeatable);
  void publish(PublishName event);
  void run_alone(std::vector<Key> keys);
  void call_back(std::unique_ptr<detail::Callback> callback, detail::FutureHandle keep);
  static void release(FutureCore& core) noexcept;

  /// Say goodbye and stop; open futures end with a clear error. Idempotent.
  void close();

 private:
  struct Post {
    std::unique_ptr<TaskCall> task;     // a submit, for `cores`
    std::unique_ptr<Event> event;       // anything else; the wanted rows of a graph are for `cores`
    FutureCore* cores = nullptr;
    std::uint32_t count = 0;
    std::vector<std::pair<Key, Value>> values;  // to be put where the scheduler says
    bool names_anew = false;                    // what its names stood for is let go first
  };
  struct Answered {
    std::mutex mutex;
    std::condition_variable ready;
    bool done = false;
    Failure failure;
    std::string body;
  };

  ClientCore(Links links, const ClientOptions& options);
  bool deliver(Post post, std::size_t bytes);  // false: closed
  void send_posts();
  void wait_for_space();
  void prepare(FunctionRef& function);
  std::uint64_t new_request(std::shared_ptr<Answered> answered);
  std::string answer(Answered& answered);
  static Failure closed_failure();
  void wake_loop();  // under mutex_

  // The loop's own; client_loop.cpp.
  void run();
  void go_round(Time deadline);
  void close_driven();
  struct Mail {
    std::deque<Post> posts;
    std::vector<FutureCore*> released;
  };
  Mail take_mail();
  void drain(Mail mail, std::vector<Event>& events);
  void flush_builder(std::vector<Event>& events);
  void let_go_of_names(Mail& mail, std::vector<Event>& events);
  void receive(EndpointEvent& event, std::vector<Event>& events);
  void settle();
  void perform(std::vector<Action>& actions);
  void send_frames(std::vector<Action>& actions);
  void perform(Send&) {}
  void perform(Reconnect&);
  void perform(Fetch& action);
  void perform(PutValue& action);
  void perform(ProvideFile& action);
  void perform(Complete& action);
  void perform(Pending& action);
  void perform(AnswerReady& action);
  void perform(Warn& action) { std::fprintf(stderr, "weft: %s\n", action.text.c_str()); }
  void perform(Finished&) { finished_ = true; }
  void link(FutureCore& core);
  void unlink(FutureCore& core);
  void end();

  std::unique_ptr<Endpoint> endpoint_;
  std::unique_ptr<ValueLink> values_;
  std::string address_, server_key_;
  bool runs_here_;                   // workers are in this process: no program to announce
  Key parent_program_;               // of a task's client: the program that runs it, which is announced already
  const std::map<std::string, std::string> environment_;  // of tasks
  const std::vector<std::string> files_;                  // that tasks may read
  std::shared_ptr<void> hold_;
  std::shared_ptr<CallbackQueue> callbacks_ = std::make_shared<CallbackQueue>();
  int process_;                      // counts forks: which process this client belongs to
  std::thread thread_;
  std::thread::id driver_;           // of a driven client; else nobody
  std::mutex closing_;               // serialises close()
  NamedCalls named_calls_;
  std::shared_mutex submitting_;     // alone: a graph of several chunks; shared: all else, which must not come between

  std::mutex mutex_;                 // guards what follows
  std::condition_variable space_;
  std::deque<Post> posts_;           // deques, since a growing vector would move a million entries under the lock
  std::deque<FutureCore*> released_;
  std::size_t posted_bytes_ = 0;     // of graphs that are posted and not taken
  bool woken_ = false;               // the loop will look without another wake
  bool full_ = false;                // the session wants no more graph
  bool closed_ = false;
  std::uint64_t last_request_ = 0;
  std::map<Key, Key> programs_;                // announced: by their images, their name with the environment
  std::map<Key, std::string> program_paths_;   // their files, by the key that workers ask for
  std::map<std::uint64_t, std::shared_ptr<Answered>> answers_;

  SessionState state_;               // the loop's own, from here on
  GraphBuilder builder_;
  PeerId peer_;
  std::vector<Event> later_;         // for the next step
  std::vector<FutureCore*> heads_;   // by slot: the cores of that key
  std::vector<FutureCore*> fresh_, dying_;
  std::map<Key, Value> to_put_;
  bool leaving_ = false, finished_ = false;
  bool releases_left_ = false;       // of the last mail
  bool going_round_ = false;
  Time leave_by_ = Time::never();
  std::vector<EndpointEvent> received_;
};

}  // namespace weft::client
