// The dashboard's own thread: drains the observer's ring into the feed and the log, and gives the web server (http_server)
// what it serves. One io_context, so nothing here needs a lock; only Dashboard's constructor and destructor are on other
// threads.
#pragma once

#include <utility>  // before Asio 1.74, which needs it under C++20

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <map>
#include <set>
#include <thread>

#include "dashboard/assets.h"
#include "dashboard/dashboard.h"
#include "dashboard/event_log.h"
#include "dashboard/safety.h"
#include "dashboard/viewer.h"

namespace weft::dashboard {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

class WebSocketSession;

/// One scheduler as it is or was, and who watches it.
struct Scene {
  Feed feed;
  Surroundings around;
  Pages pages{feed, around};
  Topics topics;
};

class Dashboard::Impl : public std::enable_shared_from_this<Dashboard::Impl> {
 public:
  Impl(DashboardOptions options, scheduler::Observer* observer, Asker ask);
  ~Impl();

  Result<void> open();
  void run();
  void stop();

  const DashboardOptions& options() const { return options_; }
  const Pages& pages() const { return scene_->pages; }
  const Feed& feed() const { return scene_->feed; }
  Feed& feed() { return scene_->feed; }
  Topics& topics() { return scene_->topics; }
  const Doors& doors() const { return *doors_; }
  WrongTokens& wrong_tokens() { return wrong_tokens_; }
  Assets& assets() { return assets_; }
  Surroundings& around() { return scene_->around; }
  const std::shared_ptr<Scene>& scene() const { return scene_; }
  /// Of a history: another start of the scheduler, read now unless it is held.
  Result<std::shared_ptr<Scene>> scene_of(std::uint64_t epoch);
  asio::io_context& io() { return io_; }
  const std::string& url() const { return url_; }
  std::uint16_t port() const { return port_; }
  bool live() const { return observer_ != nullptr; }
  bool scheduler_steps() const;

  /// Put a question to the scheduler, at most 20 a second; `answered` is called on this thread, at the latest after 5 s.
  void ask(const std::string& verb, std::vector<std::string> words, std::vector<Key> keys,
           std::function<void(Body)> answered);

  // Sessions live in handlers of `io_`, which is destroyed before these: they point here and need not own it.
  /// Of all kinds, counted from acceptance to the end.
  std::size_t sessions = 0;
  std::set<WebSocketSession*> viewers;

 private:
  Result<void> listen();
  Result<void> open_history(Scene& scene, std::uint64_t epoch);
  void accept();
  void tick();
  void drain();

  DashboardOptions options_;
  scheduler::Observer* observer_;
  Asker ask_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  asio::steady_timer timer_{io_};
  std::shared_ptr<Scene> scene_ = std::make_shared<Scene>();
  std::map<std::uint64_t, std::shared_ptr<Scene>> others_;  // of a history, by epoch
  Assets assets_;
  std::optional<Doors> doors_;
  WrongTokens wrong_tokens_;
  std::optional<EventLog> log_;
  std::string url_;
  std::uint16_t port_ = 0;
  double questions_left_ = 20;
  Time last_tick_, flushed_, stepped_;
  std::uint64_t steps_seen_ = 0;
};

/// Serve one connection until it ends; it counts itself in `sessions`. In http_server.cpp.
void serve_connection(Dashboard::Impl& owner, tcp::socket socket);
/// Give each viewer what it is owed, and cut those that take nothing. In websocket_session.cpp.
void serve_viewers(Dashboard::Impl& owner);

}  // namespace weft::dashboard
