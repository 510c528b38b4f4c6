// One viewer's WebSocket: reads what it asks for, writes one frame at a time, and ends when it takes nothing for too long.
#pragma once

#include "dashboard/http_session.h"

namespace weft::dashboard {

void start_websocket(Dashboard::Impl& owner, std::shared_ptr<Scene> scene, beast::tcp_stream stream,
                     http::request<http::string_body> request);

class WebSocketSession : public std::enable_shared_from_this<WebSocketSession> {
 public:
  WebSocketSession(Dashboard::Impl& owner, std::shared_ptr<Scene> scene, beast::tcp_stream stream);
  ~WebSocketSession();
  void accept(http::request<http::string_body> request);
  /// Write the next frame, if one is due and none is on its way.
  void pump(Time now);
  template <class Work>
  void guarded(Work work);

 private:
  void read();
  void end();

  Dashboard::Impl* owner_;
  std::shared_ptr<Scene> scene_;
  beast::websocket::stream<beast::tcp_stream> socket_;
  beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  Viewer viewer_;
  std::optional<Frame> writing_;
  Time writing_since_;
  bool ready_ = false, ended_ = false;
};

}  // namespace weft::dashboard
