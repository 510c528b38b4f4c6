// Everybody who may not come in, one by one: every method with every Origin, Host and token, as HTTP and as WebSocket; and
// five hundred names that are markup, which no answer repeats as such.
#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdio>

#include "support/served_dashboard.h"

using namespace weft;
using namespace weft::test;
using Json = nlohmann::json;
using scheduler::Seen;
using scheduler::Sighting;

namespace {

std::string read_token(const std::string& file) {
  char token[65] = {};
  FILE* in = std::fopen(file.c_str(), "r");
  REQUIRE(in);
  REQUIRE(std::fread(token, 1, 64, in) == 64);
  std::fclose(in);
  return token;
}

struct Choice {
  std::string header;  // "" is none
  bool good = false;
};

/// Twenty bodies in twenty-five wrappings.
std::vector<std::string> payloads() {
  const char* bodies[] = {"alert(1)",
                          "window.broken=1",
                          "fetch('//evil')",
                          "document.cookie",
                          "eval(name)",
                          "top.location='//evil'",
                          "print()",
                          "import('//evil')",
                          "new Worker('//evil')",
                          "postMessage(1,'*')",
                          "open('//evil')",
                          "setTimeout('x')",
                          "location=name",
                          "history.back()",
                          "navigator.sendBeacon('//e')",
                          "localStorage.x=1",
                          "parent.x=1",
                          "throw 1",
                          "debugger",
                          "void 0"};
  const char* around[] = {"<script>%</script>",
                          "</script><script>%</script>",
                          "<img src=x onerror=\"%\">",
                          "<svg onload=\"%\">",
                          "<svg><script>%</script></svg>",
                          "\"><b onmouseover=\"%\">x</b>",
                          "' autofocus onfocus='%",
                          "<iframe srcdoc=\"<script>%</script>\">",
                          "<a href=\"javascript:%\">x</a>",
                          "<body onload=\"%\">",
                          "<style>@import '%'</style>",
                          "<!--<script>%--></script>",
                          "<math><mi xlink:href=\"javascript:%\">",
                          "<details open ontoggle=\"%\">",
                          "<video><source onerror=\"%\">",
                          "<object data=\"javascript:%\">",
                          "<base href=\"//%/\">",
                          "<meta http-equiv=refresh content=\"0;javascript:%\">",
                          "{{%}}",
                          "${%}",
                          "<input onfocus=\"%\" autofocus>",
                          "&lt;script&gt;%&lt;/script&gt;",
                          "<template><script>%</script></template>",
                          "\xe2\x80\xae<marquee onstart=\"%\">",
                          "]]><script>%</script>"};
  std::vector<std::string> all;
  for (std::string wrapping : around)
    for (const char* body : bodies) all.push_back(std::string(wrapping).replace(wrapping.find('%'), 1, body));
  return all;
}

}  // namespace

