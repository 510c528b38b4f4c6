#include "dashboard/feed.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace weft::dashboard {

static constexpr std::size_t story_max = 200'000;
static constexpr std::uint32_t groups_max = 100'000;

const char* name_of_state(std::uint8_t state) {
  return state >= forgotten_state ? "forgotten" : scheduler::name_of(static_cast<TaskState>(state));
}
const char* name_of_status(std::uint8_t status) {
  static constexpr const char* names[] = {"running", "paused", "retiring", "disconnected", "lost"};
  return names[std::min<std::uint8_t>(status, 4)];
}

std::uint16_t histogram_cell(double seconds) {
  return static_cast<std::uint16_t>(std::clamp(std::log2(std::max(seconds, 1e-9) * 1e9) * 16, 0.0, 1200.0));
}

double histogram_quantile(const std::map<std::uint16_t, std::uint64_t>& cells, double q) {
  std::uint64_t total = 0, before = 0;
  for (const auto& [cell, count] : cells) total += count;
  for (const auto& [cell, count] : cells) {
    before += count;
    if (static_cast<double>(before) >= q * static_cast<double>(total)) return std::exp2((cell + 0.5) / 16) * 1e-9;
  }
  return 0;
}

double GroupRow::run_quantile(double q) const { return std::min(histogram_quantile(run_histogram, q), run_max_s); }
double Feed::step_quantile(double q) const { return histogram_quantile(step_histogram_, q); }

Feed::Feed(FeedLimits limits)
    : limits_(limits), timeline_(limits.rectangles, limits.cells_bytes), moments_(limits.moments_bytes) {}

void Feed::apply(const Sighting* first, std::size_t slots) {
  for (std::size_t i = 0; i < slots; i += 1u + first[i].text_slots) {
    const Sighting& record = first[i];
    if (record.what == Seen{}) continue;
    if (i + record.text_slots >= slots) return;  // a log that was cut
    if (!has_origin_) set_origin(record.when);
    advance(record.when);
    apply(record, text_of(&record));
  }
}

void Feed::apply(const Sighting& record, std::string_view text) {
  if (record.what == log_about) return on_about(text);
  switch (record.what) {
    case Seen::transition:
      return on_transition(record);
    case Seen::finished:
      return on_finished(record);
    case Seen::failed:
      return on_failed(record, text);
    case Seen::joined:
      return on_joined(record, text);
    case Seen::lost:
      return on_lost(record, text);
    case Seen::transfer:
      return on_transfer(record);
    case Seen::heartbeat:
      return on_heartbeat(record);
    case Seen::forgotten: {
      std::uint32_t row = index_.find(record.key, tasks_);
      if (row != KeyIndex::none) on_forgotten(row);
      return;
    }
    case Seen::started: {
      std::uint32_t row = row_of(record);
      tasks_[row].running = true;
      tasks_[row].start = now_;
      worker(record.worker).running[row] = now_;
      timeline_.begin(record.worker, worker(record.worker).slots, now_, tasks_[row].group, record.key);
      return;
    }
    case Seen::unblocked: {
      std::uint32_t row = index_.find(record.key, tasks_);
      Key by{(std::uint64_t{record.group} << 32) | record.worker, record.amount};
      if (row != KeyIndex::none) tasks_[row].unblocked_by = index_.find(by, tasks_);
      return;
    }
    case Seen::status:
      worker(record.worker).now.status = record.to;
      return note("worker_status", name_of_worker(record.worker) + " is " + name_of_status(record.to), record.worker);
    case Seen::edge:
      if (edges_.size() < limits_.links || edges_.contains({record.group, record.worker})) {
        EdgeRow& row = edges_[{record.group, record.worker}];
        row.count += record.amount;
        if (record.to == 1) row.parts += record.amount;
      }
      return;
    case Seen::recalled:
      ++totals_.recalls;
      return;
    case Seen::again:
      return on_again(record.to == 1);
    case Seen::control:
      return on_control(record, text);
    case Seen::held: {
      std::uint32_t row = row_of(record);
      tasks_[row].bytes = record.amount;
      return held_.hold(row, record.key, tasks_[row].group, record.worker, record.amount);
    }
    case Seen::dropped:
      return held_.drop(index_.find(record.key, tasks_), record.worker);
    case Seen::step:
      ++totals_.steps;
      totals_.step_s += static_cast<double>(record.amount) * 1e-9;
      totals_.clients = record.group;
      ++step_histogram_[histogram_cell(static_cast<double>(record.amount) * 1e-9)];
      return;
    case Seen::label:
      group(record.group).label = text;
      return;
    case Seen::log:
      if (record.extra == samples_level) {
        if (auto samples = StackSamples::read(text)) samples_.add(now_, record.worker, *samples);
        return;
      }
      if (record.extra == places_level) {
        for (const auto& [key, place] : read_places(text)) held_.move(index_.find(key, tasks_), key, record.worker, place);
        return;
      }
      if (lines_.size() >= limits_.lines) lines_.pop_front();
      lines_.push_back({lines_seen_++, now_, record.extra, record.worker, record.key, std::string(text)});
      return;
    case Seen::gap:
      totals_.dropped += record.amount;
      round_has_gap_ = true;
      return note("gap", std::to_string(record.amount) + " records were dropped: the observer could not keep up");
  }
}

