// Tokens, and values that are pulled.
#include "support/transfer_world.h"

using namespace weft;
using namespace weft::test::transfer;

TEST_CASE("a token opens its own key once, and no forged or foreign one does") {
  TokenGate gate(secret);
  Token token = make_token(secret, key(1), 5);
  CHECK(gate.accepts(key(1), token));
  CHECK_FALSE(gate.accepts(key(2), token));
  CHECK_FALSE(gate.accepts(key(1), {token.nonce + 1, token.seal}));
  CHECK_FALSE(gate.accepts(key(1), {token.nonce, token.seal ^ 1}));
  CHECK_FALSE(gate.accepts(key(1), make_token(Bytes(token_secret_size, std::byte{8}), key(1), 5)));
  gate.use_up(token);
  CHECK_FALSE(gate.accepts(key(1), token));
  CHECK(gate.accepts(key(1), make_token(secret, key(1), 6)));
}

TEST_CASE("a gate never accepts a used nonce again, in bounded memory") {
  TokenGate gate(secret, 8);
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> used;
  for (std::uint64_t base = 0; base < 2000; base += 20)
    for (int i = 0; i < 10; ++i) {
      std::uint64_t nonce = base + random() % 20;
      gate.use_up({nonce, 0});
      used.push_back(nonce);
      REQUIRE(gate.remembered() <= 8);
    }
  for (std::uint64_t nonce : used) CHECK_FALSE(gate.accepts(key(1), make_token(secret, key(1), nonce)));
  CHECK(gate.accepts(key(1), make_token(secret, key(1), 5000)));
}

TEST_CASE("used nonces without gaps take the memory of one, in any order") {
  TokenGate gate(secret);
  for (std::uint64_t nonce : {3, 1, 2, 5, 4, 3}) gate.use_up({nonce, 0});
  CHECK(gate.remembered() == 1);
}

TEST_CASE("a whole value arrives equal, with its content number") {
  for (std::size_t size : {0ul, 1ul, 100ul, mib - 64, mib, 5 * mib + 17}) {
    CAPTURE(size);
    World w;
    Value value = value_of(size, 1);
    w.holder("a").values[key(1)] = {value, false, 77};
    w.fetch(1, key(1), {w.location("a", key(1))});
    w.run();
    CHECK(w.got(1, value.block()));
    CHECK(w.ended[{1}].content == 77);
    CHECK(w.fetcher().bytes_in_flight() == 0);
    CHECK(w.fetcher().active() == 0);
  }
}

TEST_CASE("one part is fetched alone, also an empty one") {
  World w;
  Bytes first(10, std::byte{1}), second(3 * mib, std::byte{2});
  std::vector<std::span<const std::byte>> parts{first, second, {}};
  w.holder("a").values[key(1)] = {Value::make(0, parts), false, 5};
  w.fetch(1, key(1), {w.location("a", key(1))}, 1);
  w.fetch(2, key(1), {w.location("a", key(1))}, 2);
  w.fetch(3, key(1), {w.location("a", key(1))}, 3);
  w.run();
  CHECK(w.got(1, Buffer::copy(second)));
  CHECK(w.got(2, Buffer{}));
  CHECK(w.ended[{3}].failure.message.find("no such part") != std::string::npos);
}

TEST_CASE("a wrong hint of the size changes nothing") {
  for (std::uint64_t hint : {1ul, 1000ul, 2 * mib, 100 * mib}) {
    World w;
    Value value = value_of(2 * mib, 1);
    w.holder("a").values[key(1)] = {value, false, 1};
    w.fetcher().start({.id = {1}, .key = key(1), .bytes = hint, .locations = {w.location("a", key(1))}});
    w.fetcher().serve(w.now);
    w.run();
    CHECK(w.got(1, value.block()));
  }
}

TEST_CASE("transfers share one link and its bounds, and none starves") {
  World w;
  w.options.in_flight_max = 6 * mib;
  w.options.in_flight_per_peer_max = 3 * mib;
  std::vector<Value> values;
  for (std::uint64_t n = 0; n < 6; ++n) {
    values.push_back(value_of((n + 1) * mib, n));
    w.holder(n % 3 == 0 ? "a" : n % 3 == 1 ? "b" : "c").values[key(n)] = {values.back(), false, 1};
  }
  for (std::uint64_t n = 0; n < 6; ++n) w.fetch(n + 1, key(n), {w.location(n % 3 == 0 ? "a" : n % 3 == 1 ? "b" : "c", key(n))});
  w.run();
  for (std::uint64_t n = 0; n < 6; ++n) CHECK(w.got(n + 1, values[n].block()));
  CHECK(w.net.connections == 3);
  CHECK(w.most_in_flight <= 6 * mib);
  CHECK(w.most_in_flight > 5 * mib);
}

