// Tasks in processes of the user's own program, one task at a time in each: what dies there costs one process and blames
// exactly the task that ran. Attempts go ahead into a process only while they are known to be tiny, so that a long one never
// holds up others.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

#include "common/open_file.h"
#include "common/result.h"
#include "worker/containment.h"
#include "worker/executors.h"
#include "worker/orphans.h"
#include "worker/result_places.h"

namespace weft::worker {

class ExecutorChild;
class ExecutorSpawner;
class ScratchFolder;

/// How to start a program as an executor.
struct ProgramSpec {
  std::string path;
  std::string name;                                  // for messages; empty: the path
  std::vector<std::string> arguments;                // after argv[0]
  std::map<std::string, std::string> environment;    // what the client sets
  std::string libraries;                             // folders to search first, as in LD_LIBRARY_PATH
  std::vector<std::string> own_libraries;            // files; it may have opened some while it ran
  std::vector<std::string> attached;                 // files for its tasks
  std::shared_ptr<const OpenFile> image;             // what `path` was when it was checked; null: the path decides
};

inline constexpr std::uint64_t executor_memory_min = 64u << 20;  // many a program does not start with less

struct ProcessOptions {
  std::size_t slots = 1;
  std::size_t lent_max = lent_slots_max;             // slots that tasks which wait may lend at once
  std::string worker;                                // its name, for tasks
  std::function<Result<ProgramSpec>(const Key& program)> program_for;
  ValueBridge values = private_memory();
  std::string scratch;                               // where each process gets a folder of its own ("…/executors-…"); empty: nowhere
  bool start_in_folder = false;                      // work there, not in the daemon's folder
  bool inherit_environment = true;                   // false: only `allowed_environment`
  std::vector<std::string> allowed_environment;      // names; "LC_*" is all that begin so
  std::map<std::string, std::string> environment;    // set for every executor
  std::vector<std::string> wrapper;                  // words before the program, such as "valgrind -q"
  std::uint64_t memory_limit = 0;                    // RLIMIT_DATA of each executor; 0 is none
  ContainmentOptions containment;
  std::string core_folder;                           // where core files end up; empty: there are none
  std::uint64_t tasks_max = 0;                       // a process leaves after this many; 0 is never
  std::uint64_t resident_bytes_max = 0;              // or when it is larger than this after a task; 0 is never
  Duration profile_period = 20ms;                    // CPU time between two samples of a task's stack; 0: none are taken
  bool echo_output = false;                          // also write what tasks print to our own stderr
  Duration start_timeout = 10s;                      // from exec to the first word
  Duration shortage_max = 30s;                       // tasks wait so long for a machine without descriptors or memory for a process
};

/// Owned by one loop; every member is called on its thread. One more thread starts processes.
class ProcessExecutors final : public Executors {
 public:
  explicit ProcessExecutors(ProcessOptions options);
  ~ProcessExecutors() override;

  void start(Run run) override;
  void cancel(AttemptId attempt) override;
  void to_task(const ToTask& message) override;
  void answer(TaskAnswer answer) override;
  void renew_task_links() override;
  void renew() override;
  std::vector<int> descriptors() const override;
  ExecutorEvents take(Time now) override;
  Time wake_at() const override;
  void shut_down() override;

  /// The store freed a segment: executors unmap it.
  void forget_segment(std::uint64_t segment);
  /// Processes of ours that exist now.
  std::vector<int> process_ids() const;

 private:
  using Child = ExecutorChild;
  struct Habit {                     // how long runs of a template take
    std::shared_ptr<const Template> shape;
    Duration usual{};
    bool known = false;
  };
  struct ProgramRecord {
    bool worked = false;             // a process of it became ready once
    unsigned failed_starts = 0;      // in a row
    unsigned barren_deaths = 0;      // processes that died between tasks, in a row
  };

  // process_executors.cpp: the loop's part
  void read_events();
  void read_news(Child& child);
  void handle(Child& child, struct RunCompleted& ended);
  void handle(Child& child, struct RunFailed& failed);
  void handle(Child& child, struct NeedPlace& need);
  void handle(Child& child, struct TaskWaits& waits);
  void handle(Child& child, struct TaskPuts& puts);
  bool may_be_for_others(Child& child, AttemptId attempt);
  void run_again(Child& child, AttemptId attempt, std::uint64_t output_end);
  void end_run(Child& child, AttemptId attempt, std::uint64_t output_end, Duration run_time, Outcome outcome);
  void notice_begun(Child& child);
  void watch_time(Child& child, Time now);
  void recycle(Child& child, Time now);
  void fail(Run run, Failure why);
  void put_back(std::vector<Run> runs);

  // process_slots.cpp: which process exists and gets what
  void dispatch(Time now);
  bool give(Child& child, Run& run, bool nested);
  Child* choose(const Run& run, Time now);
  void make_processes(Time now);
  void help_waiting();
  bool spawn(const Key& program, Time now);
  void spawned(Time now);
  bool wait_for_room(Time now);
  void retire(Child& child, Time now);
  void bury(Child& child);
  void bury_unstarted(Child& child, const Failure& death);
  std::size_t count(bool (*which)(const Child&)) const;
  Habit& habit(const std::shared_ptr<const Template>& shape);

  ProcessOptions options_;
  Containment containment_{options_.containment};
  int bell_ = -1, epoll_ = -1;
  std::unique_ptr<ScratchFolder> scratch_;
  std::unique_ptr<ExecutorSpawner> spawner_;
  std::deque<Run> queue_;
  std::map<std::uint64_t, std::unique_ptr<Child>> children_;
  std::uint64_t last_child_ = 0;
  std::map<Key, ProgramRecord> programs_;
  std::unordered_map<const Template*, Habit> habits_;
  ExecutorEvents events_;
  bool adopts_ = adopts_orphans();
  Time reaped_;
  Time look_at_ = Time::never();
  Time room_at_;                          // no process is tried before
  std::optional<Time> short_since_;       // the system has refused processes ever since
};

}  // namespace weft::worker
