#include "worker/process_executors.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/limits.h"
#include "worker/executor_child.h"
#include "worker/executor_surroundings.h"
#include "worker/orphans.h"
#include "worker/run_function.h"

namespace weft::worker {
namespace {

using Child = ExecutorChild;
// Processes that hold attempts which have not begun are looked at this often: a long attempt gives up those behind it.
constexpr Duration look_every = 2ms;
constexpr Duration leave_grace = 5s;
constexpr Duration reap_every = 1s;    // orphans that ended by themselves
constexpr int reads_max = 4;           // of reading, before the loop gets its turn again
constexpr int news_max = 4096;         // of one process in one round

}  // namespace

ProcessExecutors::ProcessExecutors(ProcessOptions options) : options_(std::move(options)) {
  WEFT_CHECK(options_.slots > 0 && options_.program_for);
  bell_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  WEFT_CHECK(bell_ >= 0 && epoll_ >= 0);
  epoll_event bell{.events = EPOLLIN | EPOLLET, .data = {.u64 = 0}};  // edge: its count need not be read
  WEFT_CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, bell_, &bell) == 0);
  if (!options_.scratch.empty()) scratch_ = std::make_unique<ScratchFolder>(options_.scratch);
  spawner_ = std::make_unique<ExecutorSpawner>(bell_);
}

ProcessExecutors::~ProcessExecutors() {
  shut_down();
  close(epoll_);
  close(bell_);
}

void ProcessExecutors::start(Run run) {
  WEFT_CHECK(run.shape != nullptr);
  queue_.push_back(std::move(run));
  look_at_ = Time{};
}

void ProcessExecutors::cancel(AttemptId attempt) {
  Failure why = failure(ErrorKind::cancelled, "the task was cancelled");
  if (auto queued = std::ranges::find(queue_, attempt, &Run::attempt); queued != queue_.end()) {
    fail(std::move(*queued), std::move(why));
    queue_.erase(queued);
    return;
  }
  look_at_ = Time{};
  for (auto& [number, child] : children_) {
    if (!child->find(attempt)) continue;
    read_news(*child);  // it may have ended already
    auto* it = child->find(attempt);
    if (!it || it->doom) return;
    if (child->claim(*it).take_back(attempt)) return fail(child->remove(attempt).run, std::move(why));
    it->doom = std::make_unique<Failure>(std::move(why));
    return child->kill();
  }
}

void ProcessExecutors::to_task(const ToTask& message) {
  for (auto& [number, child] : children_) {
    if (!child->find(AttemptId{message.channel})) continue;
    child->note(message);
    child->flush();
    return;
  }
}

void ProcessExecutors::answer(TaskAnswer answer) {
  for (auto& [number, child] : children_) {
    auto* it = child->find(answer.attempt);
    if (!it) continue;
    if (!answer.value.block().empty()) it->run.inputs.push_back(answer.value);  // keeps its memory
    child->answer(std::move(answer), options_.values);
    child->flush();
    return;
  }
}

void ProcessExecutors::renew_task_links() {
  for (auto& [number, child] : children_) {
    if (child->in_flight.empty()) continue;
    child->note(TaskLinkRenewed{});
    child->flush();
  }
}

void ProcessExecutors::renew() {
  for (auto& [number, child] : children_) child->outdated = true;
  look_at_ = Time{};
}

std::vector<int> ProcessExecutors::descriptors() const { return {epoll_}; }

Time ProcessExecutors::wake_at() const {
  if (!events_.ended.empty()) return Time{};
  return look_at_;
}

