// HTTP: one connection, one request at a time. Who may ask comes first, then what is asked.
#include "dashboard/http_session.h"

#include <charconv>

#include "common/logging.h"
#include "dashboard/orders.h"
#include "dashboard/websocket_session.h"

namespace weft::dashboard {

const char* const content_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";
static constexpr std::size_t body_max = 64u << 10;
static constexpr std::uint32_t header_max = 16u << 10;
static constexpr int send_buffer = 256 << 10;  // what a viewer that takes nothing costs; the kernel would give it megabytes
static constexpr auto request_patience = std::chrono::seconds(30);

void serve_connection(Dashboard::Impl& owner, tcp::socket socket) {
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::send_buffer_size(send_buffer), ignored);
  std::make_shared<HttpSession>(owner, std::move(socket))->read();
}

HttpSession::HttpSession(Dashboard::Impl& owner, tcp::socket socket) : owner_(&owner), stream_(std::move(socket)) {
  ++owner_->sessions;
}
HttpSession::~HttpSession() { --owner_->sessions; }

void HttpSession::read() {
  parser_.emplace();
  parser_->body_limit(body_max);
  parser_->header_limit(header_max);
  stream_.expires_after(request_patience);
  http::async_read(stream_, buffer_, *parser_,
                   [self = shared_from_this()](beast::error_code error, std::size_t) { self->on_read(error); });
}

void HttpSession::on_read(beast::error_code error) {
  if (error == http::error::body_limit) return close_after_ = true, answer(error_body(413, "a body has at most 64 KiB"));
  if (error == http::error::header_limit)
    return close_after_ = true, answer(error_body(431, "the header has more than 16 KiB"));
  bool spoke = error && error.category() == http::make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream && error != http::error::partial_message;
  if (spoke) return close_after_ = true, answer(error_body(400, "this is not HTTP/1.1"));
  if (error) return close();
  try {
    handle();
  } catch (const std::exception& caught) {  // of Beast or of JSON: one request's trouble
    log_warning("dashboard request failed", {{"why", caught.what()}});
    answer(error_body(500, "the dashboard failed at this request; its log says more"));
  }
}

void HttpSession::handle() {
  const auto& request = parser_->get();
  auto text = [](beast::string_view view) { return std::string_view(view.data(), view.size()); };
  close_after_ = !request.keep_alive();
  std::string_view target = text(request.target()), host = text(request[http::field::host]);
  const std::string& prefix = owner_->options().prefix;
  if (!prefix.empty() && target.starts_with(prefix)) target.remove_prefix(prefix.size());
  std::string_view path = target.substr(0, target.find('?'));
  bool is_read = request.method() == http::verb::get || request.method() == http::verb::head;

  // Probes of an orchestrator come by the machine's address and carry no secret: they learn one word.
  if (is_read && path == "/healthz") return answer({.bytes = "ok\n", .type = "text/plain"});
  if (is_read && path == "/readyz") {
    bool ready = owner_->scheduler_steps();
    return answer({.status = ready ? 200 : 503,
                   .bytes = ready ? "ready\n" : "the scheduler has not stepped for 5 s\n",
                   .type = "text/plain"});
  }
  const Doors& doors = owner_->doors();
  if (request.count(http::field::host) != 1 || !doors.host_is_ours(host))
    return answer(error_body(421, "this dashboard does not answer to the Host '" + std::string(host.substr(0, 100)) +
                                      "', but to " + doors.names() + "; weft-scheduler --dashboard-names adds another"));
  if (request.count(http::field::origin) > 1 || !doors.origin_is_ours(text(request[http::field::origin]), host))
    return answer(error_body(403, "another site may not read this dashboard"));
  if (!may_enter(target, text(request[http::field::authorization]), text(request[http::field::cookie]))) return;
  if (!choose_scene(target)) return;
  path = target.substr(0, target.find('?'));
  if (path == "/ws") return upgrade();
  if (path.starts_with("/api/v1/control/")) return control(path.substr(16));
  if (!is_read) {
    Body body = error_body(405, "this is only read: use GET");
    body.headers.emplace_back("Allow", "GET, HEAD");
    return answer(std::move(body));
  }
  if (path == "/metrics")
    return answer({.bytes = scene_->pages.metrics(), .type = "text/plain; version=0.0.4; charset=utf-8"});
  if (path.starts_with("/api/")) return api(target);
  asset(path);
}

