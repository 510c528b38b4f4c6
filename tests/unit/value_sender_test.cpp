// Values that are pushed.
#include "support/transfer_world.h"

using namespace weft;
using namespace weft::test::transfer;

namespace {

struct PutWorld : World {
  std::optional<ValueSender> sender_;
  std::map<FetchId, Failure> put_ended;
  ValueSender& sender() {
    if (!sender_) sender_.emplace(net, options);
    return *sender_;
  }
  void put(std::uint64_t id, Key key, Buffer bytes, Location location) {
    sender().start({id}, key, std::move(bytes), std::move(location));
    sender().serve(now);
    note();
  }
  void note() {
    most_in_flight = std::max(most_in_flight, sender().bytes_in_flight());
    for (auto& one : sender().take()) {
      REQUIRE_FALSE(put_ended.contains(one.id));
      put_ended[one.id] = one.failure;
    }
  }
  bool push() {
    bool moved = net.step_holder();
    if (!net.to_us.empty()) {
      EndpointEvent event = std::move(net.to_us.front());
      net.to_us.pop_front();
      sender().on_event(event, now);
      moved = true;
    }
    sender().serve(now);
    note();
    return moved;
  }
  void push_all() {
    while (push()) {
    }
  }
  bool put_well(std::uint64_t id) { return put_ended.contains({id}) && put_ended[{id}].kind == ErrorKind::none; }
};

}  // namespace

TEST_CASE("values are put whole, within the bounds") {
  for (std::size_t size : {0ul, 1ul, mib, 9 * mib + 5}) {
    CAPTURE(size);
    PutWorld w;
    w.options.in_flight_per_peer_max = 2 * mib;
    Holder& a = w.holder("a");
    Bytes bytes(size);
    std::mt19937_64 random(1);
    for (auto& byte : bytes) byte = std::byte(random());
    w.put(1, key(1), Buffer::copy(bytes), w.location("a", key(1)));
    w.push_all();
    CHECK(w.put_well(1));
    CHECK(a.kept.at(key(1)) == bytes);
    CHECK(w.most_in_flight <= 2 * mib);
    CHECK(w.sender().bytes_in_flight() == 0);
  }
}

TEST_CASE("many small values go to one worker in few frames") {
  PutWorld w;
  Holder& a = w.holder("a");
  for (std::uint64_t n = 0; n < 100; ++n)
    w.sender().start({n + 1}, key(n), Buffer::own(Bytes(n % 10 == 0 ? 100'000 : 5000, std::byte(n))), w.location("a", key(n)));
  w.sender().serve(w.now);
  CHECK(w.net.frames < 25);
  w.push_all();
  for (std::uint64_t n = 0; n < 100; ++n) {
    CHECK(w.put_well(n + 1));
    CHECK(a.kept.at(key(n)) == Bytes(n % 10 == 0 ? 100'000 : 5000, std::byte(n)));
  }
}

TEST_CASE("a put token works once") {
  PutWorld w;
  w.holder("a");
  Location location = w.location("a", key(1));
  w.put(1, key(1), Buffer::own(Bytes(10)), location);
  w.push_all();
  w.put(2, key(1), Buffer::own(Bytes(10)), location);
  w.push_all();
  CHECK(w.put_well(1));
  CHECK(w.put_ended[{2}].message.find("token") != std::string::npos);
}

TEST_CASE("two puts of one key to one worker run one after the other") {
  PutWorld w;
  Holder& a = w.holder("a");
  w.put(1, key(1), Buffer::own(Bytes(3 * mib, std::byte{1})), w.location("a", key(1)));
  w.put(2, key(1), Buffer::own(Bytes(2 * mib, std::byte{2})), w.location("a", key(1)));
  w.push_all();
  CHECK(w.put_well(1));
  CHECK(w.put_well(2));
  CHECK(a.kept.at(key(1)) == Bytes(2 * mib, std::byte{2}));
  CHECK(a.given_up == 0);
}

TEST_CASE("a holder that refuses ends the put once, and the link goes on") {
  PutWorld w;
  Holder& a = w.holder("a");
  w.put(1, key(1), Buffer::own(Bytes(101 * mib)), w.location("a", key(1)));
  w.put(2, key(2), Buffer::own(Bytes(3 * mib)), w.location("a", key(2)));
  w.push_all();
  CHECK(w.put_ended[{1}].message == "too large for here");
  CHECK(w.put_well(2));
  CHECK(w.net.connections == 1);
  CHECK(a.coming.empty());
  CHECK(w.sender().bytes_in_flight() == 0);
}

TEST_CASE("a cancelled put frees its place on the holder") {
  PutWorld w;
  Holder& a = w.holder("a");
  w.put(1, key(1), Buffer::own(Bytes(20 * mib)), w.location("a", key(1)));
  for (int i = 0; i < 4; ++i) w.push();
  CHECK(a.coming.size() == 1);
  w.sender().cancel({1}, w.now);
  w.push_all();
  CHECK(a.coming.empty());
  CHECK(a.kept.empty());
  CHECK(w.put_ended.empty());
  CHECK(w.sender().bytes_in_flight() == 0);
  w.put(2, key(1), Buffer::own(Bytes(mib)), w.location("a", key(1)));
  w.push_all();
  CHECK(w.put_well(2));
}

TEST_CASE("a worker lost in mid-put fails the put, a client lost in mid-put frees the place") {
  PutWorld w;
  Holder& a = w.holder("a");
  w.put(1, key(1), Buffer::own(Bytes(20 * mib)), w.location("a", key(1)));
  for (int i = 0; i < 4; ++i) w.push();
  PeerId peer = w.net.open.begin()->first;
  w.net.lose("a");
  w.push_all();
  CHECK(w.put_ended[{1}].kind == ErrorKind::connection_failed);
  CHECK(w.sender().bytes_in_flight() == 0);
  a.server.on_lost(peer);
  CHECK(a.coming.empty());
  CHECK(a.given_up == 1);
}

TEST_CASE("ranges that do not follow each other give the put up") {
  Holder a;
  Token token = make_token(secret, key(1), 1);
  auto send = [&](PeerId peer, std::uint64_t offset, std::uint64_t total, std::size_t size) {
    PutRange range{.key = key(1), .offset = offset, .total = total, .bytes = size, .token = token};
    return answer_to<PutDone>(a.server, peer, range, Buffer::own(Bytes(size))).error;
  };
  CHECK_FALSE(send({1}, 5, 10, 5).empty());          // does not begin at 0
  CHECK(a.given_up == 0);
  CHECK(send({1}, 0, 10, 5).empty());
  CHECK_FALSE(send({2}, 5, 10, 5).empty());          // somebody else
  CHECK_FALSE(send({1}, 6, 10, 4).empty());          // a gap
  CHECK(a.given_up == 1);
  CHECK(send({1}, 0, 10, 5).empty());
  CHECK_FALSE(send({1}, 5, 10, 6).empty());          // beyond the end
  CHECK(send({1}, 0, 10, 5).empty());
  CHECK_FALSE(send({1}, 5, 11, 5).empty());          // another total
  CHECK(send({1}, 0, 10, 5).empty());
  CHECK_FALSE(send({1}, 5, 10, 0).empty());          // nothing
  CHECK(a.kept.empty());
  CHECK(a.coming.empty());
}
