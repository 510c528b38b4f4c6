// How fast a value moves through sockets between two processes' worth of loops: TCP loopback in clear and under CURVE, ipc.
// Usage: transfer_bench [MB [ipc|tcp]]
#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "common/data/transfer.h"
#include "common/transport/zeromq.h"

using namespace weft;

namespace {

const Bytes secret(token_secret_size, std::byte{7});
const Key key{2, 1};

struct Holder final : ValueHolder {
  Value value;
  Found look_up(const Key&) override { return {.value = value, .content = 1}; }
  Result<std::span<std::byte>> begin_put(const Key&, std::uint64_t) override { return failure(ErrorKind::io_error, "no puts"); }
  Result<void> end_put(const Key&, bool) override { return {}; }
};

/// Of both ends and the system; unlike the time it is the same on a busy machine.
double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto seconds = [](const timeval& time) { return double(time.tv_sec) + double(time.tv_usec) / 1e6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

void serve(Endpoint& endpoint, ValueServer& server, const std::atomic<bool>& stop) {
  std::vector<EndpointEvent> events;
  while (!stop) {
    endpoint.poll(events, monotonic_now() + 100ms);
    for (auto& event : events) {
      auto* frame = std::get_if<Received>(&event);
      auto request = frame ? decode<ValueRequest>(frame->head.bytes()) : Result<ValueRequest>(failure(ErrorKind::io_error, ""));
      if (!request) continue;
      if (auto reply = server.on_request(frame->peer, *request, frame->payload))
        endpoint.send(reply->peer, encode(reply->message), std::move(reply->payload));
    }
    events.clear();
  }
}

double fetch(Endpoint& endpoint, const std::string& address, const std::string& server_key, Bytes& place, std::uint64_t round) {
  ValueFetcher fetcher(endpoint, [&](FetchId, std::uint64_t) { return std::span<std::byte>(place); }, {},
                       [&](const Location& location) { return endpoint.connect(location.endpoint, server_key); });
  Time start = monotonic_now();
  fetcher.start({.id = FetchId{round}, .key = key, .bytes = place.size(),
                 .locations = {{.worker = WorkerId{1}, .endpoint = address, .public_key = {}, .token = make_token(secret, key, round)}}}, start);
  std::vector<EndpointEvent> events;
  for (;;) {
    endpoint.poll(events, monotonic_now() + 100ms);
    for (auto& event : events) fetcher.on_event(event, monotonic_now());
    events.clear();
    for (FetchEnded& ended : fetcher.take()) {
      if (ended.failure.kind != ErrorKind::none) std::printf("failed: %s\n", ended.failure.message.c_str());
      return double((monotonic_now() - start).count()) / 1e9;
    }
  }
}

void measure(const char* name, const std::string& address, bool clear, Bytes& place, const Value& value) {
  ZeromqOptions options{.keys = make_key_pair(), .clear_values = clear};
  options.allow = [](const std::string&, const std::string&) { return true; };
  auto there = make_zeromq_endpoint(options), here = make_zeromq_endpoint({.clear_values = clear});
  std::string bound = there->listen(address).value_or_throw();
  Holder holder;
  holder.value = value;
  ValueServer server(holder, secret);
  std::atomic<bool> stop{false};
  std::thread thread([&] { serve(*there, server, stop); });
  for (std::uint64_t round = 1; round <= 3; ++round) {
    double used = processor_seconds();
    double seconds = fetch(*here, bound, clear || !address.starts_with("tcp") ? "" : options.keys.public_key, place, round);
    std::printf("%-12s %7.0f MB/s, %.2f s of processor a GB\n", name, double(place.size()) / 1e6 / seconds,
                (processor_seconds() - used) / (double(place.size()) / 1e9));
  }
  stop = true;
  there->wake();
  thread.join();
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t bytes = (argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 500) * 1'000'000;
  Bytes part(bytes, std::byte{3});
  std::span<const std::byte> view(part);
  Value value = Value::make(1, std::span(&view, 1));
  Bytes place(value.size());
  char folder[] = "/tmp/weft-bench-XXXXXX";
  if (!mkdtemp(folder)) return 1;
  const char* only = argc > 2 ? argv[2] : "";
  auto wanted = [&](const char* name) { return !*only || std::string_view(name).starts_with(only); };
  if (wanted("ipc")) measure("ipc", "ipc://" + std::string(folder) + "/values", false, place, value);
  if (wanted("tcp clear")) measure("tcp clear", "tcp://127.0.0.1:0", true, place, value);
  if (wanted("tcp CURVE")) measure("tcp CURVE", "tcp://127.0.0.1:0", false, place, value);
  std::filesystem::remove_all(folder);
}
