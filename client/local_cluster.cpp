#include <weft/local_cluster.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <thread>

#include <weft/init.h>

#include "common/machine.h"
#include "common/programs.h"
#include "common/scheduler_file.h"
#include "common/time.h"

extern char** environ;

namespace weft {

namespace {

constexpr Duration start_patience = 20s;
constexpr Duration end_patience = 5s;

[[noreturn]] void fail(const std::string& what) { throw IoError(what + ": " + std::strerror(errno)); }

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int number() const { return number_; }

 private:
  int number_ = -1;
};

/// A private folder for sockets; short, since a socket's path has at most 107 characters.
std::string make_folder() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  std::string base = runtime && access(runtime, W_OK) == 0 ? runtime : "/tmp";
  if (base.size() > 60) base = "/tmp";
  // A program that was killed could not remove its folder; its name says whose it was.
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(base, ignored)) {
    int owner = 0;
    struct stat status;
    if (std::sscanf(entry.path().filename().c_str(), "weft-%d-", &owner) != 1 || owner <= 0) continue;
    if (kill(owner, 0) == 0 || errno != ESRCH || lstat(entry.path().c_str(), &status) != 0) continue;
    if (S_ISDIR(status.st_mode) && status.st_uid == geteuid()) std::filesystem::remove_all(entry.path(), ignored);
  }
  std::string folder = base + "/weft-" + std::to_string(getpid()) + "-XXXXXX";
  if (!mkdtemp(folder.data())) fail("cannot make a folder for the cluster's sockets in " + base);
  return folder;
}

struct Process {
  pid_t pid = -1;
  Descriptor handle;  // pidfd: readable when it has ended
  std::string name;
};

/// Start a program whose descriptor 3 is the lifeline: it ends when the other end closes, however this process ends.
Process start(const std::string& path, const std::vector<std::string>& arguments, int lifeline, std::string name) {
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> environment;
  for (char** at = environ; *at; ++at)
    if (std::strncmp(*at, "WEFT_LIFELINE=", 14) != 0) environment.push_back(*at);
  std::string variable = "WEFT_LIFELINE=3";
  environment.push_back(variable.data());
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, lifeline, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own: Ctrl-C in the terminal goes to the user's program, which then ends the cluster.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  Process process{.name = std::move(name)};
  errno = posix_spawn(&process.pid, path.c_str(), &actions, &attributes, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (errno != 0) fail("cannot start " + path);
  process.handle = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0)));
  return process;
}

/// How a process of ours ended, as words.
std::string reap(Process& process) {
  int status = 0;
  if (process.pid < 0 || waitpid(process.pid, &status, 0) != process.pid) return "it is gone";
  process.pid = -1;
  if (WIFSIGNALED(status)) return "it was killed by signal " + std::to_string(WTERMSIG(status));
  return "it exited with code " + std::to_string(WEXITSTATUS(status));
}

bool ends_within(const Process& process, Duration time) {
  pollfd look{process.handle.number(), POLLIN, 0};
  return poll(&look, 1, static_cast<int>(time / 1ms)) > 0;
}

}  // namespace

class LocalCluster::Impl {
 public:
  explicit Impl(const LocalClusterOptions& options) : options_(options), folder_(make_folder()) {
    address_ = "ipc://" + folder_ + "/client";
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail("cannot make a pipe");
    // Above 3, so that dup2 to 3 always makes a descriptor that exec keeps.
    lifeline_read_ = Descriptor(fcntl(ends[0], F_DUPFD_CLOEXEC, 10));
    lifeline_write_ = Descriptor(fcntl(ends[1], F_DUPFD_CLOEXEC, 10));
    ::close(ends[0]);
    ::close(ends[1]);
    try {
      start_scheduler();
      unsigned workers = options.workers ? options.workers : std::max(1u, std::thread::hardware_concurrency());
      options_.workers = workers;
      for (unsigned i = 0; i < workers; ++i) start_worker();
      for (Process& worker : workers_) await(worker, worker.name + ".ready");
    } catch (...) {
      end();
      throw;
    }
  }
  ~Impl() { end(); }

  std::string add_worker() {
    start_worker();
    try {
      await(workers_.back(), workers_.back().name + ".ready");
    } catch (...) {
      end(workers_.back());
      workers_.pop_back();
      throw;
    }
    return workers_.back().name;
  }

