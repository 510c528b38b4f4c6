// ProcessExecutors, the part that decides which processes exist and which attempts they get.
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "worker/executor_child.h"
#include "worker/process_executors.h"
#include "worker/run_function.h"
#include "worker/task_context.h"

namespace weft::worker {
namespace {

using Child = ExecutorChild;
using ChildState = Child::State;
// As much expected work goes ahead into a process: enough to hide the hand-over, too little to be missed elsewhere.
constexpr Duration ahead_max = 1ms;
constexpr std::size_t ahead_count_max = 128;
constexpr Duration spare_kept = 5s;      // processes beyond the slots, left over from lending
constexpr Duration refused_pause = 2ms;  // before what did not fit is offered again
constexpr Duration spawn_pause = 100ms;  // before a process is tried again that the system refused
constexpr unsigned failures_max = 3;     // in a row, of a program that has worked before

bool alive(const Child& child) { return child.state == ChildState::starting || child.state == ChildState::ready; }
bool busy(const Child& child) { return child.state == ChildState::ready && !child.in_flight.empty() && !child.waiting(); }
bool lending(const Child& child) { return child.state == ChildState::ready && child.waiting(); }
bool in_a_slot(const Child& child) { return alive(child) && !child.waiting(); }
/// What lacked memory in a process that others had used gets one that nobody has.
bool suits(const Child& child, const Run& run) {
  return child.program == run.shape->function.program && !(run.again && child.tasks + child.in_flight.size() > 0);
}

}  // namespace

std::size_t ProcessExecutors::count(bool (*which)(const Child&)) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(children_, [&](const auto& entry) { return which(*entry.second); }));
}

ProcessExecutors::Habit& ProcessExecutors::habit(const std::shared_ptr<const Template>& shape) {
  if (habits_.size() > 4096) std::erase_if(habits_, [](const auto& entry) { return entry.second.shape.use_count() == 1; });
  Habit& habit = habits_[shape.get()];
  if (!habit.shape) habit.shape = shape;
  return habit;
}

void ProcessExecutors::dispatch(Time now) {
  while (!queue_.empty()) {
    Child* child = choose(queue_.front(), now);
    if (!child) break;
    if (!give(*child, queue_.front(), false)) {
      look_at_ = std::min(look_at_, now + refused_pause);
      break;
    }
    queue_.pop_front();
  }
  help_waiting();
  make_processes(now);
}

// True if the queue need not keep it: it was given, or it failed.
bool ProcessExecutors::give(Child& child, Run& run, bool nested) {
  auto given = child.offer(run, nested, habit(run.shape).usual, options_.values);
  if (!given) {
    fail(std::move(run), given.error());
    return true;
  }
  if (*given == ExecutorLink::Sent::broken) child.kill();
  return *given == ExecutorLink::Sent::done;
}

// An idle process first; else, for runs known to be tiny, the one with the least expected work.
Child* ProcessExecutors::choose(const Run& run, Time now) {
  const Habit& habit = this->habit(run.shape);
  bool may_use_idle = count(busy) < options_.slots;
  Child* best = nullptr;
  Duration best_work = ahead_max;
  for (auto& [number, child] : children_) {
    if (child->state != ChildState::ready || !suits(*child, run) || child->waiting()) continue;
    if (child->in_flight.empty()) {
      if (may_use_idle) return child.get();
      continue;
    }
    if (!habit.known || child->in_flight.size() >= ahead_count_max) continue;
    const auto& front = child->in_flight.front();
    if (front.doom || (front.known && now - child->claim(front).began() > ahead_max)) continue;
    Duration work = habit.usual + child->expected();
    if (work < best_work) best = child.get(), best_work = work;
  }
  return best;
}

// When too many slots are lent, a task that waits runs the newest queued attempt inside its wait: newest first keeps the
// nesting near the depth of the task tree.
void ProcessExecutors::help_waiting() {
  while (!queue_.empty() && count(lending) >= options_.lent_max && count(busy) < options_.slots) {
    Child* helper = nullptr;
    for (auto& [number, child] : children_)
      if (lending(*child) && child->program == queue_.back().shape->function.program) helper = child.get();
    if (!helper || !give(*helper, queue_.back(), true)) return;
    queue_.pop_back();
  }
}

