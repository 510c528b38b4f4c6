// What each key that the user chose stands for while somebody here holds a future of it: one name for two calls is a mistake that
// would give one of them the other's result.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <span>
#include <utility>

#include <weft/key.h>

namespace weft::client {

/// Thread-safe.
class NamedCalls {
 public:
  /// Futures of these names are made, each for the call of the content beside it. True: no other future has one of the names, so it may
  /// have stood for another call before. Throws InvalidArgument when one stands for another call now; then none is claimed.
  bool claim(std::span<const std::pair<Key, Key>> names);
  /// A future of `name` is made for whatever it stands for.
  void join(const Key& name);
  /// A future of `name` was given up.
  void give_up(const Key& name) noexcept;

 private:
  struct Call {
    Key content;  // none: nobody here has said it
    std::size_t futures = 0;
  };
  std::mutex mutex_;
  std::map<Key, Call> calls_;
};

}  // namespace weft::client
