// Where an actor listens or is reached, as text: `tcp://host:port`, `ipc://path`, `inproc://name`. Reads and writes the text
// only; resolves no names and opens nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "common/option_values.h"
#include "common/result.h"

namespace weft {

/// Ports from `first` to `last`; 0 is "any free one". "8786", "8000:8100".
struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  auto operator<=>(const PortRange&) const = default;
};
Result<void> read_option(std::string_view text, PortRange& value);
std::string show_option(PortRange value);
inline const char* option_type(const PortRange&) { return "PORT[:PORT]"; }

/// `host` is a name, an IPv4 address, an IPv6 address (written in brackets), or `*` for every interface.
struct TcpAddress {
  std::string host;
  PortRange ports;
  bool operator==(const TcpAddress&) const = default;
};
struct IpcAddress {
  std::string path;  // at most 107 bytes: the kernel's limit
  bool operator==(const IpcAddress&) const = default;
};
struct InprocAddress {
  std::string name;
  bool operator==(const InprocAddress&) const = default;
};
using Address = std::variant<TcpAddress, IpcAddress, InprocAddress>;

/// Read an address to listen on: `*`, port 0 and port ranges are allowed. Without a scheme it is TCP; without a port it gets
/// `default_port`.
Result<Address> read_listen_address(std::string_view text, std::uint16_t default_port = 0);
/// Read an address to connect to: one host and one port. Without a scheme it is TCP; without a port it gets `default_port`,
/// or is an error if that is 0.
Result<Address> read_contact_address(std::string_view text, std::uint16_t default_port = 0);
/// Write an address as both functions read it.
std::string to_text(const Address& address);

}  // namespace weft
