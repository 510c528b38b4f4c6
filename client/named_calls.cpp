#include "client/named_calls.h"

#include <weft/error.h>

namespace weft::client {

bool NamedCalls::claim(const Key& name, const Key& content) {
  std::lock_guard lock(mutex_);
  Call& call = calls_[name];
  if (call.futures > 0 && call.content != content)
    throw InvalidArgument("the key given to this call (" + name.hex() + ") already names another call of this client; choose another key, "
                          "or let go of the futures that have it first");
  call.content = content;
  return call.futures++ == 0;
}

void NamedCalls::give_up(const Key& name) noexcept {
  std::lock_guard lock(mutex_);
  auto found = calls_.find(name);
  if (found != calls_.end() && --found->second.futures == 0) calls_.erase(found);
}

}  // namespace weft::client
