// Messages made to cost more than they weigh (reliability.md 5.6), and memory that ends in the middle of one.
#include <ctime>
#include <new>

#include <doctest/doctest.h>

#include "common/messages.h"
#include "fuzz/allocations.h"
#include "fuzz/fuzz.h"

using namespace weft;
using weft::fuzz::allocations;

namespace {

Bytes bytes(std::initializer_list<int> numbers, std::size_t more = 0, int filler = 0xc0) {
  Bytes all;
  for (int number : numbers) all.push_back(std::byte(number));
  all.insert(all.end(), more, std::byte(filler));
  return all;
}
/// `head` n times.
Bytes nest(std::initializer_list<int> head, std::size_t depth) {
  Bytes all;
  for (std::size_t i = 0; i < depth; ++i)
    for (int number : head) all.push_back(std::byte(number));
  return all;
}
Bytes behind(Bytes head, const Bytes& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

struct Bomb {
  const char* name;
  Bytes bytes;
};
std::vector<Bomb> bombs() {
  const Bytes submit_head = bytes({0x91, 0x92, 0x01, 0x93, 0x01, 0x9b});      // one Submit, up to the first column of its chunk
  const Bytes label = bytes({0xdd, 0x00, 0x00, 0x00, 0x01, 0x94});            // one template, up to its label
  std::vector<Bomb> all{
      {"array32 of 2^32-1", bytes({0xdd, 0xff, 0xff, 0xff, 0xff})},
      {"array32 of 2^32-1, and a little", bytes({0xdd, 0xff, 0xff, 0xff, 0xff}, 100)},
      {"array16 of 65,535", bytes({0xdc, 0xff, 0xff})},
      {"map32 of 2^32-1", bytes({0xdf, 0xff, 0xff, 0xff, 0xff})},
      {"map16 of 65,535", bytes({0xde, 0xff, 0xff}, 10)},
      {"str32 of 4 GiB", bytes({0xdb, 0xff, 0xff, 0xff, 0xff}, 4)},
      {"bin32 of 4 GiB", bytes({0xc6, 0xff, 0xff, 0xff, 0xff}, 4)},
      {"ext32 of 4 GiB", bytes({0xc9, 0xff, 0xff, 0xff, 0xff, 0x01}, 4)},
      {"fixext16", bytes({0xd8, 0x01}, 16)},
      {"never-used head", bytes({0xc1})},
      {"nested a million deep", nest({0x91}, 1'000'000)},
      {"chain of array16", nest({0xdc, 0xff, 0xff}, 200'000)},
      {"chain of array32", nest({0xdd, 0x00, 0x00, 0xff, 0xff}, 200'000)},
      {"16 million nils", behind(bytes({0xdd, 0x00, 0xf4, 0x24, 0x00}), Bytes(16'000'000, std::byte{0xc0}))},
      {"60 million nils", behind(bytes({0xdd, 0x03, 0x93, 0x87, 0x00}), Bytes(60'000'000, std::byte{0xc0}))},
      {"a chunk of 2^32-1 templates", behind(submit_head, bytes({0xdd, 0xff, 0xff, 0xff, 0xff}))},
      {"a chunk of as many templates as bytes", behind(behind(submit_head, bytes({0xdd, 0x00, 0x3d, 0x09, 0x00})), Bytes(4'000'000, std::byte{0xc0}))},
      {"a chunk of 800,000 templates that are none", behind(behind(submit_head, bytes({0xdd, 0x00, 0x0c, 0x35, 0x00})), Bytes(800'000, std::byte{0xc0}))},
      {"700,000 messages that are none", behind(bytes({0xdd, 0x00, 0x0a, 0xae, 0x60}), Bytes(700'000, std::byte{0xc0}))},
      {"a label of 4 GiB", behind(behind(submit_head, label), bytes({0xdb, 0xff, 0xff, 0xff, 0xff}, 8))},
      {"keys of 4 GiB", behind(submit_head, bytes({0x90, 0x90, 0x90, 0xc6, 0xff, 0xff, 0xff, 0xff}))},
      {"a message of another type", bytes({0x91, 0x92, 0xcd, 0xff, 0xff, 0x90})},
      {"a frame above the limit", Bytes((64u << 20) + 1, std::byte{0xc0})},
  };
  return all;
}

double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) * 1e3 + double(now.tv_nsec) * 1e-6;
}

template <class T>
void must_be_refused(const Bomb& bomb) {
  allocations().bytes = 0;
  double before = cpu_ms();
  Result<T> result = decode<T>(bomb.bytes);
  double took = cpu_ms() - before;
  std::uint64_t allocated = allocations().bytes;
  CAPTURE(bomb.name);
  REQUIRE_FALSE(static_cast<bool>(result));
  CHECK(result.error().kind == ErrorKind::protocol_error);
  CHECK_FALSE(result.error().message.empty());
  CHECK(took < 10);
  CHECK(allocated < 1u << 20);
}

}  // namespace

TEST_CASE("A33: decode bombs are refused in under 10 ms and 1 MiB") {
  for (const Bomb& bomb : bombs()) {
    must_be_refused<std::vector<ClientMessage>>(bomb);
    must_be_refused<std::vector<ClientBound>>(bomb);
    must_be_refused<std::vector<WorkerMessage>>(bomb);
    must_be_refused<std::vector<WorkerBound>>(bomb);
    must_be_refused<ValueRequest>(bomb);
    must_be_refused<ValueReply>(bomb);
    must_be_refused<GraphChunk>(bomb);
  }
}

TEST_CASE("A46: when the n-th allocation fails in the codec, nothing leaks and the next message is read as ever") {
  Bytes pattern;
  for (int i = 0; i < 600; ++i) pattern.push_back(std::byte(i * 37 + 11));
  std::vector<ClientMessage> messages;
  fuzz::Source source(pattern);
  for (int i = 0; i < 12; ++i) messages.push_back(source.make<ClientMessage>());
  const Bytes frame = encode(messages);
  std::int64_t before = allocations().live;
  int failures = 0;
  for (std::int64_t n = 0;; ++n) {
    allocations().fail_in = n;
    try {
      Result<std::vector<ClientMessage>> back = decode<std::vector<ClientMessage>>(frame);
      Bytes again = encode(*back);
      bool came_through = allocations().fail_in >= 0;
      allocations().fail_in = -1;
      REQUIRE(came_through);
      CHECK(again == frame);
      break;
    } catch (const std::bad_alloc&) {
      ++failures;
    }
    CHECK(allocations().live == before);
  }
  CHECK(failures > 20);
  CHECK(allocations().live == before);
}