ExecutorEvents ProcessExecutors::take(Time now) {
  look_at_ = Time::never();
  auto look = [&](Time at) { look_at_ = std::min(look_at_, at); };
  bool more = true;
  bool all_known = std::ranges::none_of(children_, [](const auto& entry) { return entry.second->pid < 0; });
  if (adopts_ && all_known && now - reaped_ > reap_every) reap_orphans(process_ids()), reaped_ = now;
  for (int round = 0; more && round < reads_max; ++round) {
    read_events();
    spawned(now);
    for (auto& [number, child] : children_) {
      read_news(*child);
      watch_time(*child, now);
      recycle(*child, now);
    }
    dispatch(now);
    more = false;
    for (auto& [number, child] : children_) {
      if (!child->flush()) look(now + look_every);
      if (!child->sleep() && !child->broken()) more = true;
    }
  }
  if (more) look(now);
  for (auto& [number, child] : children_) {
    if (child->state == Child::State::starting) look(child->since + options_.start_timeout);
    if (child->state == Child::State::leaving) look(child->since + leave_grace);
    for (const auto& it : child->in_flight) {
      if (!it.known) {  // and those behind it
        look(now + look_every);
        break;
      }
      if (!it.doom) look(it.deadline(child->claim(it)));
    }
  }
  ExecutorEvents events = std::exchange(events_, {});
  events_.ended.reserve(events.ended.size());
  events_.started.reserve(events.started.size());
  return events;
}

// Deaths and output.
void ProcessExecutors::read_events() {
  epoll_event events[64];
  int count = epoll_wait(epoll_, events, 64, 0);
  for (int i = 0; i < count; ++i) {
    auto found = children_.find(events[i].data.u64 >> 1);
    if (found == children_.end()) continue;
    Child& child = *found->second;
    if (events[i].data.u64 & 1) {
      read_news(child);
      bury(child);
    } else {
      read_news(child);  // shares of attempts that have ended are cut first
      if (!child.output.read(child.shared())) {
        epoll_ctl(epoll_, EPOLL_CTL_DEL, child.output.pipe(), nullptr);
        child.output.close_pipe();
      }
    }
  }
}

void ProcessExecutors::read_news(Child& child) {
  ExecutorNews news;
  for (int i = 0; i < news_max && child.next(news); ++i) {
    if (std::holds_alternative<ExecutorReady>(news)) {
      child.was_ready = true;
      // Files that changed while it started: nobody knows what it is.
      if (!options_.program_for(child.program)) child.kill();
      if (child.state == Child::State::starting) child.state = Child::State::ready, child.since = monotonic_now();
      programs_[child.program].worked = true;
      programs_[child.program].failed_starts = 0;
    } else if (auto* ended = std::get_if<RunCompleted>(&news)) {
      handle(child, *ended);
    } else if (auto* failed = std::get_if<RunFailed>(&news)) {
      handle(child, *failed);
    } else if (auto* need = std::get_if<NeedPlace>(&news)) {
      handle(child, *need);
    } else if (auto* waits = std::get_if<TaskWaits>(&news)) {
      handle(child, *waits);
    } else if (auto* report = std::get_if<TaskReports>(&news)) {
      if (child.find(report->attempt)) events_.progress.push_back({report->attempt, report->fraction});
    } else if (auto* line = std::get_if<LogLine>(&news)) {
      shorten(line->text, failure_text_max);
      events_.logs.push_back(std::move(*line));
    } else if (auto* message = std::get_if<FromTask>(&news)) {
      if (child.find(AttemptId{message->channel})) events_.from_tasks.push_back(std::move(*message));
    } else if (auto* reads = std::get_if<TaskReads>(&news)) {
      if (child.find(reads->attempt)) events_.reads.push_back({reads->attempt, reads->key, std::move(reads->locations)});
    } else if (auto* puts = std::get_if<TaskPuts>(&news)) {
      handle(child, *puts);
    }
  }
  if (child.broken() && child.state != Child::State::dying) child.kill();
}

