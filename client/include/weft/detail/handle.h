// The untyped half of futures: a counted reference to what one client knows of one key. Future<T> adds the type.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <weft/error.h>
#include <weft/value.h>

namespace weft {

/// Where a future stands.
enum class FutureStatus : std::uint8_t {
  pending,    // not finished, or lost and being computed again
  finished,   // the result exists
  failed,     // it ended with an error that is not a cancellation
  cancelled,  // somebody cancelled it
};

namespace client {
class ClientCore;
struct FutureCore;
}  // namespace client

namespace detail {

/// How long a caller waits; nothing: for ever.
using Limit = std::optional<std::chrono::nanoseconds>;

/// Something to run once on the client's callback thread.
class Callback {
 public:
  virtual ~Callback() = default;
  virtual void run() = 0;
};
template <class F>
class CallbackOf final : public Callback {
 public:
  explicit CallbackOf(F f) : f_(std::move(f)) {}
  void run() override { f_(); }

 private:
  F f_;
};

/// A counted reference to a future's state. Thread-safe to copy and use; one object must not be assigned and used at once.
class FutureHandle {
 public:
  FutureHandle() = default;
  /// Take over one reference.
  explicit FutureHandle(client::FutureCore* core) : core_(core) {}
  FutureHandle(const FutureHandle& other) : core_(other.core_) { retain(); }
  FutureHandle(FutureHandle&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  FutureHandle& operator=(FutureHandle other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~FutureHandle() {
    if (core_) drop();
  }

  explicit operator bool() const { return core_ != nullptr; }
  client::FutureCore* core() const { return core_; }
  client::FutureCore& checked() const;  // throws InvalidArgument for a future that holds nothing

  Key key() const;
  FutureStatus status() const;
  /// Wait until it ended either way. False: the limit passed.
  bool wait(Limit limit) const;
  /// Wait for the value, fetching it if it is elsewhere. Throws its failure, or WaitTimeout.
  Value value(Limit limit) const;
  /// Wait for the end; the failure, or null if it finished. Throws WaitTimeout.
  std::shared_ptr<const Failure> failure(Limit limit) const;
  void cancel(std::string reason, bool force) const;
  void retry() const;
  /// Run `callback` on the callback thread when it ended, or when its value is here or will not come.
  void on_done(std::unique_ptr<Callback> callback, bool with_value) const;
  std::shared_ptr<client::ClientCore> client() const;

 private:
  void retain() const;
  void drop();
  client::FutureCore* core_ = nullptr;
};

}  // namespace detail
}  // namespace weft
