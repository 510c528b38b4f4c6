// weft-worker: a worker as a program. Wiring only: options, keys, sockets, signals around worker::Server.
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "client/init.h"
#include "common/credentials.h"
#include "common/exit_codes.h"
#include "common/listen.h"
#include "common/machine.h"
#include "common/program.h"
#include "common/scheduler_file.h"
#include "common/transport/zeromq.h"
#include "worker/orphans.h"
#include "worker/server.h"

using namespace weft;

namespace {

constexpr std::uint16_t scheduler_port = 8788;
constexpr const char* value_role = "values";
// Two times the endpoint's most connections in practice, and what executors, segments and spill files need.
constexpr std::uint64_t open_files_wanted = 65'536;

enum class Choice : std::uint8_t { automatic, yes, no };
enum class ExecutorFiles : std::uint8_t { automatic, own, user };

struct Settings {
  TextList scheduler;
  std::string scheduler_address, scheduler_file, name;
  std::uint32_t nthreads = 0;
  MemoryAmount memory_limit, executor_memory;
  Amounts resources;
  std::string local_directory, ready_file;
  ByteCount spill_limit;
  Share spill_at{0.7}, pause_at{0.8};
  Duration lifetime{}, death_timeout = 600s, grace = 25s;
  std::string listen_address, contact_address;
  PortRange worker_port{};
  worker::Isolation isolation = worker::Isolation::process;
  std::string executor_wrapper;
  Choice inherit_environment = Choice::automatic;
  TextList pass_environment = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_*", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
                               "OMP_*", "OPENBLAS_*", "MKL_*", "CUDA_*"};
  std::uint64_t executor_tasks_max = 0;
  std::string core_files;
  ExecutorFiles executor_files = ExecutorFiles::automatic;
  TextList allowed_paths;
  Duration profile_period = 20ms;
  bool encrypt_values = true;
  bool same_host_values = true;
  ProgramSettings program{.name = "weft-worker"};
};

