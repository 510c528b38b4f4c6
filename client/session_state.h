// The client's brain. Events in, actions out: what this client asked the scheduler to do, what was acknowledged, and what it
// knows of each key it holds futures of. It has no socket, thread or clock, is copyable, and iterates nothing unordered.
//
// Everything that changes the scheduler is a numbered command, kept until acknowledged and sent again after a reconnect, so a
// broken link costs time and nothing else. What a link may have swallowed on the way back is asked for again (Locate).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <weft/value.h>

#include "common/key_index.h"
#include "common/messages.h"

namespace weft::client {

struct SessionOptions {
  SessionId session;
  std::string name;
  /// How long the first connection may take. Default 10 s. Then every future ends with ConnectionFailed.
  Duration connect_timeout = std::chrono::seconds(10);
  /// How long a lost scheduler is looked for. Default 60 s, the grace that it gives a vanished client.
  Duration patience = std::chrono::seconds(60);
  /// Least time between two attempts to connect. Default 0.5 s.
  Duration reconnect_interval = std::chrono::milliseconds(500);
  /// How long a connection may stay without the scheduler's welcome before another is tried. Default 5 s.
  Duration hello_timeout = std::chrono::seconds(5);
  /// False: the link below has a lease of its own and says when it is lost (a task's own client). Default true.
  bool beats = true;
  /// Graph bytes sent and not acknowledged above which `ready_for_more` says no. Default 64 MiB.
  std::size_t unacknowledged_max = 64u << 20;
};

/// How a key ended. Shared by the session and all futures of the key.
struct Outcome {
  Value value;                             // empty: stored on workers and not fetched yet
  std::uint64_t bytes = 0;
  std::shared_ptr<const Failure> failure;  // set: it failed
};

// ------------------------------------------------------------------------------------------------------------- events

/// Send a chunk. Each wanted row counts as one reference to its key.
struct SubmitGraph { GraphChunk chunk; bool last = true; };  // not `last`: more chunks of this graph follow
/// One more reference to each of these existing keys.
struct Acquire { std::vector<Key> keys; };
/// One reference less to each.
struct ReleaseKeys { std::vector<Key> keys; };
struct CancelKeys { std::vector<Key> keys; bool force = false; std::string reason; };
struct RetryKeys { std::vector<Key> keys; };
/// Place these values; the caller keeps their bytes until they are Complete. One reference to each.
struct ScatterValues { std::vector<Held> values; std::vector<std::string> workers; std::uint32_t replicas = 1; };
struct PutFailed { Key key; Failure failure; };
/// Answered by AnswerReady{request}, like every event with a request number. Requests are the caller's own numbers.
struct PublishName { std::uint64_t request = 0; std::string name; std::vector<Key> keys; Bytes note; bool replace = false; };
struct RunAlone { std::uint64_t request = 0; std::vector<Key> keys; };
/// A question may be asked again after a reconnect when it is `repeatable`; otherwise a lost link answers "unknown".
struct AskScheduler { Ask ask; bool repeatable = true; };
/// Somebody waits for the bytes of this key, not only for its end.
struct ReadValue { Key key; };
/// Functions of this program will be submitted: say which files they need, now and after every reconnect.
struct UseProgram { AnnounceProgram announcement; };
struct FetchDone { Key key; Value value; };
struct FetchFailed { Key key; Failure failure; };
struct FromScheduler { ClientBound message; };
struct LinkUp {};
struct LinkLost { std::string reason; };
struct Tick {};
/// Say goodbye after everything that was submitted, then Finished.
struct SayGoodbye {};

using Event = std::variant<SubmitGraph, Acquire, ReleaseKeys, CancelKeys, RetryKeys, ScatterValues, PutFailed, PublishName,
                           RunAlone, AskScheduler, ReadValue, UseProgram, FetchDone, FetchFailed, FromScheduler, LinkUp, LinkLost, Tick,
                           SayGoodbye>;

// ------------------------------------------------------------------------------------------------------------ actions

/// Send on the present link. The message is shared with the table of unacknowledged commands.
struct Send { std::shared_ptr<const ClientMessage> message; };
/// Drop the present link, if any, and open a new one; answered by LinkUp or LinkLost.
struct Reconnect {};
struct Fetch { Key key; std::uint64_t bytes; std::vector<Location> locations; };
struct PutValue { Key key; Location location; };
/// A worker lacks this file of an announced program: scatter it.
struct ProvideFile { Key key; };
/// The key ended; all its futures get this outcome. May come again with more (the value after a fetch) or other news.
struct Complete { std::uint32_t slot; Key key; std::shared_ptr<const Outcome> outcome; };
/// The key ended before and is open again.
struct Pending { std::uint32_t slot; Key key; };
struct AnswerReady { std::uint64_t request; Failure failure; std::string body; };
/// Tell the user; nothing else happens.
struct Warn { std::string text; };
/// The goodbye was answered, or nobody is there to answer it.
struct Finished {};

using Action = std::variant<Send, Reconnect, Fetch, PutValue, ProvideFile, Complete, Pending, AnswerReady, Warn, Finished>;

// -------------------------------------------------------------------------------------------------------------- state

class SessionState {
 public:
  enum class Status : std::uint8_t { pending, stored, failed };

  SessionState(SessionOptions options, Time now);

  /// Handle one batch (all messages of one frame belong into one batch).
  std::vector<Action> step(Time now, std::vector<Event> events);
  /// When `step` wants a Tick at the latest.
  Time wake_at() const;
  /// May more graph chunks be given? False while too much is unacknowledged.
  bool ready_for_more() const { return unacknowledged_ < options_.unacknowledged_max; }

