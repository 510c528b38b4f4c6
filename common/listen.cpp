#include "common/listen.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

namespace weft {

namespace {

namespace fs = std::filesystem;
using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

AddressList resolve(const std::string& host, std::uint16_t port, bool to_listen) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = to_listen ? AI_PASSIVE : AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) found = nullptr;
  return AddressList(found, &freeaddrinfo);
}

std::string numeric(const sockaddr* address, socklen_t size) {
  std::array<char, NI_MAXHOST> text{};
  return getnameinfo(address, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0 ? text.data() : "";
}

// libzmq binds to numbers and interface names, not to host names. IPv4 first: it is what the other end tries first.
std::string host_to_bind(const std::string& host, std::uint16_t port) {
  if (host == "*" || host.find(':') != std::string::npos) return host;
  AddressList list = resolve(host, port, true);
  for (int family : {AF_INET, AF_INET6})
    for (addrinfo* one = list.get(); one; one = one->ai_next)
      if (one->ai_family == family) return numeric(one->ai_addr, one->ai_addrlen);
  return host;
}

/// The process that listens at a port, "weft-scheduler (process 12)"; empty if the system does not tell us.
std::string holder_of(std::uint16_t port) {
  std::string inode;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);
    while (inode.empty() && std::getline(file, line)) {
      std::istringstream words(line);
      std::array<std::string, 10> field;
      for (std::string& each : field) words >> each;
      std::size_t colon = field[1].rfind(':');
      if (colon == std::string::npos || field[3] != "0A") continue;  // 0A: it listens
      if (std::stoul(field[1].substr(colon + 1), nullptr, 16) == port) inode = field[9];
    }
  }
  std::error_code error;
  std::string wanted = "socket:[" + inode + ']';
  for (const auto& process : fs::directory_iterator("/proc", error)) {
    std::string pid = process.path().filename();
    if (inode.empty() || pid.find_first_not_of("0123456789") != std::string::npos) continue;
    for (const auto& file : fs::directory_iterator(process.path() / "fd", error)) {
      if (fs::read_symlink(file.path(), error) != wanted) continue;
      std::string name;
      std::ifstream comm(process.path() / "comm");
      std::getline(comm, name);
      return name + " (process " + pid + ')';
    }
  }
  return {};
}

std::string contact_for(const TcpAddress& bound, const std::string& contact, const std::string& wildcard_host) {
  if (contact.empty()) {
    bool every = bound.host == "0.0.0.0" || bound.host == "::" || bound.host == "*";
    return to_text(Address(TcpAddress{every ? wildcard_host : bound.host, bound.ports}));
  }
  // Without a port of its own it has ours.
  Result<Address> read = read_contact_address(contact, bound.ports.first);
  return read ? to_text(*read) : contact;
}

}  // namespace

Result<Listening> listen_at(Endpoint& endpoint, const Address& address, const std::string& role, const std::string& contact,
                            const std::string& wildcard_host) {
  const auto* tcp = std::get_if<TcpAddress>(&address);
  if (!tcp) {
    Result<std::string> bound = endpoint.listen(to_text(address), role);
    if (!bound) return bound.error();
    return Listening{*bound, contact.empty() ? *bound : contact};
  }
  if (!host_known(address))
    return failure(ErrorKind::io_error, "cannot listen on " + to_text(address) + ": no host " + tcp->host +
                                            " is known here; name this machine, one of its addresses, or * for all");
  if (!contact.empty())
    if (auto read = read_contact_address(contact, 1); !read) return read.error();
  TcpAddress place{host_to_bind(tcp->host, tcp->ports.first), {}};
  Failure last;
  for (unsigned port = tcp->ports.first; port <= tcp->ports.last; ++port) {
    place.ports = {static_cast<std::uint16_t>(port), static_cast<std::uint16_t>(port)};
    Result<std::string> bound = endpoint.listen(to_text(Address(place)), role);
    if (bound) {
      Result<Address> read = read_listen_address(*bound);
      if (!read) return read.error();
      return Listening{*bound, contact_for(std::get<TcpAddress>(*read), contact, wildcard_host)};
    }
    last = bound.error();
  }
  if (tcp->ports.first != tcp->ports.last)
    last.message = "no port of " + show_option(tcp->ports) + " could be had; the last answer: " + last.message;
  else if (std::string holder = holder_of(tcp->ports.first); !holder.empty() && tcp->ports.first != 0)
    last.message += "; it belongs to " + holder;
  return last;
}

bool host_known(const Address& address) {
  const auto* tcp = std::get_if<TcpAddress>(&address);
  return !tcp || tcp->host == "*" || if_nametoindex(tcp->host.c_str()) != 0 || resolve(tcp->host, tcp->ports.first, true);
}

bool somebody_listens(const TcpAddress& address) {
  AddressList list = resolve(address.host, address.ports.first, false);
  for (addrinfo* one = list.get(); one; one = one->ai_next) {
    int probe = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) continue;
    bool accepted = connect(probe, one->ai_addr, one->ai_addrlen) == 0;
    ::close(probe);
    if (accepted) return true;
  }
  return false;
}

std::string local_address_towards(const TcpAddress& address) {
  AddressList list = resolve(address.host, address.ports.first, false);
  for (addrinfo* one = list.get(); one; one = one->ai_next) {
    // Connecting a datagram socket sends nothing; it only chooses the way.
    int probe = socket(one->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0) continue;
    sockaddr_storage ours{};
    socklen_t size = sizeof ours;
    bool known = connect(probe, one->ai_addr, one->ai_addrlen) == 0 &&
                 getsockname(probe, reinterpret_cast<sockaddr*>(&ours), &size) == 0;
    ::close(probe);
    if (known) return numeric(reinterpret_cast<sockaddr*>(&ours), size);
  }
  return "127.0.0.1";
}

}  // namespace weft
