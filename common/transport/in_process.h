// Endpoints of one process: what an embedded cluster uses. Frames are handed over as they are; nothing is encoded or copied.
#pragma once

#include <memory>

#include "common/transport/endpoint.h"

namespace weft {

struct InProcessOptions {
  /// Bytes that may wait for one peer before `send` says false. A single larger frame passes when nothing waits.
  std::size_t queue_bytes_max = 256u << 20;
};

/// Make an endpoint for addresses `inproc://name`; `inproc://` alone listens under a free name. Peers are other endpoints
/// made here, each with its own loop on any thread of this process.
std::unique_ptr<Endpoint> make_in_process_endpoint(const InProcessOptions& options = {});

}  // namespace weft