/// `/starts/EPOCH/…`: the same paths, of another start of the scheduler. False: it was answered.
bool HttpSession::choose_scene(std::string_view& target) {
  scene_ = owner_->scene();
  if (!target.starts_with("/starts/")) return true;
  std::string_view rest = target.substr(8);
  std::uint64_t epoch = 0;
  auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), epoch);
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  if (error != std::errc() || !rest.starts_with('/'))
    return answer(error_body(404, "write /starts/EPOCH/; /api/v1/starts lists them")), false;
  auto scene = owner_->scene_of(epoch);
  if (!scene) return answer(error_body(404, scene.error().message)), false;
  scene_ = std::move(*scene);
  target = rest;
  return true;
}

/// `/?token=…`: the token becomes a cookie, and leaves the address bar. False: there is no right token in it.
bool HttpSession::take_token(std::string_view target) {
  std::string_view token = target.substr(8);
  if (!owner_->doors().is_token(token)) return false;
  Body body{.status = 303, .bytes = "see /\n", .type = "text/plain"};
  body.headers.emplace_back("Set-Cookie", "weft_token=" + std::string(token) +
                                              "; HttpOnly; SameSite=Strict; Path=" + owner_->options().prefix + '/');
  body.headers.emplace_back("Location", owner_->options().prefix + "/");
  answer(std::move(body));
  return true;
}

/// False: it was answered: that a token is missing or wrong, or with a cookie for the right one. Who guesses is not even
/// compared any more.
bool HttpSession::may_enter(std::string_view target, std::string_view authorization, std::string_view cookie) {
  const Doors& doors = owner_->doors();
  if (!doors.needs_token()) return true;
  boost::system::error_code ignored;
  const std::string address = stream_.socket().remote_endpoint(ignored).address().to_string();
  const bool opens = target.starts_with("/?token=");
  const bool tried = opens || !authorization.empty() || cookie.find("weft_token=") != cookie.npos;
  if (tried && owner_->wrong_tokens().too_many(address, monotonic_now())) {
    Body body = error_body(429, "too many wrong tokens came from this address; wait a minute");
    body.headers.emplace_back("Retry-After", "60");
    answer(std::move(body));
    return false;
  }
  if (opens && take_token(target)) return false;
  if (doors.token_is_right(authorization, cookie)) return true;
  if (tried) owner_->wrong_tokens().note(address, monotonic_now());
  Body body = error_body(401,
                         "a token is needed: open /?token=TOKEN once, or send Authorization: Bearer TOKEN; the scheduler's "
                         "log names the file that has it");
  body.headers.emplace_back("WWW-Authenticate", "Bearer");
  answer(std::move(body));
  return false;
}

void HttpSession::upgrade() {
  const auto& request = parser_->get();
  if (!beast::websocket::is_upgrade(request)) return answer(error_body(426, "/ws speaks WebSocket"));
  // Browsers send an Origin; a cookie without one comes from something that must not use it.
  if (owner_->doors().needs_token() && request[http::field::origin].empty() && request[http::field::authorization].empty())
    return answer(error_body(403, "a WebSocket without an Origin needs Authorization: Bearer TOKEN"));
  if (owner_->viewers.size() >= owner_->options().sessions_max)
    return answer(error_body(503, "as many viewers as are allowed are here; try again later"));
  stream_.expires_never();
  start_websocket(*owner_, scene_, std::move(stream_), parser_->release());
}

void HttpSession::api(std::string_view target) {
  Result<Query> query = Query::read(target);
  if (!query) return answer(error_body(target.starts_with("/api/v1/") ? 400 : 404, query.error().message));
  const auto& path = query->path;
  bool question = path.size() == 3 && path[0] == "tasks" && (path[2] == "explain" || path[2] == "lineage");
  if (!question) return answer(scene_->pages.get(*query));
  if (auto refusal = refusal_of(*query)) return answer(error_body(*refusal));
  // Of the past the records tell; the scheduler knows the present only.
  if (!owner_->live() || query->has("t1")) return answer(scene_->pages.get(*query));
  auto key = Key::from_hex(path[1]);
  if (!key) return answer(error_body(400, "a key has 32 hexadecimal digits"));
  owner_->ask(path[2], {std::to_string(static_cast<int>(query->number("hops", 2)))}, {*key},
              [self = shared_from_this()](Body body) { self->answer(std::move(body)); });
}