void ProcessExecutors::handle(Child& child, RunCompleted& ended) {
  auto* it = child.find(ended.attempt);
  if (!it) return;
  Outcome outcome;
  if (ended.placed && it->place) {
    outcome.value = options_.values.seal(*std::exchange(it->place, std::nullopt));
  } else if (auto value = Value::from(Buffer::own(std::move(ended.value)))) {
    outcome.value = std::move(*value);
  }
  if (outcome.value.block().empty()) outcome.failure = failure(ErrorKind::task_error, "the function left no whole value");
  end_run(child, ended.attempt, ended.output_end, ended.run_time, std::move(outcome));
}

void ProcessExecutors::handle(Child& child, RunFailed& failed) {
  if (!child.find(failed.attempt)) return;
  Outcome outcome;
  outcome.failure = std::move(failed.failure.failure);
  if (outcome.failure.kind == ErrorKind::none) outcome.failure.kind = ErrorKind::task_error;
  for (auto* text : {&outcome.failure.message, &outcome.failure.type, &outcome.failure.traceback}) shorten(*text, failure_text_max);
  if (outcome.failure.frames.size() > CrashNote::frames_max) outcome.failure.frames.resize(CrashNote::frames_max);
  if (outcome.failure.kind == ErrorKind::memory_limit) {
    child.outdated = true;
    if (may_be_for_others(child, failed.attempt)) return run_again(child, failed.attempt, failed.output_end);
  }
  end_run(child, failed.attempt, failed.output_end, failed.run_time, std::move(outcome));
}

/// What fills a process may be what other tasks left there. Not for tasks that may run only once.
bool ProcessExecutors::may_be_for_others(Child& child, AttemptId attempt) {
  const Run& run = child.find(attempt)->run;
  return child.tasks > 0 && !run.again && run.shape->options.max_attempts > 1;
}

void ProcessExecutors::run_again(Child& child, AttemptId attempt, std::uint64_t output_end) {
  auto it = child.remove(attempt);
  if (it.place) options_.values.abandon(*it.place);
  child.output.take(output_end, child.shared());
  ++child.tasks;
  it.run.again = true;
  queue_.insert(queue_.begin(), std::move(it.run));
}

void ProcessExecutors::end_run(Child& child, AttemptId attempt, std::uint64_t output_end, Duration run_time, Outcome outcome) {
  auto it = child.remove(attempt);
  if (it.place) options_.values.abandon(*it.place);
  Habit& known = habit(it.run.shape);
  run_time = std::clamp<Duration>(run_time, Duration{}, duration_max / 10);  // as the process says
  known.usual = known.known ? (known.usual * 7 + run_time) / 8 : run_time;
  known.known = true;
  ++child.tasks;
  programs_[child.program].barren_deaths = 0;
  outcome.attempt = attempt;
  outcome.key = it.run.key;
  outcome.run_time = run_time;
  outcome.output = child.output.take(output_end, child.shared());
  if (outcome.failure.kind != ErrorKind::none) outcome.failure.output = outcome.output;
  events_.ended.push_back(std::move(outcome));
}

void ProcessExecutors::handle(Child& child, NeedPlace& need) {
  auto* it = child.find(need.attempt);
  if (!it || it->doom) return;
  if (it->place) options_.values.abandon(*std::exchange(it->place, std::nullopt));
  auto place = options_.values.lease(need.bytes, child.writer);
  if (!place) {
    child.note(PlaceGranted{0, 0, 0, {place.error()}});
  } else {
    it->place = *place;
    child.grant(*place);
  }
}

void ProcessExecutors::handle(Child& child, TaskPuts& puts) {
  auto* it = child.find(puts.attempt);
  if (!it) return;
  Value value;
  if (puts.placed && it->place) {
    value = options_.values.seal(*std::exchange(it->place, std::nullopt));
  } else if (auto small = Value::from(Buffer::own(std::move(puts.value)))) {
    value = std::move(*small);
  }
  if (!value.block().empty()) return events_.puts.push_back({puts.attempt, puts.key, std::move(value), std::move(puts.location)});
  child.answer({puts.attempt, puts.key, true, {}, failure(ErrorKind::protocol_error, "the task put bytes that are no value")},
               options_.values);
}

