// The wiring of a client: which transport an address means, and how values move over it. One of the few files that know both
// the client and the transports.
#pragma once

#include <memory>
#include <string>

#include "client/value_link.h"
#include "common/transport/zeromq.h"

namespace weft::client {

/// Links to `tcp://host:port` or `ipc:///folder/name`; an empty address starts an embedded cluster.
Result<Links> open_links(const std::string& address, bool dashboard = false);

/// An embedded cluster: a scheduler and a worker with a thread per core, on threads of this process.
/// With a dashboard, if asked for, whose link goes to stderr.
Result<Links> start_embedded(bool dashboard = false);

/// Values over the client's own endpoint.
std::unique_ptr<ValueLink> make_value_link(Endpoint& endpoint);

}  // namespace weft::client