TEST_CASE("of 2,592 ways to ask, exactly the allowed ones are answered") {
  std::string file = "/tmp/weft-matrix-token-" + std::to_string(getpid());
  unlink(file.c_str());
  Served served({.host = "0.0.0.0", .hosts = {"proxy.example"}, .token_file = file});
  const std::string token = read_token(file), port = ':' + std::to_string(served.port());
  unlink(file.c_str());
  const char* methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"};
  const Choice hosts[] = {{"127.0.0.1" + port, true}, {"localhost" + port, true},        {"proxy.example", true},
                          {"evil.example" + port},    {"127.0.0.1.evil.example" + port}, {""}};
  // Wrong tokens last: after ten of them nobody on this address is let in.
  const Choice tokens[] = {{"Authorization: Bearer " + token + "\r\n", true},
                           {"Cookie: weft_token=" + token + "\r\n", true},
                           {""},
                           {"Authorization: Bearer " + std::string(64, '0') + "\r\n"}};
  int asked = 0, answered = 0, expected = 0;
  for (const Choice& key : tokens)
    for (const Choice& host : hosts) {
      const Choice origins[] = {{"", true}, {"http://" + host.header, true}, {"https://" + host.header, true},
                                {"null"},   {"http://evil.example"},         {"http://localhost:1"}};
      for (const Choice& origin : origins)
        for (bool websocket : {false, true})
          for (std::string method : methods) {
            HttpClient client(served.port());
            std::string text = method + (websocket ? " /ws" : " /api/v1/overview") + " HTTP/1.1\r\n" + key.header;
            if (!host.header.empty()) text += "Host: " + host.header + "\r\n";
            if (!origin.header.empty()) text += "Origin: " + origin.header + "\r\n";
            if (websocket)
              text +=
                  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                  "dGhlIHNhbXBsZSBub25jZQ==\r\n";
            int status = client.request(text + "\r\n");
            bool nameless_cookie = websocket && origin.header.empty() && key.header.starts_with("Cookie");
            bool allowed = host.good && origin.good && key.good && !nameless_cookie &&
                           (method == "GET" || (method == "HEAD" && !websocket));
            bool in = status == (websocket ? 101 : 200);
            ++asked, answered += in, expected += allowed;
            if (in != allowed || status == 0 ||
                client.head.find("Content-Security-Policy: default-src 'none'") == std::string::npos)
              FAIL_CHECK(text << " gave " << status);
          }
    }
  CHECK(asked == 2592);
  CHECK(answered == expected);
  CHECK(expected > 0);
  HttpClient late(served.port());
  CHECK(late.get("/api/v1/overview", tokens[0].header) == 429);  // guessing has its price
  CHECK(late.get("/?token=" + token) == 429);                    // in the address, too
}

TEST_CASE("five hundred names that are markup are never repeated as markup") {
  Served served;
  const auto names = payloads();
  REQUIRE(names.size() == 500);
  scheduler::Observer& out = served.observer;
  for (std::uint32_t i = 0; i < names.size(); ++i) {
    const Time now = monotonic_now();
    const Key key{2 * i + 2, i};
    const std::string end(1, '\0');
    out.name_group(now, i, names[i]);
    out.write(Sighting{.when = now, .worker = i + 1, .what = Seen::joined},
              names[i] + end + names[i] + end + names[i] + end + "1" + end + "1" + end + "1" + end);
    out.write(Sighting{.when = now, .key = key, .group = i, .worker = i + 1, .what = Seen::transition, .to = 5});
    out.write(Sighting{.when = now, .key = key, .group = i, .worker = i + 1, .what = Seen::failed},
              "task_error" + end + names[i] + end + names[i] + end + names[i] + end + names[i] + end);
    out.write(Sighting{.when = now, .key = key, .worker = i + 1, .extra = 3, .what = Seen::log}, names[i]);
    out.edge(i, (i + 1) % 500, i % 2 == 0);
  }
  out.flush_edges();
  HttpClient client(served.port());
  while (client.json("/api/v1/logs?limit=10000")["lines"].size() != 500) REQUIRE(client.is_open());
  Json logs = Json::parse(client.body);
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(logs["lines"][i]["text"] == names[i]);
  for (const char* path : {"overview",
                           "workers",
                           "groups",
                           "graph",
                           "tasks?limit=10000",
                           "critical_path",
                           "memory",
                           "memory?by=group",
                           "memory?by=key",
                           "network",
                           "profile",
                           "errors",
                           "events?limit=10000",
                           "logs?limit=10000",
                           "series?by=worker",
                           "runs",
                           "system",
                           "config",
                           "scale",
                           "timeline",
                           "trace?format=chrome",
                           "nothing/<script>",
                           "tasks/<script>"}) {
    client.get(std::string("/api/v1/") + path);
    CAPTURE(path);
    CHECK(client.body.find_first_of("<>") == std::string::npos);
    CHECK(client.head.find("Content-Security-Policy: default-src 'none'") != std::string::npos);
    CHECK(client.head.find("nosniff") != std::string::npos);
  }
}