TEST_CASE("bytes asked from one peer stay below its bound") {
  World w;
  w.options.in_flight_per_peer_max = 2 * mib;
  Value value = value_of(20 * mib, 3);
  w.holder("a").values[key(1)] = {value, false, 1};
  w.fetch(1, key(1), {w.location("a", key(1))});
  w.run();
  CHECK(w.got(1, value.block()));
  CHECK(w.most_in_flight <= 2 * mib);
  CHECK(w.most_in_flight > mib);
}

TEST_CASE("a peer lost in mid-transfer: another copy goes on where it stopped") {
  World w;
  Value value = value_of(10 * mib, 3);
  w.holder("a").values[key(1)] = {value, false, 9};
  w.holder("b").values[key(1)] = {value, false, 9};
  w.options.in_flight_per_peer_max = 2 * mib;
  w.fetch(1, key(1), {w.location("a", key(1), 1), w.location("b", key(1), 2)});
  for (int i = 0; i < 6; ++i) w.step();
  REQUIRE(w.fetcher().active() == 1);
  std::size_t frames = w.net.frames;
  w.net.lose("a");
  w.run();
  CHECK(w.got(1, value.block()));
  CHECK(w.places_given == 1);
  CHECK(w.net.frames - frames < 8);   // not all 11 ranges again
  CHECK(w.ended[{1}].tried == std::vector<WorkerId>{{1}});
}

TEST_CASE("a copy with other bytes is fetched from the start, never mixed") {
  for (std::size_t other_size : {10 * mib, 3 * mib, 100ul}) {
    World w;
    Value first = value_of(10 * mib, 3), other = value_of(other_size, 4);
    w.holder("a").values[key(1)] = {first, false, 9};
    w.holder("b").values[key(1)] = {other, false, 10};
    w.options.in_flight_per_peer_max = 2 * mib;
    w.fetch(1, key(1), {w.location("a", key(1)), w.location("b", key(1))});
    for (int i = 0; i < 6; ++i) w.step();
    REQUIRE(w.fetcher().active() == 1);
    w.net.lose("a");
    w.run();
    CHECK(w.got(1, other.block()));
    CHECK(w.ended[{1}].content == 10);
  }
}

TEST_CASE("missing value, wrong token, unknown address: each is tried, then the fetch fails and names them") {
  World w;
  w.holder("a");
  w.holder("b").values[key(1)] = {value_of(10, 1), false, 1};
  Location forged = w.location("b", key(2), 2);
  w.fetch(1, key(1), {w.location("a", key(1), 1), forged, w.location("nowhere", key(1), 3)});
  w.run();
  REQUIRE(w.ended.contains({1}));
  CHECK(w.ended[{1}].failure.kind == ErrorKind::worker_unavailable);
  CHECK(w.ended[{1}].tried == std::vector<WorkerId>{{1}, {2}, {3}});
  CHECK(w.places_given == 0);
  w.fetch(2, key(1), {});
  w.run();
  CHECK(w.ended[{2}].failure.kind == ErrorKind::worker_unavailable);
}

TEST_CASE("a token that completed a transfer is refused, one that did not is not") {
  World w;
  w.options.in_flight_per_peer_max = mib;
  Value value = value_of(5 * mib, 1);
  w.holder("a").values[key(1)] = {value, false, 1};
  Location location = w.location("a", key(1));
  w.fetch(1, key(1), {location});
  w.step();
  w.fetcher().cancel({1});
  w.run();
  w.fetch(2, key(1), {location});
  w.run();
  CHECK(w.got(2, value.block()));
  w.fetch(3, key(1), {location});
  w.run();
  CHECK(w.ended[{3}].failure.message.find("token") != std::string::npos);
}

TEST_CASE("a cancelled fetch says nothing more, and its bytes count until they came") {
  World w;
  w.holder("a").values[key(1)] = {value_of(5 * mib, 1), false, 1};
  w.fetch(1, key(1), {w.location("a", key(1))});
  for (int i = 0; i < 3; ++i) w.step();
  w.fetcher().cancel({1});
  CHECK(w.fetcher().bytes_in_flight() > 0);
  w.run();
  CHECK(w.fetcher().bytes_in_flight() == 0);
  CHECK(w.ended.empty());
}

