// What is known of the cluster, made from the observer's records alone: the same tables from a live ring and from a log on
// disk. One thread owns it. Memory is bounded: old tasks that the scheduler forgot, old events, lines and moments go first.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/key_index.h"
#include "dashboard/held_values.h"
#include "dashboard/moments.h"
#include "dashboard/samples.h"
#include "dashboard/timeline.h"
#include "scheduler/observer.h"

namespace weft::dashboard {

using scheduler::Seen;
using scheduler::Sighting;
using scheduler::TaskState;
using scheduler::WorkerStatus;

/// Records that only a log has, first in each of its files: what the scheduler was. Text: an option's name, value, default
/// and origin; or no name, and then version, host and pid; each ended by \0.
inline constexpr Seen log_about{200};

/// A scheduler::TaskState, or this.
inline constexpr std::uint8_t forgotten_state = 6;
const char* name_of_state(std::uint8_t state);
const char* name_of_status(std::uint8_t status);

struct FeedLimits {
  std::size_t tasks = 1'000'000;  // held; the oldest forgotten ones go first
  std::size_t rectangles = 1'000'000;
  std::size_t cells_bytes = 64u << 20;
  std::size_t moments_bytes = 64u << 20;
  std::size_t events = 10'000, lines = 20'000, errors = 500, links = 20'000;
  std::size_t samples = 200'000, sample_texts = 10'000;
};

struct TaskRow {
  Key key;
  std::uint32_t group = 0, worker = 0;
  std::uint32_t place = 0;                   // among the tasks of its group, in the order first seen
  std::uint32_t unblocked_by = no_group;     // row of the input that arrived last
  Micros created = 0, start = -1, end = -1;  // of the last attempt
  std::uint64_t bytes = 0;
  float run_s = 0;
  std::uint8_t state = 0, attempts = 0;
  std::uint8_t round = 0;  // of showing all again in which it was seen last
  bool running = false;
};
struct GroupRow {
  std::string label;
  GroupMoment now;
  std::map<std::uint16_t, std::uint64_t> run_histogram;  // sixteenths of octaves
  double run_max_s = 0;
  Micros first = 0, last = 0;
  std::uint64_t members_left_out = 0;  // older tasks that are held no more
  std::deque<std::uint32_t> members;   // rows
  double run_quantile(double q) const;
};
struct WorkerRow {
  std::string name, host, address, pid;
  std::uint32_t slots = 1;
  std::uint64_t limit_bytes = 0;
  Micros joined = 0, lost = -1;
  bool lost_unexpectedly = false;
  std::string lost_why;
  WorkerMoment now;
  std::map<std::uint32_t, Micros> running;  // rows of attempts known to run, and since when
  double busy_shown_s = 0;
};
struct ErrorRow {
  std::string kind, type, frame, message, traceback, output;
  std::uint64_t failed_attempts = 0, failed_tasks = 0, retried = 0;
  Micros first = 0, last = 0;
  Key key;
  std::uint32_t attempt = 0;
  std::map<std::uint32_t, std::uint64_t> groups, workers;
};
struct FailureOfTask {
  Micros t = 0;
  std::uint32_t worker = 0, attempt = 0;
  bool runs_again = false;
  std::string kind, type, message, traceback, output;
};
struct EventRow {
  std::uint64_t number = 0;
  Micros t = 0;
  const char* kind = "";
  std::string text;
  std::uint32_t worker = 0;
  Key key;
  std::string verb, by;  // of a control event
};
struct LineRow {
  std::uint64_t number = 0;
  Micros t = 0;
  std::uint32_t level = 6, worker = 0;
  Key key;
  std::string text;
};
struct RunRow {
  Micros start = 0, end = -1;               // end: -1 while it runs
  std::uint64_t finished = 0, failed_tasks = 0, tasks = 0, bytes = 0;
  double run_s = 0;
  std::map<std::uint32_t, GroupMoment> groups;  // at its end, minus at its beginning
};
struct OptionOfScheduler {
  std::string value, default_value, origin;
};
struct AboutScheduler {
  std::string version, host, pid;  // empty: the log does not say
  std::map<std::string, OptionOfScheduler> options;
};
struct EdgeRow {
  std::uint64_t count = 0, parts = 0;  // parts: those that read a part of a value, as a shuffle does
};
struct StoryRow {
  Micros t = 0;
  Key key;
  std::uint8_t from = 0, to = 0;
  std::uint32_t worker = 0;
  std::uint64_t attempt = 0;
};

class Feed {
 public:
  explicit Feed(FeedLimits limits = {});

