// Holders of values and a reader, joined by an endpoint whose frames wait until the test delivers them.
#pragma once

#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <random>

#include <doctest/doctest.h>

#include "common/data/transfer.h"

namespace weft::test::transfer {

inline constexpr std::size_t mib = 1u << 20;
inline const Bytes secret(token_secret_size, std::byte{7});
inline Key key(std::uint64_t n) { return Key{2, n}; }

inline Value value_of(std::size_t bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes part(bytes);
  for (std::size_t at = 0; at < bytes; at += 8) {
    std::uint64_t word = random();
    std::memcpy(part.data() + at, &word, std::min<std::size_t>(8, bytes - at));
  }
  std::span<const std::byte> view(part);
  return Value::make(1, std::span(&view, 1));
}

/// The answer to a frame of one request.
template <class Reply>
Reply answer_to(ValueServer& server, PeerId peer, const ValueRequest& request, const Buffer& bytes = {}) {
  auto frames = server.on_frame(peer, Buffer::own(encode(std::vector{request})), bytes);
  REQUIRE(frames);
  REQUIRE(frames->size() == 1);
  auto replies = decode<std::vector<ValueReply>>(frames->front().head);
  REQUIRE(replies);
  REQUIRE(replies->size() == 1);
  Reply reply = std::get<Reply>(replies->front());
  REQUIRE(bytes_of(replies->front()) == frames->front().payload.size());
  return reply;
}

/// One worker that holds values.
struct Holder final : ValueHolder {
  struct One {
    Value value;
    bool on_disk = false;
    std::uint64_t content = 0;
  };
  std::map<Key, One> values;
  std::map<Key, Bytes> coming, kept;
  std::size_t given_up = 0;
  ValueServer server{*this, secret};

  Found look_up(const Key& key) override {
    auto at = values.find(key);
    if (at == values.end()) return {};
    if (at->second.on_disk) return {.later = true};
    return {.value = at->second.value, .content = at->second.content};
  }
  Result<std::span<std::byte>> begin_put(const Key& key, std::uint64_t total) override {
    if (total > 100 * mib) return failure(ErrorKind::memory_limit, "too large for here");
    coming[key] = Bytes(total);
    return std::span<std::byte>(coming[key]);
  }
  Result<void> end_put(const Key& key, bool complete) override {
    if (complete) kept[key] = coming[key];
    else ++given_up;
    coming.erase(key);
    return {};
  }
};

/// Endpoint whose frames wait until the test delivers them to holders by address.
struct Net final : Endpoint {
  struct Frame {
    PeerId peer;
    Bytes head;
    Buffer payload;
  };
  std::map<std::string, Holder*> holders;
  std::map<PeerId, std::string> open;
  std::deque<Frame> to_holders;
  std::deque<EndpointEvent> to_us;
  std::uint64_t last_peer = 100;
  std::size_t connections = 0, open_max = 0, frames = 0;
  bool full = false;

  Result<std::string> listen(const std::string& address, const std::string&) override { return address; }
  Result<PeerId> connect(const std::string& address, const std::string&) override {
    if (!holders.contains(address)) return failure(ErrorKind::connection_failed, "no such address");
    ++connections;
    open[PeerId{++last_peer}] = address;
    open_max = std::max(open_max, open.size());
    return PeerId{last_peer};
  }
  bool send(PeerId peer, Bytes head, Buffer payload) override {
    if (full || !open.contains(peer)) return false;
    ++frames;
    to_holders.push_back({peer, std::move(head), std::move(payload)});
    return true;
  }
  PeerIdentity identity(PeerId) const override { return {}; }
  void close(PeerId peer) override { open.erase(peer); }
  std::vector<int> poll(std::vector<EndpointEvent>&, Time) override { return {}; }
  void watch(int) override {}
  void unwatch(int) override {}
  void wake() override {}

  void reply(std::vector<ServerFrame> replies) {
    for (ServerFrame& reply : replies)
      if (open.contains(reply.peer)) to_us.push_back(Received{reply.peer, Buffer::own(std::move(reply.head)), reply.payload});
  }
  /// Hand one frame to its holder and queue the answer.
  bool step_holder() {
    if (to_holders.empty()) return false;
    Frame frame = std::move(to_holders.front());
    to_holders.pop_front();
    if (!open.contains(frame.peer)) return true;
    auto answers = holders.at(open[frame.peer])->server.on_frame(frame.peer, Buffer::own(std::move(frame.head)), frame.payload);
    REQUIRE(answers);
    reply(std::move(*answers));
    return true;
  }
  void lose(const std::string& address) {
    holders.erase(address);
    for (auto at = open.begin(); at != open.end();) {
      if (at->second != address) {
        ++at;
        continue;
      }
      std::erase_if(to_us, [&](auto& event) { return std::get<Received>(event).peer == at->first; });
      to_us.push_back(PeerLost{at->first, "killed"});
      at = open.erase(at);
    }
  }
};

struct World {
  Net net;
  std::map<std::string, Holder> holders;
  std::map<FetchId, Bytes> places;
  std::size_t places_given = 0, most_in_flight = 0;
  std::uint64_t nonce = 0;
  Time now{1};
  TransferOptions options;
  std::optional<ValueFetcher> fetcher_;
  std::map<FetchId, FetchEnded> ended;

  Holder& holder(const std::string& address) {
    net.holders[address] = &holders[address];
    return holders[address];
  }
  ValueFetcher& fetcher() {
    if (!fetcher_)
      fetcher_.emplace(net, [this](FetchId id, std::uint64_t total) -> Result<std::span<std::byte>> {
        ++places_given;
        places[id] = Bytes(total);
        return std::span<std::byte>(places[id]);
      }, options);
    return *fetcher_;
  }
  Location location(const std::string& address, Key key, std::uint32_t worker = 1) {
    return {.worker = {worker}, .endpoint = address, .token = make_token(secret, key, ++nonce)};
  }
  void fetch(std::uint64_t id, Key key, std::vector<Location> locations, std::uint32_t part = whole_value) {
    fetcher().start({.id = {id}, .key = key, .part = part, .locations = std::move(locations)});
    fetcher().serve(now);
    look();
  }
  void look() {
    most_in_flight = std::max(most_in_flight, fetcher().bytes_in_flight());
    for (auto& one : fetcher().take()) {
      REQUIRE_FALSE(ended.contains(one.id));
      ended[one.id] = one;
    }
  }
  bool step() {
    bool moved = net.step_holder();
    if (!net.to_us.empty()) {
      EndpointEvent event = std::move(net.to_us.front());
      net.to_us.pop_front();
      fetcher().on_event(event, now);
      moved = true;
    }
    fetcher().serve(now);
    look();
    return moved || !net.to_holders.empty();
  }
  void run() {
    while (step()) {
    }
  }
  bool got(std::uint64_t id, const Buffer& bytes) {
    return ended.contains({id}) && ended[{id}].failure.kind == ErrorKind::none && Buffer::copy(places[{id}]) == bytes;
  }
};

}  // namespace weft::test::transfer
