// Who may talk to the dashboard.
#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <memory>

#include <sys/stat.h>
#include <unistd.h>

#include "dashboard/safety.h"

using namespace weft;
using namespace weft::dashboard;

TEST_CASE("only our own names are a Host, only our own page an Origin") {
  Doors doors("127.0.0.1", {"proxy.example"}, "");
  for (const char* good : {"localhost:8787", "127.0.0.1:8787", "[::1]:8787", "LOCALHOST", "proxy.example"})
    CHECK(doors.host_is_ours(good));
  for (const char* bad :
       {"", "evil.example:8787", "127.0.0.1.evil.example", "localhost.", "[::2]:80", "[::1].evil.example", "[::1]x"})
    CHECK_FALSE(doors.host_is_ours(bad));
  CHECK(doors.origin_is_ours("", "localhost:8787"));
  CHECK(doors.origin_is_ours("http://localhost:8787", "localhost:8787"));
  for (const char* bad :
       {"null", "http://evil.example", "http://localhost:9", "http://localhost:8787.evil.example", "file://"})
    CHECK_FALSE(doors.origin_is_ours(bad, "localhost:8787"));
}

TEST_CASE("a token comes as bearer or as cookie, whole") {
  Doors doors("10.0.0.1", {}, "0123456789abcdef0123");
  CHECK(doors.token_is_right("Bearer 0123456789abcdef0123", ""));
  CHECK(doors.token_is_right("bearer 0123456789abcdef0123", ""));
  CHECK(doors.token_is_right("", "a=b; weft_token=0123456789abcdef0123"));
  for (const char* bad : {"", "Bearer ", "Bearer 0123456789abcdef012", "0123456789abcdef0123"})
    CHECK_FALSE(doors.token_is_right(bad, "weft_token="));
}

TEST_CASE("a token is made once, private, and refused when others may read it") {
  std::string path = "/tmp/weft-token-" + std::to_string(getpid());
  unlink(path.c_str());
  auto made = read_or_make_token(path);
  REQUIRE(made);
  CHECK(made->size() == 64);
  CHECK(*read_or_make_token(path) == *made);
  chmod(path.c_str(), 0644);
  CHECK_FALSE(read_or_make_token(path));
  unlink(path.c_str());
}

TEST_CASE("who listens on all addresses is reached by those of this machine, and by no name that leads there") {
  ifaddrs* first = nullptr;
  REQUIRE(getifaddrs(&first) == 0);
  std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all(first, freeifaddrs);
  Doors everywhere("0.0.0.0", {}, "0123456789abcdef"), here("127.0.0.1", {}, "");
  int seen = 0;
  for (const ifaddrs* each = first; each; each = each->ifa_next) {
    char text[INET_ADDRSTRLEN];
    if (!each->ifa_addr || each->ifa_addr->sa_family != AF_INET) continue;
    REQUIRE(inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr, text, sizeof text));
    const std::string address = text;
    CAPTURE(address);
    ++seen;
    CHECK(everywhere.host_is_ours(address + ":8787"));
    CHECK(everywhere.origin_is_ours("http://" + address + ":8787", address + ":8787"));
    CHECK(here.host_is_ours(address) == (address == "127.0.0.1"));
    CHECK_FALSE(everywhere.host_is_ours(address + ".evil.example"));
  }
  CHECK(seen > 0);
  CHECK_FALSE(everywhere.host_is_ours("192.0.2.1"));  // kept for documents: nobody has it
  CHECK_FALSE(everywhere.host_is_ours("evil.example:8787"));
  CHECK_FALSE(everywhere.host_is_ours(""));
  CHECK(everywhere.names().find("an address of this machine") != std::string::npos);
}

TEST_CASE("a token that cannot be written is the system's trouble, in its words") {
  auto token = read_or_make_token("/proc/nowhere/token");
  REQUIRE_FALSE(token);
  CHECK(token.error().kind == ErrorKind::io_error);
  CHECK(token.error().message ==
        "cannot read or make the dashboard's token in /proc/nowhere/token: No such file or directory; name another file "
        "with --dashboard-token-file");
}