  /// Dense number of a held key, stable until its last reference is released; KeyIndex::none otherwise.
  std::uint32_t slot_of(const Key& key) const { return index_.find(key, entries_); }
  std::size_t held() const { return index_.size(); }
  std::size_t unacknowledged() const { return unacknowledged_; }
  /// Is a Release on its way? Who gives up very many keys waits for its end, so that other work comes between.
  bool release_is_open() const { return open_releases_ > 0; }
  bool connected() const { return link_ == Link::welcomed; }
  bool closed() const { return closed_ != nullptr; }

 private:
  enum class Link : std::uint8_t { none, connecting, greeting, welcomed };
  // What is known of one held key.
  struct Entry {
    Key key;
    std::uint64_t sequence = 0;  // of the last command that made the scheduler owe us an answer for it
    std::shared_ptr<const Outcome> outcome;
    std::uint32_t references = 0;
    Status status = Status::pending;
    bool releasing = false;      // listed in released_
    bool cancelling = false;     // pending, and given up: whoever asks for it now has to ask the scheduler
  };
  struct Command {
    std::shared_ptr<const ClientMessage> message;
    std::uint64_t request = 0;   // to answer when executed; 0: nobody asks
    std::size_t bytes = 0;
    bool refused = false;
  };
  // Somebody wants the bytes of a stored key.
  struct Read {
    std::uint32_t failures = 0;
    bool busy = false;                // a fetch or a Locate is under way
    Time retry_at;
  };
  struct Placement {
    Held held;
    std::vector<std::string> workers;
    std::uint32_t replicas = 1;
    std::uint32_t tries = 1;
  };
  struct Question {
    AskScheduler ask;
    bool sent = false;
  };

  void on(SubmitGraph& event);
  void on(Acquire& event);
  void on(ReleaseKeys& event);
  void on(CancelKeys& event);
  void on(RetryKeys& event);
  void on(ScatterValues& event);
  void on(PutFailed& event);
  void on(PublishName& event);
  void on(RunAlone& event);
  void on(AskScheduler& event);
  void on(ReadValue& event);
  void on(UseProgram& event);
  void on(FetchDone& event);
  void on(FetchFailed& event);
  void on(FromScheduler& event);
  void on(LinkUp& event);
  void on(LinkLost& event);
  void on(Tick&) {}
  void on(SayGoodbye& event);

  void hear(ClientWelcome& message);
  void hear(Executed& message);
  void hear(Refused& message);
  void hear(TaskStored& message);
  void hear(TaskFailed& message);
  void hear(TaskPending& message);
  void hear(ScatterTo& message);
  void hear(SendFile& message);
  void hear(Answer& message);
  void hear(SchedulerTick& message);
  void hear(Goodbye& message);
  void hear(Advice& message) { actions_.push_back(Warn{std::move(message.text)}); }

  // Keys.
  std::uint32_t acquire(const Key& key);
  bool open_again(std::uint32_t slot);
  void store(std::uint32_t slot, Value value, std::uint64_t bytes);
  void fail(std::uint32_t slot, Failure failure);
  void fail_open(const Failure& failure);
  void fetch(std::uint32_t slot, Read& read);
  void fetch_later(std::uint32_t slot, Read& read, const Failure& why);
  void scatter(const std::vector<std::uint32_t>& slots);
  void flush_releases();
  void end_placement(std::uint32_t slot);
  /// Somebody has a future of it, or its bytes are on their way to a worker.
  bool is_held(std::uint32_t slot) const { return entries_[slot].references > 0 || placements_.contains(slot); }
  void flush_reads();

  // Commands and the link.
  template <class Message>
  std::uint64_t command(Message message, std::uint64_t request = 0, std::size_t bytes = 0);
  void send(ClientMessage message);
  void drop_lost_commands(std::uint64_t epoch, std::uint64_t executed);
  void refuse(Command& command, const Failure& failure);
  void retire_commands();
  void lose_link(const std::string& reason);
  void run_timers();
  bool leaves_in_vain() const;
  void close(const Failure& failure);
  std::uint64_t last_sequence() const { return first_sequence_ + commands_.size() - 1; }

  SessionOptions options_;
  Time now_;
  std::vector<Action> actions_;

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  KeyIndex index_;
  std::vector<std::uint32_t> released_;
  std::map<std::uint32_t, std::vector<Location>> locations_;  // by slot: not used yet; a token serves once
  std::map<std::uint32_t, Read> reads_;            // by slot: somebody waits for the bytes
  std::set<std::uint32_t> retries_;                // slots of reads to be tried again; others are busy or wait for TaskStored
  std::map<std::uint32_t, Placement> placements_;  // by slot: scattered, not stored yet
  std::vector<Key> locate_;                        // to ask for at the end of the step
  std::map<std::uint64_t, Question> questions_;    // by request
  std::map<Key, AnnounceProgram> programs_;

  std::deque<Command> commands_;  // numbered first_sequence_, first_sequence_ + 1, …
  std::uint64_t first_sequence_ = 1;
  std::uint64_t acknowledged_ = 0;
  std::size_t unacknowledged_ = 0;  // bytes
  std::size_t open_releases_ = 0;   // commands

  Link link_ = Link::none;
  bool welcomed_before_ = false;
  bool in_graph_ = false;  // the last chunk was not the last of its graph
  bool leaving_ = false;
  bool finished_ = false;
  std::uint64_t epoch_ = 0;
  std::uint64_t tick_ = 0;
  Duration heartbeat_interval_{};
  Duration lease_{};
  Time lost_at_;          // since when there is no welcome
  Time attempt_at_;       // of the last Reconnect
  Time next_attempt_;
  Time next_heartbeat_;
  Time last_heard_;
  std::string lost_reason_;
  std::shared_ptr<const Failure> closed_;
};

}  // namespace weft::client
