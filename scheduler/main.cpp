// weft-scheduler: a scheduler as a program. Wiring only: options, keys, sockets, signals around scheduler::Server.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <mutex>

#include <nlohmann/json.hpp>

#include <weft/version.h>

#include "common/credentials.h"
#include "common/exit_codes.h"
#include "common/listen.h"
#include "common/machine.h"
#include "common/program.h"
#include "common/scheduler_file.h"
#include "common/transport/zeromq.h"
#include "dashboard/dashboard.h"
#include "dashboard/safety.h"
#include "scheduler/server.h"

using namespace weft;

namespace {

// Open files besides those of clients: workers, the dashboard's viewers, the store, logs.
constexpr std::uint64_t files_besides_clients = 1024;

struct Settings {
  std::string host = "127.0.0.1";
  PortRange port{8786, 8786}, worker_port{8788, 8788};
  std::string listen, worker_listen;
  std::string contact, worker_contact;
  std::string folder, scheduler_file, keys, store, recorder;
  ByteCount recorder_bytes{256ull << 20};
  bool store_accept_loss = false;
  Duration idle_timeout{};
  scheduler::Options state;
  bool dashboard = true;
  PortRange dashboard_port{8787, 8787};
  TextList dashboard_names;
  ByteCount history_bytes{512ull << 20};
  dashboard::DashboardOptions page;
  ProgramSettings program{.name = "weft-scheduler"};
};

void declare(ProgramOptions& options, Settings& s) {
  options.add("host", s.host, "listen on this interface; * is every one");
  options.add("port", s.port, "clients' port; 0 is any free one");
  options.add("worker-port", s.worker_port, "workers' port; 0 is any free one");
  options.add("listen", s.listen, "clients' address, instead of host and port: tcp://HOST:PORT or ipc://PATH");
  options.add("worker-listen", s.worker_listen, "workers' address, likewise");
  options.add("folder", s.folder, "listen on ipc:// sockets in this private folder only; it gets scheduler.json too");
  options.add("contact-address", s.contact, "what clients elsewhere are told to connect to, if not the address listened on");
  options.add("worker-contact-address", s.worker_contact, "the same for workers");
  options.add("scheduler-file", s.scheduler_file, "write there how this scheduler is reached");
  options.add("keys", s.keys, "folder of keys, made at the first start; empty: ~/.config/weft/keys");
  options.add("store", s.store, "folder of what must outlive this process, or none; empty: in the folder, else a place of its own for a fixed port");
  options.add("store-accept-loss", s.store_accept_loss, "go on with a store of which the disk lost commits");
  options.add("recorder", s.recorder, "keep the last events in this file and FILE.old, for weft replay");
  options.add("recorder-bytes", s.recorder_bytes, "largest size of the two together");
  options.add("recovery-grace", s.state.recovery_grace, "how long to wait after a restart for workers that were here");
  options.add("idle-timeout", s.idle_timeout, "stop after so long without clients and work; 0: never");
  options.add("worker-lease", s.state.lease, "how long a silent worker is believed alive");
  options.add("heartbeat-interval", s.state.heartbeat_interval, "between heartbeats of a worker, up to 200 workers");
  options.add("reconnect-grace", s.state.reconnect_grace, "how long a worker whose link was cut may take to come back");
  options.add("client-grace", s.state.client_grace, "how long a vanished client's futures are kept");
  options.add("locality", s.state.locality, "place tasks where their inputs are");
  options.add("hold-back", s.state.hold_back, "deal out root tasks by credit instead of at once");
  options.add("recall", s.state.recall, "take queued tasks back from busy workers for idle ones");
  options.add("run-ahead", s.state.run_ahead, "send a task together with the inputs it waits for");
  options.add("broadcast", s.state.broadcast, "let copies of a value that many read make further copies");
  options.add("sessions-max", s.state.sessions_max, "most clients at once");
  options.add("tasks-max", s.state.tasks_max, "most tasks at once");
  options.add("dashboard", s.dashboard, "serve the web page, /api/v1, /metrics and /healthz");
  options.add("dashboard-host", s.page.host, "listen for browsers on this interface; off loopback a token is asked for");
  options.add("dashboard-port", s.dashboard_port, "browsers' port; another free one when it is taken");
  options.add("dashboard-names", s.dashboard_names, "more host names under which browsers may come, as those of a proxy");
  options.add("dashboard-prefix", s.page.prefix, "what a proxy puts before every path, such as /weft");
  options.add("dashboard-control", s.page.control, "let the page retire workers, cancel and retry tasks");
  options.add("dashboard-token-file", s.page.token_file, "file of the token, made when it is missing; empty: dashboard.token beside the keys");
  options.add("dashboard-history", s.page.history, "keep the event log in this folder, for weft history, report and trace");
  options.add("dashboard-history-bytes", s.history_bytes, "largest size of that folder");
  options.add("dashboard-assets", s.page.assets, "folder of the page's files, instead of those built in");
  add_program_options(options, s.program);
}

/// The allow-list in force; read again on SIGHUP.
class DoorList {
 public:
  explicit DoorList(KeyFolder folder) : folder_(std::move(folder)) {}
  Result<void> read() {
    Result<AuthorizedKeys> list = folder_.authorized();
    if (!list) return list.error();
    std::lock_guard lock(mutex_);
    list_ = std::move(*list);
    return {};
  }
  bool allows(const std::string& role, const std::string& key) const {
    std::lock_guard lock(mutex_);
    return list_.allows(role, key, std::time(nullptr));
  }
  /// Ask for a SIGALRM when the next key on the list ends; at least once a day, since clocks are set.
  void watch_ends() const {
    std::lock_guard lock(mutex_);
    const std::int64_t now = std::time(nullptr);
    if (std::optional<std::int64_t> end = list_.next_end(now)) alarm(static_cast<unsigned>(std::min<std::int64_t>(*end - now, 86'400)));
  }
  const KeyFolder& folder() const { return folder_; }

 private:
  KeyFolder folder_;
  mutable std::mutex mutex_;
  AuthorizedKeys list_;
};

struct Places {
  Address client, worker;
  bool tcp() const { return std::holds_alternative<TcpAddress>(client) || std::holds_alternative<TcpAddress>(worker); }
};

Result<Places> places_for(const Settings& s) {
  auto place = [&](const std::string& given, PortRange port, const char* name) {
    if (!given.empty()) return read_listen_address(given, port.first);
    if (!s.folder.empty()) return read_listen_address("ipc://" + s.folder + '/' + name);
    // A host may be an IPv6 address; the reader of addresses knows which.
    bool brackets = s.host.find(':') != std::string::npos && s.host.front() != '[';
    return read_listen_address("tcp://" + (brackets ? '[' + s.host + ']' : s.host) + ':' + show_option(port));
  };
  Result<Address> client = place(s.listen, s.port, "client");
  if (!client) return client.error();
  Result<Address> worker = place(s.worker_listen, s.worker_port, "worker");
  if (!worker) return worker.error();
  return Places{*client, *worker};
}

/// Rises with every start, also across machines whose clocks agree to a second or so: milliseconds since 1970.
std::uint64_t draw_epoch(const std::string& scheduler_file) {
  using namespace std::chrono;
  auto now = static_cast<std::uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
  if (!scheduler_file.empty())
    if (auto last = read_scheduler_file(scheduler_file); last && last->epoch >= now) return last->epoch + 1;
  return now;
}

/// Where to keep what must outlive us; empty: nowhere. Who listens on any free port could not be found again by its peers.
Result<std::string> store_folder(const Settings& s) {
  if (s.store == "none") return std::string();
  if (!s.store.empty()) return s.store;
  if (!s.folder.empty()) return s.folder + "/store";
  if (!s.listen.empty() || s.port.first == 0 || s.port.first != s.port.last) return std::string();
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::string base = state && *state ? state : home && *home ? std::string(home) + "/.local/state" : "";
  if (base.empty()) return failure(ErrorKind::invalid_argument, "no folder for the store: name one with --store, or --store none");
  return base + "/weft/scheduler-" + std::to_string(s.port.first);
}

/// What would let nobody in, keep nothing, or never rest.
Result<void> check_limits(const Settings& s) {
  constexpr Duration heartbeat_min = 10ms;
  constexpr std::uint64_t file_min = 64 * 1024;
  auto wrong = [](std::string what) { return failure(ErrorKind::invalid_argument, std::move(what)); };
  if (s.state.heartbeat_interval < heartbeat_min) return wrong("--heartbeat-interval is at least 10ms");
  if (s.state.lease <= s.state.heartbeat_interval) return wrong("--worker-lease is longer than --heartbeat-interval, or every worker is lost between two heartbeats");
  if (s.state.sessions_max == 0) return wrong("--sessions-max is at least 1");
  if (s.state.tasks_max == 0) return wrong("--tasks-max is at least 1");
  if (!s.recorder.empty() && s.recorder_bytes.bytes < file_min) return wrong("--recorder-bytes is at least 64KiB");
  if (!s.page.history.empty() && s.history_bytes.bytes < file_min) return wrong("--dashboard-history-bytes is at least 64KiB");
  return {};
}

/// A scheduler that runs keeps its file: its clients and workers find it there.
Result<void> check_scheduler_file(const std::string& path) {
  Result<SchedulerFile> file = read_scheduler_file(path);
  if (!file || file->host != host_name() || file->pid <= 0 || file->pid == getpid()) return {};
  Result<std::string> name = read_whole_file("/proc/" + std::to_string(file->pid) + "/comm", 64);
  if (!name || !name->starts_with("weft-scheduler")) return {};
  // One that was killed and that nobody has waited for keeps its name.
  Result<std::string> status = read_whole_file("/proc/" + std::to_string(file->pid) + "/stat", 4096);
  if (!status || status->find(") Z ") != std::string::npos) return {};
  return failure(ErrorKind::io_error, "the scheduler file " + path + " belongs to process " + std::to_string(file->pid) +
                                          ", which is alive; stop it, or name another file with --scheduler-file");
}

class Program {
 public:
  Program(Settings& settings, const ProgramOptions& options) : s_(settings), options_(options), doors_(KeyFolder(s_.keys.empty() ? default_key_folder() : s_.keys)) {}

  int run() {
    if (!s_.program.pid_file.empty()) {
      Result<PidFile> held = PidFile::create(s_.program.pid_file);
      if (!held) return fail_program(s_.program, held.error(), exit_code::cannot_create);
      pid_file_ = std::move(*held);
    }
    if (auto good = check_limits(s_); !good) return fail_program(s_.program, good.error());
    make_room_for_clients();
    Result<Places> places = places_for(s_);
    if (!places) return fail_program(s_.program, places.error());
    if (auto code = open_store()) return *code;
    if (auto code = open(*places)) return *code;
    return serve();
  }

 private:
  /// Each connection takes a file. A table that is full stops everybody, so fewer clients are let in than there is room for.
  void make_room_for_clients() {
    std::uint64_t files = raise_open_files(2ull * s_.state.sessions_max + files_besides_clients);
    std::uint64_t room = files > 2 * files_besides_clients ? files - files_besides_clients : files / 2;
    if (room >= s_.state.sessions_max) return;
    s_.state.sessions_max = static_cast<std::uint32_t>(room);
    log_info("fewer clients than --sessions-max allows: raise the limit of open files (ulimit -n)", {{"files", files}, {"clients", room}});
  }

  /// Before anybody can reach us: who may not have the store must not be found.
  std::optional<int> open_store() {
    if (!s_.folder.empty()) {
      if (auto made = make_private_folder(s_.folder); !made) return fail_program(s_.program, made.error(), exit_code::cannot_create);
      if (s_.scheduler_file.empty()) s_.scheduler_file = s_.folder + "/scheduler.json";
    }
    if (!s_.scheduler_file.empty()) {
      auto free = check_scheduler_file(s_.scheduler_file);
      if (free) free = check_writable(s_.scheduler_file);
      if (!free) return fail_program(s_.program, free.error(), exit_code::cannot_create);
    }
    s_.state.epoch = draw_epoch(s_.scheduler_file);
    Result<std::string> folder = store_folder(s_);
    if (!folder) return fail_program(s_.program, folder.error());
    if (folder->empty()) return std::nullopt;
    Result<std::unique_ptr<scheduler::Store>> store = scheduler::open_sqlite_store({*folder, s_.store_accept_loss, true});
    if (!store) return fail_program(s_.program, store.error(), exit_code::io_error);
    Result<std::vector<scheduler::Record>> records = scheduler::load_records(**store);
    if (!records) return fail_program(s_.program, records.error(), exit_code::io_error);
    Result<std::uint64_t> epoch = (*store)->next_epoch(s_.state.epoch);
    if (!epoch) return fail_program(s_.program, epoch.error(), exit_code::io_error);
    s_.state.epoch = *epoch;
    s_.state.durable = true;
    store_ = std::move(*store);
    records_ = std::move(*records);
    log_info("store opened", {{"folder", *folder}, {"rows", records_.size()}});
    return std::nullopt;
  }

  /// Listen in both roles.
  std::optional<int> open(const Places& places) {
    ZeromqOptions options;
    if (places.tcp()) {
      if (doors_.folder().path().empty())
        return fail_program(s_.program, failure(ErrorKind::invalid_argument, "no folder for keys: name one with --keys"), exit_code::configuration);
      Result<KeyPair> keys = doors_.folder().scheduler_keys();
      bool is_wrong = !keys && (doors_.folder().exists() || keys.error().kind == ErrorKind::invalid_argument);
      if (!keys) return fail_program(s_.program, keys.error(), is_wrong ? exit_code::configuration : exit_code::cannot_create);
      if (auto read = doors_.read(); !read) return fail_program(s_.program, read.error(), exit_code::configuration);
      public_key_ = keys->public_key;
      options.keys = std::move(*keys);
      options.allow = [this](const std::string& role, const std::string& key) { return doors_.allows(role, key); };
    }
    endpoint_ = make_zeromq_endpoint(options);
    Result<Listening> client = listen_at(*endpoint_, places.client, scheduler::Server::client_role, s_.contact, host_name());
    if (!client) return fail_listen(s_.program, places.client, client.error());
    Result<Listening> worker = listen_at(*endpoint_, places.worker, scheduler::Server::worker_role, s_.worker_contact, host_name());
    if (!worker) return fail_listen(s_.program, places.worker, worker.error());
    client_ = *client;
    worker_ = *worker;
    return std::nullopt;
  }

  /// A dashboard that cannot listen is worth a warning; one that was set up wrongly is worth stopping for.
  std::optional<int> open_dashboard(scheduler::Server& server) {
    if (!s_.dashboard) return std::nullopt;
    s_.page.port = s_.dashboard_port.first;
    s_.page.hosts = s_.dashboard_names;
    s_.page.history_bytes = s_.history_bytes.bytes;
    s_.page.epoch = s_.state.epoch;
    s_.page.config = config_as_json();
    if (s_.page.token_file.empty() && !doors_.folder().path().empty()) s_.page.token_file = doors_.folder().path() + "/dashboard.token";
    auto ask = [&server](const std::string& verb, std::vector<std::string> words, std::vector<Key> keys, dashboard::Answered answered) {
      return server.ask(Ask{.verb = verb, .words = std::move(words), .keys = std::move(keys)}, std::move(answered));
    };
    // Whom it should let in is part of how it is set up.
    if (!dashboard::is_loopback(s_.page.host) && !s_.page.token_file.empty())
      if (auto token = dashboard::read_or_make_token(s_.page.token_file); !token) return fail_program(s_.program, token.error(), exit_code::configuration);
    auto opened = dashboard::Dashboard::start(s_.page, observer_, ask);
    if (!opened && opened.error().kind != ErrorKind::io_error) return fail_program(s_.program, opened.error(), exit_code::configuration);
    if (!opened) {
      log_warning("no dashboard", {{"why", opened.error().message}});
      return std::nullopt;
    }
    dashboard_ = std::move(*opened);
    server.observe(observer_);
    bool open_to_others = s_.page.host != "localhost" && !s_.page.host.starts_with("127.") && s_.page.host != "::1";
    log_info("dashboard", {{"link", dashboard_->url()}, {"open_with_file", open_to_others ? s_.page.token_file : "not needed on loopback"}});
    return std::nullopt;
  }

  std::string config_as_json() const {
    nlohmann::json options = nlohmann::json::object();
    for (const OptionRow& row : options_.rows())
      options[row.name] = {{"value", row.value}, {"default", row.default_value}, {"origin", row.origin.kind == OriginKind::by_default ? "default" : row.origin.where}};
    return options.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  /// Say where we are: to the log, to a person or script at stdout, and in the scheduler file.
  std::optional<int> announce() {
    log_info("listening", {{"clients", client_.bound}, {"workers", worker_.bound}, {"client_contact", client_.contact},
                           {"worker_contact", worker_.contact}, {"epoch", s_.state.epoch}});
    if (!s_.scheduler_file.empty()) {
      std::string keys = public_key_.empty() ? "" : std::filesystem::absolute(doors_.folder().path()).string();
      file_ = {client_.contact, worker_.contact, public_key_, keys, s_.state.epoch, getpid(), host_name(), WEFT_VERSION_STRING, dashboard_ ? dashboard_->url() : ""};
      if (auto written = write_scheduler_file(s_.scheduler_file, file_); !written)
        return fail_program(s_.program, written.error(), exit_code::cannot_create);
    }
    // Who gives a folder or sockets knows where they are.
    if (!public_key_.empty()) {
      std::printf("clients: %s\nworkers: %s\nkeys: %s\n", client_.contact.c_str(), worker_.contact.c_str(), doors_.folder().path().c_str());
      if (dashboard_) std::printf("dashboard: %s\n", dashboard_->url().c_str());
      std::fflush(stdout);
    }
    return std::nullopt;
  }

  int serve() {
    scheduler::Server server(s_.state, std::move(endpoint_));
    scheduler::Store* const store = store_.get();
    if (store_) server.keep_in(std::move(store_), std::move(records_));
    if (!s_.recorder.empty()) {
      Result<std::unique_ptr<scheduler::Recorder>> recorder = scheduler::Recorder::open(s_.recorder, s_.recorder_bytes.bytes);
      if (!recorder) return fail_program(s_.program, recorder.error(), exit_code::cannot_create);
      server.record(std::move(*recorder));
    }
    server.set_idle_timeout(s_.idle_timeout);
    if (auto code = open_dashboard(server)) return *code;
    server.set_allow([this](const std::string& role, const std::string& key) { return doors_.allows(role, key); });
    int ends = 0;
    auto on_signal = [&](int signal) {
      if (signal == SIGHUP) {
        auto read = doors_.read();
        if (!read) return log_error("allow-list not changed", {{"why", read.error().message}});
        log_info("allow-list read again", {{"path", doors_.folder().authorized_path()}});
      }
      if (signal == SIGHUP || signal == SIGALRM) {
        doors_.watch_ends();
        return server.access_changed();
      }
      if (++ends > 1 || signal == SIGQUIT) _exit(exit_code::interrupted);
      log_info("stopping", {{"signal", signal}});
      server.stop();
    };
    Signals signals({SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGALRM}, on_signal, take_lifeline());
    doors_.watch_ends();
    // Whoever hears of us may send signals from then on.
    if (auto code = announce()) return *code;
    if (store) store->keep();
    server.run();
    dashboard_.reset();
    // Only our own file: a successor may have written its own by now.
    if (auto now = read_scheduler_file(s_.scheduler_file); now && *now == file_) unlink(s_.scheduler_file.c_str());
    if (server.store_failure()) return fail_program(s_.program, *server.store_failure(), exit_code::io_error);
    log_info("stopped");
    flush_log();
    return exit_code::ok;
  }

  Settings& s_;
  const ProgramOptions& options_;
  DoorList doors_;
  PidFile pid_file_;
  std::unique_ptr<scheduler::Store> store_;
  std::vector<scheduler::Record> records_;
  std::unique_ptr<Endpoint> endpoint_;
  Listening client_, worker_;
  std::string public_key_;
  SchedulerFile file_;
  scheduler::Observer observer_;
  std::unique_ptr<dashboard::Dashboard> dashboard_;
};

}  // namespace

int main(int argc, char** argv) {
  keep_memory(Memory::not_in_cores);
  Settings settings;
  ProgramOptions options("weft-scheduler", "scheduler", "Serve clients and workers: place their tasks. Runs no user code.");
  declare(options, settings);
  if (auto code = start_program(options, settings.program, argc, argv)) return *code;
  try {
    return Program(settings, options).run();
  } catch (const Error& error) {
    return fail_program(settings.program, error.failure());
  } catch (const std::exception& error) {
    return fail_program(settings.program, failure(ErrorKind::io_error, error.what()), exit_code::os_error);
  }
}
