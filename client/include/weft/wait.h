// Waiting for several futures: wait, as_completed, gather.
//
// Each call or object is used by one thread; futures may be shared freely.
#pragma once

#include <array>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <tuple>
#include <vector>

#include <weft/detail/gate.h>
#include <weft/future.h>

namespace weft {

enum class Until { all, first };

struct WaitOptions {
  /// Longest wait. Default: no limit.
  std::optional<std::chrono::nanoseconds> timeout{};
  /// What to wait for: every future, or any one.
  Until until = Until::all;
  /// Ends the wait early when stop is requested.
  std::stop_token stop{};
};

template <class T>
struct Waited {
  std::vector<Future<T>> done;     // ended, either way, in the order given
  std::vector<Future<T>> pending;  // the others: not empty when a limit or stop ended the wait
};

/// Wait until futures end. Throws nothing for failed ones, nor when the limit passes: look at `pending`.
template <class T>
Waited<T> wait(const std::vector<Future<T>>& futures, const WaitOptions& options = {}) {
  detail::Gate gate;
  for (const auto& future : futures) gate.add(future.handle());
  std::size_t count = options.until == Until::first && !futures.empty() ? 1 : futures.size();
  gate.wait(count, options.timeout, options.stop);
  Waited<T> result;
  for (const auto& future : futures) (future.done() ? result.done : result.pending).push_back(future);
  return result;
}
/// Wait for one future. False: the limit passed or stop was asked for.
template <class T>
bool wait(const Future<T>& future, const WaitOptions& options = {}) {
  detail::Gate gate;
  gate.add(future.handle());
  return gate.wait(1, options.timeout, options.stop);
}

/// Futures in the order in which they end. More may be added while iterating:
/// `for (auto& future : weft::as_completed(futures)) use(future.result());`
template <class T>
class AsCompleted {
 public:
  AsCompleted() : gate_(std::make_unique<detail::Gate>()) {}
  explicit AsCompleted(const std::vector<Future<T>>& futures) : AsCompleted() { add(futures); }

  void add(const Future<T>& future) {
    gate_->add(future.handle());
    futures_.push_back(future);
  }
  void add(const std::vector<Future<T>>& futures) {
    for (const auto& future : futures) add(future);
  }

  /// How many were not given out yet.
  std::size_t size() const { return futures_.size() - given_; }
  bool empty() const { return size() == 0; }

  /// Wait for the next one; nothing when none is left or the limit passes.
  std::optional<Future<T>> next(std::optional<std::chrono::nanoseconds> limit = {}, std::stop_token stop = {}) {
    if (empty()) return std::nullopt;
    if (at_ == ready_.size() && !refill(limit, stop)) return std::nullopt;
    ++given_;
    return std::exchange(futures_[ready_[at_++]], {});
  }
  /// Wait for at least one and take all that ended; empty when none is left or the limit passes.
  std::vector<Future<T>> next_batch(std::optional<std::chrono::nanoseconds> limit = {}, std::stop_token stop = {}) {
    std::vector<Future<T>> batch;
    if (auto first = next(limit, stop)) batch.push_back(std::move(*first));
    while (!batch.empty() && (at_ < ready_.size() || refill(std::chrono::nanoseconds(0), {}))) {
      ++given_;
      batch.push_back(std::exchange(futures_[ready_[at_++]], {}));
    }
    return batch;
  }

  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Future<T>;
    using difference_type = std::ptrdiff_t;
    iterator() = default;
    explicit iterator(AsCompleted* from) : from_(from) { ++*this; }
    Future<T>& operator*() { return *now_; }
    Future<T>* operator->() { return &*now_; }
    iterator& operator++() {
      now_ = from_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& it, std::default_sentinel_t) { return !it.now_; }

   private:
    AsCompleted* from_ = nullptr;
    std::optional<Future<T>> now_;
  };
  iterator begin() { return iterator(this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  bool refill(detail::Limit limit, std::stop_token stop) {
    gate_->wait(given_ + 1, limit, stop);
    ready_ = gate_->take();
    at_ = 0;
    return !ready_.empty();
  }

  std::vector<Future<T>> futures_;
  std::vector<std::size_t> ready_;
  std::size_t at_ = 0, given_ = 0;
  std::unique_ptr<detail::Gate> gate_;  // so that this can be moved
};

template <class T>
AsCompleted<T> as_completed(const std::vector<Future<T>>& futures) {
  return AsCompleted<T>(futures);
}

namespace detail {
template <class T>
ValueOf<T> value_of(const Future<T>& future) {
  if constexpr (std::is_void_v<T>) return future.result(), std::monostate{};
  else return future.result();
}
}  // namespace detail

/// Wait for results; big ones are fetched side by side. In a map or tuple std::monostate stands for the result of a void task.
///
/// Errors: throws the first failure in the order given, or leaves failed ones out with Errors::skip.
template <class T>
T gather(const Future<T>& future) {
  return future.result();
}
template <class T>
auto gather(const std::vector<Future<T>>& futures, Errors errors = Errors::raise) {
  detail::Gate gate(true);
  for (const auto& future : futures) gate.add(future.handle());
  if constexpr (std::is_void_v<T>) {
    for (const auto& future : futures)
      if (errors == Errors::raise || !future.exception()) future.result();
  } else {
    std::vector<T> results;
    results.reserve(futures.size());
    for (const auto& future : futures)
      if (errors == Errors::raise || !future.exception()) results.push_back(future.result());
    return results;
  }
}
template <class K, class T>
std::map<K, ValueOf<T>> gather(const std::map<K, Future<T>>& futures, Errors errors = Errors::raise) {
  detail::Gate gate(true);
  for (const auto& [key, future] : futures) gate.add(future.handle());
  std::map<K, ValueOf<T>> results;
  for (const auto& [key, future] : futures)
    if (errors == Errors::raise || !future.exception()) results.emplace(key, detail::value_of(future));
  return results;
}
template <class... T>
std::tuple<ValueOf<T>...> gather(const std::tuple<Future<T>...>& futures) {
  detail::Gate gate(true);
  std::apply([&](const auto&... future) { (gate.add(future.handle()), ...); }, futures);
  return std::apply([](const auto&... future) { return std::tuple<ValueOf<T>...>{detail::value_of(future)...}; }, futures);
}

}  // namespace weft
