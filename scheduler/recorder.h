// The last steps of a scheduler in a file, so that a failure in the field can be run again: every event that its State was given, behind
// the State as it was when the file was begun. Two files take turns: FILE, and FILE.old which was full before.
#pragma once

#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/codec.h"
#include "scheduler/snapshot.h"

namespace weft::scheduler {

class Recorder {
 public:
  /// What an earlier process recorded there becomes FILE.old. Both files together stay near `bytes_max`, unless a State is larger than
  /// a quarter of it. Errors: io_error; what lies at the path must be nothing or a recording.
  static Result<std::unique_ptr<Recorder>> open(std::string path, std::uint64_t bytes_max);
  ~Recorder();
  Recorder(const Recorder&) = delete;

  /// Keep what the State is given next; before it is, since that may be its last. Without secrets of workers. Not synced to the
  /// disk: it survives the process, not the machine.
  void step(const State& state, Time now, const std::vector<Event>& batch);
  void question(const State& state, Time now, const Ask& ask);
  /// Why nothing is recorded any more; the scheduler is not disturbed.
  const std::optional<Failure>& failed() const { return failure_; }

 private:
  Recorder(std::string path, std::uint64_t bytes_max) : path_(std::move(path)), files_share_(bytes_max / 2) {}
  void start_file();
  bool ready(const State& state);
  void write(std::span<const std::byte> body);
  void append(const void* data, std::size_t size);
  void fail(const std::string& what);

  std::string path_;
  std::uint64_t files_share_;                    // bytes of one of the two
  int file_ = -1;
  std::uint64_t begun_with_ = 0, written_ = 0;  // bytes: of the State, in all
  Encoder encoder_;
  std::optional<Failure> failure_;
};

/// A recording, run again step by step in a State of this build.
class Replay {
 public:
  /// Errors: io_error (no such file), protocol_error (not a recording, or of another version of Weft).
  static Result<Replay> open(const std::string& path);

  /// Run the next recorded step; false when that was all. Errors: protocol_error when the State went another way than the recorded one.
  Result<bool> next();
  const State& state() const { return *state_; }
  std::uint64_t steps() const { return steps_; }
  std::uint64_t events() const { return events_; }
  /// Of the scheduler's own clock.
  Time began() const { return began_; }
  Time now() const { return now_; }
  /// The last step was not written to its end: its process died there.
  bool is_cut() const { return cut_; }

 private:
  explicit Replay(const std::string& path) : file_(path, std::ios::binary) {}

  std::ifstream file_;
  std::unique_ptr<State> state_;
  std::uint64_t steps_ = 0, events_ = 0;
  Time began_, now_;
  bool cut_ = false;
};

}  // namespace weft::scheduler
