#include "scheduler/store_thread.h"

namespace weft::scheduler {

StoreThread::StoreThread(std::unique_ptr<Store> store, std::function<void()> on_news)
    : store_(std::move(store)), on_news_(std::move(on_news)), thread_([this] { run(); }) {}

StoreThread::~StoreThread() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  added_.notify_one();
  thread_.join();
}

void StoreThread::add(Persist persist) {
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(persist));
  }
  added_.notify_one();
}

std::optional<Failure> StoreThread::failed() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

void StoreThread::run() {
  while (true) {
    std::vector<Persist> batch;
    {
      std::unique_lock lock(mutex_);
      added_.wait(lock, [this] { return !waiting_.empty() || ending_; });
      if (waiting_.empty() || failure_) return;
      batch = std::exchange(waiting_, {});
    }
    std::vector<Row> rows;
    for (Persist& persist : batch)
      for (const Record& record : persist.records) rows.push_back(row_of(record));
    Result<void> done = rows.empty() ? Result<void>() : store_->commit(rows);
    if (done) {
      committed_ = batch.back().ticket;
    } else {
      std::lock_guard lock(mutex_);
      failure_ = done.error();
    }
    on_news_();
  }
}

}  // namespace weft::scheduler
