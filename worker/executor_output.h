// The daemon's end of an executor's stdout and stderr: keeps the last bytes and cuts them into the shares of attempts.
#pragma once

#include <optional>
#include <string>

#include "worker/executor_ring.h"

namespace weft::worker {

class ExecutorOutput {
 public:
  static constexpr std::size_t share_max = 64 * 1024;

  /// Takes over the reading end of a pipe, set not to block.
  ExecutorOutput(int pipe, bool echo) : pipe_(pipe), echo_(echo) {}
  ExecutorOutput(const ExecutorOutput&) = delete;
  ExecutorOutput& operator=(const ExecutorOutput&) = delete;
  ~ExecutorOutput();

  int pipe() const { return pipe_; }
  /// Read what is there, at most 1 MiB. False at the end: all writers are gone.
  bool read(ExecutorBoard::Shared& shared);
  /// The share that ends at this position of the stream, at most its last `share_max` bytes.
  std::string take(std::uint64_t end, ExecutorBoard::Shared& shared);
  /// What came after the last share.
  std::string take_rest() { return take(begin_ + tail_.size()); }
  void close_pipe();

 private:
  std::string take(std::uint64_t end);

  int pipe_;
  bool echo_;
  std::string tail_;
  std::uint64_t begin_ = 0;  // position of tail_[0]
};

/// The executor's end: how many bytes its process has written, which is what the daemon has read plus what is still in the pipe. The
/// daemon makes its turn odd while it moves bytes from one to the other. Nothing if the task closed the pipe.
std::optional<std::uint64_t> output_position(int pipe, const ExecutorBoard::Shared& shared);

}  // namespace weft::worker
