// One thread that runs jobs in order. Jobs that have not begun are dropped when it ends.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace weft::worker {

class JobThread {
 public:
  JobThread() : thread_([this](std::stop_token stop) { work(stop); }) {}

  void run(std::function<void()> job) {
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    filled_.notify_one();
  }

 private:
  void work(std::stop_token stop) {
    for (;;) {
      std::function<void()> job;
      {
        std::unique_lock lock(mutex_);
        filled_.wait(lock, stop, [this] { return !jobs_.empty(); });
        if (stop.stop_requested()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any filled_;
  std::deque<std::function<void()>> jobs_;
  std::jthread thread_;  // last: ends before what it uses
};

}  // namespace weft::worker
