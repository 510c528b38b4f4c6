#include "worker/thread_executors.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "worker/task_context.h"

namespace weft::worker {
namespace {

// A quiet beginning (no timeout, nothing ended) is noticed this late; telling it at once would cost a wake-up per tiny task.
constexpr Duration quiet_look = 1ms;

class PlaceSink final : public detail::ResultSink {
 public:
  explicit PlaceSink(const std::function<Result<Place>(std::uint64_t)>& make) : make_(make) {}

  std::span<std::byte> place(std::uint64_t bytes) override {
    Result<Place> made = make_(bytes);
    if (!made) throw NoPlace{made.error()};
    place_ = std::move(*made);
    return place_.bytes;
  }
  std::optional<Value> value() {
    return Value::from(Buffer(std::move(place_.owner), {place_.bytes.data(), place_.bytes.size()}));
  }

 private:
  const std::function<Result<Place>(std::uint64_t)>& make_;
  Place place_;
};

}  // namespace

struct ThreadExecutors::Core : std::enable_shared_from_this<Core> {
  class Active;

  explicit Core(ThreadOptions given) : options(std::move(given)), descriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    WEFT_CHECK(descriptor >= 0);
  }
  ~Core() { close(descriptor); }

  void serve();
  void run_one(std::unique_lock<std::mutex>& lock, Run run, FunctionCache& cache, bool& thread_lost);
  void offer();
  void tell();
  void hear();
  Active* find(AttemptId attempt);
  void disown(Active& active, Failure why, Time now);

  const ThreadOptions options;
  const int descriptor;

  std::mutex mutex;                // guards all below
  std::condition_variable work;    // queue, permits or stopping changed
  std::condition_variable gone;    // a thread ended
  std::deque<Run> queue;
  std::vector<Active*> active;     // owned attempts that run, each on its thread's stack
  std::vector<Active*> helpers;    // attempts that wait without a lent slot: they serve the queue meanwhile
  std::vector<Run> spent;          // their inputs are dropped by the loop's thread
  ExecutorEvents news;
  std::size_t running = 0;         // permits in use, at most `slots` except just after a wait
  std::size_t lent = 0;            // attempts that wait, each without a permit
  std::size_t threads = 0, idle = 0, called = 0;  // `called`: woken or being made, not yet at the queue
  bool told = false;
  bool stopping = false;
};

// One attempt on one thread.
class ThreadExecutors::Core::Active final : public TaskContext {
 public:
  Active(Core& core, Run& run, FunctionCache& cache) : core(core), run(run), cache(cache), scope_(this) {}

  Key key() const override { return run.key; }
  AttemptId attempt() const override { return run.attempt; }
  std::uint32_t try_number() const override { return run.try_number; }
  const Template& shape() const override { return *run.shape; }
  std::string_view worker() const override { return core.options.worker; }
  bool cancelled() const override { return unwanted.load(std::memory_order_relaxed); }

  void log(std::uint32_t level, std::string_view text) override {
    LogLine line{.level = level, .key = run.key, .text = std::string(text)};
    shorten(line.text, failure_text_max);
    std::lock_guard lock(core.mutex);
    core.news.logs.push_back(std::move(line));
    core.tell();
  }
  void progress(double fraction) override {
    std::lock_guard lock(core.mutex);
    // A loop that says more than anybody hears must not fill our memory.
    auto& said = core.news.progress;
    auto old = std::find_if(said.begin(), said.end(), [&](const TaskProgress& each) { return each.attempt == run.attempt; });
    if (old != said.end()) old->fraction = fraction;
    else said.push_back({run.attempt, fraction});
    core.tell();
  }
  void send(std::vector<ClientMessage> messages) override {
    std::lock_guard lock(core.mutex);
    core.news.from_tasks.push_back({run.attempt.number, std::move(messages)});
    core.tell();
  }
  void read(const Key& key, std::vector<Location> locations) override {
    std::lock_guard lock(core.mutex);
    core.news.reads.push_back({run.attempt, key, std::move(locations)});
    core.tell();
  }
  void put(const Key& key, const Value& value, const Location& location) override {
    std::lock_guard lock(core.mutex);
    core.news.puts.push_back({run.attempt, key, value, location});
    core.tell();
  }
  TaskMail wait(Time deadline) override;
  void wake() override {
    std::lock_guard lock(core.mutex);
    woken = true;
    mail.notify_all();
  }

  Core& core;
  Run& run;
  FunctionCache& cache;
  Time began;
  Time deadline = Time::never();
  bool known = false;      // the loop has been told that it began
  bool owned = true;       // false: its outcome is already given
  bool permit = true;      // it counts as running
  std::atomic<bool> unwanted{false};
  bool woken = false;
  TaskMail inbox;
  std::condition_variable mail;

 private:
  bool call_waits() const { return inbox.empty() && !woken && owned && !core.stopping; }
  Scope scope_;
};

