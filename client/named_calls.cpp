#include "client/named_calls.h"

#include <weft/error.h>

namespace weft::client {

bool NamedCalls::claim(std::span<const std::pair<Key, Key>> names) {
  std::lock_guard lock(mutex_);
  for (const auto& [name, content] : names) {
    auto known = calls_.find(name);
    if (known != calls_.end() && known->second.content && known->second.content != content)
      throw InvalidArgument("the key given to this call (" + name.hex() + ") already names another call of this client; choose another key, "
                            "or let go of the futures that have it first");
  }
  bool anew = false;
  for (const auto& [name, content] : names) {
    Call& call = calls_[name];
    call.content = content;
    anew |= call.futures++ == 0;
  }
  return anew;
}

void NamedCalls::join(const Key& name) {
  std::lock_guard lock(mutex_);
  ++calls_[name].futures;
}

void NamedCalls::give_up(const Key& name) noexcept {
  std::lock_guard lock(mutex_);
  auto found = calls_.find(name);
  if (found != calls_.end() && --found->second.futures == 0) calls_.erase(found);
}

}  // namespace weft::client
