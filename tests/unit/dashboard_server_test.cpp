// The dashboard's web server, talked to over real sockets: who is let in, what is said, and what a bad viewer gets.
#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include "support/served_dashboard.h"

using namespace weft;
using namespace weft::test;
using namespace weft::dashboard;
using Json = nlohmann::json;
using scheduler::Seen;
using scheduler::Sighting;

TEST_CASE("only our own page may read, under our own names") {
  Served served;
  std::string own = "Host: " + served.host() + "\r\n";
  struct Case {
    const char *method, *target;
    std::string headers;
    int status;
  };
  std::string bad_origin = "Origin: http://evil.example\r\n", good_origin = "Origin: http://" + served.host() + "\r\n";
  for (const Case& c :
       {Case{"GET", "/api/v1/overview", own, 200}, Case{"GET", "/api/v1/overview", own + good_origin, 200},
        Case{"GET", "/api/v1/overview", own + bad_origin, 403},
        Case{"GET", "/api/v1/overview", "Host: evil.example\r\n", 421}, Case{"GET", "/api/v1/overview", "", 421},
        Case{"GET", "/api/v1/overview", own + own, 421}, Case{"POST", "/api/v1/overview", own, 405},
        Case{"DELETE", "/", own, 405}, Case{"GET", "/metrics", own, 200}, Case{"GET", "/healthz", "Host: 10.1.2.3\r\n", 200},
        Case{"GET", "/readyz", own, 200}, Case{"GET", "/api/v1/nothing", own, 404},
        Case{"GET", "/api/v2/overview", own, 404}, Case{"GET", "/ws", own, 426},
        Case{"POST", "/api/v1/control/restart", own + good_origin, 403}, Case{"GET", "/../../etc/passwd", own, 404}}) {
    HttpClient client(served.port());
    CAPTURE(c.method);
    CAPTURE(c.target);
    CAPTURE(c.headers);
    CHECK(client.request(std::string(c.method) + ' ' + c.target + " HTTP/1.1\r\n" + c.headers + "\r\n") == c.status);
    CHECK(client.head.find("Content-Security-Policy: default-src 'none'") != std::string::npos);
    CHECK(client.head.find("X-Content-Type-Options: nosniff") != std::string::npos);
  }
  HttpClient stranger(served.port());
  CHECK(stranger.open_websocket(bad_origin) == 403);
}

