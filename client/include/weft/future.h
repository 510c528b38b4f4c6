// Future<T>: the result of a task that runs somewhere. Copies share; when the last one dies, the cluster may forget the result.
//
// Thread-safe: different threads may use copies, and const members of one object, at the same time. Callbacks and co_await
// continuations run on the client's one callback thread. A future that outlives its Client keeps a result that is already
// here; otherwise it ends with ConnectionFailed. In a child made by fork every use throws.
#pragma once

#include <coroutine>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <weft/detail/submit.h>
#include <weft/serialize.h>

namespace weft {

template <class T>
class Future;

/// A read-only view of a result, without a copy where its type allows; keeps the bytes alive.
template <class T>
struct View {
  T value;
  const T& operator*() const { return value; }
  const T* operator->() const { return &value; }
};
template <class E>
  requires(std::is_trivially_copyable_v<E> && !std::is_same_v<E, bool>)
struct View<std::vector<E>> {
  std::span<const E> elements;
  Buffer owner;
  std::span<const E> operator*() const { return elements; }
  const std::span<const E>* operator->() const { return &elements; }
};

namespace detail {
template <class F, class... A>
using FutureOf = Future<CallResult<std::decay_t<F>, std::decay_t<A>...>>;
}  // namespace detail

template <class T>
class Future {
 public:
  using value_type = T;

  Future() = default;
  explicit Future(detail::FutureHandle handle) : handle_(std::move(handle)) {}

  /// Whether it stands for a task at all; all else throws InvalidArgument when not.
  bool valid() const { return static_cast<bool>(handle_); }
  Key key() const { return handle_.key(); }
  FutureStatus status() const { return handle_.status(); }
  /// Whether it ended, either way.
  bool done() const { return handle_.status() != FutureStatus::pending; }

  /// Wait for the result and return it.
  ///
  /// Errors: throws the task's failure as its Error subclass; WaitTimeout if the limit passes (the task goes on).
  /// Cost:   a big result is fetched once and kept as long as any copy of the future lives; each call decodes it anew.
  T result() const { return take({}); }
  T result(std::chrono::nanoseconds limit) const { return take(limit); }

  /// Wait for the result and look at it where it lies: a span for vectors of plain elements, the Buffer itself for Buffers.
  View<T> view() const
    requires(!std::is_void_v<T>)
  {
    return look(handle_.value({}));
  }

  /// Wait for the end; the failure, or null if it finished.
  std::shared_ptr<const Failure> exception() const { return handle_.failure({}); }
  std::shared_ptr<const Failure> exception(std::chrono::nanoseconds limit) const { return handle_.failure(limit); }
  /// Wait for the end; the remote stack of the failure, empty if there is none.
  std::string traceback() const {
    auto failure = handle_.failure({});
    return failure ? failure->traceback : std::string();
  }

  /// Give it up; the task stops unless another client wants it, or anyway with `force`. Ends as Cancelled.
  void cancel(std::string reason = {}, bool force = false) const { handle_.cancel(std::move(reason), force); }
  /// Run it again if it failed, with the failed tasks it depends on.
  void retry() const { handle_.retry(); }
  /// Let go of it now.
  void release() { handle_ = {}; }

  /// Call f(*this) on the callback thread when it ended.
  template <class F>
  void add_done_callback(F f) const {
    auto call = [f = std::move(f), future = *this]() mutable { f(future); };
    handle_.on_done(std::make_unique<detail::CallbackOf<decltype(call)>>(std::move(call)), false);
  }

  /// Run f on the result, as a task on the cluster. After a void task f has no parameter, or a std::monostate.
  template <class F>
  auto then(F f, const Options& options = {}) const {
    return detail::FutureOf<F, Future>(detail::submit_call(handle_.client(), options, detail::prepare(std::move(f), *this)));
  }

  /// co_await gives the result, or throws the failure; the coroutine goes on on the callback thread. With g++ 12 make the future in a
  /// statement of its own: it miscompiles braced temporaries, such as Options, inside a co_await expression.
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) const {
    auto resume = [coroutine] { coroutine.resume(); };
    handle_.on_done(std::make_unique<detail::CallbackOf<decltype(resume)>>(resume), true);
  }
  T await_resume() const { return result(); }

  const detail::FutureHandle& handle() const { return handle_; }

 private:
  T take(detail::Limit limit) const {
    Value value = handle_.value(limit);
    if constexpr (!std::is_void_v<T>) return from_value<T>(value);
  }
  static View<T> look(const Value& value)
    requires(!std::is_void_v<T>)
  {
    if constexpr (requires(View<T> view) { view.elements; }) {
      using E = typename T::value_type;
      View<T> view;
      bool own_part = value.type() == type_tag<T>() && value.part_count() == 2 && value.part_range(1).size % sizeof(E) == 0;
      if (own_part) view.owner = value.part(1);
      // Bytes that came in a frame lie where they lie: elements that ask for more than that are copied.
      if (own_part && reinterpret_cast<std::uintptr_t>(view.owner.data()) % alignof(E) == 0) {
        view.elements = {reinterpret_cast<const E*>(view.owner.data()), view.owner.size() / sizeof(E)};
      } else {
        auto kept = std::make_shared<const T>(from_value<T>(value));  // too small to be stored as a buffer of its own
        view.owner = Buffer(kept, std::as_bytes(std::span<const E>(*kept)));
        view.elements = *kept;
      }
      return view;
    } else {
      return {from_value<T>(value)};
    }
  }

  detail::FutureHandle handle_;
};

/// Split a future of a tuple, pair or array into a tuple of futures of its elements (tasks where the whole is).
template <class T>
auto split(const Future<T>& whole) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::tuple(whole.then([](const T& value) { return std::get<I>(value); })...);
  }(std::make_index_sequence<std::tuple_size_v<T>>{});
}

namespace detail {
template <class T>
struct FutureTraits<Future<T>> {
  static constexpr bool is_future = true;
  using value_type = ValueOf<T>;
  // Held because a lazy call may outlive the future it was given.
  static InputRef input(const Future<T>& future) {
    return {.key = future.key(), .hold = hold(future.handle())};
  }
};
}  // namespace detail

}  // namespace weft
