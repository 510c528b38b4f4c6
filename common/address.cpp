#include "common/address.h"

#include <algorithm>
#include <optional>

namespace weft {

namespace {

// sockaddr_un has 108 bytes, the last one is 0.
constexpr std::size_t ipc_path_max = 107;
constexpr std::size_t host_max = 253;

Failure wrong(std::string_view text, const std::string& why) {
  return failure(ErrorKind::invalid_argument, '"' + std::string(text) + "\" is no address: " + why);
}

bool is_ipv6(std::string_view host) {
  return !host.empty() && host.find_first_not_of("0123456789abcdefABCDEF:.%") == std::string_view::npos &&
         std::count(host.begin(), host.end(), ':') >= 2;
}
// A DNS name or an IPv4 address; underscores occur in container names.
bool is_name(std::string_view host) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  };
  return !host.empty() && host.size() <= host_max && std::all_of(host.begin(), host.end(), allowed) && host.front() != '-' &&
         host.front() != '.';
}

Result<Address> read_tcp(std::string_view text, std::string_view rest, std::uint16_t default_port) {
  std::optional<std::string_view> ports;
  std::string_view host = rest;
  if (rest.starts_with('[')) {
    std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong(text, "the bracket of an IPv6 address is not closed");
    host = rest.substr(1, end - 1);
    std::string_view behind = rest.substr(end + 1);
    if (!behind.empty() && behind[0] != ':') return wrong(text, "write a port as [address]:port");
    if (!behind.empty()) ports = behind.substr(1);
    if (!is_ipv6(host)) return wrong(text, "brackets hold an IPv6 address");
  } else {
    std::size_t colon = rest.find(':');
    // "host:8000:8100" has a range; "::1" and "fe80::1" are IPv6 without brackets.
    if (is_ipv6(rest) && (rest.find("::") != std::string_view::npos || std::count(rest.begin(), rest.end(), ':') > 2))
      return wrong(text, "write an IPv6 address in brackets: tcp://[" + std::string(rest) + "]:port");
    host = rest.substr(0, colon);
    if (colon != std::string_view::npos) ports = rest.substr(colon + 1);
    if (host.empty()) return wrong(text, "the host is missing: write tcp://host:port");
    if (host != "*" && !is_name(host)) return wrong(text, '"' + std::string(host) + "\" is no host name");
  }
  TcpAddress address{std::string(host), {default_port, default_port}};
  if (ports)
    if (auto read = read_option(*ports, address.ports); !read) return wrong(text, read.error().message);
  return Address(std::move(address));
}

Result<Address> read_address(std::string_view text, std::uint16_t default_port) {
  std::string_view rest = trimmed(text);
  std::size_t mark = rest.find("://");
  std::string_view scheme = mark == std::string_view::npos ? "tcp" : rest.substr(0, mark);
  if (mark != std::string_view::npos) rest.remove_prefix(mark + 3);
  if (rest.find('\0') != std::string_view::npos) return wrong(text, "it has a zero byte in it");
  if (rest.empty()) return wrong(text, "nothing follows the scheme: write tcp://host:port or ipc://path");
  if (scheme == "tcp") return read_tcp(text, rest, default_port);
  if (scheme == "ipc") {
    if (rest.size() > ipc_path_max)
      return wrong(text, "its path has " + std::to_string(rest.size()) + " bytes, the system allows " +
                             std::to_string(ipc_path_max) + "; use a shorter folder");
    return Address(IpcAddress{std::string(rest)});
  }
  if (scheme == "inproc") return Address(InprocAddress{std::string(rest)});
  return wrong(text, "unknown scheme " + std::string(scheme) + "://; use tcp://, ipc:// or inproc://");
}

}  // namespace

Result<void> read_option(std::string_view text, PortRange& value) {
  text = trimmed(text);
  std::size_t colon = text.find(':');
  PortRange range;
  Result<void> read = read_option(text.substr(0, colon), range.first);
  if (read && colon != std::string_view::npos) read = read_option(text.substr(colon + 1), range.last);
  if (!read)
    return failure(ErrorKind::invalid_argument,
                   '"' + std::string(text) + "\" is no port from 0 to 65535 and no range 8000:8100");
  if (colon == std::string_view::npos) range.last = range.first;
  if (range.last < range.first || (range.first == 0 && range.last != 0))
    return failure(ErrorKind::invalid_argument,
                   '"' + std::string(text) + "\" is an empty range of ports: write the smaller one first, from 1");
  value = range;
  return {};
}

std::string show_option(PortRange value) {
  std::string text = std::to_string(value.first);
  return value.last == value.first ? text : text + ':' + std::to_string(value.last);
}

Result<Address> read_listen_address(std::string_view text, std::uint16_t default_port) {
  return read_address(text, default_port);
}

Result<Address> read_contact_address(std::string_view text, std::uint16_t default_port) {
  Result<Address> address = read_address(text, default_port);
  if (!address) return address;
  if (const auto* tcp = std::get_if<TcpAddress>(&*address)) {
    if (tcp->host == "*") return wrong(text, "* is where to listen; name the host to connect to");
    if (tcp->ports.first == 0) return wrong(text, "the port is missing: write tcp://" + tcp->host + ":port");
    if (tcp->ports.first != tcp->ports.last)
      return wrong(text, "a range of ports is where to listen; name one port to connect to");
  }
  return address;
}

std::string to_text(const Address& address) {
  if (const auto* ipc = std::get_if<IpcAddress>(&address)) return "ipc://" + ipc->path;
  if (const auto* inproc = std::get_if<InprocAddress>(&address)) return "inproc://" + inproc->name;
  const auto& tcp = std::get<TcpAddress>(address);
  std::string host = tcp.host.find(':') == std::string::npos ? tcp.host : '[' + tcp.host + ']';
  return "tcp://" + host + ':' + show_option(tcp.ports);
}

}  // namespace weft
