#include "worker/executor_spawner.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "common/sanitized.h"

namespace weft::worker {
namespace {

constexpr std::size_t stack_bytes = 64 * 1024;
constexpr int image_descriptor = 4;

// What the child needs between clone and exec, all made before: there it shares our memory and may only make system calls.
struct Launch {
  const SpawnOrder* order = nullptr;
  std::vector<char*> words, environment;
  pid_t parent = 0;
  int error = 0;
  const char* step = "";
};

enum class Raise : bool { never, by_itself };
void set_limit(__rlimit_resource_t resource, rlim_t soft, Raise raise) {
  rlimit limit{};
  getrlimit(resource, &limit);
  if (limit.rlim_max != RLIM_INFINITY && (soft == RLIM_INFINITY || soft > limit.rlim_max)) soft = limit.rlim_max;
  limit.rlim_cur = soft;
  if (raise == Raise::never) limit.rlim_max = soft;
  setrlimit(resource, &limit);
}

// In the child, on a stack of its own in memory that we share. What it returns is its exit code. A sanitizer must not mark this frame:
// exec never leaves it, and the memory has other uses soon.
[[gnu::no_sanitize_address]] int launch(void* argument) {
  auto& it = *static_cast<Launch*>(argument);
  const SpawnOrder& order = *it.order;
  auto fail = [&](const char* step) {
    it.error = errno;
    it.step = step;
    return 127;
  };
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != it.parent) return 127;  // the daemon died before the line above
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  // The terminal is the daemon's, and so is its Ctrl-C; one kill reaches what the task starts.
  setsid();
  if (!order.folder.empty() && chdir(order.folder.c_str()) != 0) return fail("its working folder cannot be entered");
  // Out of the way of 0..4 first, then into place.
  int output = fcntl(order.output, F_DUPFD, 10), socket = fcntl(order.socket, F_DUPFD, 10);
  int image = order.image ? fcntl(order.image->number(), F_DUPFD, 10) : -1;
  int nothing = open("/dev/null", O_RDONLY);
  if (output < 0 || socket < 0 || nothing < 0 || (order.image && image < 0)) return fail("no descriptors");
  if (dup2(nothing, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 || dup2(socket, 3) < 0) return fail("no descriptors");
  if (order.memory_limit && !sanitized) set_limit(RLIMIT_DATA, order.memory_limit, Raise::never);
  set_limit(RLIMIT_CORE, order.core_files ? RLIM_INFINITY : 0, Raise::by_itself);
  // Exec resets handlers, but not what is ignored. Not by the library's sigaction, around which a sanitizer keeps books: ours, here.
  static constexpr std::array<std::uint64_t, 8> by_default{};
  for (int signal = 1; signal < NSIG; ++signal) syscall(SYS_rt_sigaction, signal, by_default.data(), nullptr, 8);
  if (const char* step = order.restraints.take_on()) return fail(step);
  // Last: what is above was needed until here. Closed by exec.
  const bool has_image = image >= 0 && dup3(image, image_descriptor, O_CLOEXEC) == image_descriptor;
  if (syscall(SYS_close_range, has_image ? image_descriptor + 1u : image_descriptor, ~0u, 0u) != 0) {  // before Linux 5.9
    for (int i = image_descriptor + has_image; i < 65536; ++i) close(i);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // The very file that was checked, whatever its path leads to by now.
  if (has_image) syscall(SYS_execveat, image_descriptor, "", it.words.data(), it.environment.data(), AT_EMPTY_PATH);
  if (has_image && errno != ENOSYS) return fail("exec");
  execve(order.path.c_str(), it.words.data(), it.environment.data());
  return fail("exec");
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> all;
  for (const auto& word : words) all.push_back(const_cast<char*>(word.c_str()));
  all.push_back(nullptr);
  return all;
}

SpawnResult spawn(const SpawnOrder& order) {
  SpawnResult result{.child = order.child};
  Launch it{&order, pointers(order.words), pointers(order.environment), getpid()};
  void* stack = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return result.error = errno, result.step = "no memory", result;
  // Signals wait, so that no handler of the host program runs in a child that shares its memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int process = -1;
  pid_t pid = clone(launch, static_cast<char*>(stack) + stack_bytes, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, &it, &process);
  int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(stack, stack_bytes);
  if (pid < 0) return result.error = error, result.step = "clone", result;
  if (it.error != 0) {
    siginfo_t ended{};
    waitid(P_PIDFD, static_cast<id_t>(process), &ended, WEXITED | __WALL);
    close(process);
    return result.error = it.error, result.step = it.step, result;
  }
  result.pid = pid;
  result.process = process;
  return result;
}

}  // namespace

ExecutorSpawner::ExecutorSpawner(int bell) : bell_(bell), thread_([this] { serve(); }) {}

ExecutorSpawner::~ExecutorSpawner() { stop(); }

void ExecutorSpawner::post(SpawnOrder order) {
  std::lock_guard lock(mutex_);
  orders_.push_back(std::move(order));
  changed_.notify_one();
}

std::vector<SpawnResult> ExecutorSpawner::take() {
  std::lock_guard lock(mutex_);
  return std::exchange(results_, {});
}

void ExecutorSpawner::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  for (auto& order : std::exchange(orders_, {})) close(order.socket), close(order.output);
}

void ExecutorSpawner::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !orders_.empty(); });
    if (stopping_) return;
    SpawnOrder order = std::move(orders_.front());
    orders_.pop_front();
    lock.unlock();
    SpawnResult result = spawn(order);
    close(order.socket);
    close(order.output);
    lock.lock();
    results_.push_back(result);
    std::uint64_t one = 1;
    [[maybe_unused]] auto written = write(bell_, &one, sizeof one);
  }
}

std::string find_program(const std::string& word) {
  if (word.find('/') != std::string::npos) return word;
  const char* path = std::getenv("PATH");
  std::string folders = path ? path : "/usr/bin:/bin";
  for (std::size_t at = 0; at <= folders.size();) {
    std::size_t end = std::min(folders.find(':', at), folders.size());
    std::string file = folders.substr(at, end - at) + "/" + word;
    if (access(file.c_str(), X_OK) == 0) return file;
    at = end + 1;
  }
  return {};
}

}  // namespace weft::worker
