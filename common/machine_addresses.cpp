#include "common/machine_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>

namespace weft {

bool has_address(const std::string& address) {
  in_addr v4{};
  in6_addr v6{};
  const bool is_v4 = inet_pton(AF_INET, address.c_str(), &v4) == 1,
             is_v6 = !is_v4 && inet_pton(AF_INET6, address.c_str(), &v6) == 1;
  ifaddrs* first = nullptr;
  if ((!is_v4 && !is_v6) || getifaddrs(&first) != 0) return false;
  std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all(first, freeifaddrs);
  for (const ifaddrs* each = first; each; each = each->ifa_next) {
    if (!each->ifa_addr) continue;
    if (is_v4 && each->ifa_addr->sa_family == AF_INET &&
        reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr.s_addr == v4.s_addr)
      return true;
    if (is_v6 && each->ifa_addr->sa_family == AF_INET6 &&
        std::memcmp(&reinterpret_cast<const sockaddr_in6*>(each->ifa_addr)->sin6_addr, &v6, sizeof v6) == 0)
      return true;
  }
  return false;
}

}  // namespace weft
