// What a frame costs, by kind of endpoint: frames a second of one sender, round trips of one small frame, and bulk.
// Both ends are threads of this process, each with its own endpoint and loop. Usage: endpoint_bench [repeats]
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <vector>

#include <stdlib.h>

#include "common/transport/in_process.h"
#include "common/transport/zeromq.h"

using namespace weft;

namespace {

struct Link {
  std::unique_ptr<Endpoint> server, client;
  PeerId to_server;
};

/// Sends back what has a 'e' (echo) in front; otherwise counts, and answers 'd' (done) when `expected` frames are there.
void serve(Endpoint& endpoint, const std::atomic<bool>& stop, const std::atomic<std::size_t>& expected) {
  std::size_t seen = 0;
  std::vector<EndpointEvent> events;
  while (!stop) {
    endpoint.poll(events, monotonic_now() + 100ms);
    for (auto& event : events) {
      auto* frame = std::get_if<Received>(&event);
      if (!frame) continue;
      if (frame->head.data()[0] == std::byte('e')) {
        endpoint.send(frame->peer, Bytes(frame->head.bytes().begin(), frame->head.bytes().end()));
      } else if (++seen == expected) {
        seen = 0;
        endpoint.send(frame->peer, Bytes(1, std::byte('d')));
      }
    }
    events.clear();
  }
}

void wait_for_one(Endpoint& endpoint) {
  std::vector<EndpointEvent> events;
  while (events.empty()) endpoint.poll(events, Time::never());
}

double seconds_since(Time start) { return double((monotonic_now() - start).count()) / 1e9; }

double flood(Link& link, std::atomic<std::size_t>& expected, std::size_t frames, std::size_t bytes, const Buffer& payload) {
  expected = frames;
  std::vector<EndpointEvent> events;
  Time start = monotonic_now();
  for (std::size_t i = 0; i < frames; ++i)
    while (!link.client->send(link.to_server, Bytes(bytes, std::byte('f')), payload)) {
      link.client->poll(events, monotonic_now() + 100us);  // full: let it drain
      if (!events.empty()) return 0;
    }
  wait_for_one(*link.client);
  return seconds_since(start);
}

void measure(const char* kind, Link link, const std::string& place, int repeats) {
  link.to_server = *link.client->connect(*link.server->listen(place, "guest"));
  std::atomic<bool> stop = false;
  std::atomic<std::size_t> expected = 0;
  std::thread server([&] { serve(*link.server, stop, expected); });
  std::vector<double> rates, trips, bulk;
  for (int r = 0; r < repeats; ++r) {
    for (int i = 0; i < 100; ++i) link.client->send(link.to_server, Bytes(100, std::byte('e'))), wait_for_one(*link.client);
    rates.push_back(1e6 / flood(link, expected, 1'000'000, 100, {}));
    for (int i = 0; i < 3000; ++i) {
      Time start = monotonic_now();
      link.client->send(link.to_server, Bytes(100, std::byte('e')));
      wait_for_one(*link.client);
      trips.push_back(seconds_since(start) * 1e6);
    }
    bulk.push_back(1000 / flood(link, expected, 1000, 100, Buffer::own(Bytes(1u << 20))));
  }
  stop = true;
  link.server->wake();
  server.join();
  for (auto* list : {&rates, &trips, &bulk}) std::sort(list->begin(), list->end());
  auto at = [](const std::vector<double>& list, double part) { return list[std::size_t(part * double(list.size() - 1))]; };
  std::printf("%-11s %6.2f M frames/s of 100 B   round trip p50 %6.1f us, p99 %6.1f us   payloads of 1 MiB %8.0f MiB/s\n", kind,
              at(rates, 0.5) / 1e6, at(trips, 0.5), at(trips, 0.99), at(bulk, 0.5));
  std::fflush(stdout);
}

Link zeromq_link(bool clear) {
  KeyPair server = make_key_pair();
  ZeromqOptions a{.keys = server}, b{.server_key = server.public_key};
  a.allow = [](auto&, auto&) { return true; };
  a.clear_values = b.clear_values = clear;
  return {make_zeromq_endpoint(a), make_zeromq_endpoint(b), {}};
}

}  // namespace

int main(int count, char** words) {
  int repeats = count > 1 ? std::max(1, atoi(words[1])) : 5;
  char folder[] = "/tmp/weft-bench-XXXXXX";
  if (!mkdtemp(folder)) return 1;
  measure("in process", {make_in_process_endpoint(), make_in_process_endpoint(), {}}, "inproc://", repeats);
  measure("ipc", zeromq_link(false), std::string("ipc://") + folder, repeats);
  measure("tcp, curve", zeromq_link(false), "tcp://127.0.0.1:0", repeats);
  measure("tcp, clear", zeromq_link(true), "tcp://127.0.0.1:0", repeats);
  std::filesystem::remove_all(folder);
}
