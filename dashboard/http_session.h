// One HTTP connection. Beast is known here, in websocket_session and in what includes these.
#pragma once

#include <utility>  // before Asio 1.74, which needs it under C++20

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include "dashboard/observer_thread.h"

namespace weft::dashboard {

namespace beast = boost::beast;
namespace http = beast::http;

/// The Content-Security-Policy of every answer.
extern const char* const content_policy;

class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(Dashboard::Impl& owner, tcp::socket socket);
  ~HttpSession();
  void read();

 private:
  void on_read(beast::error_code error);
  void handle();
  bool take_token(std::string_view target);
  bool may_enter(std::string_view target, std::string_view authorization, std::string_view cookie);
  void upgrade();
  void api(std::string_view target);
  void control(std::string_view verb);
  void asset(std::string_view path);
  bool choose_scene(std::string_view& target);
  void answer(Body body);
  void close();

  Dashboard::Impl* owner_;
  std::shared_ptr<Scene> scene_;  // that this request is about
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{128u << 10};
  std::optional<http::request_parser<http::string_body>> parser_;  // one request
  http::response<http::string_body> response_;
  bool close_after_ = false;
};

}  // namespace weft::dashboard
