#include "dashboard/websocket_session.h"

#include "common/logging.h"

namespace weft::dashboard {

static constexpr std::size_t message_max = 16u << 10;
static constexpr int send_buffer = 256 << 10;  // what the kernel holds for a viewer that takes nothing

void start_websocket(Dashboard::Impl& owner, std::shared_ptr<Scene> scene, beast::tcp_stream stream,
                     http::request<http::string_body> request) {
  std::make_shared<WebSocketSession>(owner, std::move(scene), std::move(stream))->accept(std::move(request));
}

WebSocketSession::WebSocketSession(Dashboard::Impl& owner, std::shared_ptr<Scene> scene, beast::tcp_stream stream)
    : owner_(&owner),
      scene_(std::move(scene)),
      socket_(std::move(stream)),
      viewer_(scene_->pages, scene_->feed, scene_->topics) {
  ++owner_->sessions;
  owner_->viewers.insert(this);
}
WebSocketSession::~WebSocketSession() {
  owner_->viewers.erase(this);
  --owner_->sessions;
}

void WebSocketSession::accept(http::request<http::string_body> request) {
  request_ = std::move(request);
  beast::websocket::stream_base::timeout timeout{std::chrono::seconds(10), std::chrono::seconds(40),
                                                 true};  // pings after 20 s
  socket_.set_option(timeout);
  socket_.read_message_max(message_max);
  beast::error_code ignored;
  beast::get_lowest_layer(socket_).socket().set_option(asio::socket_base::send_buffer_size(send_buffer), ignored);
  socket_.set_option(beast::websocket::stream_base::decorator([](beast::websocket::response_type& response) {
    response.set(http::field::server, "weft");
    response.set("Content-Security-Policy", content_policy);
  }));
  socket_.async_accept(request_, [self = shared_from_this()](beast::error_code error) {
    if (error) return;
    const Surroundings& around = self->scene_->around;
    self->viewer_.say({{"hello",
                        {{"version", 1},
                         {"epoch", around.epoch},
                         {"now", self->scene_->feed.now()},
                         {"origin_unix_us", around.origin_unix_us},
                         {"control", around.control},
                         {"mode", around.live ? "live" : "history"},
                         {"weft", around.version}}}});
    self->ready_ = true;
    self->read();
    self->pump(monotonic_now());
  });
}

void WebSocketSession::read() {
  socket_.async_read(buffer_, [self = shared_from_this()](beast::error_code error, std::size_t) {
    if (error == beast::error::timeout) ++self->owner_->around().cut;  // not even a pong came back
    if (error) return self->end();                                     // Beast has said 1009 for a message that is too long
    auto bytes = self->buffer_.cdata();
    self->guarded([&] { self->viewer_.receive({static_cast<const char*>(bytes.data()), bytes.size()}); });
    self->buffer_.consume(self->buffer_.size());
    self->pump(monotonic_now());
    if (!self->ended_) self->read();
  });
}

/// What one viewer asks for is its own trouble.
template <class Work>
void WebSocketSession::guarded(Work work) {
  try {
    work();
  } catch (const std::exception& caught) {
    log_warning("dashboard viewer ended", {{"why", caught.what()}});
    end();
  }
}

void WebSocketSession::pump(Time now) {
  if (!ready_ || ended_) return;
  if (writing_) {
    if (now - writing_since_ < owner_->options().stall) return;
    // It takes nothing. A close frame (1013) would wait behind the one it does not take, so the connection just ends.
    ++owner_->around().cut;
    return end();
  }
  guarded([&] { writing_ = viewer_.next(scene_->feed.now()); });
  if (!writing_ || ended_) return;
  writing_since_ = now;
  socket_.binary(writing_->binary);
  socket_.async_write(asio::buffer(writing_->bytes), [self = shared_from_this()](beast::error_code error, std::size_t sent) {
    self->owner_->around().sent_bytes += sent;
    self->writing_.reset();
    if (error) return self->end();
    self->pump(monotonic_now());
  });
}

void WebSocketSession::end() {
  if (std::exchange(ended_, true)) return;
  beast::error_code ignored;
  beast::get_lowest_layer(socket_).socket().close(ignored);
}

void serve_viewers(Dashboard::Impl& owner) {
  Time now = monotonic_now();
  // A session may end while it is served.
  std::vector<std::shared_ptr<WebSocketSession>> all;
  for (WebSocketSession* viewer : owner.viewers)
    if (auto held = viewer->weak_from_this().lock()) all.push_back(std::move(held));
  for (const auto& viewer : all) viewer->pump(now);
}

}  // namespace weft::dashboard
