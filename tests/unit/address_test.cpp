#include "common/address.h"

#include <doctest/doctest.h>

using namespace weft;

namespace {

Address contact(std::string_view text, std::uint16_t port = 0) {
  auto address = read_contact_address(text, port);
  INFO(std::string(text), " ", address ? "" : address.error().message);
  REQUIRE(static_cast<bool>(address));
  return *address;
}
std::string refused(Result<Address> address) { return address ? "" : address.error().message; }

}  // namespace

TEST_CASE("an address to connect to is one place") {
  CHECK(contact("tcp://node7:8786") == Address(TcpAddress{"node7", {8786, 8786}}));
  CHECK(contact("10.0.0.1", 8786) == Address(TcpAddress{"10.0.0.1", {8786, 8786}}));
  CHECK(contact("[fe80::1]:80") == Address(TcpAddress{"fe80::1", {80, 80}}));
  CHECK(contact("ipc:///run/weft/s") == Address(IpcAddress{"/run/weft/s"}));
  CHECK(contact("inproc://scheduler") == Address(InprocAddress{"scheduler"}));
}

TEST_CASE("an address to listen on may be open") {
  CHECK(*read_listen_address("tcp://*:0") == Address(TcpAddress{"*", {0, 0}}));
  CHECK(*read_listen_address("tcp://*:8000:8100") == Address(TcpAddress{"*", {8000, 8100}}));
  CHECK(*read_listen_address("127.0.0.1") == Address(TcpAddress{"127.0.0.1", {0, 0}}));
}

TEST_CASE("an address that is written reads back as itself") {
  for (const char* text : {"tcp://a.b:1", "tcp://[::1]:8786", "tcp://*:8000:8100", "ipc:///tmp/x y", "inproc://n"})
    CHECK(to_text(*read_listen_address(text)) == text);
}

TEST_CASE("a wrong address is answered by what to write instead") {
  CHECK(refused(read_contact_address("tcp://*:1")).find("name the host") != std::string::npos);
  CHECK(refused(read_contact_address("tcp://a")).find("write tcp://a:port") != std::string::npos);
  CHECK(refused(read_contact_address("tcp://a:1:2")).find("name one port") != std::string::npos);
  CHECK(refused(read_contact_address("tcp://::1", 1)).find("tcp://[::1]:port") != std::string::npos);
  CHECK(refused(read_contact_address("udp://a:1")).find("unknown scheme udp://") != std::string::npos);
  CHECK(refused(read_listen_address("ipc://" + std::string(108, 'x'))).find("108 bytes") != std::string::npos);
  for (const char* text : {"", "tcp://", "tcp://:1", "tcp://a:65536", "tcp://a:x", "tcp://a b:1", "tcp://[::1:1",
                           "tcp://[x]:1", "tcp://a:2:1", "tcp://a:0:5", "tcp://a:", "ipc://"}) {
    CAPTURE(text);
    CHECK(refused(read_listen_address(text)) != "");
  }
}

TEST_CASE("port ranges are options") {
  PortRange range;
  CHECK(read_option("8000:8100", range));
  CHECK(range == PortRange{8000, 8100});
  CHECK(show_option(range) == "8000:8100");
  CHECK_FALSE(read_option("9:8", range));
  CHECK(range == PortRange{8000, 8100});
}
