// Values between processes: ranges of at most 1 MiB, pulled (fetch) or pushed (put), with the bytes on their way bounded.
//   ValueServer   the holder's side: answers GetRange and PutRange
//   ValueFetcher  pulls whole values or parts from one of several holders
//   ValueSender   pushes values to one worker
// None of them has a thread, a clock or memory for values: their owner's loop hands in events, then the time (`serve`, which
// sends all that became possible), and provides the memory. What a peer sends is checked and never trusted.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <weft/value.h>

#include "common/data/borrower.h"
#include "common/data/value_links.h"
#include "common/messages.h"
#include "common/token.h"

namespace weft {

// ---------------------------------------------------------------------------------------------- the holder's side

/// What a server asks whoever holds the values.
class ValueHolder {
 public:
  struct Found {
    std::optional<Value> value;    // it is here
    bool later = false;            // it is on its way from disk: `arrived` will be called
    std::uint64_t content = 0;
  };
  virtual ~ValueHolder() = default;
  virtual Found look_up(const Key& key) = 0;
  /// A place for a value that is about to be put here; stays writable until `end_put`.
  virtual Result<std::span<std::byte>> begin_put(const Key& key, std::uint64_t total) = 0;
  /// All bytes are there (keep the value, or say why not), or the put was given up (free the place).
  virtual Result<void> end_put(const Key& key, bool complete) = 0;
};

/// Replies, to be sent as one frame.
struct ServerFrame {
  PeerId peer;
  Bytes head;
  Buffer payload;
};

class ValueServer {
 public:
  static constexpr std::size_t parked_per_peer_max = 1024;

  ValueServer(ValueHolder& holder, Bytes secret) : holder_(holder), gate_(std::move(secret)) {}

  /// Answer a frame of requests, except those that must wait for the disk. Big payloads are views of the values. A failure:
  /// it is none of ours, cut the peer.
  Result<std::vector<ServerFrame>> on_frame(PeerId peer, const Buffer& head, const Buffer& payload);
  /// This value came from disk, or is lost: the answers that waited for it.
  std::vector<ServerFrame> arrived(const Key& key);
  /// The connection is gone: forget its waiting requests, give up its puts.
  void on_lost(PeerId peer);

  /// What a token opens now, for a reader that is not served by ranges. The token stays unused until `use_up`.
  struct Opened {
    Buffer bytes;                  // of the value or the part
    std::uint64_t content = 0;
    bool later = false;            // it is on its way from disk
    std::string refusal;           // not empty: nothing, and why
  };
  Opened open(const Key& key, std::uint32_t part, const Token& token);
  void use_up(const Token& token) { gate_.use_up(token); }

 private:
  struct Parked {
    PeerId peer;
    GetRange request;
  };
  struct Put {
    PeerId peer;
    Token token;
    std::uint64_t total = 0, received = 0;
    std::span<std::byte> place;
  };
  using Replies = ValueFrames<ValueReply>;
  void get(PeerId peer, const GetRange& request, Replies& replies);
  PutDone put(PeerId peer, const PutRange& range, const Buffer& bytes);
  void give_up_put(std::map<Key, Put>::iterator at);
  void unpark_one(PeerId peer);

  ValueHolder& holder_;
  TokenGate gate_;
  std::map<Key, std::vector<Parked>> parked_;
  std::map<PeerId, std::size_t> parked_of_;
  std::map<Key, Put> puts_;
};

// ---------------------------------------------------------------------------------------------- pulling

struct Fetch {
  FetchId id;                          // the owner's number; never 0
  Key key;
  std::uint32_t part = whole_value;
  std::uint64_t bytes = 0;             // expected; 0 if not known
  std::vector<Location> locations;     // tried in this order
};

/// How a fetch ended; exactly one for each that was started and not cancelled.
struct FetchEnded {
  FetchId id;
  std::uint64_t content = 0;           // of the value, for its copies
  Failure failure;                     // none: the bytes are in their place, or borrowed
  std::optional<Borrowed> borrowed;    // no place was asked for: the bytes lie with their owner
  std::vector<WorkerId> tried;         // those that could not give it
};

class ValueFetcher : private ValueLinks::User {
 public:
  /// The place for `total` bytes of a fetch. It must stay writable until the fetch ended or was cancelled. Asked again (and
  /// the earlier place is free) if another holder's value has another size.
  using Place = std::function<Result<std::span<std::byte>>(FetchId, std::uint64_t total)>;

  /// With a `borrower` (which must outlive us, and is served by the owner's loop) values on this host are borrowed where they
  /// can be, and only the others move.
  ValueFetcher(Endpoint& endpoint, Place place, TransferOptions options = {}, Borrower* borrower = nullptr);