GroupRow& Feed::group(std::uint32_t id) {
  id = std::min(id, groups_max);
  while (groups_.size() <= id) {
    groups_.emplace_back();
    groups_.back().now.group = static_cast<std::uint32_t>(groups_.size() - 1);
    groups_.back().first = now_;
  }
  return groups_[id];
}

// A row for a task not seen before; when the table is full that of the task forgotten longest ago.
std::uint32_t Feed::new_row() {
  std::uint32_t row = no_group;
  while (tasks_.size() >= limits_.tasks && !forgotten_.empty() && row == no_group) {
    if (tasks_[forgotten_.front()].state == forgotten_state) row = forgotten_.front();  // else it is known again
    forgotten_.pop_front();
  }
  if (row == no_group) {
    tasks_.emplace_back();
    return static_cast<std::uint32_t>(tasks_.size() - 1);
  }
  index_.erase(tasks_[row].key, row);
  GroupRow& old = group(tasks_[row].group);
  std::uint64_t place = tasks_[row].place - static_cast<std::uint32_t>(old.members_left_out);
  if (place < old.members.size()) old.members[place] = no_group;
  while (!old.members.empty() && old.members.front() == no_group) old.members.pop_front(), ++old.members_left_out;
  tasks_[row] = TaskRow{};
  return row;
}

void Feed::on_forgotten(std::uint32_t row) {
  TaskRow& task = tasks_[row];
  if (task.state == forgotten_state) return;
  timeline_.abandon(task.key);
  held_.drop_all(row);
  --group(task.group).now.counts[task.state];
  --totals_.tasks[task.state];
  task.state = forgotten_state;
  forgotten_.push_back(row);
}

// Every task that lives was shown in between: one that was not is gone, and the word about it was dropped.
void Feed::on_again(bool complete) {
  if (!complete) ++round_, round_has_gap_ = false;
  else if (!round_has_gap_)
    for (std::uint32_t row = 0; row < tasks_.size(); ++row)
      if (tasks_[row].round != round_) {
        if (tasks_[row].state == static_cast<std::uint8_t>(TaskState::assigned))
          leave_worker(tasks_[row]), stop_running(row);
        on_forgotten(row);
      }
}

std::uint32_t Feed::row_of(const Sighting& record) {
  std::uint32_t row = index_.find(record.key, tasks_);
  GroupRow& its = group(record.group);
  if (row == KeyIndex::none) {
    row = new_row();
    index_.insert(record.key, row);
    TaskRow& task = tasks_[row];
    task.key = record.key;
    task.group = its.now.group;
    task.created = now_;
    task.place = static_cast<std::uint32_t>(its.members_left_out + its.members.size());
    its.members.push_back(row);
    task.state = forgotten_state;
    ++its.now.total;
  }
  TaskRow& task = tasks_[row];
  task.round = round_;
  if (task.state == forgotten_state) {  // new, or known again
    task.state = 0;
    ++group(task.group).now.counts[0];
    ++totals_.tasks[0];
  }
  return row;
}

void Feed::on_transition(const Sighting& record) {
  if (record.from > 5 || record.to > 5) return;
  std::uint32_t row = row_of(record);
  TaskRow& task = tasks_[row];
  GroupRow& its = group(task.group);
  std::uint8_t from = task.state;   // ours, so that counts stay true when records were dropped
  if (record.from == record.to || from == static_cast<std::uint8_t>(TaskState::stored)) held_.drop_all(row);   // shown again: so are its copies
  if (record.from == record.to && record.to == from) return;   // and nothing new
  constexpr auto assigned = static_cast<std::uint8_t>(TaskState::assigned);
  if (from == assigned) leave_worker(task), stop_running(row);
  --its.now.counts[from];
  ++its.now.counts[record.to];
  --totals_.tasks[from];
  ++totals_.tasks[record.to];
  ++totals_.transitions;
  its.last = now_;
  task.state = record.to;
  if (record.to == assigned && record.worker) {
    task.worker = record.worker;
    ++worker(record.worker).now.assigned;
    if (task.attempts < 255) ++task.attempts;
  }
  if (record.to == static_cast<std::uint8_t>(TaskState::failed)) {
    task.end = now_;
    ++its.now.failed_tasks;
    ++totals_.failed_tasks;
  }
  if (story_.size() >= story_max) story_.pop_front();
  story_.push_back({now_, record.key, from, record.to, record.worker, record.amount});
}

