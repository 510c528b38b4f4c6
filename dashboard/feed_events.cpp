// What a feed makes of single occurrences: failures, verbs, workers that come and go. Each becomes a line of the Events
// page.
#include <algorithm>
#include <charconv>

#include "dashboard/feed.h"

namespace weft::dashboard {

void Feed::on_failed(const Sighting& record, std::string_view text) {
  auto [kind, type, message, traceback, output] = scheduler::fields_of<5>(text);
  std::uint32_t row = row_of(record);
  const std::uint64_t ended = std::max<std::uint64_t>(record.amount, 1);  // logs of before say 0
  const bool cancelled = kind == name_of(ErrorKind::cancelled);
  if (record.to) ++totals_.retried, ++group(record.group).now.retried;
  // Who cancels a task ends it, not an attempt.
  if (!cancelled) ++totals_.failed_attempts, ++group(record.group).now.failed_attempts;
  if (record.worker && !cancelled) ++worker(record.worker).now.failed_attempts;
  // Tasks that were cancelled have no stack: what ended them tells them apart.
  std::string frame(cancelled ? message : traceback.substr(0, traceback.find('\n')));
  std::string id = std::string(kind) + '|' + std::string(type) + '|' + frame;
  if (!errors_.contains(id) && errors_.size() >= limits_.errors) id = "other";
  auto [place, is_new] = errors_.try_emplace(id);
  ErrorRow& error = place->second;
  if (is_new) {
    error.first = now_;
    error.kind = kind, error.type = type, error.frame = cancelled ? std::string() : frame;
  }
  if (!cancelled) ++error.failed_attempts;
  if (!record.to) error.failed_tasks += ended;
  error.retried += record.to;
  error.last = now_;
  error.message = message, error.traceback = traceback, error.output = output;
  error.key = record.key;
  error.attempt = record.extra;
  error.groups[record.group] += ended;
  if (record.worker) error.workers[record.worker] += ended;
  if (!failures_.contains(record.key)) {
    failures_order_.push_back(record.key);
    if (failures_order_.size() > 1'000) failures_.erase(failures_order_.front()), failures_order_.pop_front();
  }
  failures_[record.key] = {now_,
                           record.worker,
                           record.extra,
                           record.to != 0,
                           std::string(kind),
                           std::string(type),
                           std::string(message),
                           std::string(traceback),
                           std::string(output)};
  if (tasks_[row].running) stop_running(row);
  if (cancelled) return;  // the verb that did it is an event already
  note(record.to ? "retried" : "failed", std::string(kind) + ": " + std::string(message.substr(0, 300)), record.worker,
       record.key);
}

void Feed::on_about(std::string_view text) {
  auto [name, first, second, third] = scheduler::fields_of<4>(text);
  if (name.empty()) about_.version = first, about_.host = second, about_.pid = third;
  else about_.options[std::string(name)] = {std::string(first), std::string(second), std::string(third)};
}

void Feed::on_control(const Sighting& record, std::string_view text) {
  auto [verb, by, what, why] = scheduler::fields_of<4>(text);
  std::string line(verb);
  if (!what.empty()) line += ' ' + std::string(what);
  line += ", by " + std::string(by) + (why.empty() ? "" : ": " + std::string(why));
  note("control", std::move(line), record.worker, record.key);
  events_.back().verb = verb, events_.back().by = by;
}

void Feed::on_joined(const Sighting& record, std::string_view text) {
  auto fields = scheduler::fields_of<6>(text);
  auto number = [](std::string_view digits) {
    std::uint64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  };
  bool is_new = !workers_.contains(record.worker);
  WorkerRow& row = worker(record.worker);
  row.name = fields[0], row.host = fields[1], row.address = fields[2], row.pid = fields[3];
  row.slots = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(number(fields[4]), 1, 65'536));
  row.limit_bytes = number(fields[5]);
  row.now.worker = record.worker;
  row.now.status = 0;
  row.now.heard = now_;
  if (!is_new) return;
  row.joined = now_;
  note("worker_joined", row.name + " joined with " + std::to_string(row.slots) + " slots", record.worker);
}

void Feed::on_lost(const Sighting& record, std::string_view text) {
  WorkerRow& row = worker(record.worker);
  row.lost = now_;
  held_.lose(record.worker);
  row.lost_unexpectedly = record.to != 0;
  row.lost_why = text;
  row.now.status = static_cast<std::uint8_t>(WorkerStatus::lost);
  row.now.running = row.now.queued = 0;
  row.now.managed = row.now.spilled = row.now.process = 0;
  if (record.to) ++totals_.lost_workers;
  note("worker_lost", row.name + ": " + row.lost_why, record.worker);
}

void Feed::note(const char* kind, std::string text, std::uint32_t worker, Key key) {
  if (events_.size() >= limits_.events) events_.pop_front();
  events_.push_back({events_seen_++, now_, kind, std::move(text), worker, key});
}

}  // namespace weft::dashboard
