// Bad and much input for a whole scheduler (its server and state, without sockets): who is well-behaved notices nothing, and
// memory comes back. WEFT_FUZZ_ROUNDS makes the runs longer.
#include <malloc.h>

#include <random>

#include <doctest/doctest.h>

#include "fuzz/fuzz.h"
#include "scheduler/server.h"
#include "support/scheduler_harness.h"
#include "support/scripted_endpoint.h"

using namespace weft;
using namespace weft::test;

namespace {

std::size_t factor() {
  const char* more = std::getenv("WEFT_FUZZ_ROUNDS");
  return more ? std::strtoull(more, nullptr, 10) : 1;
}
std::int64_t bytes_in_use() {
  struct mallinfo2 info = mallinfo2();
  return static_cast<std::int64_t>(info.uordblks + info.hblkhd);
}

/// A peer with the right key that sends damaged messages, as a client and as a worker; cut, it comes again.
class Attacker {
 public:
  explicit Attacker(ScriptedEndpoint& end) : end_(end) {}
  void attack() {
    if (!peer_ || end_.closed.contains(peer_)) {
      end_.closed.erase(peer_);
      end_.identities.erase(peer_);
      end_.sent.erase(peer_);
      peer_ = {++last_};
      end_.identities[peer_] = {worker() ? "worker" : "client", ""};
      end_.say(peer_, worker() ? encode(std::vector<WorkerMessage>{hello()}) : encode(std::vector<ClientMessage>{ClientHello{1, 1, {9, 9}, "fuzz"}}));
    }
    end_.sent[peer_].clear();
    Bytes noise(200);
    for (std::byte& byte : noise) byte = std::byte(random_());
    fuzz::Source source(noise);
    Bytes frame = worker() ? encode(std::vector<WorkerMessage>{source.make<WorkerMessage>()}) : encode(std::vector<ClientMessage>{source.make<ClientMessage>()});
    for (std::uint64_t i = random_() % 4; i > 0; --i) frame[random_() % frame.size()] = std::byte(random_());
    end_.say(peer_, std::move(frame));
  }

 private:
  bool worker() const { return peer_.number % 2 == 0; }
  static WorkerHello hello() { return {.protocol_min = 1, .protocol_max = 1, .name = "fuzz", .instance = 1, .secret = Bytes(16)}; }
  ScriptedEndpoint& end_;
  PeerId peer_;
  std::uint64_t last_ = 100;
  std::mt19937_64 random_{7};
};

}  // namespace

TEST_CASE("A32: 10^5 mutated messages of an authenticated peer; a healthy one is answered each time, and memory stays") {
  const std::size_t attacks = 100'000 * factor(), attacks_a_beat = 100;
  auto endpoint = std::make_unique<ScriptedEndpoint>();
  ScriptedEndpoint& end = *endpoint;
  scheduler::Server server({}, std::move(endpoint));
  const PeerId healthy{1};  // its session has a number that nobody guesses, as all have
  end.say(healthy, encode(std::vector<ClientMessage>{ClientHello{1, 1, {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9}, "healthy"}}));
  Attacker attacker(end);
  std::size_t sent = 0, beats = 0, answers = 0;
  std::int64_t before = 0;
  end.at_end = [&] {
    answers += end.heard<ClientBound, SchedulerTick>(healthy).size();
    if (sent == attacks / 10) before = bytes_in_use();
    if (sent >= attacks) return server.stop();
    for (std::size_t i = 0; i < attacks_a_beat; ++i, ++sent) attacker.attack();
    end.say(healthy, encode(std::vector<ClientMessage>{ClientHeartbeat{++beats}}));
  };
  server.run();
  CHECK(sent == attacks);
  CHECK(answers == beats);
  CHECK_FALSE(end.closed.contains(healthy));
  CHECK(bytes_in_use() - before < 64 << 20);
}

TEST_CASE("A17: 10^5 futures of a client that died are released after its grace, and their memory comes back") {
  const int futures = 100'000;
  SchedulerHarness s;
  s.checked = false;
  s.join({.name = "w", .slots = 4});
  std::vector<TaskSpec> specs;
  for (int i = 0; i < futures; ++i) specs.push_back(task("t" + std::to_string(i)));
  std::int64_t baseline = 0;
  for (int round = 0; round < 3; ++round) {
    int who = s.client();
    s.submit(specs, who);
    CHECK(s.state.counts().tasks == futures);
    s.disconnect(who);
    s.pass(s.state.options().client_grace - 2s);
    CHECK(s.state.counts().tasks == futures);
    s.pass(4s);
    CHECK(s.state.counts().tasks == 0);
    s.state.check();
    s.forget_mail();
    if (round == 0) continue;  // tables keep their room for the next
    if (round == 1) baseline = bytes_in_use();
    else CHECK(bytes_in_use() <= baseline + baseline / 100);  // both are 0 where a sanitizer allocates
  }
}

TEST_CASE("A30: many tiny tasks leave the scheduler's memory as it was") {
  const std::size_t rounds = 50 * factor();
  const int tasks_a_round = 2'000;
  SchedulerHarness s;
  s.checked = false;
  s.join({.name = "w", .slots = 4});
  std::int64_t baseline = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    std::vector<TaskSpec> specs;
    for (int i = 0; i < tasks_a_round; ++i) specs.push_back(task(std::to_string(round) + "-" + std::to_string(i)));
    std::vector<Key> keys = s.submit(specs);
    while (s.state.counts().by_state[static_cast<int>(TaskState::stored)] < keys.size())
      for (const Assign& order : s.heard<Assign>(WorkerId{1})) s.say(WorkerId{1}, AttemptFinished{order.attempt, order.key, 8, 1us, Bytes(8)});
    s.release(keys);
    s.forget_mail();
    REQUIRE(s.state.counts().tasks == 0);
    // The story and the measurements are full by then.
    if (round == rounds * 3 / 5) baseline = bytes_in_use();
  }
  s.state.check();
  CHECK(bytes_in_use() <= baseline + baseline / 100);  // both are 0 where a sanitizer allocates
}
