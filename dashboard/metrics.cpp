// /metrics: Prometheus text 0.0.4. Counters end in _total, sizes in _bytes, durations in _seconds.
#include <charconv>

#include "dashboard/pages.h"

namespace weft::dashboard {

namespace {

class Exposition {
 public:
  void family(const char* name, const char* type, const char* help) {
    name_ = name;
    text_ += std::string("# HELP weft_") + name + ' ' + help + "\n# TYPE weft_" + name + ' ' + type + '\n';
  }
  void sample(double value, std::initializer_list<std::pair<const char*, std::string>> labels = {}) {
    text_ += "weft_";
    text_ += name_;
    const char* before = "{";
    for (const auto& [label, content] : labels) {
      text_ += before;
      text_ += std::string(label) + "=\"" + escaped(content) + '"';
      before = ",";
    }
    if (labels.size() > 0) text_ += '}';
    char digits[64];
    auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
    text_ += ' ' + std::string(digits, end) + '\n';
  }
  std::string take() { return std::move(text_); }

 private:
  // The format is UTF-8 and gives \ " and newline a meaning.
  static std::string escaped(const std::string& text) {
    std::string clean = to_text(Json(text)), out;   // replaces what is not UTF-8
    for (char c : Json::parse(clean).get<std::string>())
      if (c == '\\') out += "\\\\";
      else if (c == '"') out += "\\\"";
      else if (c == '\n') out += "\\n";
      else out += c;
    return out;
  }
  const char* name_ = "";
  std::string text_;
};

}  // namespace

std::string Pages::metrics() const {
  constexpr std::size_t groups_max = 1'000;   // what a time series database bears
  Moment now = feed_.moment();
  Exposition out;
  out.family("tasks", "gauge", "Tasks the scheduler knows, by state.");
  for (std::uint8_t i = 0; i < forgotten_state; ++i) out.sample(static_cast<double>(now.totals.tasks[i]), {{"state", name_of_state(i)}});
  struct Counter {
    const char *name, *help;
    std::uint64_t value;
  };
  for (const Counter& counter : {Counter{"finished_total", "Attempts that ended with a value.", now.totals.finished}, {"failed_tasks_total", "Tasks that failed: they will have no value.", now.totals.failed_tasks},
                                 {"failed_attempts_total", "Attempts that failed, also of tasks that were run again.", now.totals.failed_attempts},
                                 {"retried_total", "Attempts that failed and were run again.", now.totals.retried}, {"transitions_total", "Changes of a task's state.", now.totals.transitions},
                                 {"transfers_total", "Values that workers fetched.", now.totals.transfers}, {"transfer_bytes_total", "Bytes of these.", now.totals.transfer_bytes},
                                 {"recalls_total", "Queued attempts taken back for idle workers.", now.totals.recalls}, {"workers_lost_total", "Workers that died or fell silent.", now.totals.lost_workers},
                                 {"scheduler_steps_total", "Steps of the scheduler's loop.", now.totals.steps}, {"observer_dropped_total", "Records that did not fit into the observer's ring.", now.totals.dropped}}) {
    out.family(counter.name, "counter", counter.help);
    out.sample(static_cast<double>(counter.value));
  }
  out.family("scheduler_step_seconds_total", "counter", "Time in steps of the scheduler's loop.");
  out.sample(now.totals.step_s);
  out.family("clients", "gauge", "Sessions of clients.");
  out.sample(now.totals.clients);
  auto by_worker = [&](const char* name, const char* type, const char* help, auto value) {
    out.family(name, type, help);
    for (const WorkerMoment& worker : now.workers)
      if (worker.status < 4) out.sample(static_cast<double>(value(worker)), {{"worker", feed_.name_of_worker(worker.worker)}});
  };
  by_worker("worker_slots", "gauge", "Tasks it runs at once.", [&](const WorkerMoment& w) { return feed_.workers().at(w.worker).slots; });
  by_worker("worker_running", "gauge", "Tasks it runs now.", [](const WorkerMoment& w) { return w.running; });
  by_worker("worker_assigned", "gauge", "Tasks it was given and that have not ended.", [](const WorkerMoment& w) { return w.assigned; });
  by_worker("worker_paused", "gauge", "1 when its memory is nearly full.", [](const WorkerMoment& w) { return w.status == 1; });
  by_worker("worker_managed_bytes", "gauge", "Values it holds.", [](const WorkerMoment& w) { return w.managed; });
  by_worker("worker_spilled_bytes", "gauge", "Of these, on disk.", [](const WorkerMoment& w) { return w.spilled; });
  by_worker("worker_process_bytes", "gauge", "Memory of its process.", [](const WorkerMoment& w) { return w.process; });
  by_worker("worker_memory_limit_bytes", "gauge", "Memory for values.", [&](const WorkerMoment& w) { return feed_.workers().at(w.worker).limit_bytes; });
  by_worker("worker_busy_seconds_total", "counter", "Slot seconds that ran something.", [](const WorkerMoment& w) { return w.busy_s; });
  by_worker("worker_received_bytes_total", "counter", "Bytes it fetched.", [](const WorkerMoment& w) { return w.received; });
  auto by_group = [&](const char* name, const char* help, auto value) {
    out.family(name, "counter", help);
    std::size_t shown = 0;
    for (const GroupMoment& group : now.groups)
      if (group.total > 0 && shown++ < groups_max) out.sample(static_cast<double>(value(group)), {{"group", std::to_string(group.group)}, {"label", feed_.label_of(group.group)}});
  };
  by_group("group_tasks_total", "Tasks of this label.", [](const GroupMoment& g) { return g.total; });
  by_group("group_finished_total", "Attempts of this label that ended with a value.", [](const GroupMoment& g) { return g.finished; });
  by_group("group_failed_tasks_total", "Tasks of this label that failed.", [](const GroupMoment& g) { return g.failed_tasks; });
  by_group("group_failed_attempts_total", "Attempts of this label that failed.", [](const GroupMoment& g) { return g.failed_attempts; });
  by_group("group_run_seconds_total", "Time in functions of this label.", [](const GroupMoment& g) { return g.run_s; });
  return out.take();
}

}  // namespace weft::dashboard
