#include "worker/executor_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <memory>
#include <mutex>
#include <thread>

#include "worker/executor_crash.h"
#include "worker/executor_link.h"
#include "worker/executor_memory.h"
#include "worker/executor_output.h"
#include "worker/stack_sampler.h"
#include "worker/task_context.h"

namespace weft::worker {
namespace {

// Ended attempts are announced together while more are waiting, at most this many.
constexpr int quiet_outcomes_max = 16;

constexpr int kept_descriptors_min = 10;

bool forked = false;  // true in a process that user code forked: the link is not its own

class Executor {
 public:
  Executor(std::unique_ptr<ExecutorLink> link, int daemon_bell, FunctionRuntime runtime)
      : link_(std::move(link)), board_(link_->board), bell_(daemon_bell), output_(fcntl(1, F_DUPFD_CLOEXEC, kept_descriptors_min)),
        runtime_(std::move(runtime)) {
    if (const char* name = std::getenv(worker_variable)) worker_ = name;
  }

  [[noreturn]] void serve();

 private:
  class Task;

  bool next(bool nested_only);
  void run(RunRecord record);
  void finish(Task& task, const RunRecord& record, Failure failed, Duration run_time);
  std::span<std::byte> lease(AttemptId attempt, std::uint64_t bytes, std::shared_ptr<Mapping>& mapping);
  Task* running(AttemptId attempt);
  void read_notes();
  template <class News>
  void tell(News news);
  ExecutorLink::Sent send(std::span<const std::byte> news);
  void announce();
  void wake_daemon();
  void start_sampling();

  std::unique_ptr<ExecutorLink> link_;
  LentMemory memory_{*link_};
  ExecutorBoard& board_;
  int bell_;
  int output_;  // our own view of the output pipe, whatever the task does to its descriptors 1 and 2
  FunctionRuntime runtime_;
  std::string worker_;
  FunctionCache cache_;
  std::map<std::uint32_t, std::shared_ptr<const Template>> shapes_;
  std::deque<RunRecord> later_;  // came while a task waited and must not run inside it
  std::unique_ptr<StackSampler> sampler_;
  std::mutex sending_;           // the sampler's thread speaks too
  std::vector<Task*> stack_;     // tasks that run, each inside the wait of the one before
  Bytes frame_;
  Encoder encoder_;
  bool cut_off_ = false;  // a task closed our descriptors
  int quiet_ = 0;  // outcomes not announced yet
};

// A loop that speaks of every step must not keep the daemon busy.
constexpr Duration progress_interval = 5ms;

// One attempt: its context and the place of its result.
class Executor::Task final : public TaskContext, public detail::ResultSink {
 public:
  Task(Executor& executor, const RunRecord& record, std::shared_ptr<const Template> shape)
      : executor_(executor), record_(record), shape_(std::move(shape)), scope_(this) {
    executor_.stack_.push_back(this);
  }
  ~Task() override { executor_.stack_.pop_back(); }

  Key key() const override { return record_.key; }
  AttemptId attempt() const override { return record_.attempt; }
  std::uint32_t try_number() const override { return record_.try_number; }
  const Template& shape() const override { return *shape_; }
  std::string_view worker() const override { return executor_.worker_; }
  bool cancelled() const override { return false; }

  void log(std::uint32_t level, std::string_view text) override {
    LogLine line{.level = level, .key = record_.key, .text = std::string(text)};
    shorten(line.text, failure_text_max);
    executor_.tell(std::move(line));
  }
  void progress(double fraction) override {
    std::int64_t now = monotonic_now().nanoseconds;
    if (now < progress_again_ && fraction < 1) return;
    progress_again_ = now + progress_interval.count();
    executor_.tell(TaskReports{record_.attempt, fraction});
  }
  void send(std::vector<ClientMessage> messages) override {
    executor_.tell(FromTask{record_.attempt.number, std::move(messages)});
  }
  void read(const Key& key, std::vector<Location> locations) override {
    executor_.tell(TaskReads{record_.attempt, key, std::move(locations)});
  }
  void put(const Key& key, const Value& value, const Location& location) override;
  TaskMail wait(Time deadline) override;
  void wake() override {
    woken_.store(true, std::memory_order_seq_cst);
    executor_.board_.wake_executor();
  }
  std::span<std::byte> place(std::uint64_t bytes) override;

