// What the value store's threads tell its loop.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <mutex>
#include <variant>
#include <vector>

#include <weft/value.h>

#include "common/result.h"
#include "worker/spill.h"

namespace weft::worker {

/// Values were spilled together, or all stay where they are.
struct Written {
  struct Item {
    Key key;
    std::uint64_t serial = 0;
  };
  std::vector<Item> items;
  std::uint64_t bytes = 0;
  Result<std::vector<SpillRecord>> records;
};
/// A mapped spill file got its header and checksums.
struct Sealed {
  Key key;
  std::uint64_t serial = 0;
  Result<SpillRecord> record;
};
/// A value came back from disk.
struct Loaded {
  Key key;
  std::uint64_t serial = 0;
  Result<Value> value;
  std::shared_ptr<SpillPlace> mapped;   // if it was mapped from its file
};
/// A borrowed value has a copy of our own.
struct Copied {
  Key key;
  std::uint64_t serial = 0;
  Value value;
};
/// Idle memory went back to the system.
struct Released {};
using StoreNews = std::variant<Written, Sealed, Loaded, Copied, Released>;

/// Where the threads leave their results; the descriptor is readable while there are some.
class NewsBox {
 public:
  NewsBox() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { WEFT_CHECK(descriptor_ >= 0); }
  ~NewsBox() { close(descriptor_); }
  void add(StoreNews news) {
    std::lock_guard lock(mutex_);
    news_.push_back(std::move(news));
    wake();
  }
  /// Make the descriptor readable.
  void wake() { eventfd_write(descriptor_, 1); }
  std::vector<StoreNews> take() {
    std::lock_guard lock(mutex_);
    eventfd_t count;
    eventfd_read(descriptor_, &count);
    return std::exchange(news_, {});
  }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
  std::mutex mutex_;
  std::vector<StoreNews> news_;
};

}  // namespace weft::worker