void ProcessExecutors::make_processes(Time now) {
  std::size_t wanted = queue_.size();
  if (wanted > 0) {
    Key program = queue_.front().shape->function.program;
    std::size_t coming = count([](const Child& child) { return child.state == ChildState::starting; });
    std::size_t used = count(in_a_slot), lent = count(lending);
    bool idle_one = false;
    for (auto& [number, child] : children_) idle_one = idle_one || (child->idle() && suits(*child, queue_.front()));
    if (now < room_at_) look_at_ = std::min(look_at_, room_at_);
    while (now >= room_at_ && !idle_one && coming < wanted && !queue_.empty()) {
      if (used >= options_.slots) {  // an idle process that cannot run it makes room
        auto other = std::ranges::find_if(children_, [&](auto& c) { return c.second->idle() && !suits(*c.second, queue_.front()); });
        if (other == children_.end()) break;
        retire(*other->second, now);
        --used;
      }
      if (used + lent >= options_.slots + options_.lent_max) break;
      if (!spawn(program, now)) break;
      ++used, ++coming;
    }
  }
  std::size_t extra = count(in_a_slot);
  for (auto& [number, child] : children_) {
    if (extra <= options_.slots) break;
    if (child->idle() && now - child->since > spare_kept) retire(*child, now), --extra;
  }
}

// False if there is no new process; what cannot run without it has then failed.
bool ProcessExecutors::spawn(const Key& program, Time now) {
  auto refuse = [&](const Failure& why) {
    for (auto& run : std::exchange(queue_, {})) {
      if (run.shape->function.program == program) fail(std::move(run), why);
      else queue_.push_back(std::move(run));
    }
    return false;
  };
  auto spec = options_.program_for(program);
  if (!spec) return refuse(spec.error());
  auto child = Child::start(++last_child_, program, *spec, options_, containment_, bell_, *spawner_);
  if (!child) {
    // Others of this program can go on with what they have.
    bool others = std::ranges::any_of(children_, [&](auto& c) { return alive(*c.second) && c.second->program == program; });
    if (!wait_for_room(now) && !others) return refuse(child.error());
    return false;
  }
  epoll_event event{.events = EPOLLIN, .data = {.u64 = last_child_ << 1}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, (*child)->output.pipe(), &event);
  (*child)->since = now;
  // The lowest number that nobody has: the next process goes on in the memory of one that is gone.
  auto taken = [&](std::uint32_t writer) {
    return std::ranges::any_of(children_, [&](const auto& entry) { return entry.second->writer == writer; });
  };
  (*child)->writer = 1;
  while (taken((*child)->writer)) ++(*child)->writer;
  children_[last_child_] = std::move(*child);
  return true;
}

// Out of descriptors, memory, processes or disk: that passes, as a rule. False if it has lasted too long.
bool ProcessExecutors::wait_for_room(Time now) {
  if (!short_since_) short_since_ = now;
  room_at_ = now + spawn_pause;
  look_at_ = std::min(look_at_, room_at_);
  if (now - *short_since_ < options_.shortage_max) return true;
  short_since_.reset();
  return false;
}

/// The last line of what a process wrote, without its end.
static std::string last_words(const std::string& output) {
  std::size_t end = output.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "nothing";
  std::size_t begin = output.find_last_of('\n', end);
  return output.substr(begin + 1, end - begin);
}
static bool is_shortage(int error) { return error == EMFILE || error == ENFILE || error == EAGAIN || error == ENOMEM; }

void ProcessExecutors::spawned(Time now) {
  for (SpawnResult& result : spawner_->take()) {
    Child& child = *children_.at(result.child);
    if (is_shortage(result.error) && wait_for_room(now)) {
      epoll_ctl(epoll_, EPOLL_CTL_DEL, child.output.pipe(), nullptr);
      children_.erase(result.child);
      continue;
    }
    if (result.error != 0) {
      std::string wrapper = options_.wrapper.empty() ? "" : options_.wrapper.front() + ' ';
      Failure why = failure(ErrorKind::program_error, "cannot start " + wrapper + child.name + ": " + result.step + ": " + std::strerror(result.error));
      programs_[child.program].failed_starts = failures_max;
      bury_unstarted(child, why);
      epoll_ctl(epoll_, EPOLL_CTL_DEL, child.output.pipe(), nullptr);
      children_.erase(result.child);
      continue;
    }
    short_since_.reset();
    child.pid = result.pid;
    child.process = result.process;
    child.since = now;
    epoll_event event{.events = EPOLLIN, .data = {.u64 = result.child << 1 | 1}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, child.process, &event);
    if (child.state == ChildState::dying) child.kill();
  }
}

