#include "worker/executor_output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

namespace weft::worker {

ExecutorOutput::~ExecutorOutput() { close_pipe(); }

void ExecutorOutput::close_pipe() {
  if (pipe_ >= 0) close(std::exchange(pipe_, -1));
}

bool ExecutorOutput::read(ExecutorBoard::Shared& shared) {
  static thread_local char buffer[64 * 1024];
  for (std::size_t total = 0; pipe_ >= 0 && total < (1u << 20);) {
    shared.output_turn.fetch_add(1);
    ssize_t got = ::read(pipe_, buffer, sizeof buffer);
    int error = errno;
    if (got > 0) shared.output_read.fetch_add(static_cast<std::uint64_t>(got));
    shared.output_turn.fetch_add(1);
    if (got == 0) return false;
    if (got < 0) return error == EAGAIN || error == EINTR;
    if (echo_) [[maybe_unused]] auto wrote = write(2, buffer, static_cast<std::size_t>(got));
    tail_.append(buffer, static_cast<std::size_t>(got));
    total += static_cast<std::size_t>(got);
    if (tail_.size() > 2 * share_max) {
      std::size_t cut = tail_.size() - share_max;
      tail_.erase(0, cut);
      begin_ += cut;
    }
  }
  return pipe_ >= 0;
}

std::string ExecutorOutput::take(std::uint64_t end, ExecutorBoard::Shared& shared) {
  if (end > begin_ + tail_.size()) read(shared);
  return take(end);
}

std::string ExecutorOutput::take(std::uint64_t end) {
  if (end <= begin_) return {};
  std::size_t size = std::min<std::uint64_t>(end - begin_, tail_.size());
  std::string share = tail_.substr(size - std::min(size, share_max), std::min(size, share_max));
  tail_.erase(0, size);
  begin_ += size;
  return share;
}

std::optional<std::uint64_t> output_position(int pipe, const ExecutorBoard::Shared& shared) {
  for (int tries = 0;; ++tries) {
    std::uint64_t turn = shared.output_turn.load(std::memory_order_acquire);
    int waiting = 0;
    if (ioctl(pipe, FIONREAD, &waiting) != 0) return errno == EBADF ? std::nullopt : std::optional<std::uint64_t>(0);
    std::uint64_t position = shared.output_read.load(std::memory_order_acquire) + static_cast<std::uint64_t>(waiting);
    std::atomic_thread_fence(std::memory_order_acquire);
    bool steady = turn % 2 == 0 && shared.output_turn.load(std::memory_order_relaxed) == turn;
    // A daemon that is kept from running in the middle of its turn is waited for; one that is stopped, not for ever.
    if (steady || tries == 10'000) return position;
    if (tries < 100) std::this_thread::yield();
    else std::this_thread::sleep_for(100us);
  }
}

}  // namespace weft::worker
