// What the State shows to an observer. It reads and never changes; nothing here depends on whether anybody watches.
#include <algorithm>
#include <bit>
#include <charconv>

#include "scheduler/state.h"

namespace weft::scheduler {

void State::show(Seen what, const Task& task, WorkerId worker, std::uint64_t amount, std::uint32_t extra) {
  if (!observer_) return;
  observer_->write(Sighting{.when = now_, .key = task.key, .amount = amount, .group = group_of(task).number,
                          .worker = worker.number, .extra = extra, .what = what});
}

// To whom a task is assigned is known a moment after it has moved: `take_on` shows it then.
void State::show_transition(const Task& task, TaskState from, TaskState to) {
  if (!observer_ || (to == TaskState::assigned && !task.worker)) return;
  const Group& group = group_of(task);
  observer_->name_group(now_, group.number, group.label);
  observer_->write(Sighting{.when = now_, .key = task.key, .amount = task.attempt.number, .group = group.number,
                          .worker = task.worker.number, .what = Seen::transition, .from = static_cast<std::uint8_t>(from),
                          .to = static_cast<std::uint8_t>(to)});
}

void State::show_finished(const Task& task, WorkerId worker, std::uint64_t bytes, Duration run_time) {
  float seconds = static_cast<float>(std::max<std::int64_t>(run_time.count(), 0)) * 1e-9f;
  show(Seen::finished, task, worker, bytes, std::bit_cast<std::uint32_t>(seconds));
  show_parts(task, worker);
}

/// What it read of values elsewhere. Workers do not report parts: one counts as its share of the value.
void State::show_parts(const Task& task, WorkerId to) {
  if (!observer_) return;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> bytes_from;   // by group and worker
  for (const InputEdge& edge : task.inputs) {
    if (edge.part == whole_value) continue;
    const Task& input = tasks_[edge.task];
    bool here = std::any_of(input.replicas.begin(), input.replicas.end(), [&](const Replica& r) { return r.worker == to; });
    if (here) continue;
    std::uint32_t from = input.replicas.size() == 1 ? input.replicas[0].worker.number : 0;
    bytes_from[{group_of(input).number, from}] += input.bytes / input.dependents.size();
  }
  for (const auto& [place, bytes] : bytes_from)
    observer_->write(Sighting{.when = now_, .key = task.key, .amount = bytes, .group = place.first, .worker = to.number,
                            .extra = place.second, .what = Seen::transfer});
}

void State::show_unblocked(const Task& task, const Key& by) {
  if (!observer_) return;
  observer_->write(Sighting{.when = now_, .key = task.key, .amount = by.low, .group = static_cast<std::uint32_t>(by.high >> 32),
                          .worker = static_cast<std::uint32_t>(by.high), .what = Seen::unblocked});
}

// Who sent it is known when a tree ordered the copy, or when there is one holder only.
void State::show_transfer(const Task& task, WorkerId to) {
  if (!observer_) return;
  WorkerId from;
  if (task.replicas.size() == 1 && task.replicas[0].worker != to) from = task.replicas[0].worker;
  if (auto spread = spreads_.find(number_of(task.key)); spread != spreads_.end())
    for (const Flight& flight : spread->second.flights)
      if (flight.to == to) from = flight.from;
  show(Seen::transfer, task, to, task.bytes, from.number);
}

// Where a process had no name for a place, only clients have the program's files.
static std::string offset_text(std::uint64_t offset) {
  char text[16];
  return "+0x" + std::string(text, std::to_chars(text, text + sizeof text, offset, 16).ptr);
}

void State::show_failure(const Task& task, const Failure& failure, bool runs_again, std::uint64_t like_it) {
  if (!observer_) return;
  std::string stack = failure.traceback;
  for (const Frame& frame : failure.frames) {
    if (frame.symbol.find("weft::detail::Caller<") != std::string::npos) break;   // what called the user's function is ours
    stack += (stack.empty() ? "" : "\n") + (frame.symbol.empty() ? frame.image + offset_text(frame.offset) : frame.symbol);
  }
  std::string text;
  // The stack before the output: when the text is cut, the end of the output is what is lost.
  for (std::string_view field : {std::string_view(name_of(failure.kind)), std::string_view(failure.type),
                                 std::string_view(failure.message).substr(0, 2000), std::string_view(stack).substr(0, 6000),
                                 std::string_view(failure.output).substr(0, 3000)}) {
    for (char c : field) text += c == '\0' ? ' ' : c;
    text += '\0';
  }
  // A worker is not to blame for what somebody cancelled.
  std::uint32_t worker = failure.kind == ErrorKind::cancelled ? 0 : task.worker.number;
  observer_->write(Sighting{.when = now_, .key = task.key, .amount = like_it, .group = group_of(task).number, .worker = worker,
                          .extra = failure.attempt, .what = Seen::failed, .to = runs_again},
                   text);
}

// So many tasks that one word ended are told of one by one; of the others their number in each group.
static constexpr std::size_t told_alone_max = 1'000;

/// Before it happens: these are ended, not by what they did.
void State::show_ended(const std::vector<TaskNumber>& tasks, const std::string& why) {
  if (!observer_) return;
  const Failure cause{.kind = ErrorKind::cancelled, .message = why};
  std::map<std::uint32_t, std::pair<TaskNumber, std::uint64_t>> others;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const Task& task = tasks_[tasks[i]];
    if (i < told_alone_max) show_failure(task, cause, false);
    else ++others.try_emplace(group_of(task).number, tasks[i], 0).first->second.second;
  }
  for (const auto& [group, like] : others) show_failure(tasks_[like.first], cause, false, like.second);
}

