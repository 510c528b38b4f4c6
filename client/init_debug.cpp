#include "client/init_debug.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "client/init.h"
#include "client/symbols.h"
#include "common/exit_codes.h"
#include "common/process.h"
#include "worker/executor_crash.h"
#include "worker/run_function.h"
#include "worker/task_context.h"

namespace weft::client {

namespace {

constexpr CodecLimits no_limits{.frame_bytes_max = SIZE_MAX, .elements_max = SIZE_MAX, .allocation_max = SIZE_MAX};

std::string_view text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "weft: cannot run the task for weft debug: %s\n", why.c_str());
  _exit(exit_code::os_error);
}

/// The task's view of its run. It has no cluster: what it would submit fails, and says why.
class DebugContext final : public worker::TaskContext, public detail::ResultSink {
 public:
  explicit DebugContext(const DebugTask& task) : task_(task), scope_(this) {}

  Key key() const override { return task_.key; }
  AttemptId attempt() const override { return {}; }
  std::uint32_t try_number() const override { return 1; }
  const Template& shape() const override { return task_.shape; }
  std::string_view worker() const override { return "weft debug"; }
  bool cancelled() const override { return false; }
  void log(std::uint32_t, std::string_view text) override {
    std::fprintf(stderr, "log: %.*s\n", static_cast<int>(text.size()), text.data());
  }
  void progress(double) override {}
  void send(std::vector<ClientMessage>) override { refuse(); }
  void read(const Key&, std::vector<Location>) override { refuse(); }
  void put(const Key&, const Value&, const Location&) override { refuse(); }
  worker::TaskMail wait(Time) override { refuse(); }
  void wake() override {}
  std::span<std::byte> place(std::uint64_t bytes) override {
    result_.resize(bytes);
    return result_;
  }
  std::size_t result_bytes() const { return result_.size(); }

 private:
  [[noreturn]] static void refuse() {
    throw InvalidArgument("a task that weft debug runs has no cluster, so it cannot submit tasks of its own");
  }
  const DebugTask& task_;
  Bytes result_;
  Scope scope_;
};

// The note lies in a file that weft debug reads after our death.
void note_crashes(const std::string& folder) {
  int file = open((folder + "/crash").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void* memory = file >= 0 && ftruncate(file, sizeof(worker::CrashNote)) == 0
                     ? mmap(nullptr, sizeof(worker::CrashNote), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                     : MAP_FAILED;
  if (memory == MAP_FAILED) give_up("no memory for the stack of a crash");
  worker::record_crashes(*new (memory) worker::CrashNote);
}

}  // namespace

void run_debug_task(const std::string& folder) {
  unsetenv(debug_variable);
  Result<std::string> text = read_whole_file(folder + "/task", SIZE_MAX);
  if (!text) give_up(text.error().message);
  Result<DebugTask> task = decode<DebugTask>(bytes_of(*text), no_limits);
  if (!task) give_up("weft and this program are of different releases: " + task.error().message);
  std::vector<Value> inputs;
  for (Bytes& bytes : task->inputs) {
    auto value = Value::from(Buffer::own(std::move(bytes)));
    if (!value) give_up("an input is damaged");
    inputs.push_back(std::move(*value));
  }
  if (task->note_crash) note_crashes(folder);
  worker::FunctionRuntime runtime = user_code();
  runtime.on_start();
  DebugContext context(*task);
  worker::FunctionCache cache;
  detail::Call call{.arguments = task->arguments, .inputs = inputs, .result = &context};
  Failure outcome = symbolised(worker::run_function(task->shape, call, cache, runtime));
  std::fflush(nullptr);
  std::cout.flush();
  const bool returned = outcome.kind == ErrorKind::none;
  if (returned) outcome.message = "it returned a value of " + std::to_string(context.result_bytes()) + " bytes";
  Bytes encoded = encode(WireFailure{std::move(outcome)});
  if (auto written = write_whole_file(folder + "/outcome", text_of(encoded), 0600); !written) give_up(written.error().message);
  _exit(returned ? exit_code::ok : exit_code::failure);
}

Result<void> write_debug_task(const std::string& folder, const DebugTask& task) {
  return write_whole_file(folder + "/task", text_of(encode(task)), 0600);
}

std::optional<Failure> read_debug_outcome(const std::string& folder) {
  Result<std::string> text = read_whole_file(folder + "/outcome");
  if (!text) return std::nullopt;
  Result<WireFailure> outcome = decode<WireFailure>(bytes_of(*text));
  if (!outcome) return std::nullopt;
  return std::move(outcome->failure);
}

std::vector<Frame> debug_crash_frames(const std::string& folder) {
  int file = open((folder + "/crash").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  void* memory = mmap(nullptr, sizeof(worker::CrashNote), PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return {};
  const auto& note = *static_cast<const worker::CrashNote*>(memory);
  std::vector<Frame> frames;
  if (note.signal.load() != 0) frames = worker::crash_frames(note);
  munmap(memory, sizeof(worker::CrashNote));
  return frames;
}

}  // namespace weft::client