TEST_CASE("a value on disk is answered when it came back, in order") {
  World w;
  Value value = value_of(3 * mib, 1);
  Holder& a = w.holder("a");
  a.values[key(1)] = {value, true, 1};
  w.fetch(1, key(1), {w.location("a", key(1))});
  w.run();
  CHECK(w.ended.empty());
  a.values[key(1)].on_disk = false;
  w.net.reply(a.server.arrived(key(1)));
  w.run();
  CHECK(w.got(1, value.block()));
  CHECK(a.server.arrived(key(1)).empty());
}

TEST_CASE("ranges beyond the end are refused or cut") {
  World w;
  Holder& a = w.holder("a");
  Value value = value_of(1000, 1);
  a.values[key(1)] = {value, false, 1};
  auto ask = [&](std::uint64_t offset, std::uint64_t length) {
    auto token = make_token(secret, key(1), ++w.nonce);
    return answer_to<ValueRange>(a.server, {1}, GetRange{1, key(1), whole_value, offset, length, token});
  };
  CHECK(ask(0, 10).bytes == 10);
  CHECK(ask(value.size() - 5, 100).bytes == 5);
  CHECK(ask(value.size(), 1).error.empty());
  CHECK(ask(value.size(), 1).bytes == 0);
  CHECK_FALSE(ask(value.size() + 1, 1).error.empty());
  CHECK_FALSE(ask(UINT64_MAX, 5).error.empty());
  CHECK_FALSE(ask(0, UINT64_MAX).error.empty());
}

TEST_CASE("a frame whose bytes are not its ranges', or of too many requests, is nobody's honest frame") {
  Holder a;
  auto refused = [&](const std::vector<ValueRequest>& requests, std::size_t payload) {
    return !a.server.on_frame({1}, Buffer::own(encode(requests)), Buffer::own(Bytes(payload)));
  };
  PutRange put{.key = key(1), .offset = 0, .total = 10, .bytes = 5, .token = make_token(secret, key(1), 1)};
  CHECK(refused({put}, 4));
  CHECK(refused({put}, 6));
  CHECK(refused({GetRange{.key = key(1)}}, 1));
  put.bytes = UINT64_MAX;
  CHECK(refused({put}, 5));
  CHECK(refused(std::vector<ValueRequest>(messages_per_frame_max + 1, GetRange{}), 0));
  CHECK_FALSE(refused(std::vector<ValueRequest>(messages_per_frame_max, GetRange{}), 0));
  CHECK_FALSE(a.server.on_frame({1}, Buffer::copy(std::string_view("garbage")), {}));
}

TEST_CASE("a lying holder is cut off, and the next one is asked") {
  for (int lie = 0; lie < 9; ++lie) {
    CAPTURE(lie);
    World w;
    Value value = value_of(2 * mib, 1);
    w.holder("a");
    w.holder("b").values[key(1)] = {value, false, 1};
    w.fetch(1, key(1), {w.location("a", key(1)), w.location("b", key(1))});
    PeerId peer = w.net.to_holders.front().peer;
    w.net.to_holders.clear();
    ValueRange reply{.request = 1, .offset = 0, .total = 2 * mib, .content = 1};
    Buffer payload = Buffer::own(Bytes(mib));
    if (lie == 0) reply.offset = 5;
    if (lie == 1) reply.total = 10;
    if (lie == 2) payload = Buffer::own(Bytes(mib - 1));
    if (lie == 3) payload = Buffer::own(Bytes(mib + 1));
    if (lie == 4) reply.request = 99;
    reply.bytes = payload.size();
    if (lie == 7) reply.bytes = mib + 1;
    if (lie == 8) reply.bytes = 0;
    std::vector<ValueReply> replies{reply};
    if (lie == 6) replies = {PutDone{.key = key(1)}};
    Buffer head = Buffer::own(encode(replies));
    if (lie == 5) head = Buffer::copy(std::string_view("garbage"));
    w.fetcher().on_event(Received{peer, head, payload}, w.now);
    CHECK_FALSE(w.net.open.contains(peer));
    w.run();
    CHECK(w.got(1, value.block()));
  }
}

TEST_CASE("a holder that answers out of order is cut off, and the next one is asked") {
  World w;
  Value value = value_of(5 * mib, 1);
  w.holder("a").values[key(1)] = {value, false, 1};
  w.holder("b").values[key(1)] = {value, false, 1};
  w.fetch(1, key(1), {w.location("a", key(1)), w.location("b", key(1))});
  w.step();
  PeerId peer = w.net.open.begin()->first;
  while (w.net.step_holder()) {
  }
  REQUIRE(w.net.to_us.size() > 1);
  std::swap(w.net.to_us[0], w.net.to_us[1]);
  w.step();
  CHECK_FALSE(w.net.open.contains(peer));
  w.net.to_us.clear();
  w.run();
  CHECK(w.got(1, value.block()));
}