// Lends the slot while it waits. Beyond `lent_max` it runs the newest queued task itself: newest first keeps the depth
// of nested runs near the depth of the task tree.
TaskMail ThreadExecutors::Core::Active::wait(Time until) {
  bool only_looks = until <= monotonic_now();
  std::unique_lock lock(core.mutex);
  if (call_waits() && !only_looks) {
    bool lends = permit && core.lent < core.options.lent_max;
    if (permit) --core.running, permit = false;
    core.lent += lends;
    core.news.note_wait(run.attempt, true);
    core.tell();
    if (lends) core.offer();
    auto at = std::chrono::steady_clock::time_point(Duration(until.nanoseconds));
    while (call_waits()) {
      if (!lends && !core.queue.empty() && core.running < core.options.slots) {
        Run nested = std::move(core.queue.back());
        core.queue.pop_back();
        bool lost = false;
        core.run_one(lock, std::move(nested), cache, lost);
        continue;
      }
      if (!lends) core.helpers.push_back(this);
      if (until == Time::never()) {
        mail.wait(lock);
      } else if (mail.wait_until(lock, at) == std::cv_status::timeout) {
        until = Time{};
      }
      if (!lends) std::erase(core.helpers, this);
      if (until == Time{}) break;
    }
    core.lent -= lends;
    if (owned) {
      ++core.running, permit = true;
      core.news.note_wait(run.attempt, false);
      core.tell();
    }
  }
  woken = false;
  return std::exchange(inbox, {});
}

void ThreadExecutors::Core::tell() {
  if (std::exchange(told, true)) return;
  std::uint64_t one = 1;
  [[maybe_unused]] auto written = write(descriptor, &one, sizeof one);
}

void ThreadExecutors::Core::hear() {
  if (!std::exchange(told, false)) return;
  std::uint64_t count;
  [[maybe_unused]] auto got = read(descriptor, &count, sizeof count);
}

// Get the queue served by one more thread if a permit is free: one that sleeps, else a new one, else a task that waits.
void ThreadExecutors::Core::offer() {
  if (queue.empty() || stopping || running + called >= options.slots) return;
  if (!helpers.empty()) return helpers.back()->mail.notify_all();
  ++called;
  if (idle >= called) return work.notify_one();
  ++threads;
  try {
    std::thread([core = shared_from_this()] { core->serve(); }).detach();
  } catch (const std::system_error&) {  // the system gives no more threads: those that exist go on
    --threads, --called;
  }
}

void ThreadExecutors::Core::serve() {
  FunctionCache cache;
  std::unique_lock lock(mutex);
  --called;
  for (bool lost = false; !stopping && !lost;) {
    if (!queue.empty() && running < options.slots) {
      Run run = std::move(queue.front());
      queue.pop_front();
      run_one(lock, std::move(run), cache, lost);
    } else if (idle >= options.slots) {
      break;  // more threads than slots exist after waits
    } else {
      ++idle;
      work.wait(lock);
      --idle;
      if (called) --called;
    }
  }
  --threads;
  gone.notify_all();
}

// Enters and leaves with the lock held.
void ThreadExecutors::Core::run_one(std::unique_lock<std::mutex>& lock, Run run, FunctionCache& cache, bool& thread_lost) {
  Active me(*this, run, cache);
  ++running;
  offer();  // counted itself first: the rest of the queue is for others
  me.began = monotonic_now();
  if (run.shape->options.timeout > 0ns) {
    me.deadline = me.began + run.shape->options.timeout;
    tell();  // the loop must learn the deadline
  }
  active.push_back(&me);
  lock.unlock();

  PlaceSink sink(options.place);
  detail::Call call{.arguments = run.arguments, .inputs = run.inputs, .result = &sink};
  Outcome outcome{.attempt = run.attempt, .key = run.key};
  outcome.failure = run_function(*run.shape, call, cache, options.runtime);
  if (outcome.failure.kind == ErrorKind::none) {
    if (auto value = sink.value()) outcome.value = std::move(*value);
    else outcome.failure = failure(ErrorKind::task_error, "the function left no whole value");
  }
  outcome.run_time = monotonic_now() - me.began;

  lock.lock();
  thread_lost = !me.owned;
  if (me.permit) --running;
  if (me.owned) {
    std::erase(active, &me);
    news.ended.push_back(std::move(outcome));
  }
  spent.push_back(std::move(run));
  tell();
}

ThreadExecutors::Core::Active* ThreadExecutors::Core::find(AttemptId attempt) {
  auto found = std::ranges::find_if(active, [&](Active* a) { return a->run.attempt == attempt; });
  return found == active.end() ? nullptr : *found;
}

