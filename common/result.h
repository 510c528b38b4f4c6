// Result<T>: a value, or the Failure that explains why there is none. Used inside; the public API throws.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include <weft/error.h>

#include "common/check.h"

namespace weft {

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() { return value(); }
  const T& operator*() const { return const_cast<Result*>(this)->value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &**this; }
  T& value() {
    WEFT_CHECK(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  const Failure& error() const {
    WEFT_CHECK(state_.index() == 1);
    return *std::get_if<1>(&state_);
  }
  /// For the public edge: the value, or the exception.
  T value_or_throw() && {
    if (state_.index() == 1) throw_failure(error());
    return std::move(value());
  }

 private:
  std::variant<T, Failure> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Failure failure) : failure_(std::move(failure)) {}
  explicit operator bool() const { return failure_.kind == ErrorKind::none; }
  const Failure& error() const { return failure_; }
  void value_or_throw() && {
    if (!*this) throw_failure(failure_);
  }

 private:
  Failure failure_;
};

inline Failure failure(ErrorKind kind, std::string message) {
  return Failure{.kind = kind, .message = std::move(message)};
}

}  // namespace weft
