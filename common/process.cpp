#include "common/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "common/check.h"
#include "common/io_failure.h"
#include "common/transport/keys.h"

namespace weft {

namespace {

namespace fs = std::filesystem;

// ------------------------------------------------------------------------------------------------------- signals

std::atomic<int> signal_pipe{-1};

extern "C" void weft_note_signal(int signal) {
  int before = errno;
  char byte = static_cast<char>(signal);
  // A full pipe has enough signals in it.
  [[maybe_unused]] ssize_t written = ::write(signal_pipe.load(), &byte, 1);
  errno = before;
}
extern "C" void weft_ignore_signal(int) {}

void handle_signal(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

Signals::Signals(std::vector<int> signals, std::function<void(int)> on_signal, int lifeline)
    : signals_(std::move(signals)), on_signal_(std::move(on_signal)) {
  int ends[2];
  WEFT_CHECK(signal_pipe == -1 && pipe2(ends, O_CLOEXEC) == 0);
  read_ = ends[0];
  write_ = ends[1];
  fcntl(write_, F_SETFL, O_NONBLOCK);
  signal_pipe = write_;
  thread_ = std::thread([this, lifeline] { run(lifeline); });
  for (int signal : signals_) handle_signal(signal, weft_note_signal);
  handle_signal(SIGPIPE, weft_ignore_signal);
}

void Signals::run(int lifeline) {
  for (;;) {
    pollfd look[] = {{read_, POLLIN, 0}, {lifeline, POLLIN, 0}};
    if (poll(look, 2, -1) < 0) continue;
    char byte = 0;
    if (look[0].revents && (::read(read_, &byte, 1) != 1 || byte == 0)) return;
    if (byte != 0) on_signal_(byte);
    // Nobody writes to a lifeline: whatever it says means that its other end is gone.
    if (lifeline >= 0 && look[1].revents) {
      lifeline = -1;
      on_signal_(lifeline_cut);
    }
  }
}

Signals::~Signals() {
  for (int signal : signals_) handle_signal(signal, SIG_DFL);
  handle_signal(SIGPIPE, SIG_DFL);
  fcntl(write_, F_SETFL, 0);
  char end = 0;
  [[maybe_unused]] ssize_t written = ::write(write_, &end, 1);
  thread_.join();
  signal_pipe = -1;
  ::close(read_);
  ::close(write_);
}

int take_lifeline() {
  const char* text = std::getenv("WEFT_LIFELINE");
  if (!text) return -1;
  char* end = nullptr;
  long number = std::strtol(text, &end, 10);
  bool good = end != text && !*end && number > 2 && number < 1 << 20 && fcntl(static_cast<int>(number), F_SETFD, FD_CLOEXEC) == 0;
  unsetenv("WEFT_LIFELINE");
  return good ? static_cast<int>(number) : -1;
}

// ------------------------------------------------------------------------------------------------------- files

Result<PidFile> PidFile::create(const std::string& path) {
  int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (file < 0) return io_failure("cannot write the pid file", path);
  PidFile held(path, file);
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    char text[32] = {};
    ssize_t size = read(file, text, sizeof text - 1);
    std::string owner(text, size > 0 ? static_cast<std::size_t>(size) : 0);
    while (!owner.empty() && owner.back() == '\n') owner.pop_back();
    held.path_.clear();  // it is not ours to remove
    return failure(ErrorKind::invalid_argument, "the pid file " + path + " belongs to process " + owner + ", which is alive");
  }
  std::string text = std::to_string(getpid()) + '\n';
  if (ftruncate(file, 0) != 0 || pwrite(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return io_failure("cannot write the pid file", path);
  return held;
}

PidFile::PidFile(PidFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), descriptor_(std::exchange(other.descriptor_, -1)) {}
PidFile& PidFile::operator=(PidFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}
PidFile::~PidFile() {
  if (!path_.empty()) unlink(path_.c_str());
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> make_private_folder(const std::string& path) {
  std::error_code error;
  fs::path parent = fs::absolute(path, error).parent_path();
  fs::create_directories(parent, error);
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return io_failure("cannot make folder", path);
  return check_private_folder(path);
}

Result<void> check_writable(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path();
  if (access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) == 0) return {};
  return io_failure("cannot write", path);
}

Result<void> write_whole_file(const std::string& path, std::string_view text, unsigned mode) {
  std::string draft = path + ".new-" + std::to_string(getpid());
  int file = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (file < 0) return io_failure("cannot write", path);
  bool good = true;
  for (std::string_view rest = text; good && !rest.empty();) {
    ssize_t written = write(file, rest.data(), rest.size());
    good = written > 0 || (written < 0 && errno == EINTR);
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
  good = good && fsync(file) == 0 && rename(draft.c_str(), path.c_str()) == 0;
  Failure why = good ? Failure{} : io_failure("cannot write", path);
  ::close(file);
  if (good) return {};
  unlink(draft.c_str());
  return why;
}

Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max) {
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return io_failure("cannot read", path);
  std::string text;
  ssize_t size = 0;
  do {
    std::size_t before = text.size();
    text.resize(before + 64 * 1024);
    size = read(file, text.data() + before, 64 * 1024);
    text.resize(before + (size > 0 ? static_cast<std::size_t>(size) : 0));
  } while ((size > 0 && text.size() <= bytes_max) || (size < 0 && errno == EINTR));
  Failure why = size < 0 ? io_failure("cannot read", path) : Failure{};
  ::close(file);
  if (why.kind != ErrorKind::none) return why;
  if (text.size() > bytes_max)
    return failure(ErrorKind::io_error, path + " is longer than " + std::to_string(bytes_max) + " bytes");
  return text;
}

// ------------------------------------------------------------------------------------------------------- children

namespace {

// Between fork and exec: only calls that are safe there.
struct Prepared {
  std::vector<char*> arguments, environment;
  const ChildOptions* options;
  int parent;
  int report;       // errno of a failed exec
};

[[noreturn]] void become(const char* program, const Prepared& prepared) {
  const ChildOptions& options = *prepared.options;
  if (options.own_group) setpgid(0, 0);
  if (options.dies_with_us) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != prepared.parent) _exit(127);  // too late: it died before
  }
  if (options.no_input) {
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0) dup2(nothing, 0);
  }
  if (options.output >= 0) dup2(options.output, 1);
  if (options.errors >= 0) dup2(options.errors, 2);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvpe(program, prepared.arguments.data(), prepared.environment.data());
  int why = errno;
  [[maybe_unused]] ssize_t written = write(prepared.report, &why, sizeof why);
  _exit(127);
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry; ++entry) {
    std::string_view text(*entry);
    if (!extra.contains(std::string(text.substr(0, text.find('='))))) all.emplace_back(text);
  }
  for (const auto& [name, value] : extra) all.push_back(name + '=' + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const std::string& program, const ChildOptions& options) {
  std::vector<std::string> arguments = {program};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  std::vector<std::string> environment = merged_environment(options.environment);
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return io_failure("cannot start", program);
  Prepared prepared{pointers(arguments), pointers(environment), &options, getpid(), report[1]};
  int pid = fork();
  if (pid == 0) become(program.c_str(), prepared);
  int why = errno;
  ::close(report[1]);
  if (pid > 0) {
    why = 0;
    while (read(report[0], &why, sizeof why) < 0 && errno == EINTR) {
    }
  }
  ::close(report[0]);
  if (pid > 0 && why == 0) {
    int descriptor = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (descriptor >= 0) return ChildProcess(pid, descriptor);
    why = errno;
    kill(pid, SIGKILL);
  }
  if (pid > 0) waitpid(pid, nullptr, 0);
  return failure(ErrorKind::program_error, "cannot start " + program + ": " + strerror(why));
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), descriptor_(std::exchange(other.descriptor_, -1)), code_(other.code_) {}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  if (!code_) {
    signal(SIGKILL);
    wait();
  }
  ::close(descriptor_);
}

void ChildProcess::signal(int signal) {
  if (!code_) kill(pid_, signal);
}

std::optional<int> ChildProcess::wait(Time deadline) {
  while (!code_) {
    int patience = -1;
    if (deadline != Time::never()) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - monotonic_now()).count();
      patience = left < 0 ? 0 : static_cast<int>(std::min<std::int64_t>(left, 1'000'000));
    }
    pollfd one{descriptor_, POLLIN, 0};
    int ready = poll(&one, 1, patience);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      if (monotonic_now() >= deadline) return std::nullopt;
      continue;
    }
    int status = 0;
    if (waitpid(pid_, &status, 0) == pid_) code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    else code_ = 127;
  }
  return code_;
}

}  // namespace weft