// Its slot is lent while it waits; attempts behind it must not wait with it.
void ProcessExecutors::handle(Child& child, TaskWaits& waits) {
  auto* it = child.find(waits.attempt);
  if (!it || it->waits == waits.waits) return;
  notice_begun(child);
  it->waits = waits.waits;
  events_.note_wait(waits.attempt, waits.waits);
  if (waits.waits) put_back(child.take_back());
}

// Attempts begin in the order in which they were given.
void ProcessExecutors::notice_begun(Child& child) {
  for (auto& it : child.in_flight) {
    if (it.known) continue;
    if (!child.has_begun(it)) return;
    it.known = true;
    events_.started.push_back(it.run.attempt);
  }
}

void ProcessExecutors::watch_time(Child& child, Time now) {
  switch (child.state) {
    case Child::State::starting:
      if (now - child.since > options_.start_timeout) child.kill();
      return;
    case Child::State::leaving:
      if (now - child.since > leave_grace) child.kill();
      return;
    case Child::State::dying: return;
    case Child::State::ready: break;
  }
  notice_begun(child);
  bool late = false, behind = false;
  for (auto& it : child.in_flight) {
    if (!it.known) {
      behind = true;
      break;
    }
    late = late || (!it.waits && now - child.claim(it).began() >= look_every);
    if (it.deadline(child.claim(it)) > now || it.doom) continue;
    it.doom = std::make_unique<Failure>(failure(
        ErrorKind::task_timeout, "the task ran longer than its timeout of " + text_of(it.run.shape->options.timeout) + " and was stopped"));
    return child.kill();
  }
  if (late && behind) put_back(child.take_back());
}

// A process between tasks that is outdated, has done its share or has grown too large is replaced.
void ProcessExecutors::recycle(Child& child, Time now) {
  if (child.state != Child::State::ready || (child.tasks == 0 && !child.outdated)) return;
  bool tired = child.outdated || (options_.tasks_max && child.tasks >= options_.tasks_max);
  // Reading the size costs as much as ten tiny tasks, so it is read when the process is idle or every 64 tasks.
  std::uint64_t since = child.tasks - child.measured;
  if (!tired && options_.resident_bytes_max && since > 0 && (child.in_flight.empty() || since >= 64)) {
    child.measured = child.tasks;
    tired = child.resident_bytes() > options_.resident_bytes_max;
  }
  if (!tired) return;
  put_back(child.take_back());
  if (child.in_flight.empty()) retire(child, now);
}

void ProcessExecutors::fail(Run run, Failure why) {
  if (why.kind != ErrorKind::cancelled) why.attempt = run.try_number;
  events_.ended.push_back({.attempt = run.attempt, .key = run.key, .failure = std::move(why)});
}

void ProcessExecutors::put_back(std::vector<Run> runs) {
  queue_.insert(queue_.begin(), std::make_move_iterator(runs.begin()), std::make_move_iterator(runs.end()));
}

void ProcessExecutors::forget_segment(std::uint64_t segment) {
  for (auto& [number, child] : children_) {
    child->forget(segment);
    child->flush();
  }
}

std::vector<int> ProcessExecutors::process_ids() const {
  std::vector<int> ids;
  for (const auto& [number, child] : children_)
    if (child->pid > 0) ids.push_back(child->pid);
  return ids;
}

void ProcessExecutors::shut_down() {
  queue_.clear();
  Time now = monotonic_now();
  spawner_->stop();  // also: the kernel now kills what it started
  spawned(now);
  for (auto& [number, child] : children_) child->kill();
  for (auto& [number, child] : children_) {
    if (child->process >= 0) child->autopsy(true);
    for (auto& it : child->in_flight)
      if (it.place) options_.values.abandon(*it.place);
  }
  children_.clear();
  if (adopts_orphans()) kill_orphans({});
}

}  // namespace weft::worker
