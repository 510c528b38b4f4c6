// Work that no worker here may ever run keeps waiting, since the right worker may still come. Whoever waits for it is told, once for
// each label: a wrong name or a missing resource looks like a slow cluster otherwise.
#include <algorithm>

#include "common/option_values.h"
#include "scheduler/state.h"

namespace weft::scheduler {

// Tasks looked at to find who waits for one.
static constexpr std::size_t waiters_looked_at_max = 1'000;

// Bytes that a client holds for a worker that is not here are given up then: it would hold them for ever.
static constexpr Duration data_patience = 30s;

/// Queues are looked through about five times before they are spoken of; all tasks of one ask the same of a worker.
void State::review_unrunnable() {
  if (now_ < unrunnable_due_) return;
  unrunnable_due_ = now_ + options_.unrunnable_after / 5;
  for (std::uint32_t number : busy_queues_) {
    Queue& queue = queues_[number];
    TaskNumber sample = first(queue.fed);
    if (sample == no_task) sample = first(queue.roots);
    bool nobody = sample != no_task && std::none_of(alive_.begin(), alive_.end(), [&](WorkerId id) {
      return may_run(tasks_[sample], *workers_[id.number]);
    });
    if (!nobody) queue.nobody_since = {};
    else if (queue.nobody_since == Time{}) queue.nobody_since = now_;
    else if (tasks_[sample].is_data && !alive_.empty() && queue.nobody_since + data_patience <= now_)
      for (; sample != no_task && tasks_[sample].is_data; sample = first(queue.fed)) give_up_data(sample);
    else if (!queue.all_told && queue.nobody_since + options_.unrunnable_after <= now_) tell_of_unrunnable(queue);
  }
}

void State::give_up_data(TaskNumber number) {
  fail(number, std::make_shared<const Failure>(Failure{
                   .kind = ErrorKind::worker_unavailable, .message = "the data could not be placed: " + why_unrunnable(tasks_[number]),
                   .label = shape_of(tasks_[number]).label, .key = tasks_[number].key}));
}

void State::tell_of_unrunnable(Queue& queue) {
  queue.all_told = true;
  struct Found {
    TaskNumber first = no_task;
    std::uint64_t count = 0;
  };
  std::map<std::uint32_t, Found> groups;
  auto count = [&](TaskNumber number, std::uint32_t serial) {
    if (!is_current(number, serial)) return;
    Found& found = groups[shapes_[tasks_[number].shape].group];
    if (found.count++ == 0) found.first = number;
  };
  for (const Line* line : {&queue.fed, &queue.roots}) {
    for (const auto& [number, serial] : line->in_order) count(number, serial);
    for (const Entry& entry : line->others) count(entry.task, entry.serial);
  }
  for (const auto& [group, found] : groups) {
    if (std::exchange(groups_[group].told_unrunnable, true)) continue;
    bool one = found.count == 1;
    std::string text = std::to_string(found.count) + (one ? " task of '" : " tasks of '") + groups_[group].label + (one ? "' waits: " : "' wait: ") +
                       why_unrunnable(tasks_[found.first]) + (one ? ", or cancel it" : ", or cancel them");
    log_line(4, text, {}, tasks_[found.first].key);
    for (HolderNumber session : sessions_waiting_for(found.first)) tell(session, Advice{text});
    notes_.push_back({std::move(text)});
  }
}

/// What is missing, and how to start a worker that has it.
std::string State::why_unrunnable(const Task& task) const {
  if (alive_.empty()) return "there is no worker; start one with weft-worker";
  const TaskOptions& wishes = shape_of(task).options;
  auto anybody = [&](auto has) { return std::any_of(alive_.begin(), alive_.end(), [&](WorkerId id) { return has(*workers_[id.number]); }); };
  std::string missing, flags;
  auto lacks = [&](const std::string& what, const std::string& flag) {
    missing += (missing.empty() ? "" : " and ") + what;
    flags += ' ' + flag;
  };
  for (const auto& [name, amount] : wishes.resources) {
    auto offers = [&, &name = name, &amount = amount](const Worker& worker) {
      auto has = worker.resources.find(name);
      return has != worker.resources.end() && has->second >= amount;
    };
    if (!anybody(offers)) lacks("offers " + name + '=' + show_option(amount), "--resources " + name + '=' + show_option(amount));
  }
  if (!anybody([&](const Worker& worker) { return worker.slots >= wishes.cores; }))
    lacks("has " + std::to_string(wishes.cores) + " cores", "--nthreads " + std::to_string(wishes.cores));
  auto is_named = [&](const Worker& worker) {
    return std::any_of(wishes.workers.begin(), wishes.workers.end(),
                       [&](const std::string& text) { return text == worker.name || text == worker.endpoint || text == worker.host; });
  };
  if (wishes.workers_strict && !wishes.workers.empty() && !anybody(is_named))
    lacks("is called " + wishes.workers.front(), "--name " + wishes.workers.front());
  if (missing.empty()) return "no worker has all that it asks for at once; `weft explain` says what each lacks; start one that has it";
  return "no worker " + missing + "; start one with" + flags;
}

/// The clients that want it or what will be made of it.
std::set<HolderNumber> State::sessions_waiting_for(TaskNumber number) const {
  std::set<HolderNumber> sessions;
  std::set<TaskNumber> seen{number};
  std::deque<TaskNumber> look{number};
  while (!look.empty()) {
    const Task& task = tasks_[look.front()];
    look.pop_front();
    for (const WantEdge& want : task.wants)
      if (holders_[want.holder].kind == Holder::Kind::session) sessions.insert(want.holder);
    for (const DependentEdge& edge : task.dependents)
      if (is_open(tasks_[edge.task].state) && seen.size() < waiters_looked_at_max && seen.insert(edge.task).second) look.push_back(edge.task);
  }
  return sessions;
}

}  // namespace weft::scheduler