  void start(Fetch fetch);
  void cancel(FetchId id);
  std::vector<FetchEnded> take() { return std::exchange(ended_, {}); }

  // As in ValueLinks.
  bool on_event(const EndpointEvent& event, Time now) { return links_.on_event(event, now); }
  void serve(Time now) { links_.serve(now); }
  Time wake_at() const { return links_.wake_at(); }

  std::size_t bytes_in_flight() const { return links_.in_flight(); }
  std::size_t active() const { return fetches_.size(); }

 private:
  struct Running {
    Fetch fetch;
    std::size_t location = 0;          // index of the one in use
    PeerId peer;                       // 0: no connection yet
    bool borrowing = false;            // the owner on this host was asked
    bool borrow_tried = false;         // at this location
    bool known = false;                // total, content and place are
    std::uint64_t total = 0, content = 0;
    std::uint64_t asked = 0, received = 0;
    std::span<std::byte> place;
    std::deque<std::uint64_t> requests;  // not answered yet, in order
    std::vector<WorkerId> tried;
    std::string why;                   // what the last location said
  };
  struct Request {
    FetchId fetch;                     // 0: nobody waits for the answer any more
    PeerId peer;
    std::uint64_t offset = 0, length = 0;
    std::size_t charge = 0;
  };

  // ValueLinks::User.
  const Location* destination(FetchId id, Time now) override;
  void connected(FetchId id, PeerId peer) override;
  void unreachable(FetchId id, Failure why) override;
  ValueLinks::Turn speak(FetchId id, Time now) override;
  bool on_reply(PeerId peer, const ValueReply& reply, const Buffer& bytes) override;
  void lost(PeerId peer, const std::string& why) override;

  bool borrow(Running& running, Time now);
  void on_borrowed(FetchId id, std::optional<Borrowed> borrowed);
  enum class Accepted { taken, again, lie };
  Accepted accept(Running& running, const Request& request, const ValueRange& reply, const Buffer& bytes);
  Accepted accept_size(Running& running, const ValueRange& reply);
  void next_location(Running& running, std::string why);
  void leave(Running& running);
  void remove(FetchId id);
  void end(FetchId id, Failure failure, std::optional<Borrowed> borrowed = {});

  Borrower* borrower_;
  Place place_;
  ValueLinks links_;
  std::map<FetchId, Running> fetches_;
  std::unordered_map<std::uint64_t, Request> requests_;
  std::uint64_t last_request_ = 0;
  std::vector<FetchEnded> ended_;
};

// ---------------------------------------------------------------------------------------------- pushing

struct PutEnded {
  FetchId id;
  Failure failure;                     // none: the worker has the value
};

class ValueSender : private ValueLinks::User {
 public:
  explicit ValueSender(Endpoint& endpoint, TransferOptions options = {}) : links_(endpoint, *this, options) {}

  /// Put these bytes under the key on that worker. Two puts of one key to one worker run one after the other.
  void start(FetchId id, const Key& key, Buffer bytes, Location location);
  void cancel(FetchId id, Time now);
  std::vector<PutEnded> take() { return std::exchange(ended_, {}); }

  // As in ValueLinks.
  bool on_event(const EndpointEvent& event, Time now) { return links_.on_event(event, now); }
  void serve(Time now) { links_.serve(now); }
  Time wake_at() const { return links_.wake_at(); }

  std::size_t bytes_in_flight() const { return links_.in_flight(); }

 private:
  struct Owed {
    std::uint64_t end;                 // of the range that is not answered
    std::size_t charge;
  };
  struct Running {
    Key key;
    Buffer bytes;
    Location location;
    PeerId peer;
    std::uint64_t sent = 0;
    bool begun = false;                // the first range was sent (a value may have no bytes)
    bool over = false;                 // ended or cancelled; only its answers are missing
    std::deque<Owed> owed;
  };
  using Line = std::pair<PeerId, Key>;

  // ValueLinks::User.
  const Location* destination(FetchId id, Time now) override;
  void connected(FetchId id, PeerId peer) override;
  void unreachable(FetchId id, Failure why) override;
  ValueLinks::Turn speak(FetchId id, Time now) override;
  bool on_reply(PeerId peer, const ValueReply& reply, const Buffer& bytes) override;
  void lost(PeerId peer, const std::string& why) override;

  void say(Running& running, std::uint64_t offset, Buffer bytes, Time now);
  void end(FetchId id, Failure failure);
  void remove(FetchId id);

  ValueLinks links_;
  std::map<FetchId, Running> puts_;
  std::map<Line, std::deque<FetchId>> lines_;  // puts of one key to one worker; the first one runs
  std::vector<PutEnded> ended_;
};

}  // namespace weft
