// The hot paths, counted in instructions by callgrind: the same on a busy machine. Run by check_hot_paths, which compares with the
// budget; each path is a dump of callgrind with its name, and its count of operations is printed.
#include <valgrind/callgrind.h>

#include <cstdio>
#include <vector>

#include <weft/call.h>

#include "bench/state_bench.h"
#include "common/key_index.h"
#include "common/transport/in_process.h"

using namespace weft;
using bench::numbered, bench::StateBench;

namespace {

constexpr std::size_t tasks = 25'000;
constexpr std::size_t in_a_frame = 64;

/// Count what `body` does; it performs so many operations. `body` runs once before, so that no first-time work is counted.
template <class Body>
void count(const char* name, std::size_t operations, Body body) {
  body();
  CALLGRIND_ZERO_STATS;
  CALLGRIND_START_INSTRUMENTATION;
  body();
  CALLGRIND_STOP_INSTRUMENTATION;
  CALLGRIND_DUMP_STATS_AT(name);
  std::printf("%s %zu\n", name, operations);
}

std::int64_t inc(std::int64_t x) { return x + 1; }

/// From submit to release in the scheduler's state.
void transitions() {
  std::vector<Template> shape(1);
  shape[0].function.kernel = 1;
  auto run = [&](const auto& inputs_of, std::size_t first_wanted) {
    StateBench bench(8, 4);
    bench.submit(shape, tasks, inputs_of, first_wanted);
    bench.run();
    bench.goodbye();
  };
  count("transition-map", tasks, [&] { run([](std::uint64_t, auto&) {}, 0); });
  count("transition-chain", tasks,
        [&] { run([](std::uint64_t i, auto& in) { if (i) in.push_back({numbered(i - 1)}); }, tasks - 1); });
}

void intern() {
  struct Named {
    Key key;
  };
  std::vector<Named> rows;
  for (std::size_t i = 0; i < tasks; ++i) rows.push_back({numbered(i)});
  std::uint64_t sum = 0;
  count("intern", tasks, [&] {
    KeyIndex index;
    for (std::uint32_t i = 0; i < tasks; ++i)
      if (index.find(rows[i].key, rows) == KeyIndex::none) index.insert(rows[i].key, i);
    for (const Named& row : rows) sum += index.find(row.key, rows);
  });
  if (sum == 0) std::printf("\n");
}

std::vector<WorkerBound> orders() {
  std::vector<WorkerBound> frame;
  for (std::uint64_t i = 0; i < in_a_frame; ++i) {
    Assign order{.attempt = AttemptId{1'000'000 + i}, .key = numbered(i), .number = 1, .rank = static_cast<std::int64_t>(i)};
    order.arguments = Bytes(8, std::byte(i));
    frame.push_back(std::move(order));
  }
  return frame;
}
std::vector<WorkerMessage> outcomes() {
  std::vector<WorkerMessage> frame;
  for (std::uint64_t i = 0; i < in_a_frame; ++i)
    frame.push_back(AttemptFinished{AttemptId{1'000'000 + i}, numbered(i), 48, 10us, Bytes(48, std::byte(i))});
  return frame;
}

/// A frame of orders, and a frame of what came of them.
template <class Message>
void codec(const char* encoding, const char* decoding, const std::vector<Message>& messages) {
  constexpr std::size_t frames = 100;
  Bytes bytes = encode(messages);
  std::size_t sum = 0;
  count(encoding, frames * in_a_frame, [&] {
    for (std::size_t i = 0; i < frames; ++i) sum += encode(messages).size();
  });
  count(decoding, frames * in_a_frame, [&] {
    for (std::size_t i = 0; i < frames; ++i) sum += decode<std::vector<Message>>(bytes)->size();
  });
  if (sum == 0) std::printf("\n");
}

/// One frame of 64 orders: built and handed to the transport.
void frame() {
  constexpr std::size_t frames = 100;
  auto messages = orders();
  auto here = make_in_process_endpoint(), there = make_in_process_endpoint();
  PeerId peer = here->connect(there->listen("inproc://").value_or_throw()).value_or_throw();
  std::vector<EndpointEvent> events;
  count("frame-of-64", frames, [&] {
    for (std::size_t i = 0; i < frames; ++i) here->send(peer, encode(messages));
    there->poll(events, Time{});
    events.clear();
  });
}

/// Small frames through the queue between threads of an embedded cluster.
void mailbox() {
  constexpr std::size_t frames = 4'000;
  auto here = make_in_process_endpoint(), there = make_in_process_endpoint();
  PeerId peer = here->connect(there->listen("inproc://").value_or_throw()).value_or_throw();
  std::vector<EndpointEvent> events;
  count("mailbox", frames, [&] {
    for (std::size_t i = 0; i < frames; ++i) here->send(peer, Bytes(72));
    while (events.size() < frames) there->poll(events, Time{});
    events.clear();
  });
}

/// What a call costs before anything is sent: arguments encoded, key hashed, row of the graph.
void submit() {
  client::GraphBuilder builder;
  std::uint32_t shape = builder.add_template({.label = "inc"});
  std::uint64_t sum = 0;
  count("prepare-and-build", tasks, [&] {
    for (std::size_t i = 0; i < tasks; ++i) {
      auto call = detail::prepare(inc, static_cast<std::int64_t>(i));
      builder.add(shape, call.key, call.bytes, {}, true);
    }
    sum += builder.take().size();
  });
  if (sum == 0) std::printf("\n");
}

}  // namespace

int main() {
  transitions();
  intern();
  codec("encode-assign", "decode-assign", orders());
  codec("encode-finished", "decode-finished", outcomes());
  mailbox();
  frame();
  submit();
}
