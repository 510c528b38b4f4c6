// One executor process as the daemon sees it: its link, what was given to it and has not ended, its output, its death. Decides
// nothing about which attempt goes where; ProcessExecutors does.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker/executor_link.h"
#include "worker/executor_output.h"
#include "worker/executor_spawner.h"
#include "worker/process_executors.h"

namespace weft::worker {

class ExecutorChild {
 public:
  enum class State { starting, ready, leaving, dying };

  /// An attempt that was given to this process.
  struct InFlight {
    Run run;
    std::uint32_t claim = 0;
    Duration expected{};
    bool known = false;                   // the loop was told that it began
    bool waits = false;                   // blocked in its own client
    std::optional<SegmentRange> place;    // leased for its result
    std::unique_ptr<Failure> doom;        // why we kill the process because of it

    Time deadline(const Claim& claim) const {
      Duration timeout = run.shape->options.timeout;
      return timeout > 0ns ? claim.began() + timeout : Time::never();
    }
  };

  /// Make link and pipe and order the process.
  static Result<std::unique_ptr<ExecutorChild>> start(std::uint64_t number, const Key& program, const ProgramSpec& spec,
                                                      const ProcessOptions& options, Containment& containment, int bell, ExecutorSpawner& spawner);
  ~ExecutorChild();

  /// Give it an attempt; on `done` the run is moved from. An error is the run's own.
  Result<ExecutorLink::Sent> offer(Run& run, bool nested, Duration expected, const ValueBridge& values);
  /// Expected work of all that is in flight.
  Duration expected() const { return expected_; }
  /// Attempts that have not begun, in order; they are no longer this process's.
  std::vector<Run> take_back();
  InFlight* find(AttemptId attempt);
  /// It has ended.
  InFlight remove(AttemptId attempt);
  bool has_begun(const InFlight& it) { return claim(it).has_begun(it.run.attempt); }
  Claim& claim(const InFlight& it) { return link_.board.shared().claims[it.claim]; }
  bool waiting() const { return !in_flight.empty() && in_flight.back().waits; }
  bool idle() const { return state == State::ready && in_flight.empty(); }

  /// The next word of the process; false if there is none, or it is nonsense (see `broken`).
  bool next(ExecutorNews& news);
  bool broken() const { return link_.broken(); }
  /// Queue a note for the task that runs.
  void note(const TaskBound& note) { notes_.push_back(encode(note)); }
  void grant(const SegmentRange& place);
  void answer(TaskAnswer answer, const ValueBridge& values);
  void forget(std::uint64_t segment);
  /// Send what is queued and wake the process if it sleeps. False if some must wait.
  bool flush();
  bool sleep() { return link_.board.sleep_daemon(); }
  ExecutorBoard::Shared& shared() { return link_.board.shared(); }

  void kill();
  void ask_to_leave();
  /// How it died; call once, when its pidfd is readable. Kills what is left of its process group and reaps.
  Failure autopsy(bool wait_for_it);
  std::uint64_t resident_bytes() const;

  const std::uint64_t number;
  std::uint32_t writer = 0;               // of the segments for its results; no other living process has it
  const Key program;
  const std::string name;                 // of the program, for messages
  const std::uint64_t brand;              // of it and all that it starts
  const std::string folder;               // its own, removed with it; empty: none
  State state = State::starting;
  int pid = -1, process = -1;
  Time since;                             // of the state
  bool was_ready = false;                 // it became an executor
  std::uint64_t tasks = 0;                // ended here
  std::uint64_t measured = 0;        // how many it had ended when its size was read last
  bool outdated = false;                  // leaves after what it runs now
  std::deque<InFlight> in_flight;         // in the order given; the last that has begun is what runs
  ExecutorOutput output;

 private:
  ExecutorChild(std::uint64_t number, const Key& program, const ProgramSpec& spec, const ProcessOptions& options, ExecutorBoard board,
                int socket, int pipe);

  ExecutorLink::Sent define(const std::shared_ptr<const Template>& shape, std::uint32_t& number);
  ExecutorLink::Sent show(std::uint64_t memory, bool writable, int descriptor);
  Result<ExecutorLink::Sent> describe_inputs(const Run& run, RunRecord& record, const ValueBridge& values);
  bool flush_answers();
  void drop_old_memory();

  ExecutorLink link_;
  Encoder encoder_;
  Duration expected_{};
  std::vector<std::uint32_t> claims_free_;
  std::vector<std::shared_ptr<const Template>> shapes_;       // by number
  std::map<const Template*, std::uint32_t> shape_numbers_;
  std::uint32_t next_shape_ = 0;
  std::map<std::pair<std::uint64_t, bool>, std::uint64_t> shown_;  // memory the process has, and when it was last used
  std::uint64_t uses_ = 0, temporaries_ = 0;
  std::deque<Bytes> notes_;
  std::deque<SegmentRange> grants_;
  struct Shown {
    TaskAnswered answer;
    int descriptor = -1;                  // of its memory; ours when the memory is temporary
  };
  std::deque<Shown> answers_;
  const std::string core_folder_;
  std::uint64_t oom_kills_ = 0;           // of the kernel when this process started
  bool silent_ = true;                    // nothing was written since the last wake-up
};

}  // namespace weft::worker