void HttpSession::control(std::string_view verb) {
  const auto& request = parser_->get();
  if (request.method() != http::verb::post) return answer(error_body(405, "a verb that changes something is a POST"));
  if (!owner_->around().control)
    return answer(error_body(403, "verbs are off; start weft-scheduler with --dashboard-control to allow them"));
  if (request[http::field::origin].empty())
    return answer(error_body(403, "a verb needs an Origin header: the dashboard's own"));
  if (!request[http::field::content_type].starts_with("application/json"))
    return answer(error_body(415, "send JSON: Content-Type: application/json"));
  Order order;
  if (auto refusal = read_order(verb, request.body(), order)) return answer(error_body(*refusal));
  log_info("dashboard verb", {{"verb", order.verb}, {"keys", order.keys.size()}});
  owner_->ask(order.verb, std::move(order.words), std::move(order.keys), [self = shared_from_this()](Body answered) {
    if (answered.status == 200) answered.json = Json{{"result", std::move(answered.json)}};
    self->answer(std::move(answered));
  });
}

void HttpSession::asset(std::string_view path) {
  if (owner_->assets().empty()) {
    return answer(
        {.status = path == "/" ? 200 : 404,
         .bytes =
             "This weft was built without its web page: dashboard/web/dist was empty.\nThe data is here: /api/v1/overview, "
             "/metrics, and `weft top`.\n"
             "To see the page, build it in dashboard/web and configure again, or name its folder with --dashboard-assets.\n",
         .type = "text/plain; charset=utf-8"});
  }
  const Asset* found = owner_->assets().find(path);
  if (!found) return answer(error_body(404, "the page has no such file"));
  const auto& request = parser_->get();
  Body body{.bytes = found->plain, .type = found->type};
  bool zipped = request[http::field::accept_encoding].find("gzip") != beast::string_view::npos && !found->gzip.empty();
  if (zipped) body.bytes = found->gzip, body.headers.emplace_back("Content-Encoding", "gzip");
  body.headers.emplace_back("Vary", "Accept-Encoding");
  body.headers.emplace_back("ETag", found->etag);
  body.headers.emplace_back("Cache-Control", found->immutable ? "public, max-age=31536000, immutable" : "no-cache");
  if (request[http::field::if_none_match] == found->etag) body.status = 304, body.bytes.clear();
  answer(std::move(body));
}

void HttpSession::answer(Body body) {
  bool head = parser_->is_header_done() && parser_->get().method() == http::verb::head;
  std::string bytes = body.status == 304 ? std::string() : body.text();
  response_ = {};
  response_.version(11);
  response_.result(static_cast<unsigned>(body.status));
  response_.set(http::field::server, "weft");
  response_.set(http::field::content_type, body.type);
  response_.set("Content-Security-Policy", content_policy);
  response_.set("X-Content-Type-Options", "nosniff");
  response_.set("Cross-Origin-Opener-Policy", "same-origin");
  response_.set("Cross-Origin-Resource-Policy", "same-origin");
  response_.set("Referrer-Policy", "no-referrer");
  response_.set("X-Frame-Options", "DENY");
  response_.set(http::field::cache_control, "no-store");
  for (const auto& [name, value] : body.headers) response_.set(name, value);
  response_.keep_alive(!close_after_);
  response_.content_length(bytes.size());
  if (!head) response_.body() = std::move(bytes);
  stream_.expires_after(owner_->options().stall);
  http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code error, std::size_t sent) {
    self->owner_->around().sent_bytes += sent;
    if (error || self->close_after_) return self->close();
    self->read();
  });
}

void HttpSession::close() {
  beast::error_code ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
}

}  // namespace weft::dashboard
