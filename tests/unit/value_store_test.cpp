// Values and places in memory.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "support/store_values.h"

using namespace weft;
using namespace weft::worker;
using namespace weft::test::store;

TEST_CASE("managed bytes are the sum of values, reservations and erased values still in use") {
  ValueStore store({.segment_bytes = 1 * mib});
  std::mt19937_64 random(3);
  std::map<std::uint64_t, std::uint64_t> sizes;
  std::uint64_t sum = 0;
  for (std::uint64_t n = 1; n <= 200; ++n) {
    std::uint64_t size = 64 + random() % (n % 20 == 0 ? 2 * mib : 8 * kib);
    add(store, n, size);
    sizes[n] = size;
    sum += size;
    REQUIRE(store.managed_bytes() == sum);
    if (n % 3 == 0) {
      auto victim = sizes.begin();
      auto view = store.find(key(victim->first));
      store.erase(key(victim->first));
      REQUIRE(store.managed_bytes() == sum);   // somebody still looks at it
      CHECK(view->block() == value_of(victim->second, victim->first).block());
      view.reset();
      sum -= victim->second;
      sizes.erase(victim);
      REQUIRE(store.managed_bytes() == sum);
    }
  }
  auto reservation = reserve(store, 100 * kib);
  CHECK(store.managed_bytes() == sum + 100 * kib);
  reservation->shrink(50 * kib);
  CHECK(store.managed_bytes() == sum + 50 * kib);
  reservation.reset();
  CHECK(store.managed_bytes() == sum);
  for (auto [n, size] : sizes) CHECK(holds(store, n, size));
}

TEST_CASE("small values live on the heap, big ones in segments, and a part has its own range") {
  ValueStore store({});
  add(store, 1, 1000);
  add(store, 2, 10'000);
  CHECK_FALSE(store.segment_of(*store.find(key(1))));
  SegmentRange range = store.segment_of(*store.find(key(2)));
  CHECK(range);
  CHECK(range.length == 10'000);
  REQUIRE(store.put(key(3), value_of(1 * mib, 3)));
  CHECK(store.segment_of(*store.find(key(3))));
  CHECK(holds(store, 3, 1 * mib));
}

TEST_CASE("a second value for a key is dropped, and what is not a value is refused") {
  ValueStore store({});
  add(store, 1, 5000);
  std::uint64_t content = store.content_of(key(1));
  CHECK(content != 0);
  auto place = reserve(store, 6000);
  fill(place->bytes(), 9);
  CHECK(store.commit(key(1), std::move(place)));
  CHECK(store.bytes_of(key(1)) == 5000);
  CHECK(store.content_of(key(1)) == content);
  auto garbage = reserve(store, 5000);
  std::memset(garbage->bytes().data(), 1, 5000);
  CHECK(store.commit(key(2), std::move(garbage)).error().kind == ErrorKind::protocol_error);
  CHECK_FALSE(store.contains(key(2)));
  CHECK(store.managed_bytes() == 5000);
}

TEST_CASE("another process fills a reservation") {
  ValueStore store({});
  for (std::uint64_t n : {1, 2}) {
    auto place = reserve(store, 300 * kib);
    SegmentRange range = place->range();
    REQUIRE(range);
    pid_t child = fork();
    if (child == 0) {
      auto writer = SegmentWriter::map(range.descriptor, range.offset, range.length);
      if (!writer) _exit(1);
      fill((*writer)->bytes(), n);
      _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
    REQUIRE(store.commit(key(n), std::move(place)));
    CHECK(holds(store, n, 300 * kib));
  }
}

TEST_CASE("views outlive the store") {
  TemporaryFolder folder;
  std::optional<Value> memory, mapped;
  {
    ValueStore store({.memory_limit = 2 * mib, .spill_directory = folder.path});
    add(store, 1, 100 * kib);
    add(store, 2, 3 * mib);
    memory = store.find(key(1));
    mapped = store.find(key(2));
  }
  CHECK(memory->block() == value_of(100 * kib, 1).block());
  CHECK(mapped->block() == value_of(3 * mib, 2).block());
  memory.reset();
  mapped.reset();
  CHECK(folder.entries() == 0);
}