TEST_CASE("many small values of one holder are asked for in one frame and come in few") {
  World w;
  std::vector<Value> values;
  for (std::uint64_t n = 0; n < 200; ++n) {
    values.push_back(value_of(n % 7 == 0 ? 100'000 : 5000, n));   // big ones are not copied to join the others
    w.holder("a").values[key(n)] = {values.back(), false, n + 1};
  }
  for (std::uint64_t n = 0; n < 200; ++n)
    w.fetcher().start({.id = {n + 1}, .key = key(n), .bytes = values[n].size(), .locations = {w.location("a", key(n))}});
  w.fetcher().serve(w.now);
  CHECK(w.net.frames == 1);
  w.net.step_holder();
  CHECK(w.net.to_us.size() < 70);
  w.run();
  for (std::uint64_t n = 0; n < 200; ++n) CHECK(w.got(n + 1, values[n].block()));
  CHECK(w.net.frames == 1);
}

TEST_CASE("a silent peer is given up when its time is over, an idle link is closed") {
  World w;
  Value value = value_of(100, 1);
  w.holder("a");
  w.holder("b").values[key(1)] = {value, false, 1};
  w.fetch(1, key(1), {w.location("a", key(1)), w.location("b", key(1))});
  w.net.to_holders.clear();
  CHECK(w.fetcher().wake_at() == w.now + w.options.stall);
  w.now = w.fetcher().wake_at();
  w.fetcher().serve(w.now);
  w.run();
  CHECK(w.got(1, value.block()));
  CHECK(w.net.open.size() == 1);
  w.now = w.fetcher().wake_at();
  w.fetcher().serve(w.now);
  CHECK(w.net.open.empty());
  CHECK(w.fetcher().wake_at() == Time::never());
}

TEST_CASE("links stay below their limit, and all transfers end") {
  World w;
  w.options.links_max = 2;
  for (std::uint64_t n = 0; n < 8; ++n) {
    std::string address(1, static_cast<char>('a' + n));
    w.holder(address).values[key(n)] = {value_of(2 * mib, n), false, 1};
  }
  for (std::uint64_t n = 0; n < 8; ++n) w.fetch(n + 1, key(n), {w.location(std::string(1, static_cast<char>('a' + n)), key(n))});
  w.run();
  for (std::uint64_t n = 0; n < 8; ++n) CHECK(w.got(n + 1, value_of(2 * mib, n).block()));
  CHECK(w.net.open_max == 2);
}

TEST_CASE("a connection that takes no more counts as lost") {
  World w;
  w.holder("a").values[key(1)] = {value_of(100, 1), false, 1};
  w.net.full = true;
  w.fetch(1, key(1), {w.location("a", key(1))});
  CHECK(w.ended[{1}].failure.kind == ErrorKind::worker_unavailable);
  CHECK(w.fetcher().bytes_in_flight() == 0);
}

TEST_CASE("random losses: every fetch ends once, right or with a failure") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    World w;
    w.options.in_flight_max = 3 * mib;
    w.options.in_flight_per_peer_max = 2 * mib;
    w.options.links_max = 1 + random() % 4;
    std::vector<std::string> names{"a", "b", "c", "d"};
    std::vector<Value> values;
    for (std::uint64_t n = 0; n < 8; ++n) {
      values.push_back(value_of(random() % (4 * mib), n));
      for (auto& name : names)
        if (random() % 2) w.holder(name).values[key(n)] = {values[n], false, random() % 3};
        else w.holder(name);
    }
    for (std::uint64_t n = 0; n < 8; ++n) {
      std::vector<Location> locations;
      for (auto& name : names) locations.push_back(w.location(name, key(n)));
      std::shuffle(locations.begin(), locations.end(), random);
      w.fetch(n + 1, key(n), locations);
    }
    for (int i = 0; w.step(); ++i) {
      if (i % 10 == 9 && random() % 4 == 0) w.net.lose(names[random() % 4]);
      REQUIRE(w.fetcher().bytes_in_flight() <= 3 * mib);
    }
    REQUIRE(w.ended.size() == 8);
    for (std::uint64_t n = 0; n < 8; ++n) REQUIRE((w.got(n + 1, values[n].block()) || w.ended[{n + 1}].failure.kind != ErrorKind::none));
    REQUIRE(w.fetcher().bytes_in_flight() == 0);
  }
}