// Give the outcome now and leave the thread to the task.
void ThreadExecutors::Core::disown(Active& a, Failure why, Time now) {
  a.unwanted = true;
  a.owned = false;
  if (a.permit) --running, a.permit = false;
  std::erase(active, &a);
  news.ended.push_back({.attempt = a.run.attempt, .key = a.run.key, .failure = std::move(why), .run_time = now - a.began});
  a.mail.notify_all();
  tell();
  offer();
}

ThreadExecutors::ThreadExecutors(ThreadOptions options) : core_(std::make_shared<Core>(std::move(options))) {
  WEFT_CHECK(core_->options.slots > 0);
}

ThreadExecutors::~ThreadExecutors() { shut_down(); }

void ThreadExecutors::start(Run run) {
  WEFT_CHECK(run.shape != nullptr);
  starting_.push_back(std::move(run));
}

// A batch under one lock: the threads would wake up into it.
void ThreadExecutors::hand_over(Time now) {
  if (starting_.empty()) return;
  if (look_at_ == Time::never()) look_at_ = now + quiet_look;
  std::size_t fresh = starting_.size();
  std::move(starting_.begin(), starting_.end(), std::back_inserter(core_->queue));
  starting_.clear();
  for (std::size_t i = 0; i < std::min(fresh, core_->options.slots); ++i) core_->offer();
}

void ThreadExecutors::cancel(AttemptId attempt) {
  std::lock_guard lock(core_->mutex);
  hand_over(monotonic_now());
  Failure why = failure(ErrorKind::cancelled, "the task was cancelled");
  auto queued = std::ranges::find(core_->queue, attempt, &Run::attempt);
  if (queued != core_->queue.end()) {
    core_->news.ended.push_back({.attempt = attempt, .key = queued->key, .failure = std::move(why)});
    core_->spent.push_back(std::move(*queued));
    core_->queue.erase(queued);
    core_->tell();
  } else if (auto* active = core_->find(attempt)) {
    core_->disown(*active, std::move(why), monotonic_now());
  }
}

void ThreadExecutors::to_task(const ToTask& message) {
  std::lock_guard lock(core_->mutex);
  if (auto* active = core_->find(AttemptId{message.channel})) {
    auto& messages = active->inbox.messages;
    messages.insert(messages.end(), message.messages.begin(), message.messages.end());
    active->mail.notify_all();
  }
}

void ThreadExecutors::answer(TaskAnswer answer) {
  std::lock_guard lock(core_->mutex);
  if (auto* active = core_->find(answer.attempt)) {
    active->inbox.answers.push_back(std::move(answer));
    active->mail.notify_all();
  }
}

void ThreadExecutors::renew_task_links() {
  std::lock_guard lock(core_->mutex);
  for (auto* active : core_->active) {
    active->inbox.link_is_new = true;
    active->inbox.messages.clear();  // of the link before
    active->mail.notify_all();
  }
}

std::vector<int> ThreadExecutors::descriptors() const { return {core_->descriptor}; }

ExecutorEvents ThreadExecutors::take(Time now) {
  std::vector<Run> spent;  // dropped after the lock
  std::unique_lock lock(core_->mutex);
  core_->hear();
  hand_over(now);
  for (auto* a : std::vector(core_->active)) {
    if (a->deadline > now) continue;
    Duration timeout = a->run.shape->options.timeout;
    core_->disown(*a, failure(ErrorKind::task_timeout, "the task ran longer than its timeout of " + text_of(timeout) +
                                                           "; its thread is left to it"), now);
  }
  for (auto* a : core_->active)
    if (!std::exchange(a->known, true)) core_->news.started.push_back(a->run.attempt);
  bool beginning = !core_->queue.empty() && core_->running < core_->options.slots;
  look_at_ = beginning ? now + quiet_look : Time::never();
  spent.swap(core_->spent);
  core_->hear();  // what `disown` told is taken here
  ExecutorEvents events = std::exchange(core_->news, {});
  core_->news.ended.reserve(events.ended.size());
  return events;
}

Time ThreadExecutors::wake_at() const {
  if (!starting_.empty()) return Time{};
  std::lock_guard lock(core_->mutex);
  Time at = look_at_;
  for (auto* a : core_->active) at = std::min(at, a->deadline);
  return at;
}

void ThreadExecutors::shut_down() {
  std::unique_lock lock(core_->mutex);
  core_->stopping = true;
  starting_.clear();
  core_->queue.clear();
  for (auto* a : core_->active) {
    a->unwanted = true;
    a->mail.notify_all();
  }
  core_->work.notify_all();
  core_->gone.wait_for(lock, core_->options.grace, [&] { return core_->threads == 0; });
}

std::size_t ThreadExecutors::abandoned() const {
  std::lock_guard lock(core_->mutex);
  if (core_->stopping) return core_->threads;
  std::size_t owned = core_->active.size() + core_->idle + core_->called;
  return core_->threads > owned ? core_->threads - owned : 0;
}

}  // namespace weft::worker
