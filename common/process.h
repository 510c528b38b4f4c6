// What programs need of the system: signals as calls, a pid file, private folders, files written whole, child processes. For
// mains and tests; the library itself touches no signal.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/result.h"
#include "common/time.h"

namespace weft {

/// Turns signals into calls on a thread of its own, in the order they came. One at a time in a process. Handlers and not a
/// blocked mask, because exec resets handlers: programs that we start see the signals as usual. SIGPIPE is ignored meanwhile.
class Signals {
 public:
  /// What `on_signal` is called with when the other end of `lifeline` closes.
  static constexpr int lifeline_cut = 0;

  Signals(std::vector<int> signals, std::function<void(int)> on_signal, int lifeline = -1);
  ~Signals();
  Signals(const Signals&) = delete;

 private:
  std::vector<int> signals_;
  std::function<void(int)> on_signal_;
  void run(int lifeline);

  int read_ = -1, write_ = -1;
  std::thread thread_;
};

/// The descriptor that $WEFT_LIFELINE names (-1: none), from now on hidden from programs that we start. Whoever starts us for
/// its own use holds the other end, so that we end when it does, however it ends.
int take_lifeline();

/// A file with our process id, locked as long as we live and removed at the end. What a dead process left is replaced.
class PidFile {
 public:
  PidFile() = default;
  /// Fails with io_error if a living process holds the file, or it cannot be written.
  static Result<PidFile> create(const std::string& path);
  PidFile(PidFile&& other) noexcept;
  PidFile& operator=(PidFile&& other) noexcept;
  ~PidFile();

 private:
  PidFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  std::string path_;
  int descriptor_ = -1;
};

/// Make a folder (and its parents) that only we can enter, or check that an existing one is so.
Result<void> make_private_folder(const std::string& path);

/// Whether a file can be made or replaced there, as far as can be known before it is done.
Result<void> check_writable(const std::string& path);
/// Write a file so that readers see the old one or the whole new one.
Result<void> write_whole_file(const std::string& path, std::string_view text, unsigned mode = 0644);
/// Read at most `bytes_max`; a longer file is a failure.
Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max = 1u << 20);

struct ChildOptions {
  std::vector<std::string> arguments;               // behind the program's name
  std::map<std::string, std::string> environment;   // set beside ours
  bool dies_with_us = true;                         // SIGKILL when the thread that started it ends
  bool own_group = true;                            // the terminal's Ctrl-C does not reach it
  int output = -1, errors = -1;                     // its stdout and stderr; -1: ours
  bool no_input = true;                             // its stdin is empty, not ours
};

/// A program that we started. Dropping it kills it.
class ChildProcess {
 public:
  /// A program without a slash is looked for in $PATH. Fails with program_error if it cannot be started.
  static Result<ChildProcess> start(const std::string& program, const ChildOptions& options);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  int pid() const { return pid_; }
  /// Readable when it has ended.
  int descriptor() const { return descriptor_; }
  void signal(int signal);
  /// Its exit code, 128 + N if signal N ended it; nothing if it still runs at the deadline.
  std::optional<int> wait(Time deadline = Time::never());

 private:
  ChildProcess(int pid, int descriptor) : pid_(pid), descriptor_(descriptor) {}
  int pid_ = -1;
  int descriptor_ = -1;
  std::optional<int> code_;
};

}  // namespace weft
