#include "worker/stack_sampler.h"

#include <execinfo.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <thread>

#include "worker/executor_crash.h"

namespace weft::worker {

static constexpr Duration tell_interval = std::chrono::seconds(2);
static constexpr std::size_t labels_max = 4096, names_max = 100'000, name_bytes_max = 200;
static StackSampler* the_sampler = nullptr;

std::unique_ptr<StackSampler> StackSampler::start(Duration period, Names names, Tell tell) {
  struct sigaction before {};
  if (period <= Duration{} || !names || sigaction(SIGPROF, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) return nullptr;
  std::unique_ptr<StackSampler> made(new StackSampler(period, std::move(names), std::move(tell)));
  sem_init(&made->news_, 0, 0);
  void* warm[1];
  backtrace(warm, 1);  // loads libgcc now, not inside the handler
  the_sampler = made.get();
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(SIGPROF, &action, nullptr);

  sigset_t all, mine;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mine);  // what is sent to the process is for the user's threads
  std::thread([sampler = made.get()] { sampler->collect(); }).detach();
  pthread_sigmask(SIG_SETMASK, &mine, nullptr);

  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGPROF;
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  timer_t timer{};
  itimerspec every{};
  every.it_interval.tv_sec = period / std::chrono::seconds(1);
  every.it_interval.tv_nsec = period % std::chrono::seconds(1) / std::chrono::nanoseconds(1);
  every.it_value = every.it_interval;
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0) timer_settime(timer, 0, &every, nullptr);
  return made;
}

// Only async-signal-safe calls. Since glibc 2.35 the unwinder finds its tables without a lock.
void StackSampler::on_signal(int, siginfo_t*, void* context) {
  StackSampler& self = *the_sampler;
  const int kept_errno = errno;
  const std::uint32_t label = self.label_.load(std::memory_order_relaxed), at = self.written_;
  if (label != 0 && at - self.read_ < samples_max) {
    Sample& sample = self.samples_[at % samples_max];
    int depth = backtrace(sample.frames, frames_max);
    void** end = sample.frames + depth;
    void** first = std::find(sample.frames, end, interrupted_instruction(context));   // before it are this handler's frames
    if (first != end) depth = static_cast<int>(std::move(first, end, sample.frames) - sample.frames);
    sample.depth = depth;
    sample.label = label;
    self.written_ = at + 1;
    if (at == self.read_) sem_post(&self.news_);   // it was empty
  }
  errno = kept_errno;
}

void StackSampler::collect() {
  for (;;) {
    while (sem_wait(&news_) != 0) {}
    std::this_thread::sleep_for(tell_interval);
    tell_collected();
  }
}

void StackSampler::tell_collected() {
  std::map<std::pair<std::uint32_t, std::vector<void*>>, std::uint32_t> counts;
  std::uint32_t from = read_;
  const std::uint32_t to = written_;
  for (; from != to; ++from) {
    const Sample& sample = samples_[from % samples_max];
    ++counts[{sample.label, {sample.frames, sample.frames + sample.depth}}];
  }
  read_ = to;
  if (written_ != to) sem_post(&news_);   // what came between saw the ring not empty

  std::map<std::pair<std::uint32_t, std::string>, std::uint32_t> stacks;  // two places in one function are one stack
  for (const auto& [place, count] : counts) stacks[{place.first, text_of(place.second)}] += count;
  std::vector<StackSamples> told;
  while (labels_lock_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
  for (const auto& [stack, count] : stacks)   // no frame of the user's: the function is inlined into what calls it
    told.push_back({labels_[stack.first - 1], stack.second.empty() ? labels_[stack.first - 1] : stack.second, count, static_cast<std::uint32_t>(period_ / std::chrono::microseconds(1))});
  labels_lock_.clear(std::memory_order_release);
  std::ranges::stable_sort(told, std::greater(), &StackSamples::count);
  if (told.size() > stacks_max) told.resize(stacks_max);
  for (StackSamples& samples : told) tell_(std::move(samples));
}

// The user's function first, then what it called. What called it is ours; where nothing is the user's, the text is empty. A stack
// so deep that its beginning is missing is shown as far as it goes.
std::string StackSampler::text_of(const std::vector<void*>& frames) {
  if (known_.size() > names_max) known_.clear();
  std::string text;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const char* address = static_cast<const char*>(frames[i]) - (i > 0);  // of callers: inside the call, not behind it
    auto [known, is_new] = known_.try_emplace(const_cast<char*>(address));
    if (is_new) {
      std::string name = names_(address);
      known->second = name.empty() ? std::string("?") : std::move(name);
      std::ranges::replace(known->second, '\n', ' ');
    }
    if (known->second.find("weft::detail::Caller<") != std::string::npos) return text;
    std::string name = known->second.substr(0, name_bytes_max);
    if (text.size() + name.size() + 1 > text_max) break;
    text = text.empty() ? std::move(name) : std::move(name) + '\n' + text;
  }
  const bool cut = frames.size() + 2 >= frames_max;   // two were the handler's
  return cut ? text : std::string();
}

StackSampler::Scope::Scope(StackSampler* sampler, const std::string& label) : sampler_(sampler) {
  if (!sampler_) return;
  auto [known, is_new] = sampler_->label_numbers_.try_emplace(label, sampler_->labels_.size() + 1);
  if (is_new && sampler_->labels_.size() >= labels_max) {
    sampler_->label_numbers_.erase(known);
    before_ = sampler_->label_.exchange(0, std::memory_order_relaxed);
    return;
  }
  if (is_new) {
    while (sampler_->labels_lock_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
    sampler_->labels_.push_back(label);
    sampler_->labels_lock_.clear(std::memory_order_release);
  }
  before_ = sampler_->label_.exchange(known->second, std::memory_order_relaxed);
}
StackSampler::Scope::~Scope() {
  if (sampler_) sampler_->label_.store(before_, std::memory_order_relaxed);
}

}  // namespace weft::worker
