// Listening as operators ask for it: host names, ranges of ports, and an address for others that differs from the one listened
// on. Shared by the programs; an Endpoint itself takes one exact place.
#pragma once

#include <string>

#include "common/address.h"
#include "common/result.h"
#include "common/transport/endpoint.h"

namespace weft {

struct Listening {
  std::string bound;    // as the system says it: "tcp://0.0.0.0:8786"
  std::string contact;  // what others connect to
};

/// Listen at the first free port of the address. `contact` is what others are told: an address, a host (gets the bound port),
/// or empty: the bound address, with `wildcard_host` in place of "every interface". Fails with connection_failed naming the
/// port and, where the system tells, the process that has it.
Result<Listening> listen_at(Endpoint& endpoint, const Address& address, const std::string& role, const std::string& contact,
                            const std::string& wildcard_host);

/// Whether the host of an address is known here, as a number, a name or an interface; true of an ipc address.
bool host_known(const Address& address);
/// Whether something accepts connections there now. For this machine's own addresses: elsewhere a silent host is waited for.
bool somebody_listens(const TcpAddress& address);

/// The address of ours from which packets to this host leave; "127.0.0.1" if that is unknown.
std::string local_address_towards(const TcpAddress& address);

}  // namespace weft
