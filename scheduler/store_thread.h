// The thread that waits for the disk, so that the scheduler's does not. A commit takes whatever arrived while the one before ran.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "scheduler/store.h"

namespace weft::scheduler {

class StoreThread {
 public:
  /// `on_news` is called on the store's thread after every commit and after the first failure.
  StoreThread(std::unique_ptr<Store> store, std::function<void()> on_news);
  /// Commits what was added.
  ~StoreThread();

  void add(Persist persist);
  /// Everything up to this ticket is on disk.
  std::uint64_t committed() const { return committed_; }
  /// Set once, when a commit failed: nothing is kept any more.
  std::optional<Failure> failed() const;

 private:
  void run();

  std::unique_ptr<Store> store_;
  std::function<void()> on_news_;
  mutable std::mutex mutex_;
  std::condition_variable added_;
  std::vector<Persist> waiting_;
  std::optional<Failure> failure_;
  bool ending_ = false;
  std::atomic<std::uint64_t> committed_{0};
  std::thread thread_;
};

}  // namespace weft::scheduler
