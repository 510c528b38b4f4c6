#include <doctest/doctest.h>

#include "scheduler/server.h"
#include "support/scripted_endpoint.h"

using namespace weft;
using namespace weft::test;
using scheduler::Quarantine;

TEST_CASE("three protocol errors within a minute keep a key out for a minute, and nobody else") {
  Quarantine quarantine;
  Time now{1'000'000'000};
  quarantine.note("bad", now);
  quarantine.note("bad", now + 59s);
  CHECK_FALSE(quarantine.holds("bad", now + 59s));
  quarantine.note("bad", now + 61s);  // the first is older than a minute
  CHECK_FALSE(quarantine.holds("bad", now + 61s));
  quarantine.note("bad", now + 62s);
  CHECK(quarantine.holds("bad", now + 62s));
  CHECK(quarantine.holds("bad", now + 121s));
  CHECK_FALSE(quarantine.holds("bad", now + 122s));
  CHECK_FALSE(quarantine.holds("good", now + 62s));
  for (int i = 0; i < 5; ++i) quarantine.note("", now);
  CHECK_FALSE(quarantine.holds("", now));
}

namespace {

/// A scheduler, and peers 1, 2, ... whose keys the test chooses.
struct Doors {
  ScriptedEndpoint* end;
  std::unique_ptr<scheduler::Server> server;
  Doors() {
    auto endpoint = std::make_unique<ScriptedEndpoint>();
    end = endpoint.get();
    server = std::make_unique<scheduler::Server>(scheduler::Options{}, std::move(endpoint));
    end->at_end = [this] { server->stop(); };
  }
  void say(std::uint64_t peer, const std::string& key, Bytes frame) {
    end->identities[{peer}] = {"client", key};
    end->say({peer}, std::move(frame));
  }
  static Bytes hello(std::uint64_t session) { return encode(std::vector<ClientMessage>{ClientHello{1, 1, {1, session}, "c"}}); }
  std::string refusal(std::uint64_t peer) {
    auto refused = end->heard<ClientBound, Refused>({peer});
    return refused.size() == 1 && refused[0].failure.failure.kind == ErrorKind::protocol_error ? refused[0].failure.failure.message : "";
  }
};

}  // namespace

TEST_CASE("who sends nonsense is told why and cut; at the third time its key is kept out, and others stay") {
  Doors doors;
  const Bytes nonsense{std::byte{0xc1}};
  doors.say(1, "good", Doors::hello(1));
  doors.say(2, "bad", Doors::hello(2));                  // speaks well, and stays
  for (std::uint64_t peer : {3, 4, 5}) doors.say(peer, "bad", nonsense);
  doors.say(6, "bad", Doors::hello(6));
  doors.say(7, "good", Doors::hello(7));
  doors.say(1, "good", encode(std::vector<ClientMessage>{ClientHeartbeat{}}));
  doors.say(2, "bad", encode(std::vector<ClientMessage>{ClientHeartbeat{}}));
  doors.server->run();
  for (std::uint64_t peer : {3, 4, 5}) CHECK(doors.refusal(peer) == "expected an array");
  CHECK(doors.refusal(6).find("three times within a minute") != std::string::npos);
  CHECK(doors.end->closed == std::set<PeerId>{{3}, {4}, {5}, {6}});
  CHECK(doors.end->heard<ClientBound, ClientWelcome>({7}).size() == 1);
  for (std::uint64_t peer : {1, 2}) CHECK(doors.end->heard<ClientBound, SchedulerTick>({peer}).size() == 1);
}
