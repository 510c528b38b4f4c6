// What the worker has to say to the scheduler and has not sent yet. The loop drains what has happened, then sends one frame: what
// ended while the last frame was written shares the next one, and nothing waits for a timer.
#pragma once

#include <algorithm>
#include <iterator>
#include <set>
#include <vector>

#include "common/messages.h"
#include "common/vectors.h"

namespace weft::worker {

class Outbox {
 public:
  /// More than this is sent although more is happening: the scheduler should have work while we have.
  static constexpr std::size_t messages_max = 64;

  void add(std::vector<WorkerMessage> messages) {
    if (messages_.empty()) messages_.swap(messages);
    else messages_.insert(messages_.end(), std::make_move_iterator(messages.begin()), std::make_move_iterator(messages.end()));
  }
  bool empty() const { return messages_.empty(); }
  bool full() const { return messages_.size() >= messages_max; }
  /// The link they were meant for is gone.
  void clear() { messages_.clear(); }

  /// The frame to send. That an attempt runs, or how far it is, says nothing once its end is in the same frame.
  std::vector<WorkerMessage> take() {
    bool has_news_of_runs = std::any_of(messages_.begin(), messages_.end(), [](const WorkerMessage& message) {
      return std::holds_alternative<AttemptStarted>(message) || std::holds_alternative<AttemptProgress>(message);
    });
    if (!has_news_of_runs) return take_all(messages_);
    std::set<AttemptId> over;
    for (const WorkerMessage& message : messages_)
      if (const auto* finished = std::get_if<AttemptFinished>(&message)) over.insert(finished->attempt);
      else if (const auto* failed = std::get_if<AttemptFailed>(&message)) over.insert(failed->attempt);
    std::erase_if(messages_, [&](const WorkerMessage& message) {
      if (const auto* started = std::get_if<AttemptStarted>(&message)) return over.contains(started->attempt);
      const auto* progress = std::get_if<AttemptProgress>(&message);
      return progress && over.contains(progress->attempt);
    });
    return take_all(messages_);
  }

 private:
  std::vector<WorkerMessage> messages_;
};

}  // namespace weft::worker
