// Shared memory: leases, what readers and writers may map.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <random>
#include <thread>

#include <doctest/doctest.h>

#include "common/data/segments.h"

using namespace weft;

static constexpr std::uint64_t kib = 1024, mib = 1024 * 1024;

TEST_CASE("freed ranges are reused before fresh memory, and neighbours become one") {
  Segments segments(1 * mib);
  auto a = *segments.lease(100 * kib);
  auto b = *segments.lease(100 * kib);
  auto c = *segments.lease(100 * kib);
  auto* first = a->bytes().data();
  CHECK(segments.leased_bytes() == 300 * kib);
  a.reset();
  b.reset();
  CHECK(segments.leased_bytes() == 100 * kib);
  CHECK(segments.idle_bytes() == 200 * kib);
  auto d = *segments.lease(200 * kib);
  CHECK(d->bytes().data() == first);
  CHECK(segments.idle_bytes() == 0);
  CHECK(segments.segment_count() == 1);
}

TEST_CASE("two writers never share a segment, and what one freed only he gets again") {
  Segments segments(mib);
  auto ours = *segments.lease(64 * kib), first = *segments.lease(64 * kib, 1), second = *segments.lease(64 * kib, 2);
  CHECK(segments.segment_count() == 3);
  CHECK(first->range().segment != second->range().segment);
  CHECK(ours->range().segment != first->range().segment);
  const std::byte* place = first->bytes().data();
  first.reset();
  CHECK((*segments.lease(64 * kib, 2))->bytes().data() != place);
  CHECK((*segments.lease(64 * kib))->bytes().data() != place);
  CHECK((*segments.lease(64 * kib, 1))->bytes().data() == place);
  ours.reset();
  second.reset();
  CHECK(segments.release_idle(mib) > 0);
  CHECK(segments.idle_bytes() == 0);
}

TEST_CASE("the smallest freed range that fits is taken") {
  Segments segments(1 * mib);
  auto big = *segments.lease(64 * kib);
  auto wall1 = *segments.lease(64);
  auto small = *segments.lease(8 * kib);
  auto wall2 = *segments.lease(64);
  auto* place = small->bytes().data();
  big.reset();
  small.reset();
  CHECK((*segments.lease(7 * kib))->bytes().data() == place);
}

TEST_CASE("random leases never overlap, are aligned, and are counted exactly") {
  Segments segments(1 * mib);
  std::mt19937_64 random(7);
  std::vector<std::shared_ptr<SegmentLease>> held;
  for (int step = 0; step < 3000; ++step) {
    if (held.size() < 40 && random() % 2) {
      auto lease = segments.lease(random() % (random() % 50 == 0 ? 3 * mib : 60 * kib));
      REQUIRE(lease);
      REQUIRE(reinterpret_cast<std::uintptr_t>((*lease)->bytes().data()) % 64 == 0);
      held.push_back(*lease);
    } else if (!held.empty()) {
      std::size_t which = random() % held.size();
      if (random() % 4 == 0) held[which]->shrink(held[which]->bytes().size() / 2);
      else held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
    }
    if (step % 100 == 0) segments.release_idle(random() % mib);
    std::uint64_t sum = 0;
    std::map<const std::byte*, std::size_t> order;
    for (const auto& lease : held) {
      sum += lease->bytes().size();
      if (!lease->bytes().empty()) order[lease->bytes().data()] = lease->bytes().size();
    }
    REQUIRE(segments.leased_bytes() == sum);
    const std::byte* end = nullptr;
    for (auto [begin, size] : order) {
      REQUIRE(begin >= end);
      end = begin + size;
    }
  }
  held.clear();
  CHECK(segments.leased_bytes() == 0);
  segments.release_idle(UINT64_MAX);
  CHECK(segments.backed_bytes() == 0);
}

TEST_CASE("idle memory goes back to the system only when asked, also inside a segment that is in use") {
  Segments segments(8 * mib);
  auto kept = *segments.lease(1 * mib);
  auto freed = *segments.lease(4 * mib);
  std::memset(kept->bytes().data(), 1, kept->bytes().size());
  std::memset(freed->bytes().data(), 2, freed->bytes().size());
  freed.reset();
  CHECK(segments.backed_bytes() == 5 * mib);
  CHECK(segments.release_idle(1) == 4 * mib);
  CHECK(segments.backed_bytes() == 1 * mib);
  CHECK(segments.idle_bytes() == 0);
  CHECK(kept->bytes()[mib - 1] == std::byte{1});
}

TEST_CASE("a descriptor for readers cannot be mapped writable, and nobody can shrink the segment") {
  Segments segments(1 * mib);
  auto lease = *segments.lease(8 * kib);
  lease->bytes()[5] = std::byte{42};
  SegmentRange range = segments.range_of(lease->bytes());
  REQUIRE(range);
  CHECK(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, range.descriptor, 0) == MAP_FAILED);
  CHECK(ftruncate(lease->range().descriptor, 0) != 0);
  auto mapping = SegmentMapping::map(dup(range.descriptor));
  REQUIRE(mapping);
  auto view = (*mapping)->range(range.offset, range.length);
  REQUIRE(view);
  CHECK((*view)[5] == std::byte{42});
  CHECK_FALSE((*mapping)->range(range.offset, 2 * mib));
  CHECK_FALSE((*mapping)->range(UINT64_MAX, 2));
}

TEST_CASE("a reader refuses a descriptor that its owner could shrink") {
  int descriptor = memfd_create("unsealed", MFD_CLOEXEC);
  REQUIRE(ftruncate(descriptor, 4096) == 0);
  CHECK_FALSE(SegmentMapping::map(descriptor));
  CHECK(fcntl(descriptor, F_GETFD) < 0);  // it was taken over all the same
}

TEST_CASE("leases may be dropped on any thread") {
  Segments segments(1 * mib);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&segments, t] {
      std::vector<std::shared_ptr<SegmentLease>> held;
      for (int i = 0; i < 500; ++i) {
        held.push_back(*segments.lease(std::uint64_t(i * 37 % 9000)));
        std::memset(held.back()->bytes().data(), t, held.back()->bytes().size());
        if (held.size() > 8) held.erase(held.begin());
      }
    });
  threads.clear();
  CHECK(segments.leased_bytes() == 0);
}