  std::span<const std::byte> result() const { return result_; }
  bool placed() const { return mapping_ != nullptr; }

  TaskMail inbox;
  std::optional<PlaceGranted> granted;

 private:
  Executor& executor_;
  const RunRecord& record_;
  std::shared_ptr<const Template> shape_;
  std::span<const std::byte> result_;
  std::shared_ptr<Mapping> mapping_;
  std::atomic<bool> woken_{false};
  std::atomic<std::int64_t> progress_again_{0};  // nanoseconds
  alignas(value_alignment) std::byte small_[small_value_max];
  Scope scope_;
};

TaskMail Executor::Task::wait(Time deadline) {
  executor_.read_notes();
  auto waits = [&] { return inbox.empty() && !woken_ && monotonic_now() < deadline; };
  if (waits()) {
    executor_.tell(TaskWaits{record_.attempt, true});
    while (waits()) {
      if (!executor_.next(true)) executor_.board_.sleep_executor(deadline, &woken_);
      executor_.read_notes();
    }
    executor_.tell(TaskWaits{record_.attempt, false});
  }
  woken_ = false;
  return std::exchange(inbox, {});
}

void Executor::Task::put(const Key& key, const Value& value, const Location& location) {
  auto bytes = value.block().bytes();
  TaskPuts puts{.attempt = record_.attempt, .key = key, .location = location};
  if (bytes.size() < small_value_max) {
    puts.value.assign(bytes.begin(), bytes.end());
  } else {
    try {
      std::shared_ptr<Mapping> mapping;
      std::ranges::copy(bytes, executor_.lease(record_.attempt, bytes.size(), mapping).begin());
      puts.placed = true;
    } catch (NoPlace& refused) {
      inbox.answers.push_back({.attempt = record_.attempt, .key = key, .put = true, .failure = std::move(refused.failure)});
      return;
    }
  }
  executor_.tell(std::move(puts));
}

std::span<std::byte> Executor::Task::place(std::uint64_t bytes) {
  mapping_ = nullptr;
  std::span<std::byte> place;
  if (bytes < small_value_max) {
    place = std::span(small_).first(bytes);
  } else {
    place = executor_.lease(record_.attempt, bytes, mapping_);
  }
  result_ = place;
  return place;
}

// A writable place in the daemon's memory, for the task on top of the stack.
std::span<std::byte> Executor::lease(AttemptId attempt, std::uint64_t bytes, std::shared_ptr<Mapping>& mapping) {
  std::optional<PlaceGranted>& granted = stack_.back()->granted;
  tell(NeedPlace{attempt, bytes});
  granted.reset();
  for (read_notes(); !granted; read_notes()) board_.sleep_executor(Time::never());
  if (granted->memory == 0) throw NoPlace{granted->refusal.failure};
  mapping = memory_.mapping(granted->memory, true);
  return mapping->range(granted->offset, granted->length);
}

void Executor::serve() {
  pthread_atfork(nullptr, nullptr, [] { forked = true; });
  // A crash loses what stdio still holds; whole lines must not be lost.
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
  record_crashes(board_.shared().crash);
  runtime_.on_start();
  start_sampling();
  tell(ExecutorReady{static_cast<std::uint64_t>(getpid())});
  for (;;)
    if (!next(false)) {
      announce();
      board_.sleep_executor(Time::never());
    }
}

// Handle one frame from the runs. False if there was none (to do now).
bool Executor::next(bool nested_only) {
  if (!nested_only && !later_.empty()) {
    RunRecord record = std::move(later_.front());
    later_.pop_front();
    run(std::move(record));
    return true;
  }
  if (!link_->receive(board_.runs, frame_)) {
    if (link_->broken()) give_up("the daemon's ring is damaged");
    return false;
  }
  auto message = decode<ExecutorBound>(frame_, {.frame_bytes_max = SIZE_MAX, .elements_max = SIZE_MAX, .allocation_max = SIZE_MAX});
  if (!message) give_up("the daemon speaks another version");
  if (auto* record = std::get_if<RunRecord>(&*message)) {
    if (nested_only && !record->nested) later_.push_back(std::move(*record));
    else run(std::move(*record));
  } else if (auto* define = std::get_if<DefineShape>(&*message)) {
    shapes_[define->number] = std::make_shared<const Template>(std::move(define->shape));
  } else if (auto* forget = std::get_if<ForgetMemory>(&*message)) {
    memory_.forget(forget->memory, forget->writable);
  } else {
    std::exit(0);
  }
  return true;
}

void Executor::run(RunRecord record) {
  if (record.claim >= ExecutorBoard::claims_max) give_up("the daemon speaks another version");
  auto shape = shapes_.find(record.shape);
  if (shape == shapes_.end()) give_up("the daemon speaks another version");
  Time began = monotonic_now();
  std::vector<Value> inputs = memory_.values_of(record.inputs);  // also when it was taken back: its memory must be received in order
  if (!board_.shared().claims[record.claim].begin(record.attempt, began)) return;
  Task task(*this, record, shape->second);
  detail::Call call{.arguments = record.arguments, .inputs = inputs, .result = &task};
  Failure failed = [&] {
    StackSampler::Scope sampled(sampler_.get(), task.shape().label);
    return run_function(task.shape(), call, cache_, runtime_);
  }();
  if (forked) _exit(0);  // a fork of the task came back here: only the parent's return is the task's end
  finish(task, record, std::move(failed), monotonic_now() - began);
}

void Executor::finish(Task& task, const RunRecord& record, Failure failed, Duration run_time) {
  std::fflush(stdout);
  std::cout.flush();
  std::clog.flush();
  auto position = output_position(output_, board_.shared());
  cut_off_ = !position;
  std::uint64_t output_end = position.value_or(0);
  ++quiet_;
  if (failed.kind != ErrorKind::none) {
    tell(RunFailed{record.attempt, run_time, output_end, {std::move(failed)}});
  } else {
    RunCompleted ended{record.attempt, run_time, output_end, task.placed(), {}};
    if (!ended.placed) ended.value.assign(task.result().begin(), task.result().end());
    tell(std::move(ended));
  }
  if (cut_off_) give_up("the task closed the connection to the worker");  // its result is told; the next needs another process
  if (quiet_ >= quiet_outcomes_max || !later_.empty() || !board_.runs.readable()) announce();
}

// The run of this attempt; null if it has ended.
Executor::Task* Executor::running(AttemptId attempt) {
  auto found = std::ranges::find(stack_, attempt, [](const Task* task) { return task->attempt(); });
  return found == stack_.end() ? nullptr : *found;
}

void Executor::read_notes() {
  Bytes frame;
  while (link_->receive(board_.notes, frame)) {
    auto note = decode<TaskBound>(frame, {.frame_bytes_max = SIZE_MAX, .elements_max = SIZE_MAX, .allocation_max = SIZE_MAX});
    if (!note) give_up("the daemon speaks another version");
    if (auto* granted = std::get_if<PlaceGranted>(&*note)) {
      if (!stack_.empty()) stack_.back()->granted = std::move(*granted);
    } else if (auto* mail = std::get_if<ToTask>(&*note)) {
      if (Task* task = running(AttemptId{mail->channel}))
        std::ranges::move(mail->messages, std::back_inserter(task->inbox.messages));
    } else if (auto* answered = std::get_if<TaskAnswered>(&*note)) {
      TaskAnswer answer{answered->attempt, answered->key, answered->put, {}, std::move(answered->failure.failure)};
      if (!answer.put && answer.failure.kind == ErrorKind::none) answer.value = memory_.values_of({&answered->value, 1})[0];
      if (Task* task = running(answer.attempt)) task->inbox.answers.push_back(std::move(answer));
    } else {
      for (Task* task : stack_) {
        task->inbox.link_is_new = true;
        task->inbox.messages.clear();  // of the link before
      }
    }
  }
  if (link_->broken()) give_up("the daemon's ring is damaged");
}

template <class News>
void Executor::tell(News news) {
  if (forked) return;
  constexpr bool ending = std::is_same_v<News, RunCompleted> || std::is_same_v<News, RunFailed>;
  encoder_.clear();
  encoder_.put_as<ExecutorNews>(news);
  for (;;) {
    switch (send(encoder_.bytes())) {
      case ExecutorLink::Sent::done:
        if (!ending) announce();
        return;
      case ExecutorLink::Sent::broken: give_up("the task closed or damaged the connection to the worker");
      case ExecutorLink::Sent::full: break;
    }
    announce();
    std::this_thread::sleep_for(50us);  // the daemon reads on its own; there is nothing to be woken by
  }
}

ExecutorLink::Sent Executor::send(std::span<const std::byte> news) {
  std::lock_guard lock(sending_);
  return link_->send(board_.news, news);
}

// Samples are not worth waiting for: when the ring is full they are lost.
void Executor::start_sampling() {
  const char* text = std::getenv(profile_variable);
  if (!text) return;
  sampler_ = StackSampler::start(std::chrono::microseconds(std::strtoll(text, nullptr, 10)), runtime_.name_of, [this](StackSamples samples) {
    LogLine line{.level = samples_level, .text = samples.text()};
    if (send(encode(ExecutorNews(std::move(line)))) == ExecutorLink::Sent::done) wake_daemon();
  });
}

void Executor::announce() {
  quiet_ = 0;
  wake_daemon();
}

void Executor::wake_daemon() {
  if (!board_.daemon_wants_waking()) return;
  std::uint64_t one = 1;
  if (write(bell_, &one, sizeof one) != sizeof one && errno != EAGAIN)
    give_up("the task closed the connection to the worker");
}

// The first message on the socket brings the board's memory, the second the daemon's bell.
int receive_start(int socket) {
  std::byte note[8];
  int descriptor = -1;
  if (receive_descriptor(socket, note, descriptor, 0) <= 0 || descriptor < 0) give_up("no worker daemon at WEFT_EXECUTOR");
  return descriptor;
}

}  // namespace

void run_executor(int descriptor, FunctionRuntime runtime) {
  prctl(PR_SET_NAME, program_invocation_short_name);  // the kernel's own choice is the number of a descriptor
  unsetenv(executor_variable);  // programs that the task starts are no executors
  int memory = receive_start(descriptor);
  int low_bell = receive_start(descriptor);
  // All that we keep is in one place above the low numbers, so that a task that closes some of it is found out by any.
  int socket = fcntl(descriptor, F_DUPFD_CLOEXEC, kept_descriptors_min);
  int bell = fcntl(low_bell, F_DUPFD_CLOEXEC, kept_descriptors_min);
  if (socket < 0 || bell < 0) give_up("no descriptors");
  close(descriptor);
  close(low_bell);
  auto board = ExecutorBoard::attach(memory);
  if (!board) give_up(board.error().message.c_str());
  // Never destroyed: `exit` inside a task must not take it away under the task.
  auto* self = new Executor(std::make_unique<ExecutorLink>(std::move(*board), socket), bell, std::move(runtime));
  self->serve();
}

}  // namespace weft::worker