// Only a wrapper (valgrind, a profiler) has something to say at the end; others need not run their destructors.
void ProcessExecutors::retire(Child& child, Time now) {
  WEFT_CHECK(child.in_flight.empty());
  if (child.state == ChildState::ready && !options_.wrapper.empty()) child.ask_to_leave();
  else child.kill();
  child.since = now;
}

// Blames one attempt: the one we killed it for, else the one that ran. The others go back unblamed.
void ProcessExecutors::bury(Child& child) {
  bool was_starting = !child.was_ready;
  bool broken = child.broken();
  notice_begun(child);
  Failure death = child.autopsy(false);
  bool doomed = false;
  std::size_t culprit = child.in_flight.size();
  for (std::size_t i = 0; i < child.in_flight.size(); ++i) {
    doomed = doomed || child.in_flight[i].doom;
    if (child.in_flight[i].known) culprit = i;
  }
  ProgramRecord& record = programs_[child.program];
  if (was_starting) bury_unstarted(child, death);
  bool barren = !was_starting && !doomed && !child.in_flight.empty() && culprit == child.in_flight.size();
  if (barren && ++record.barren_deaths >= failures_max) culprit = 0, record.barren_deaths = 0;
  std::vector<Run> innocent;
  for (std::size_t i = 0; i < child.in_flight.size(); ++i) {
    auto& it = child.in_flight[i];
    if (it.place) options_.values.abandon(*it.place);
    if (it.doom || (!doomed && i == culprit)) {
      Failure why = it.doom ? *it.doom : death;
      if (!it.doom && broken && death.signal == SIGKILL) {
        why.kind = ErrorKind::task_crashed;
        why.message = "the task damaged or closed its process's connection to the worker";
      }
      why.output = death.output;
      std::string output = death.output;
      Duration ran = it.known ? monotonic_now() - child.claim(it).began() : 0ns;
      fail(std::move(it.run), std::move(why));
      events_.ended.back().output = std::move(output);
      events_.ended.back().run_time = ran;
    } else {
      innocent.push_back(std::move(it.run));
    }
  }
  put_back(std::move(innocent));
  if (child.output.pipe() >= 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, child.output.pipe(), nullptr);
  epoll_ctl(epoll_, EPOLL_CTL_DEL, child.process, nullptr);
  children_.erase(child.number);
}

// A program that does not become an executor fails all that waits for it: the next process would end the same way.
void ProcessExecutors::bury_unstarted(Child& child, const Failure& death) {
  ProgramRecord& record = programs_[child.program];
  if (record.worked && ++record.failed_starts < failures_max) return;
  Failure why = death;
  why.kind = ErrorKind::program_error;
  if (death.kind != ErrorKind::program_error) {
    std::string loader;  // what the dynamic loader said, if it was the loader
    for (std::size_t at = 0; at < death.output.size();) {
      std::size_t end = std::min(death.output.find('\n', at), death.output.size());
      std::string line = death.output.substr(at, end - at);
      for (const char* words : {"error while loading shared libraries", "' not found (required by", "symbol lookup error"})
        if (line.find(words) != std::string::npos) loader = line;
      at = end + 1;
    }
    if (!loader.empty()) why.message = "program " + child.name + " cannot be loaded on this worker: " + loader;
    else if (child.state == ChildState::dying) why.message = "program " + child.name + " did not become an executor within " +
                                                        text_of(options_.start_timeout) + "; call weft::init(argc, argv) first in main";
    else why.message = "program " + child.name + " ended before it became an executor (" +
                       (death.signal ? "signal " + std::to_string(death.signal) : "exit code " + std::to_string(death.exit_code)) +
                       ")" + (death.output.empty() ? "" : ", saying: " + last_words(death.output)) +
                       "; call weft::init(argc, argv) first in main, and let what runs there (on_executor_start) work on workers, too";
    if (options_.memory_limit && options_.memory_limit < executor_memory_min)
      why.message += "; or it lacks memory: " + memory_limit_in_words(options_.memory_limit);
  }
  std::deque<Run> rest;
  for (auto& run : queue_) {
    if (run.shape->function.program == child.program) {
      fail(std::move(run), why);
      events_.ended.back().output = why.output;
    } else {
      rest.push_back(std::move(run));
    }
  }
  queue_ = std::move(rest);
  record.failed_starts = 0;
}

}  // namespace weft::worker
