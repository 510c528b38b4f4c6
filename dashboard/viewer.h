// What one WebSocket viewer has subscribed to, and the next frame it is owed. Pure: frames are made from the present state
// when there is room for one, so a slow viewer costs no memory; sockets are in http_server.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "dashboard/topics.h"

namespace weft::dashboard {

struct Frame {
  std::string bytes;
  bool binary = false;
};

class Viewer {
 public:
  Viewer(const Pages& pages, const Feed& feed, Topics& topics) : pages_(pages), feed_(feed), topics_(topics) {}

  /// A message of the viewer. Mistakes are answered by frames.
  void receive(std::string_view text);
  /// Something to say before anything else.
  void say(Json message) { answers_.push_back({to_text(message), false}); }
  /// The frame that is due next, if any.
  std::optional<Frame> next(Micros now);

 private:
  struct Subscription {
    Query query;
    std::shared_ptr<Topic> topic;  // null for the stream and for lists
    bool stream = false, fixed = false, begun = false;
    double hz = 1;
    Micros span = 0, due = 0, last = 0;
    std::uint64_t seq = 0, sent = 0, after = 0;  // sent: of the topic
    std::string shape;                           // of the stream's last frame: form, lanes, width
  };
  void subscribe(const Json& wanted);
  void refuse(const Json& id, const Body& why);
  std::optional<Frame> frame(std::uint32_t id, Subscription& subscription, Micros now);
  std::optional<Frame> topic_frame(std::uint32_t id, Subscription& subscription, Micros now);
  std::optional<Frame> list_frame(std::uint32_t id, Subscription& subscription, Micros now);
  std::optional<Frame> stream_frame(std::uint32_t id, Subscription& subscription, Micros now);

  const Pages& pages_;
  const Feed& feed_;
  Topics& topics_;
  std::deque<Frame> answers_;
  std::map<std::uint32_t, Subscription> subscriptions_;
};

}  // namespace weft::dashboard
