// How fast values move through sockets between two loops of one process: big ones and many small ones, fetched and put; TCP
// loopback in clear and under CURVE, ipc. The memory is warm. Usage: transfer_bench [rounds [ipc|clear|CURVE]]
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "common/data/transfer.h"
#include "common/transport/zeromq.h"

using namespace weft;

namespace {

const Bytes secret(token_secret_size, std::byte{7});

struct Load {
  const char* name;
  std::size_t count, bytes;
};
constexpr Load loads[] = {{"1 x 100 MB", 1, 100'000'000}, {"1,000 x 10 kB", 1000, 10'000}, {"1,000 x 100 kB", 1000, 100'000}};

Key key_of(std::size_t number) { return {2, number + 1}; }

struct Holder final : ValueHolder {
  std::vector<Value> values;
  std::vector<Bytes> places;
  Found look_up(const Key& key) override { return {.value = values.at(key.low - 1), .content = 1}; }
  Result<std::span<std::byte>> begin_put(const Key& key, std::uint64_t total) override {
    return std::span(places.at(key.low - 1)).first(total);
  }
  Result<void> end_put(const Key&, bool) override { return {}; }
};

/// Of both ends and the system; unlike the time it is nearly the same on a busy machine.
struct Used {
  double seconds;
  long faults;
};
Used used() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto seconds = [](const timeval& time) { return double(time.tv_sec) + double(time.tv_usec) / 1e6; };
  return {seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_minflt};
}

void serve(Endpoint& endpoint, ValueServer& server, const std::atomic<bool>& stop) {
  std::vector<EndpointEvent> events;
  while (!stop) {
    endpoint.poll(events, monotonic_now() + 100ms);
    for (auto& event : events) {
      auto* frame = std::get_if<Received>(&event);
      if (!frame) continue;
      for (ServerFrame& reply : server.on_frame(frame->peer, frame->head, frame->payload).value_or_throw())
        endpoint.send(reply.peer, std::move(reply.head), std::move(reply.payload));
    }
    events.clear();
  }
}

/// Hand events to a fetcher or a sender until all that it was given has ended.
template <class Mover>
void finish(Endpoint& endpoint, Mover& mover, std::size_t count) {
  std::vector<EndpointEvent> events;
  while (count > 0) {
    mover.serve(monotonic_now());
    endpoint.poll(events, monotonic_now() + 100ms);
    for (auto& event : events) mover.on_event(event, monotonic_now());
    events.clear();
    for (const auto& ended : mover.take()) {
      --count;
      if (ended.failure.kind != ErrorKind::none) std::printf("failed: %s\n", ended.failure.message.c_str());
    }
  }
}

/// Two endpoints, and what one of them holds.
struct Pair {
  ZeromqOptions options;
  std::unique_ptr<Endpoint> there, here;
  Location location;
  std::uint64_t nonce = 0;

  Pair(const std::string& address, bool clear) : options{.keys = make_key_pair(), .clear_values = clear} {
    options.allow = [](const std::string&, const std::string&) { return true; };
    there = make_zeromq_endpoint(options);
    here = make_zeromq_endpoint({.clear_values = clear});
    location = {.worker = WorkerId{1}, .endpoint = there->listen(address).value_or_throw()};
    auto key = std::as_bytes(std::span(options.keys.public_key));
    if (!clear && address.starts_with("tcp")) location.public_key.assign(key.begin(), key.end());
  }
  Location at(const Key& key) {
    Location one = location;
    one.token = make_token(secret, key, ++nonce);
    return one;
  }
};

void fetch_all(Pair& pair, const Load& load, std::vector<Bytes>& places) {
  ValueFetcher fetcher(*pair.here, [&](FetchId id, std::uint64_t total) { return std::span(places.at(id.number - 1)).first(total); });
  for (std::size_t n = 0; n < load.count; ++n)
    fetcher.start({.id = FetchId{n + 1}, .key = key_of(n), .bytes = places[n].size(), .locations = {pair.at(key_of(n))}});
  finish(*pair.here, fetcher, load.count);
}

void put_all(Pair& pair, const Load& load, const std::vector<Value>& values) {
  ValueSender sender(*pair.here);
  for (std::size_t n = 0; n < load.count; ++n)
    sender.start(FetchId{n + 1}, key_of(n), values[n].block(), pair.at(key_of(n)));
  finish(*pair.here, sender, load.count);
}

/// Best of the rounds.
template <class Move>
void measure(const std::string& name, const Load& load, int rounds, Move move) {
  double best = 1e9, least = 1e9;
  long faults = 0;
  move();
  for (int round = 0; round < rounds; ++round) {
    Used before = used();
    Time start = monotonic_now();
    move();
    best = std::min(best, double((monotonic_now() - start).count()) / 1e9);
    Used after = used();
    least = std::min(least, after.seconds - before.seconds);
    faults = after.faults - before.faults;
  }
  double gigabytes = double(load.count * load.bytes) / 1e9;
  std::printf("%-32s %8.2f ms %6.0f MB/s, processor %5.2f s a GB %7.1f us a value, %6ld faults\n", name.c_str(), best * 1e3,
              gigabytes * 1e3 / best, least / gigabytes, least * 1e6 / double(load.count), faults);
  std::fflush(stdout);
}

void measure(const std::string& name, const std::string& address, bool clear, int rounds) {
  for (const Load& load : loads) {
    Bytes part(load.bytes, std::byte{3});
    std::span<const std::byte> view(part);
    Holder holder;
    std::vector<Bytes> places;
    for (std::size_t n = 0; n < load.count; ++n) {
      holder.values.push_back(Value::make(1, std::span(&view, 1)));
      holder.places.emplace_back(holder.values[n].size());
      places.emplace_back(holder.values[n].size());
    }
    Pair pair(address, clear);
    ValueServer server(holder, secret);
    std::atomic<bool> stop{false};
    std::thread thread([&] { serve(*pair.there, server, stop); });
    measure(name + " fetch " + load.name, load, rounds, [&] { fetch_all(pair, load, places); });
    measure(name + " put " + load.name, load, rounds, [&] { put_all(pair, load, holder.values); });
    stop = true;
    pair.there->wake();
    thread.join();
  }
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 10;
  std::string_view only = argc > 2 ? argv[2] : "";
  char folder[] = "/tmp/weft-bench-XXXXXX";
  if (!mkdtemp(folder)) return 1;
  if (only.empty() || only == "ipc") measure("ipc", "ipc://" + std::string(folder) + "/values", false, rounds);
  if (only.empty() || only == "clear") measure("clear", "tcp://127.0.0.1:0", true, rounds);
  if (only.empty() || only == "CURVE") measure("CURVE", "tcp://127.0.0.1:0", false, rounds);
  std::filesystem::remove_all(folder);
}
