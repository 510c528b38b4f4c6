// Where a scheduler keeps what must outlive it. A Store knows rows of bytes only; what they mean is in store_records.h.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "scheduler/events.h"

namespace weft::scheduler {

class Store {
 public:
  virtual ~Store() = default;
  /// Every row, by kind and numbers. A damaged row is a failure: nothing is left out silently.
  virtual Result<std::vector<Row>> load() = 0;
  /// Make all of these durable, or none. After a failure nothing more can be committed.
  virtual Result<void> commit(std::span<const Row> rows) = 0;
  /// A number above `least` and above all that it gave before; durable when it returns.
  virtual Result<std::uint64_t> next_epoch(std::uint64_t least) = 0;
  /// It is on trial no longer.
  virtual void keep() = 0;
};

struct StoreOptions {
  std::string folder;
  bool accept_loss = false;  // go on with what is there when the disk lost commits that it had confirmed
  bool on_trial = false;     // one that is made now is taken away again when it is closed, unless it was kept or got a row
};
/// Open or make the store in this folder and lock it. Fails with io_error, in a sentence, if it is in use, damaged, of another
/// version, or cannot be written.
Result<std::unique_ptr<Store>> open_sqlite_store(const StoreOptions& options);

/// Records of all rows, for `State::restore`.
Result<std::vector<Record>> load_records(Store& store);

/// Keeps back what acknowledges more than is committed. Tickets rise, so everything leaves in its order.
class Gate {
 public:
  template <class Perform>
  void pass(std::vector<Action>& actions, Perform&& perform) {
    for (Action& action : actions) {
      if (ticket_of(action) <= committed_) perform(action);
      else held_.push_back(std::move(action));
    }
  }
  template <class Perform>
  void open(std::uint64_t committed, Perform&& perform) {
    committed_ = committed;
    while (!held_.empty() && ticket_of(held_.front()) <= committed_) {
      perform(held_.front());
      held_.pop_front();
    }
  }

 private:
  static std::uint64_t ticket_of(const Action& action) {
    return std::visit([](const auto& a) { return std::is_same_v<std::decay_t<decltype(a)>, Persist> ? 0 : a.ticket; }, action);
  }
  std::uint64_t committed_ = 0;
  std::deque<Action> held_;
};

}  // namespace weft::scheduler