void declare(ProgramOptions& options, Settings& s) {
  options.positional("SCHEDULER", s.scheduler, 0, 1, "its address for workers: HOST, HOST:PORT, tcp://… or ipc://…");
  options.add("scheduler-address", s.scheduler_address, "the same, for configuration files and the environment");
  options.add("scheduler-file", s.scheduler_file, "the file that the scheduler writes; waited for if it is not there yet");
  options.add("name", s.name, "unique in the cluster; empty: host and process id");
  options.add("nthreads", s.nthreads, "tasks that run at once; 0: as many as cores that we may use");
  options.add("memory-limit", s.memory_limit, "memory for values: auto, a fraction of the machine or container, or bytes; 0: no limit");
  options.add("executor-memory", s.executor_memory, "memory that one task's process may allocate; auto: the memory limit, but at least 64 MiB");
  options.add("resources", s.resources, "what tasks may ask for");
  options.add("local-directory", s.local_directory, "folder for values that do not fit into memory; empty: weft-UID in $TMPDIR");
  options.add("ready-file", s.ready_file, "made when the scheduler has taken this worker in, removed at the end; for probes and scripts");
  options.add("spill-limit", s.spill_limit, "most bytes there; 0: no limit");
  options.add("spill-at", s.spill_at, "share of the memory limit from which values go to disk");
  options.add("pause-at", s.pause_at, "share of the memory limit from which no new task starts");
  options.add("lifetime", s.lifetime, "retire after so long; 0: never");
  options.add("death-timeout", s.death_timeout, "end after so long without a scheduler; 0: never");
  options.add("grace", s.grace, "how long running tasks may go on after SIGTERM");
  options.add("listen-address", s.listen_address, "where values are served; empty: the interface that faces the scheduler");
  options.add("contact-address", s.contact_address, "what others are told to fetch values from, if not the address listened on");
  options.add("worker-port", s.worker_port, "port or range of ports for values; 0 is any free one");
  options.add_choice<worker::Isolation>("isolation", s.isolation,
                                        {{"process", worker::Isolation::process}, {"thread", worker::Isolation::thread}},
                                        "run tasks in processes of the user's program, or on threads of this one, which has only Weft's own functions");
  options.add("executor-wrapper", s.executor_wrapper, "words before the program of each executor, such as \"valgrind -q\"");
  options.add_choice<Choice>("inherit-environment", s.inherit_environment,
                             {{"auto", Choice::automatic}, {"on", Choice::yes}, {"off", Choice::no}},
                             "give executors our whole environment; auto: if the scheduler is on an ipc:// socket");
  options.add("pass-environment", s.pass_environment, "variables that executors get otherwise; LC_* is all that begin so");
  options.add("executor-tasks-max", s.executor_tasks_max, "replace an executor after so many tasks; 0: never");
  options.add("executor-core-files", s.core_files, "folder for core files of executors that crash; empty: none are written");
  options.add_choice<ExecutorFiles>("executor-files", s.executor_files,
                                    {{"auto", ExecutorFiles::automatic}, {"own", ExecutorFiles::own}, {"user", ExecutorFiles::user}},
                                    "own: tasks write only in their own folder and the allowed paths, and cannot read keys; user: they may "
                                    "what our user may; auto: user if the scheduler is on an ipc:// socket");
  options.add("executor-allow-path", s.allowed_paths, "folders and files that tasks may write too, with --executor-files own");
  options.add("profile-period", s.profile_period, "CPU time between two samples of a running task's stack; 0: none are taken");
  options.add("encrypt-values", s.encrypt_values, "encrypt values between hosts; off only in a network that you trust");
  options.add("same-host-values", s.same_host_values, "let readers on this host map values in place; off: copy them through sockets");
  add_program_options(options, s.program);
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

/// Where the scheduler is; waits for a scheduler file that is not written yet (batch systems start both at once). A file may
/// lie on a network file system, which tells nobody of changes: hence a look every 100 ms.
Result<std::string> find_scheduler(const Settings& s) {
  std::string given = s.scheduler.empty() ? s.scheduler_address : s.scheduler[0];
  if (!given.empty()) {
    Result<Address> address = read_contact_address(given, scheduler_port);
    if (!address) return address.error();
    return to_text(*address);
  }
  if (s.scheduler_file.empty())
    return failure(ErrorKind::invalid_argument, "which scheduler? Give its address for workers (weft-worker HOST:8788) or --scheduler-file FILE");
  Time deadline = s.death_timeout == Duration{} ? Time::never() : monotonic_now() + s.death_timeout;
  for (bool told = false;; told = true) {
    std::error_code ignored;
    if (std::filesystem::exists(s.scheduler_file, ignored)) {
      Result<SchedulerFile> file = read_scheduler_file(s.scheduler_file);
      if (!file) return file.error();
      return file->worker_address;
    }
    if (!told) log_info("waiting for the scheduler file", {{"path", s.scheduler_file}});
    if (monotonic_now() >= deadline)
      return failure(ErrorKind::connection_failed, "no scheduler wrote " + s.scheduler_file + " in time");
    std::this_thread::sleep_for(100ms);
  }
}

/// Where values are served: beside the scheduler's socket, or on the interface that faces the scheduler.
Result<Address> place_for_values(const Settings& s, const Address& scheduler) {
  if (!s.listen_address.empty()) {
    Result<Address> given = read_listen_address(s.listen_address, s.worker_port.first);
    if (!given) return given;
    // A range belongs to an address without a port of its own.
    if (auto* tcp = std::get_if<TcpAddress>(&*given); tcp && tcp->ports == PortRange{s.worker_port.first, s.worker_port.first})
      tcp->ports = s.worker_port;
    return given;
  }
  if (const auto* ipc = std::get_if<IpcAddress>(&scheduler))
    return Address(IpcAddress{std::filesystem::path(ipc->path).parent_path()});
  return Address(TcpAddress{local_address_towards(std::get<TcpAddress>(scheduler)), s.worker_port});
}

/// Tasks that may write where keys lie could let anybody in.
Result<void> check_allowed_paths(const TextList& paths, const std::vector<std::string>& secret) {
  for (const std::string& path : paths) {
    std::error_code error;
    std::string place = std::filesystem::canonical(path, error).string();
    if (error) return failure(ErrorKind::invalid_argument, "--executor-allow-path " + path + ": " + error.message());
    for (const std::string& folder : secret) {
      std::string keys = std::filesystem::weakly_canonical(folder, error).string() + '/';
      if (keys.starts_with(place == "/" ? place : place + '/') || (place + '/').starts_with(keys))
        return failure(ErrorKind::invalid_argument, "--executor-allow-path " + path + " would open the keys in " + folder +
                                                        " to tasks; allow a folder beside them");
    }
  }
  return {};
}

class Program {
 public:
  explicit Program(Settings& settings) : s_(settings) {}

  int run() {
    if (!s_.program.pid_file.empty()) {
      Result<PidFile> held = PidFile::create(s_.program.pid_file);
      if (!held) return fail_program(s_.program, held.error(), exit_code::cannot_create);
      pid_file_ = std::move(*held);
    }
    options_.process.containment.descriptors_max = raise_open_files(0);  // tasks keep what we were started with
    raise_open_files(open_files_wanted);
    worker::adopt_orphans();
    Result<std::string> scheduler = find_scheduler(s_);
    if (!scheduler) return fail_program(s_.program, scheduler.error());
    options_.scheduler = *scheduler;
    if (auto code = take_resources()) return *code;
    if (auto code = open()) return *code;
    if (auto code = contain()) return *code;
    return serve();
  }

 private:
  /// What tasks may use: slots, memory, disk, environment.
  std::optional<int> take_resources() {
    const unsigned cores = usable_cores();
    const std::uint64_t memory = usable_memory();
    options_.name = s_.name.empty() ? host_name() + '-' + std::to_string(getpid()) : s_.name;
    options_.slots = s_.nthreads ? s_.nthreads : cores;
    options_.resources = s_.resources;
    options_.host = host_name();
    options_.isolation = s_.isolation;
    options_.death_timeout = s_.death_timeout;
    options_.grace = s_.grace;
    options_.runtime = client::user_code();

    if (s_.local_directory.empty())
      s_.local_directory = (std::filesystem::temp_directory_path() / ("weft-" + std::to_string(geteuid()))).string();
    if (auto made = make_private_folder(s_.local_directory); !made)
      return fail_program(s_.program, made.error(), exit_code::cannot_create);
    double share = std::min(1.0, static_cast<double>(options_.slots) / cores);
    options_.store.memory_limit = s_.memory_limit.resolve(memory, share);
    options_.store.spill_directory = s_.local_directory;
    if (s_.same_host_values) options_.memory_folder = s_.local_directory;
    options_.program_folder = s_.local_directory + "/programs";
    options_.store.spill_limit = s_.spill_limit.bytes;
    options_.store.spill_at = s_.spill_at.share;
    options_.store.spill_until = std::max(0.0, s_.spill_at.share - 0.1);
    options_.store.pause_at = s_.pause_at.share;

    worker::ProcessOptions& process = options_.process;
    bool automatic = s_.executor_memory.kind == MemoryAmount::Kind::automatic;
    process.memory_limit = automatic ? options_.store.memory_limit : s_.executor_memory.resolve(memory);
    if (automatic && process.memory_limit > 0) process.memory_limit = std::max(process.memory_limit, worker::executor_memory_min);
    // What tasks leak must not become the failure of a later one.
    process.resident_bytes_max = process.memory_limit / 2;
    process.wrapper = words_of(s_.executor_wrapper);
    process.inherit_environment = s_.inherit_environment == Choice::automatic ? options_.scheduler.starts_with("ipc://")
                                                                              : s_.inherit_environment == Choice::yes;
    process.allowed_environment = s_.pass_environment;
    process.tasks_max = s_.executor_tasks_max;
    process.profile_period = s_.profile_period;
    if (!s_.core_files.empty()) process.core_folder = std::filesystem::absolute(s_.core_files).string();
    process.scratch = std::filesystem::absolute(s_.local_directory + "/executors-" + std::to_string(getpid())).string();
    // Who inherits the environment is on one machine with its user, and means the same files by the same names.
    process.start_in_folder = !process.inherit_environment;
    return std::nullopt;
  }

  /// Keys, and the socket that serves values.
  std::optional<int> open() {
    Result<Address> scheduler = read_contact_address(options_.scheduler);
    if (!scheduler) return fail_program(s_.program, scheduler.error());
    Result<WorkerCredentials> credentials = find_worker_credentials(options_.scheduler, s_.scheduler_file);
    if (!credentials) return fail_program(s_.program, credentials.error(), exit_code::configuration);
    Result<Address> place = place_for_values(s_, *scheduler);
    if (!place) return fail_program(s_.program, place.error());

    ZeromqOptions options;
    options.keys = credentials->keys.public_key.empty() ? make_key_pair() : std::move(credentials->keys);
    const bool tcp = std::holds_alternative<TcpAddress>(*place);
    // Who may read a value is the one-time token's to say; the handshake keeps the values from those who listen in.
    options.allow = [](const std::string&, const std::string&) { return true; };
    options.clear_values = !s_.encrypt_values;
    options_.scheduler_key = credentials->server_key;
    for (const std::string& folder : {credentials->folder, default_key_folder()})
      if (!folder.empty()) options_.process.containment.secret.push_back(folder);
    if (tcp && s_.encrypt_values) options_.public_key = options.keys.public_key;
    endpoint_ = make_zeromq_endpoint(options);
    Result<Listening> listening = listen_at(*endpoint_, *place, value_role, s_.contact_address, host_name());
    if (!listening) return fail_listen(s_.program, *place, listening.error());
    options_.endpoint = listening->contact;
    log_info("listening", {{"name", options_.name}, {"values", listening->bound}, {"contact", listening->contact},
                           {"scheduler", options_.scheduler}, {"threads", options_.slots},
                           {"memory_limit", ByteCount{options_.store.memory_limit}}, {"local_directory", s_.local_directory}});
    if (!s_.encrypt_values) log_warning("values are not encrypted between hosts");
    return std::nullopt;
  }

  /// What tasks are kept from. Who asks for it by name is not served without it.
  std::optional<int> contain() {
    worker::ContainmentOptions& containment = options_.process.containment;
    containment.tracing = !options_.process.wrapper.empty();
    bool own = s_.executor_files == ExecutorFiles::own ||
               (s_.executor_files == ExecutorFiles::automatic && !options_.scheduler.starts_with("ipc://"));
    if (!own || s_.isolation == worker::Isolation::thread) return std::nullopt;
    containment.files = worker::Files::own;
    containment.allowed = s_.allowed_paths;
    if (auto checked = check_allowed_paths(containment.allowed, containment.secret); !checked)
      return fail_program(s_.program, checked.error());
    std::string missing = worker::Containment::missing();
    if (missing.empty()) return std::nullopt;
    if (s_.executor_files == ExecutorFiles::own)
      return fail_program(s_.program, failure(ErrorKind::io_error, "--executor-files own: " + missing), exit_code::configuration);
    log_warning("executors are not fully confined", {{"why", missing}});
    return std::nullopt;
  }

  int serve() {
    if (!s_.ready_file.empty()) {
      unlink(s_.ready_file.c_str());
      options_.on_welcome = [path = s_.ready_file] {
        if (!std::ofstream(path)) log_warning("cannot make the ready file", {{"path", path}, {"why", std::strerror(errno)}});
      };
    }
    worker::Server server(std::move(options_), std::move(endpoint_));
    int ends = 0;
    auto on_signal = [&](int signal) {
      if (signal == SIGALRM) {
        log_info("retiring: its lifetime is over");
        return server.terminate();
      }
      // A cut lifeline says that the cluster is gone: there is nobody to hand anything over to.
      bool at_once = signal == SIGQUIT || signal == Signals::lifeline_cut;
      if (++ends > 2) _exit(exit_code::interrupted);
      log_info(at_once || ends > 1 ? "stopping now" : "retiring", {{"signal", signal}});
      if (at_once || ends > 1) server.stop();
      else server.terminate();
    };
    Signals signals({SIGTERM, SIGINT, SIGQUIT, SIGALRM}, on_signal, take_lifeline());
    start_lifetime();
    int code = server.run();
    if (!s_.ready_file.empty()) unlink(s_.ready_file.c_str());
    if (!server.exit_reason().empty() && code != exit_code::ok)
      return fail_program(s_.program, failure(ErrorKind::worker_unavailable, server.exit_reason()), code);
    log_info("stopped", {{"why", server.exit_reason()}});
    flush_log();
    return code;
  }

  void start_lifetime() {
    if (s_.lifetime <= Duration{}) return;
    itimerval timer{};
    timer.it_value.tv_sec = s_.lifetime / 1s;
    timer.it_value.tv_usec = std::max<suseconds_t>(s_.lifetime % 1s / 1us, timer.it_value.tv_sec ? 0 : 1);
    setitimer(ITIMER_REAL, &timer, nullptr);
  }

  Settings& s_;
  PidFile pid_file_;
  worker::ServerOptions options_;
  std::unique_ptr<Endpoint> endpoint_;
};

}  // namespace

int main(int argc, char** argv) {
  keep_memory(Memory::out_of_reach);
  worker::start_keeper();
  Settings settings;
  ProgramOptions options("weft-worker", "worker", "Hold values and run tasks for a scheduler.");
  declare(options, settings);
  if (auto code = start_program(options, settings.program, argc, argv)) return *code;
  try {
    return Program(settings).run();
  } catch (const Error& error) {
    return fail_program(settings.program, error.failure());
  } catch (const std::exception& error) {
    return fail_program(settings.program, failure(ErrorKind::io_error, error.what()), exit_code::os_error);
  }
}