TEST_CASE("what is no HTTP, or too much of it, ends the connection only") {
  Served served;
  HttpClient nonsense(served.port()), long_header(served.port()), long_body(served.port()), good(served.port());
  CHECK(nonsense.request("\x16\x03\x01 nonsense\r\n\r\n") == 400);
  CHECK(long_header.get("/", "X: " + std::string(20'000, 'x') + "\r\n") == 431);
  CHECK(long_body.request("POST / HTTP/1.1\r\nHost: " + served.host() + "\r\nContent-Length: 100000\r\n\r\n") == 413);
  CHECK(good.get("/healthz") == 200);
  CHECK(good.get("/healthz") == 200);  // the same connection
}

TEST_CASE("questions go to the scheduler; verbs only when they are allowed") {
  std::string key(32, 'a'), json = "Content-Type: application/json\r\n", body = "{\"workers\":[\"w\"]}";
  auto post = [&](Served& served, const std::string& headers) {
    HttpClient client(served.port());
    return client.request("POST /api/v1/control/retire HTTP/1.1\r\nHost: " + served.host() + "\r\n" + headers +
                          "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  Served reads;
  HttpClient client(reads.port());
  CHECK(client.json("/api/v1/tasks/" + key + "/explain")["why"] == "because");
  CHECK(post(reads, json + "Origin: http://" + reads.host() + "\r\n") == 403);
  CHECK(reads.asked == std::vector<std::string>{"explain"});
  Served controls({.control = true});
  CHECK(post(controls, json) == 403);  // no Origin
  CHECK(post(controls, "Origin: http://" + controls.host() + "\r\n") == 415);
  CHECK(post(controls, json + "Origin: http://" + controls.host() + "\r\n") == 200);
  CHECK(controls.asked == std::vector<std::string>{"retire"});
  SUBCASE("too many questions are refused, so that they cost the scheduler little") {
    int refused = 0;
    for (int i = 0; i < 60; ++i) refused += client.get("/api/v1/tasks/" + key + "/explain") == 429;
    CHECK(refused > 0);
  }
}

TEST_CASE("off loopback a token is asked for, and becomes a cookie") {
  std::string file = "/tmp/weft-dashboard-token-" + std::to_string(getpid());
  unlink(file.c_str());
  {
    Served served({.host = "0.0.0.0", .token_file = file});
    char token[65] = {};
    FILE* in = fopen(file.c_str(), "r");
    REQUIRE(in);
    REQUIRE(fread(token, 1, 64, in) == 64);
    fclose(in);
    HttpClient client(served.port());
    CHECK(client.get("/api/v1/overview") == 401);
    CHECK(client.get("/metrics") == 401);
    CHECK(client.get("/healthz") == 200);
    CHECK(client.get("/api/v1/overview", "Authorization: Bearer " + std::string(64, '0') + "\r\n") == 401);
    CHECK(client.get("/api/v1/overview", "Authorization: Bearer " + std::string(token) + "\r\n") == 200);
    CHECK(client.get("/?token=" + std::string(token)) == 303);
    CHECK(client.head.find("HttpOnly; SameSite=Strict") != std::string::npos);
    CHECK(client.get("/api/v1/overview", "Cookie: weft_token=" + std::string(token) + "\r\n") == 200);
    CHECK(served.dashboard->url().find(token) == std::string::npos);
  }
  unlink(file.c_str());
}

TEST_CASE("a viewer hears a snapshot, then what changed") {
  Served served;
  HttpClient viewer(served.port());
  REQUIRE(viewer.open_websocket("Origin: http://" + served.host() + "\r\n") == 101);
  CHECK(Json::parse(viewer.hear())["hello"]["version"] == 1);
  viewer.say(
      R"({"sub":[{"id":1,"get":"/api/v1/overview","hz":10},{"id":2,"get":"/api/v1/stream","hz":10},{"id":3,"get":"/api/v1/nothing"}]})");
  bool snapshot = false, stream = false, refused = false, changed = false;
  while (!snapshot || !stream || !refused) {
    int opcode = 0;
    std::string text = viewer.hear(&opcode);
    REQUIRE(!text.empty());
    if (opcode == 2) stream = text.starts_with("WTF1");
    else if (Json message = Json::parse(text); message["id"] == 1) snapshot |= message.contains("snapshot");
    else refused |= message["error"]["code"] == 404;
  }
  served.observer.write(Sighting{.when = monotonic_now(), .key = {2, 3}, .worker = 1, .what = Seen::transition, .to = 1});
  while (!changed) {
    int opcode = 0;
    std::string text = viewer.hear(&opcode);
    REQUIRE(!text.empty());
    if (opcode != 1) continue;
    Json message = Json::parse(text);
    if (message["id"] == 1 && message.contains("delta")) changed = message["delta"]["tasks"]["waiting"] == 1;
  }
  SUBCASE("a message that is too long ends the session: 1009") {
    viewer.say(std::string(20'000, ' '));
    int opcode = 0;
    std::string text;
    while (opcode != 8) {
      text = viewer.hear(&opcode);
      REQUIRE(!text.empty());
    }
    CHECK((static_cast<unsigned char>(text[0]) << 8 | static_cast<unsigned char>(text[1])) == 1009);
  }
}

TEST_CASE("a viewer that takes nothing is cut; others notice nothing") {
  Served served({.stall = std::chrono::milliseconds(300)});
  for (std::uint64_t i = 1; i <= 20'000; ++i)
    served.observer.write(
        Sighting{.when = monotonic_now(), .key = {2 * i, i}, .worker = 1, .what = Seen::transition, .to = 1});
  HttpClient deaf(served.port(), 4096), good(served.port());
  REQUIRE(deaf.open_websocket() == 101);
  Json tasks = good.json("/api/v1/overview");
  while (tasks["tasks"]["waiting"] != 20'000) tasks = good.json("/api/v1/overview");
  std::string subscriptions;
  for (int i = 1; i <= 4; ++i)
    subscriptions += (i > 1 ? "," : "") + std::string("{\"id\":") + std::to_string(i) +
                     ",\"get\":\"/api/v1/tasks?limit=" + std::to_string(10'001 - i) + "\"}";
  deaf.say("{\"sub\":[" + subscriptions + "]}");
  Json system = good.json("/api/v1/system");
  while (system["viewers"]["cut"] != 1 || system["viewers"]["sessions"] != 0) {
    REQUIRE(system.is_object());
    system = good.json("/api/v1/system");
  }
  CHECK(good.json("/api/v1/overview")["tasks"]["waiting"] == 20'000);
}

TEST_CASE("an order that is not what its verb takes is refused by its field, and the scheduler does not hear of it") {
  Served served({.control = true});
  HttpClient client(served.port());
  auto order = [&](const std::string& verb, const std::string& body) {
    return client.request(
        "POST /api/v1/control/" + verb + " HTTP/1.1\r\nHost: " + served.host() + "\r\nOrigin: http://" + served.host() +
        "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  const std::string key = "[\"" + std::string(32, 'a') + "\"]";
  struct Case {
    std::string verb, body, parameter;
  };
  for (const Case& c :
       {Case{"retire", "{}", "workers"}, Case{"retire", R"({"workers":"w"})", "workers"},
        Case{"retire", R"({"workers":["w",7]})", "workers"}, Case{"retire", R"({"workers":[]})", "workers"},
        Case{"cancel", R"({"keys":["abc"]})", "keys"}, Case{"cancel", R"({"keys":)" + key + R"(,"reason":5})", "reason"},
        Case{"retry", R"({"keys":)" + key + R"(,"reason":"x"})", "reason"}, Case{"restart", R"({"now":true})", "now"},
        Case{"rebalance", R"({"keys":[]})", "keys"}}) {
    CAPTURE(c.verb + c.body);
    CHECK(order(c.verb, c.body) == 400);
    CHECK(Json::parse(client.body)["error"]["parameter"] == c.parameter);
  }
  CHECK(order("explode", "{}") == 404);
  CHECK(order("restart", "[]") == 400);
  CHECK(served.asked.empty());
  CHECK(order("cancel", R"({"keys":)" + key + "}") == 200);
  CHECK(order("restart", "{}") == 200);
  CHECK(served.asked == std::vector<std::string>{"cancel", "restart"});
}