  void start_worker() {
    std::string name = "worker-" + std::to_string(started_++);
    std::vector<std::string> arguments{
        "ipc://" + folder_ + "/worker", "--name", name, "--nthreads", std::to_string(options_.threads_per_worker),
        "--local-directory", folder_ + "/" + name, "--listen-address", "ipc://" + folder_ + "/" + name + ".values",
        "--ready-file", folder_ + "/" + name + ".ready", "--log-level", options_.log_level};
    std::uint64_t limit = options_.memory_limit;
    if (limit == 0) limit = usable_memory() / 10 * 6 / options_.workers;
    arguments.insert(arguments.end(), {"--memory-limit", std::to_string(limit)});
    std::string resources;
    for (const auto& [what, amount] : options_.resources) resources += (resources.empty() ? "" : " ") + what + "=" + std::to_string(amount);
    if (!resources.empty()) arguments.insert(arguments.end(), {"--resources", resources});
    if (options_.executor_memory) arguments.insert(arguments.end(), {"--executor-memory", std::to_string(options_.executor_memory)});
    if (!options_.executor_core_files.empty()) arguments.insert(arguments.end(), {"--executor-core-files", options_.executor_core_files});
    if (!options_.executor_wrapper.empty()) arguments.insert(arguments.end(), {"--executor-wrapper", options_.executor_wrapper});
    workers_.push_back(start(find_program("weft-worker").value_or_throw(), arguments, lifeline_read_.number(), name));
  }

  /// Close the lifeline, wait for all to go, kill those that stay.
  void end() {
    lifeline_write_ = Descriptor();
    for (Process& worker : workers_) end(worker);
    workers_.clear();
    end(scheduler_);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string address_, dashboard_;
  LocalClusterOptions options_;
  Process scheduler_;
  std::vector<Process> workers_;

 private:
  void start_scheduler() {
    std::string path = find_program("weft-scheduler").value_or_throw();
    std::string file = folder_ + "/scheduler.json";
    scheduler_ = start(path, {"--listen", address_, "--worker-listen", "ipc://" + folder_ + "/worker", "--store", options_.store,
                              "--log-level", options_.log_level, "--scheduler-file", file,
                              options_.dashboard ? "--dashboard=true" : "--dashboard=false"},
                       lifeline_read_.number(), "scheduler");
    for (const char* name : {"client", "worker", "scheduler.json"}) await(scheduler_, name);
    dashboard_ = read_scheduler_file(file).value_or_throw().dashboard;
  }

  /// Until this file of the folder is there, which the process makes when it serves; it may also end before that.
  void await(Process& process, const std::string& name) {
    Descriptor watch(inotify_init1(IN_CLOEXEC));
    if (watch.number() < 0 || inotify_add_watch(watch.number(), folder_.c_str(), IN_CREATE | IN_MOVED_TO) < 0) fail("cannot watch " + folder_);
    Time deadline = monotonic_now() + start_patience;
    while (access((folder_ + "/" + name).c_str(), F_OK) != 0) {
      pollfd look[] = {{watch.number(), POLLIN, 0}, {process.handle.number(), POLLIN, 0}};
      int time = static_cast<int>((deadline - monotonic_now()) / 1ms);
      if (time <= 0 || poll(look, 2, time) <= 0) throw IoError("the cluster's " + process.name + " did not serve within 20 s; its last words are on stderr");
      if (look[1].revents) throw IoError("the cluster's " + process.name + " did not start: " + reap(process) + "; its last words are on stderr");
      char buffer[4096];
      if (look[0].revents && read(watch.number(), buffer, sizeof buffer) < 0) fail("cannot watch " + folder_);
    }
  }

  static void end(Process& process) {
    if (process.pid < 0) return;
    if (!ends_within(process, end_patience)) kill(process.pid, SIGKILL);
    reap(process);
  }

  std::string folder_;
  Descriptor lifeline_read_, lifeline_write_;
  unsigned started_ = 0;
};

LocalCluster::LocalCluster(const LocalClusterOptions& options) {
  if (!detail::init_called())
    throw InvalidArgument("a LocalCluster runs functions in processes of this program: call weft::init(argc, argv) first in main");
  impl_ = std::make_unique<Impl>(options);
}
LocalCluster::~LocalCluster() = default;
LocalCluster::LocalCluster(LocalCluster&&) noexcept = default;
LocalCluster& LocalCluster::operator=(LocalCluster&&) noexcept = default;

LocalCluster::Impl& LocalCluster::impl() const {
  if (!impl_) throw InvalidArgument("this LocalCluster was moved from; use the one that it was moved to");
  return *impl_;
}
const std::string& LocalCluster::address() const { return impl().address_; }
const std::string& LocalCluster::dashboard() const { return impl().dashboard_; }
int LocalCluster::scheduler_pid() const { return impl().scheduler_.pid; }
std::vector<int> LocalCluster::worker_pids() const {
  std::vector<int> pids;
  for (const Process& worker : impl().workers_) pids.push_back(worker.pid);
  return pids;
}
std::string LocalCluster::add_worker() { return impl().add_worker(); }
void LocalCluster::close() { impl().end(); }

}  // namespace weft