void Feed::leave_worker(const TaskRow& task) {
  if (task.worker == 0) return;
  WorkerMoment& now = worker(task.worker).now;
  if (now.assigned > 0) --now.assigned;
}

/// A run that ends without a result took its time all the same.
void Feed::stop_running(std::uint32_t row) {
  TaskRow& task = tasks_[row];
  if (task.worker) worker(task.worker).running.erase(row);
  if (!std::exchange(task.running, false) || task.worker == 0 || task.start < 0) return timeline_.abandon(task.key);
  task.end = now_;
  task.run_s = static_cast<float>(now_ - task.start) * 1e-6f;
  note_run(task);
}

void Feed::note_run(const TaskRow& task) {
  GroupRow& its = group(task.group);
  WorkerRow& ran = worker(task.worker);
  its.now.run_s += task.run_s;
  ++its.run_histogram[histogram_cell(task.run_s)];
  its.run_max_s = std::max<double>(its.run_max_s, task.run_s);
  ran.now.busy_s += task.run_s;
  timeline_.add(task.worker, ran.slots, task.start, std::max(task.end, task.start + 1), task.group, task.key);
}

// Comes before the transition to stored: the task still counts as running.
void Feed::on_finished(const Sighting& record) {
  std::uint32_t row = row_of(record);
  TaskRow& task = tasks_[row];
  GroupRow& its = group(task.group);
  double seconds = std::bit_cast<float>(record.extra);
  if (!(seconds >= 0 && seconds < 1e9)) seconds = 0;
  task.worker = record.worker;
  task.run_s = static_cast<float>(seconds);
  task.end = now_;
  task.start = now_ - static_cast<Micros>(seconds * 1e6);
  task.bytes = record.amount;
  ++its.now.finished;
  its.now.bytes += record.amount;
  ++totals_.finished;
  WorkerRow& ran = worker(record.worker);
  ++ran.now.finished;
  ran.running.erase(row);
  task.running = false;
  note_run(task);
  held_.hold(row, record.key, task.group, record.worker, record.amount);
}

void Feed::on_transfer(const Sighting& record) {
  ++totals_.transfers;
  totals_.transfer_bytes += record.amount;
  if (record.extra == 0) totals_.unknown_source_bytes += record.amount;
  group(record.group).now.transfer_bytes += record.amount;
  worker(record.worker).now.received += record.amount;
  if (record.extra) worker(record.extra).now.sent += record.amount;
  auto place = std::pair(record.extra, record.worker);
  if (links_.contains(place) || links_.size() < limits_.links) {
    LinkMoment& link = links_[place];
    link = {record.extra, record.worker, link.bytes + record.amount, link.transfers + 1};
  }
  // Only its arrival is reported: the beginning is what a gigabyte a second would have taken.
  timeline_.add_transfer(
      {now_ - static_cast<Micros>(record.amount / 1000), now_, record.extra, record.worker, record.amount});
}

void Feed::on_heartbeat(const Sighting& record) {
  WorkerRow& row = worker(record.worker);
  WorkerMoment& now = row.now;
  if (row.lost >= 0) return;
  if (now.status != record.to && record.to < 4)
    note("worker_status", row.name + " is " + name_of_status(record.to), record.worker);
  now.worker = record.worker;
  now.status = std::min<std::uint8_t>(record.to, 4);
  now.managed = record.key.high, now.spilled = record.key.low, now.process = record.amount;
  now.running = record.group, now.queued = record.extra;
  now.heard = now_;
}

const TaskRow* Feed::find(const Key& key) const {
  std::uint32_t row = index_.find(key, tasks_);
  return row == KeyIndex::none ? nullptr : &tasks_[row];
}
const FailureOfTask* Feed::failure_of(const Key& key) const {
  auto found = failures_.find(key);
  return found == failures_.end() ? nullptr : &found->second;
}
std::string Feed::name_of_worker(std::uint32_t id) const {
  auto found = workers_.find(id);
  return found == workers_.end() ? "" : found->second.name;
}

}  // namespace weft::dashboard
