// What a feed keeps of the time that has passed: a moment each second, and runs.
#include <algorithm>

#include "dashboard/feed.h"

namespace weft::dashboard {

static constexpr Micros moment_every = 1'000'000;
static constexpr Micros run_pause = 5'000'000;       // without an open task: a run has ended
static constexpr std::size_t runs_max = 200;

Moment Feed::moment() const {
  Moment moment{.t = now_, .totals = totals_};
  for (const auto& [id, row] : workers_) {
    if (row.lost >= 0 && row.lost + 600'000'000 < now_) continue;
    WorkerMoment worker = row.now;
    worker.worker = id;
    for (const auto& [task, since] : row.running) worker.busy_s += static_cast<double>(now_ - since) * 1e-6;
    worker.busy_s = std::max(worker.busy_s, row.busy_shown_s);   // a run may turn out to be shorter than it seemed
    worker.running = std::max<std::uint32_t>(worker.running, static_cast<std::uint32_t>(row.running.size()));
    moment.workers.push_back(worker);
  }
  for (const GroupRow& row : groups_) {
    moment.groups.push_back(row.now);
    moment.groups.back().held = held_.of_group(row.now.group);
  }
  for (const auto& [place, link] : links_) moment.links.push_back(link);
  return moment;
}

void Feed::advance(Time now) {
  now_ = std::max(now_, micros(now));
  if (now_ < next_moment_) return;
  moments_.add(moment());
  for (const WorkerMoment& shown : moments_.all().back()->workers) worker(shown.worker).busy_shown_s = shown.busy_s;
  next_moment_ = now_ - now_ % moment_every + moment_every;
  count_runs();
}

void Feed::finish() {
  moments_.add(moment());
  count_runs();
}

// A run begins with the first open task, and has ended when none was open for a while.
void Feed::count_runs() {
  bool open = totals_.tasks[1] + totals_.tasks[2] + totals_.tasks[3] > 0 || totals_.transitions != transitions_counted_;
  transitions_counted_ = totals_.transitions;
  bool in_run = !runs_.empty() && runs_.back().end < 0;
  if (open && !in_run && runs_.size() < runs_max) {
    Micros began = moments_.all().size() > 1 ? moments_.all()[moments_.all().size() - 2]->t : 0;
    runs_.push_back({.start = began});
    const Moment* before = moments_.at(began);
    run_totals_ = before ? before->totals : Totals{};
    run_began_.clear();
    if (before)
      for (const GroupMoment& group : before->groups) run_began_[group.group] = group;
    in_run = true;
  }
  if (!in_run) return;
  RunRow& run = runs_.back();
  if (open) idle_since_ = now_;
  run.finished = totals_.finished - run_totals_.finished;
  run.failed_tasks = totals_.failed_tasks - run_totals_.failed_tasks;
  run.tasks = run.bytes = 0, run.run_s = 0;
  for (const GroupRow& row : groups_) {
    const GroupMoment& began = run_began_[row.now.group];
    GroupMoment done = row.now;
    done.total -= began.total, done.finished -= began.finished, done.failed_tasks -= began.failed_tasks, done.bytes -= began.bytes;
    done.run_s -= began.run_s;
    if (done.total + done.finished == 0) continue;
    run.groups[row.now.group] = done;
    run.tasks += done.total, run.bytes += done.bytes, run.run_s += done.run_s;
  }
  if (!open && now_ - idle_since_ >= run_pause) run.end = idle_since_;
}

}  // namespace weft::dashboard
