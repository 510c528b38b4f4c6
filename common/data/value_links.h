// The connections that transfers opened, by address: opened lazily, shared by all transfers with that peer, closed when idle or
// when another is needed. They count the bytes on their way, give each transfer its turn, put what is said to one peer into few
// frames, and find out who lies or is silent. What is said, they do not know: that is their user's.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "common/data/transfer_turns.h"
#include "common/data/value_frames.h"
#include "common/messages.h"
#include "common/transport/endpoint.h"

namespace weft {

struct TransferOptions {
  std::size_t in_flight_max = 16u << 20;        // bytes asked for or sent and not answered, in all
  std::size_t in_flight_per_peer_max = 8u << 20;
  std::size_t links_max = 64;                   // open connections
  Duration idle_close = 30s;                    // an unused connection is closed after this
  Duration stall = 30s;                         // a peer that owes an answer and says nothing is given up after this
};

/// A message costs something even if it moves no bytes, so that a million empty ranges are bounded too.
inline constexpr std::size_t charge_min = 256;

class ValueLinks {
 public:
  using Turn = TransferTurns::Turn;

  /// Who moves values. Everything may be called from within, except `on_event` and `serve`.
  class User {
   public:
    virtual ~User() = default;
    /// Where this transfer wants a connection to; null: it wants none any more.
    virtual const Location* destination(FetchId id, Time now) = 0;
    virtual void connected(FetchId id, PeerId peer) = 0;
    virtual void unreachable(FetchId id, Failure why) = 0;
    /// It has a turn: say something, or `blocked` if there is no room.
    virtual Turn speak(FetchId id, Time now) = 0;
    /// False if no honest peer says that; it is then cut.
    virtual bool on_reply(PeerId peer, const ValueReply& reply, const Buffer& bytes) = 0;
    /// The connection is gone, and what was charged to it.
    virtual void lost(PeerId peer, const std::string& why) = 0;
  };

  ValueLinks(Endpoint& endpoint, User& user, const TransferOptions& options) : endpoint_(endpoint), user_(user), options_(options) {}
  ~ValueLinks();
  ValueLinks(const ValueLinks&) = delete;
  ValueLinks& operator=(const ValueLinks&) = delete;

  // What the user does. Nothing is sent before `serve`.

  /// Get in line for a connection. While all are busy the first in line waits, and the others behind it.
  void join(FetchId id);
  /// The transfer needs its connection no more.
  void leave(PeerId peer, FetchId id);
  /// Let it speak when others have had their turns.
  void want_turn(PeerId peer, FetchId id);
  void drop_turn(PeerId peer, FetchId id) { turns_.drop(peer, id); }
  bool knows(PeerId peer) const { return links_.contains(peer); }
  bool has_room(PeerId peer, std::size_t bytes) const;
  /// Say something, for so many bytes on their way until `refund`.
  void say(PeerId peer, ValueRequest message, Buffer bytes, std::size_t charge, Time now);
  /// Answered. More than was charged is the peer's lie, and ignored.
  void refund(PeerId peer, std::size_t charge);

  // What the user's owner does.

  /// True if the event was about one of our connections.
  bool on_event(const EndpointEvent& event, Time now);
  /// Give up silent peers, close idle connections, send all that may be sent. Call it when nothing more is there to be handled,
  /// and at `wake_at`.
  void serve(Time now);
  Time wake_at() const;

  std::size_t in_flight() const { return in_flight_; }

 private:
  struct Link {
    std::string address;
    ValueFrames<ValueRequest> frames;  // not sent yet
    std::size_t users = 0;
    std::size_t in_flight = 0;
    std::size_t owed = 0;              // answers not come yet
    Time last;                         // heard, or first owed
  };
  void connect_line(Time now);
  Result<PeerId> acquire(const Location& location, Time now);
  bool flush();
  void expire(Time now);
  void cut(PeerId peer, const std::string& why);
  void forget(PeerId peer, bool close);

  Endpoint& endpoint_;
  User& user_;
  const TransferOptions options_;
  std::map<PeerId, Link> links_;
  std::map<std::string, PeerId> by_address_;
  std::deque<FetchId> line_;           // need a connection
  TransferTurns turns_;                // may say more
  std::vector<PeerId> talked_;         // have frames to be sent
  bool changed_ = false;               // since the last `serve`
  std::size_t in_flight_ = 0;
};

}  // namespace weft
