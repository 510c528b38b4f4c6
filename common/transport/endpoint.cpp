#include "common/transport/endpoint.h"

#include <atomic>

namespace weft {

PeerId new_peer_id() {
  static std::atomic<std::uint64_t> last{0};
  return {last.fetch_add(1, std::memory_order_relaxed) + 1};
}

}  // namespace weft