/// `what` it is about, if it is not the keys: a worker, by its name, or the cluster.
void State::show_control(std::string_view verb, const std::string& by, const std::vector<Key>& keys, std::string what, const std::string& why) {
  if (!observer_) return;
  Sighting record{.when = now_, .amount = keys.size(), .what = Seen::control};
  if (!keys.empty()) record.key = keys.front();
  if (keys.empty()) {
    if (const Worker* worker = find_worker(what)) record.worker = worker->id.number;
  } else {
    const Task* task = find(keys.front());
    what = (task && !shape_of(*task).label.empty() ? shape_of(*task).label : std::string("a task")) + ' ' + keys.front().hex().substr(0, 12);
    if (keys.size() > 1) what += " and " + std::to_string(keys.size() - 1) + (keys.size() > 2 ? " others" : " other");
  }
  std::string text;
  for (std::string_view field : {verb, std::string_view(by), std::string_view(what), std::string_view(why)}) {
    for (char c : field.substr(0, 1000)) text += c == '\0' ? ' ' : c;
    text += '\0';
  }
  observer_->write(record, text);
}

void State::show_edges(const Task& task) {
  if (!observer_) return;
  for (const InputEdge& edge : task.inputs)
    observer_->edge(group_of(tasks_[edge.task]).number, group_of(task).number, edge.part != whole_value);
}

/// Records were dropped, and there is room for others.
bool State::misses_records() const {
  if (!observer_) return false;
  bool due = shown_again_ || (observer_->dropped() != drops_seen_ && now_ >= show_again_);
  return due && observer_->room() > observer_->size() / 2;
}

/// The end of a step. What was dropped is made good: each task is shown as it is, a part of them in each step.
void State::show_again() {
  if (!observer_) return;
  observer_->flush_edges();
  if (!misses_records()) return;
  if (!shown_again_) {
    drops_seen_ = observer_->dropped();
    if (observer_->write(Sighting{.when = now_, .what = Seen::again})) shown_again_ = 0;
    return;
  }
  TaskNumber end = std::min<std::size_t>(*shown_again_ + observer_->size() / 32, tasks_.size());
  for (TaskNumber& number = *shown_again_; number < end; ++number)
    if (const Task& task = tasks_[number]; task.key) {
      show_transition(task, task.state, task.state);
      for (const Replica& replica : task.replicas) show(Seen::held, task, replica.worker, task.bytes);
    }
  if (end < tasks_.size() || !observer_->write(Sighting{.when = now_, .what = Seen::again, .to = 1})) return;
  shown_again_.reset();
  show_again_ = now_ + 2s;
}

void State::show_worker(const Worker& worker) {
  if (!observer_) return;
  std::string text;
  for (const std::string& field : {worker.name, worker.host, worker.endpoint, std::to_string(worker.pid), std::to_string(worker.slots),
                                   std::to_string(worker.memory_limit)})
    text += field.substr(0, 1000) + '\0';
  observer_->write(Sighting{.when = now_, .worker = worker.id.number, .what = Seen::joined}, text);
}

void State::show_worker_lost(const Worker& worker, bool blame, const std::string& why) {
  if (!observer_) return;
  observer_->write(Sighting{.when = now_, .worker = worker.id.number, .what = Seen::lost, .to = blame}, why.empty() ? "it left" : why);
}

void State::show_heartbeat(const Worker& worker) {
  if (!observer_) return;
  WorkerStatus status = worker.retiring ? WorkerStatus::retiring : worker.paused ? WorkerStatus::paused : WorkerStatus::running;
  observer_->write(Sighting{.when = now_, .key = {worker.last.managed_bytes, worker.last.spilled_bytes},
                          .amount = worker.last.process_bytes, .group = worker.last.running, .worker = worker.id.number,
                          .extra = worker.last.queued, .what = Seen::heartbeat, .to = static_cast<std::uint8_t>(status)});
}

Result<std::string> State::answer(Time now, const Ask& ask) {
  now_ = std::max(now, now_);
  return query(ask, "the dashboard");
}

}  // namespace weft::scheduler