  /// Records in the order in which they were written, with the slots of their texts.
  void apply(const Sighting* first, std::size_t slots);
  /// Time passes: make the moments that are due. `now` is on the clock of the records.
  void advance(Time now);
  /// No record will come any more: the last moment is that of the last one.
  void finish();
  /// The last record's clock at the observer's beginning; set by the first record if not before.
  void set_origin(Time origin) {
    origin_ = origin;
    has_origin_ = true;
  }
  Time origin() const { return origin_; }
  Micros micros(Time t) const { return (t.nanoseconds - origin_.nanoseconds) / 1000; }
  Micros now() const { return now_; }

  /// The present moment, and the ones that are held.
  Moment moment() const;
  const Moments& moments() const { return moments_; }
  const Timeline& timeline() const { return timeline_; }
  const Totals& totals() const { return totals_; }

  const std::vector<GroupRow>& groups() const { return groups_; }
  const std::map<std::uint32_t, WorkerRow>& workers() const { return workers_; }
  const std::vector<TaskRow>& tasks() const { return tasks_; }
  const TaskRow* find(const Key& key) const;
  const FailureOfTask* failure_of(const Key& key) const;
  /// From group to group.
  const std::map<std::pair<std::uint32_t, std::uint32_t>, EdgeRow>& edges() const { return edges_; }
  const std::map<std::pair<std::uint32_t, std::uint32_t>, LinkMoment>& links() const { return links_; }
  const std::map<std::string, ErrorRow>& errors() const { return errors_; }
  const std::deque<EventRow>& events() const { return events_; }
  const std::deque<LineRow>& lines() const { return lines_; }
  const HeldValues& held() const { return held_; }
  const Samples& samples() const { return samples_; }
  const std::deque<StoryRow>& story() const { return story_; }
  const std::vector<RunRow>& runs() const { return runs_; }
  const AboutScheduler& about() const { return about_; }
  /// Quantile of the scheduler's steps, seconds, over all time.
  double step_quantile(double q) const;
  std::string name_of_worker(std::uint32_t id) const;
  std::string label_of(std::uint32_t group) const { return group < groups_.size() ? groups_[group].label : ""; }
  void note(const char* kind, std::string text, std::uint32_t worker = 0, Key key = {});

 private:
  void apply(const Sighting& record, std::string_view text);
  void on_transition(const Sighting& record);
  void on_forgotten(std::uint32_t row);
  void note_run(const TaskRow& task);
  void on_again(bool complete);
  void on_finished(const Sighting& record);
  void on_failed(const Sighting& record, std::string_view text);
  void on_about(std::string_view text);
  void on_control(const Sighting& record, std::string_view text);
  void on_joined(const Sighting& record, std::string_view text);
  void on_lost(const Sighting& record, std::string_view text);
  void on_transfer(const Sighting& record);
  void on_heartbeat(const Sighting& record);
  std::uint32_t row_of(const Sighting& record);
  std::uint32_t new_row();
  void stop_running(std::uint32_t row);
  void leave_worker(const TaskRow& task);
  void count_runs();
  GroupRow& group(std::uint32_t id);
  WorkerRow& worker(std::uint32_t id) { return workers_[id]; }

  FeedLimits limits_;
  Time origin_;
  bool has_origin_ = false;
  Micros now_ = 0, next_moment_ = 0, idle_since_ = 0;
  Totals totals_;
  std::vector<TaskRow> tasks_;
  std::vector<std::uint32_t> free_rows_;
  std::deque<std::uint32_t> forgotten_;  // rows, oldest first
  KeyIndex index_;
  std::vector<GroupRow> groups_;
  std::map<std::uint32_t, WorkerRow> workers_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, EdgeRow> edges_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, LinkMoment> links_;
  std::map<std::string, ErrorRow> errors_;
  std::map<Key, FailureOfTask> failures_;
  std::deque<Key> failures_order_;
  std::deque<EventRow> events_;
  std::deque<LineRow> lines_;
  HeldValues held_;
  Samples samples_{limits_.samples, limits_.sample_texts};
  std::deque<StoryRow> story_;
  std::vector<RunRow> runs_;
  AboutScheduler about_;
  std::map<std::uint32_t, GroupMoment> run_began_;  // groups when the present run began
  Totals run_totals_;
  std::uint64_t transitions_counted_ = 0;
  std::uint8_t round_ = 0;
  bool round_has_gap_ = false;
  std::uint64_t events_seen_ = 0, lines_seen_ = 0;
  std::map<std::uint16_t, std::uint64_t> step_histogram_;
  Timeline timeline_;
  Moments moments_;
};

/// Cells of a histogram of durations: sixteenths of octaves from a nanosecond.
std::uint16_t histogram_cell(double seconds);
double histogram_quantile(const std::map<std::uint16_t, std::uint64_t>& cells, double q);

}  // namespace weft::dashboard
