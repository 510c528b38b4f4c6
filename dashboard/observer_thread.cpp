#include "dashboard/observer_thread.h"

#include <unistd.h>

#include <algorithm>

#include <weft/version.h>

#include "common/logging.h"
#include "common/machine.h"

namespace weft::dashboard {

static constexpr auto tick_every = std::chrono::milliseconds(20);
static constexpr std::size_t slots_a_tick = 1u << 16;
static constexpr Duration flush_every = 2s;
static constexpr Duration answer_patience = 5s;
static constexpr double questions_a_second = 20;

static std::int64_t unix_us() {
  using namespace std::chrono;
  return duration_cast<microseconds>(system_clock::now().time_since_epoch()).count();
}

Dashboard::Impl::Impl(DashboardOptions options, scheduler::Observer* observer, Asker ask)
    : options_(std::move(options)), observer_(observer), ask_(std::move(ask)), assets_(options_.assets) {}
Dashboard::Impl::~Impl() = default;

Result<void> Dashboard::Impl::open() {
  scene_->around.live = live();
  scene_->around.control = options_.control && live();
  scene_->around.epoch = options_.epoch;
  scene_->around.version = WEFT_VERSION_STRING;
  scene_->around.host = host_name();
  scene_->around.pid = static_cast<std::uint64_t>(getpid());
  scene_->around.options = Json::parse(options_.config, nullptr, false);
  if (!scene_->around.options.is_object()) scene_->around.options = Json::object();
  scene_->around.origin_unix_us = unix_us();
  scene_->feed.set_origin(monotonic_now());
  stepped_ = monotonic_now();
  std::string token;
  if (!is_loopback(options_.host)) {
    if (options_.token_file.empty())
      return failure(ErrorKind::invalid_argument,
                     "a dashboard that others can reach needs a token: name its file with --dashboard-token-file");
    Result<std::string> read = read_or_make_token(options_.token_file);
    if (!read) return read.error();
    token = std::move(*read);
  }
  doors_.emplace(options_.host, options_.hosts, std::move(token));
  if (!live()) {
    if (auto opened = open_history(*scene_, options_.epoch); !opened) return opened;
  } else if (!options_.history.empty()) {
    scene_->around.starts = log_starts(options_.history);
    Result<EventLog> log = EventLog::open(options_.history, options_.history_bytes, options_.epoch,
                                          scene_->around.origin_unix_us, about_texts(scene_->around));
    if (!log) return log.error();
    log_ = std::move(*log);
  }
  return listen();
}

Result<void> Dashboard::Impl::open_history(Scene& scene, std::uint64_t epoch) {
  Result<LogStart> start = read_event_log(options_.history, scene.feed, epoch);
  if (!start) return start.error();
  take_about(scene.around, *start, scene.feed.about());
  scene.around.prefix = options_.prefix;
  scene.around.starts = log_starts(options_.history);
  return {};
}

static constexpr std::size_t others_max = 2;  // held beside the first, unless they are watched

Result<std::shared_ptr<Scene>> Dashboard::Impl::scene_of(std::uint64_t epoch) {
  if (live()) return failure(ErrorKind::invalid_argument, "other starts of a scheduler are shown by `weft history DIR`");
  if (epoch == scene_->around.epoch) return scene_;
  if (auto held = others_.find(epoch); held != others_.end()) return held->second;
  auto scene = std::make_shared<Scene>();
  if (auto opened = open_history(*scene, epoch); !opened) return opened.error();
  if (others_.size() >= others_max) std::erase_if(others_, [](const auto& other) { return other.second.use_count() == 1; });
  return others_[epoch] = std::move(scene);
}

Result<void> Dashboard::Impl::listen() {
  boost::system::error_code error;
  std::string host = options_.host == "localhost" ? "127.0.0.1" : options_.host == "*" ? "0.0.0.0" : options_.host;
  asio::ip::address address = asio::ip::make_address(host, error);
  if (error)
    return failure(ErrorKind::invalid_argument,
                   "--dashboard-host takes an IP address or localhost, not '" + options_.host + "'");
  for (std::uint16_t port : {options_.port, std::uint16_t{0}}) {
    acceptor_.close(error);
    acceptor_.open(address.is_v6() ? tcp::v6() : tcp::v4());
    acceptor_.set_option(asio::socket_base::reuse_address(true));
    acceptor_.bind({address, port}, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error || !options_.other_port_if_taken) break;
  }
  if (error)
    return failure(ErrorKind::io_error, "the dashboard cannot listen on " + host + ':' + std::to_string(options_.port) +
                                            ": " + error.message() +
                                            "; give another --dashboard-port, or 0 for any free one");
  port_ = acceptor_.local_endpoint().port();
  std::string name = address.is_unspecified() ? host_name() : address.is_v6() ? '[' + host + ']' : host;
  url_ = "http://" + name + ':' + std::to_string(port_) + options_.prefix + '/';
  return {};
}

void Dashboard::Impl::run() {
  accept();
  tick();
  io_.run();
}

void Dashboard::Impl::stop() {
  asio::post(io_, [this] { io_.stop(); });
}

void Dashboard::Impl::accept() {
  acceptor_.async_accept([self = this](boost::system::error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    // More connections than this are refused by closing them; so a flood costs a descriptor for a moment.
    if (!error && self->sessions < 4 * self->options_.sessions_max) serve_connection(*self, std::move(socket));
    if (!error) return self->accept();
    // No descriptors left, probably: others must end first.
    auto pause = std::make_shared<asio::steady_timer>(self->io_, std::chrono::milliseconds(100));
    pause->async_wait([self, pause](auto) { self->accept(); });
  });
}

void Dashboard::Impl::tick() {
  Time now = monotonic_now();
  questions_left_ = std::min(questions_a_second,
                             questions_left_ + questions_a_second * static_cast<double>((now - last_tick_).count()) * 1e-9);
  last_tick_ = now;
  if (live()) {
    drain();
    // A little behind, so that records written meanwhile are not older than the feed's clock.
    scene_->feed.advance(now - 20ms);
    if (scene_->feed.totals().steps != steps_seen_) steps_seen_ = scene_->feed.totals().steps, stepped_ = now;
  }
  if (log_ && now - flushed_ > flush_every) {
    log_->flush();
    flushed_ = now;
  }
  serve_viewers(*this);
  scene_->topics.forget_unused(scene_->feed.now());
  timer_.expires_after(tick_every);
  timer_.async_wait([self = this](boost::system::error_code error) {
    if (!error) self->tick();
  });
}

void Dashboard::Impl::drain() {
  const Sighting* first = nullptr;
  for (std::size_t done = 0; done < slots_a_tick;) {
    std::size_t slots = observer_->peek(first);
    if (slots == 0) break;
    scene_->feed.apply(first, slots);
    if (log_ && !log_->append(first, slots, scene_->feed, scene_->feed.origin())) {
      log_warning("dashboard's history ended: its disk refused", {{"folder", options_.history}});
      log_.reset();
    }
    observer_->consume(slots);
    done += slots;
  }
  scene_->around.queue = observer_->peek(first);
  scene_->around.log_bytes = log_ ? log_->bytes() : 0;
  scene_->around.sessions = viewers.size();
}

bool Dashboard::Impl::scheduler_steps() const { return !live() || monotonic_now() - stepped_ < 5s; }

void Dashboard::Impl::ask(const std::string& verb, std::vector<std::string> words, std::vector<Key> keys,
                          std::function<void(Body)> answered) {
  if (!live() || !ask_) return answered(error_body(503, "this is a history: there is no scheduler to ask"));
  Body busy = error_body(429, "too many questions at once; ask again in a second");
  busy.headers.emplace_back("Retry-After", "1");
  if (questions_left_ < 1) return answered(std::move(busy));
  questions_left_ -= 1;
  // Whoever is first, the answer or the clock, takes the function.
  auto pending = std::make_shared<std::function<void(Body)>>(std::move(answered));
  auto finish = [pending](Body body) {
    if (auto call = std::exchange(*pending, nullptr)) call(std::move(body));
  };
  auto clock = std::make_shared<asio::steady_timer>(io_, answer_patience);
  clock->async_wait([finish, clock](boost::system::error_code error) {
    if (!error) finish(error_body(503, "the scheduler did not answer within 5 s; it is busy or stopped"));
  });
  auto arrived = [weak = weak_from_this(), finish, clock](Result<std::string> result) {
    auto self = weak.lock();
    if (!self) return;
    asio::post(self->io_, [finish, clock, result = std::move(result)] {
      clock->cancel();
      if (!result)
        return finish(error_body(result.error().kind == ErrorKind::invalid_argument ? 404 : 500, result.error().message));
      Json body = Json::parse(*result, nullptr, false);
      finish({.json = body.is_discarded() ? Json::object() : std::move(body)});
    });
  };
  if (!ask_(verb, std::move(words), std::move(keys), std::move(arrived))) {
    clock->cancel();
    finish(std::move(busy));
  }
}

// ------------------------------------------------------------------------------------------------ Dashboard

Dashboard::Dashboard(std::shared_ptr<Impl> impl)
    : impl_(std::move(impl)), thread_(std::make_unique<std::thread>([impl = impl_] { impl->run(); })) {}
Dashboard::~Dashboard() {
  impl_->stop();
  thread_->join();
}
const std::string& Dashboard::url() const { return impl_->url(); }
std::uint16_t Dashboard::port() const { return impl_->port(); }

Result<std::unique_ptr<Dashboard>> Dashboard::start(DashboardOptions options, scheduler::Observer& observer, Asker ask) {
  try {
    auto impl = std::make_shared<Impl>(std::move(options), &observer, std::move(ask));
    if (auto opened = impl->open(); !opened) return opened.error();
    return std::unique_ptr<Dashboard>(new Dashboard(std::move(impl)));
  } catch (const std::exception& error) {  // Asio's, such as no descriptors left
    return failure(ErrorKind::io_error, std::string("the dashboard cannot start: ") + error.what());
  }
}

Result<std::unique_ptr<Dashboard>> Dashboard::open_history(DashboardOptions options) {
  try {
    auto impl = std::make_shared<Impl>(std::move(options), nullptr, nullptr);
    if (auto opened = impl->open(); !opened) return opened.error();
    return std::unique_ptr<Dashboard>(new Dashboard(std::move(impl)));
  } catch (const std::exception& error) {
    return failure(ErrorKind::io_error, std::string("the history cannot be served: ") + error.what());
  }
}

}  // namespace weft::dashboard
