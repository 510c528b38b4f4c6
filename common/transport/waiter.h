// What both endpoints sleep on: one epoll set with a wake-up eventfd, the owner's watched descriptors, and descriptors that
// the endpoint itself adds under a number of its choice.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "common/time.h"

namespace weft {

/// Descriptors and numbers that became readable in one wait.
struct Ready {
  std::vector<int> watched;
  std::vector<std::uint64_t> added;
  bool woken = false;
};

/// Not thread-safe except `wake`.
class Waiter {
 public:
  Waiter();
  ~Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  void watch(int descriptor);
  void unwatch(int descriptor);
  bool watches_any() const { return !watched_.empty(); }

  /// Wait for a descriptor of the endpoint's own; `number` (below 2^62) comes back in Ready::added.
  void add(int descriptor, std::uint64_t number);
  void remove(int descriptor);

  /// Sleep until something is readable or the deadline; a deadline in the past only looks. May return early with nothing.
  Ready wait(Time deadline);
  /// Make a running or the next `wait` return. From any thread.
  void wake();

 private:
  int epoll_;
  int event_;
  std::unordered_set<int> watched_;
};

}  // namespace weft
