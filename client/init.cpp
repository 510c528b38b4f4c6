#include "client/init.h"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include <weft/error.h>
#include <weft/init.h>

#include "client/images.h"
#include "client/init_debug.h"
#include "client/program_setup.h"
#include "client/symbols.h"
#include "client/throw_trace.h"
#include "common/exit_codes.h"
#include "worker/executor_link.h"
#include "worker/executor_process.h"

namespace weft {
namespace {

constexpr const char* advice = "call weft::init(argc, argv) first in main";

std::atomic<bool> was_called{false};

// Never destroyed: static objects of the user's images may register before ours exist and be used after they are gone.
std::vector<void (*)()>& set_ups() {
  static auto* all = new std::vector<void (*)()>;
  return *all;
}
std::mutex& set_ups_mutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "weft: %s\n", why.c_str());
  std::fflush(stderr);
  _exit(exit_code::usage);
}

/// Functions may lie in libraries that the client opened after its start: they are here too before the first is looked for.
void open_libraries() {
  const char* listed = std::getenv(worker::libraries_variable);
  std::istringstream lines(listed ? listed : "");
  for (std::string path; std::getline(lines, path);) {
    if (dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD)) continue;  // the program is linked to it
    if (!dlopen(path.c_str(), RTLD_NOW)) std::fprintf(stderr, "weft: cannot open a library that the client has opened: %s\n", dlerror());
  }
}

}  // namespace

void init(int&, char**) {
  if (was_called.exchange(true)) return;
  if (const char* folder = std::getenv(client::debug_variable)) client::run_debug_task(std::string(folder));
  const char* text = std::getenv(worker::executor_variable);
  if (!text) return;
  char* end = nullptr;
  long descriptor = std::strtol(text, &end, 10);
  if (end == text || *end || descriptor < 0 || descriptor > 1 << 20)
    stop("WEFT_EXECUTOR is not a descriptor's number; only workers set it");
  open_libraries();
  worker::run_executor(static_cast<int>(descriptor), client::user_code());
}

void on_executor_start(void (*set_up)()) {
  if (!set_up) throw InvalidArgument("on_executor_start was given no function");
  if (was_called) throw InvalidArgument("call weft::on_executor_start before weft::init: executors never come past init");
  std::lock_guard guard(set_ups_mutex());
  set_ups().push_back(set_up);
}

std::string attached_file(const std::string& name) {
  std::string path;
  if (const char* folder = std::getenv(worker::files_variable)) path = std::string(folder) + '/' + name;
  if (path.empty() || access(path.c_str(), F_OK) != 0) path = client::attached_here(name);
  if (path.empty()) throw InvalidArgument("the client attached no file '" + name + "'; name it in ClientOptions::files");
  return path;
}

namespace detail {

bool init_called() { return was_called; }

void stop_strayed_executor() {
  if (was_called || !std::getenv(worker::executor_variable)) return;
  stop(std::string("this process was started to run tasks, but its main went on to make a Client: ") + advice);
}

void require_init() {
  stop_strayed_executor();
  if (!was_called)
    throw InvalidArgument(std::string("workers start this program to run its functions, and it does not let them: ") + advice);
}

void set_up_executor() {
  static std::once_flag once;
  std::call_once(once, [] {
    std::vector<void (*)()> all;
    {
      std::lock_guard guard(set_ups_mutex());
      all = set_ups();
    }
    for (auto set_up : all) set_up();
  });
}

}  // namespace detail

namespace client {

// A thread that looks up user code is about to run it: from here on its throws are recorded.
static Result<detail::Thunk> find_function(const FunctionRef& function, void (**target)()) {
  static thread_local ThrowTrace::Scope trace;
  return resolve_function(function, target);
}

worker::FunctionRuntime user_code() {
  return {.resolve = find_function, .describe_exception = failure_from_current_exception, .on_start = detail::set_up_executor,
          .name_of = symbol_at};
}

}  // namespace client
}  // namespace weft
