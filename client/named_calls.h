// What each key that the user chose stands for while somebody here holds a future of it: one name for two calls is a mistake that
// would give one of them the other's result.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>

#include <weft/key.h>

namespace weft::client {

/// Thread-safe.
class NamedCalls {
 public:
  /// A future of `name` is made for the call of this content. True: no other future has the name, so it may have stood for another
  /// call before. Throws InvalidArgument when it stands for another call now.
  bool claim(const Key& name, const Key& content);
  /// A future of `name` was given up.
  void give_up(const Key& name) noexcept;

 private:
  struct Call {
    Key content;
    std::size_t futures = 0;
  };
  std::mutex mutex_;
  std::map<Key, Call> calls_;
};

}  // namespace weft::client
