// The value plane: a holder under arbitrary requests, a fetcher and a sender under arbitrary answers, a value block of any bytes.
#include <map>

#include "common/data/transfer.h"
#include "fuzz.h"

namespace {

using namespace weft;
using namespace weft::fuzz;

const Bytes secret(token_secret_size, std::byte{7});

Value some_value(std::size_t bytes) {
  Bytes part(bytes, std::byte{1});
  std::span<const std::byte> view(part);
  return Value::make(1, std::span(&view, 1));
}

struct Holder final : ValueHolder {
  std::map<Key, Bytes> coming;
  std::size_t kept = 0;
  Found look_up(const Key& key) override {
    if (key.low % 3 == 0) return {};
    if (key.low % 3 == 1) return {.later = true};
    return {.value = some_value(100), .content = 1};
  }
  Result<std::span<std::byte>> begin_put(const Key& key, std::uint64_t total) override {
    if (total > 4096) return failure(ErrorKind::memory_limit, "too large");
    promise(!coming.contains(key), "one put of a key at a time");
    coming[key] = Bytes(total);
    return std::span<std::byte>(coming[key]);
  }
  Result<void> end_put(const Key& key, bool complete) override {
    promise(coming.erase(key) == 1, "only a put that began ends");
    kept += complete;
    return {};
  }
};

/// Takes every frame and delivers none: the input plays the other side.
struct Nobody final : Endpoint {
  std::uint64_t last = 100;
  Result<std::string> listen(const std::string& address, const std::string&) override { return address; }
  Result<PeerId> connect(const std::string&, const std::string&) override { return PeerId{++last}; }
  bool send(PeerId, Bytes head, Buffer) override { return promise(bool(decode<std::vector<ValueRequest>>(head)), "a holder can read it"), true; }
  void close(PeerId) override {}
  PeerIdentity identity(PeerId) const override { return {}; }
  std::vector<int> poll(std::vector<EndpointEvent>&, Time) override { return {}; }
  void watch(int) override {}
  void unwatch(int) override {}
  void wake() override {}
};

Buffer payload(Source& source) { return Buffer::own(Bytes(source.one_in(8) ? 70'000 : source.byte(), std::byte{5})); }

void serve(Source& source) {
  Holder holder;
  ValueServer server(holder, secret);
  for (int i = 0; i < 100 && !source.empty(); ++i) {
    PeerId peer{1 + source.below(3)};
    if (source.one_in(8)) server.on_lost(peer);
    if (source.one_in(8)) server.arrived(source.key());
    auto request = source.make<ValueRequest>();
    Buffer bytes = payload(source);
    std::visit([&](auto& r) {
      if (!source.one_in(4)) r.token = make_token(secret, r.key, r.token.nonce);
      if constexpr (requires { r.bytes; })
        if (!source.one_in(4)) r.bytes = bytes.size();
    }, request);
    auto frames = server.on_frame(peer, Buffer::own(encode(std::vector{request})), bytes);
    if (!frames) {
      server.on_lost(peer);
      continue;
    }
    for (const ServerFrame& frame : *frames) {
      auto replies = decode<std::vector<ValueReply>>(frame.head);
      promise(bool(replies), "a reader can read it");
      for (const ValueReply& reply : *replies) promise(bytes_of(reply) <= value_range_max, "a range is not longer than the limit");
    }
  }
  for (std::uint64_t peer : {1, 2, 3}) server.on_lost({peer});
  promise(holder.coming.empty(), "no put is left when nobody is there");
}

EndpointEvent answer(Source& source, const Nobody& net) {
  PeerId peer{101 + source.below(net.last - 99)};
  if (source.one_in(8)) return PeerLost{peer, "cut"};
  auto reply = source.make<ValueReply>();
  if (auto* range = std::get_if<ValueRange>(&reply); range && !source.one_in(4)) range->error.clear();
  if (auto* done = std::get_if<PutDone>(&reply); done && !source.one_in(4)) done->error.clear();
  Buffer bytes = payload(source);
  if (auto* range = std::get_if<ValueRange>(&reply); range && !source.one_in(4)) range->bytes = bytes.size();
  return Received{peer, source.one_in(8) ? Buffer::own(source.make<Bytes>()) : Buffer::own(encode(std::vector{reply})), std::move(bytes)};
}

void fetch(Source& source) {
  Nobody net;
  std::map<FetchId, Bytes> places;
  ValueFetcher fetcher(net, [&](FetchId id, std::uint64_t total) -> Result<std::span<std::byte>> {
    if (total > 1u << 20) return failure(ErrorKind::memory_limit, "too large");
    places[id] = Bytes(total);
    return std::span<std::byte>(places[id]);
  });
  Time now{1'000'000'000};
  std::size_t started = 0, ended = 0;
  for (int i = 0; i < 100 && !source.empty(); ++i) {
    now = now + Duration(source.byte()) * 10'000'000;
    switch (source.below(6)) {
      case 0: {
        Fetch one{.id = {++started}, .key = source.key(), .locations = source.make<std::vector<Location>>()};
        for (Location& location : one.locations) location.endpoint = "a" + std::to_string(source.below(3));
        fetcher.start(std::move(one));
        break;
      }
      case 1: break;
      default: fetcher.on_event(answer(source, net), now);
    }
    fetcher.serve(now);
    ended += fetcher.take().size();
  }
  std::size_t open = fetcher.active();
  promise(started == ended + open, "each fetch ends once");
}

void send(Source& source) {
  Nobody net;
  ValueSender sender(net);
  Time now{1'000'000'000};
  std::uint64_t started = 0, ended = 0;
  for (int i = 0; i < 100 && !source.empty(); ++i) {
    now = now + Duration(source.byte()) * 10'000'000;
    switch (source.below(6)) {
      case 0: {
        Key key = source.key();
        Buffer bytes = payload(source);
        sender.start({++started}, key, std::move(bytes), {.worker = {1}, .endpoint = "a" + std::to_string(source.below(3))});
        break;
      }
      case 1: break;
      default: sender.on_event(answer(source, net), now);
    }
    sender.serve(now);
    ended += sender.take().size();
  }
  promise(ended <= started, "each put ends once");
}

void look(Input input) {
  auto value = Value::from(Buffer::copy(input));
  if (!value) return;
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < value->part_count(); ++i)
    for (std::byte byte : value->part(i).bytes()) sum += std::to_integer<unsigned>(byte);
  promise(sum <= 255 * input.size(), "the parts of a value lie in its block, side by side");
}

void run(Input input) {
  Source source(input);
  switch (source.below(4)) {
    case 0: return serve(source);
    case 1: return fetch(source);
    case 2: return send(source);
    default: return look(source.rest());
  }
}

Seeds seeds() {
  Seeds all = stories(9);
  for (std::size_t parts : {0, 1, 3}) {
    Bytes part(70, std::byte{9});
    std::vector<std::span<const std::byte>> views(parts, part);
    Value value = Value::make(1, views);
    Bytes bytes{std::byte{3}};
    bytes.insert(bytes.end(), value.block().bytes().begin(), value.block().bytes().end());
    all.emplace_back("value-of-" + std::to_string(parts) + "-parts", std::move(bytes));
  }
  return all;
}

}  // namespace

WEFT_FUZZ_TARGET("transfer", run, seeds, 5);
