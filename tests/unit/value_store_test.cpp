#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include <doctest/doctest.h>

#include "common/crc32c.h"
#include "worker/spill.h"
#include "worker/value_store.h"

using namespace weft;
using namespace weft::worker;
namespace files = std::filesystem;

namespace {

constexpr std::uint64_t kib = 1024, mib = 1024 * 1024;

struct TemporaryFolder {
  std::string path;
  TemporaryFolder() {
    char name[] = "/tmp/weft-test-XXXXXX";
    REQUIRE(mkdtemp(name));
    path = name;
  }
  ~TemporaryFolder() { files::remove_all(path); }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(files::directory_iterator(path), files::directory_iterator()));
  }
  std::vector<files::path> spill_files() const {
    std::vector<files::path> found;
    for (const auto& entry : files::recursive_directory_iterator(path))
      if (entry.is_regular_file() && entry.path().extension() != ".lock") found.push_back(entry.path());
    return found;
  }
};

Key key(std::uint64_t n) { return Key{1, n}; }

/// Fill a block of this size with a value whose bytes depend on `seed`.
void fill(std::span<std::byte> block, std::uint64_t seed) {
  std::uint64_t part = block.size() - 64;
  auto places = lay_out_value(block, 7, std::span(&part, 1));
  for (std::size_t i = 0; i < places[0].size(); ++i) places[0][i] = std::byte(seed * 131 + i * 7 + (i >> 12));
}
Value value_of(std::uint64_t size, std::uint64_t seed) {
  Bytes block(size);
  fill(block, seed);
  return *Value::from(Buffer::own(std::move(block)));
}
std::unique_ptr<Reservation> reserve(ValueStore& store, std::uint64_t size) {
  auto place = store.reserve(size);
  REQUIRE(place);
  return std::move(*place);
}
void add(ValueStore& store, std::uint64_t n, std::uint64_t size) {
  auto place = reserve(store, size);
  fill(place->bytes(), n);
  REQUIRE(store.commit(key(n), std::move(place)));
}
bool holds(ValueStore& store, std::uint64_t n, std::uint64_t size) {
  auto value = store.find(key(n));
  return value && value->block() == value_of(size, n).block();
}

/// Collect news until the condition holds; a hang is ended by the test runner.
template <class Done>
StoreEvents until(ValueStore& store, Done done) {
  StoreEvents all;
  for (;;) {
    StoreEvents news = store.take();
    all.loaded.insert(all.loaded.end(), news.loaded.begin(), news.loaded.end());
    all.lost.insert(all.lost.end(), news.lost.begin(), news.lost.end());
    if (!news.trouble.empty()) all.trouble = news.trouble;
    if (done(all)) return all;
    pollfd waiting{store.descriptor(), POLLIN, 0};
    int ready = poll(&waiting, 1, 20'000);
    REQUIRE(ready == 1);
  }
}
bool bring_back(ValueStore& store, std::uint64_t n) {
  if (store.load(key(n))) return true;
  StoreEvents news = until(store, [](const StoreEvents& all) { return !all.loaded.empty() || !all.lost.empty(); });
  return news.loaded == std::vector<Key>{key(n)};
}

/// While it lives, no file can grow beyond `bytes`: a full disk without a disk.
struct FullDisk {
  rlimit before{};
  explicit FullDisk(std::uint64_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    rlimit now{bytes, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before); }
};

}  // namespace

TEST_CASE("a checksum is CRC32C with and without the special instruction") {
  auto text = Buffer::copy(std::string_view("123456789"));
  CHECK(crc32c(text.bytes()) == 0xe3069283);
  CHECK(crc32c_portable(text.bytes()) == 0xe3069283);
  Bytes bytes(1000);
  std::mt19937_64 random(1);
  for (auto& byte : bytes) byte = std::byte(random());
  for (std::size_t begin = 0; begin < 9; ++begin)
    for (std::size_t length : {0, 1, 7, 8, 9, 63, 500}) {
      auto piece = std::span(bytes).subspan(begin, length);
      CHECK(crc32c(piece) == crc32c_portable(piece));
      CHECK(crc32c(piece.subspan(length / 2), crc32c(piece.first(length / 2))) == crc32c(piece));
    }
}

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
  SegmentReader reader;
  REQUIRE(reader.add(range.segment, dup(range.descriptor)));
  auto view = reader.view(range.segment, range.offset, range.length);
  REQUIRE(view);
  CHECK(view->data()[5] == std::byte{42});
  CHECK_FALSE(reader.view(range.segment, range.offset, 2 * mib));
  CHECK_FALSE(reader.view(range.segment, UINT64_MAX, 2));
  CHECK_FALSE(reader.view(range.segment + 1, 0, 1));
}

TEST_CASE("a reader refuses a descriptor that its owner could shrink") {
  int descriptor = memfd_create("unsealed", MFD_CLOEXEC);
  REQUIRE(ftruncate(descriptor, 4096) == 0);
  SegmentReader careful;
  CHECK_FALSE(careful.add(1, dup(descriptor)));
  SegmentReader trusting(SegmentReader::Accept::any);
  CHECK(trusting.add(1, descriptor));
}

TEST_CASE("a view from a reader outlives the reader and drops its lease with its last copy") {
  Segments segments(1 * mib);
  auto lease = *segments.lease(8 * kib);
  lease->bytes()[0] = std::byte{9};
  SegmentRange range = segments.range_of(lease->bytes());
  auto held = std::make_shared<int>(1);
  std::optional<Buffer> view;
  {
    SegmentReader reader;
    REQUIRE(reader.add(range.segment, dup(range.descriptor)));
    view = reader.view(range.segment, range.offset, range.length, held);
  }
  CHECK(view->data()[0] == std::byte{9});
  Buffer part = view->slice(0, 1);
  view.reset();
  CHECK(held.use_count() == 2);
  part = {};
  CHECK(held.use_count() == 1);
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

TEST_CASE("above the spill mark the least recently used values go to disk, and come back equal") {
  TemporaryFolder folder;
  ValueStore store({.memory_limit = 10 * mib, .spill_directory = folder.path, .segment_bytes = 1 * mib});
  for (std::uint64_t n = 1; n <= 7; ++n) add(store, n, 1 * mib);
  CHECK(store.spilled_bytes() == 0);
  CHECK(store.find(key(1)));   // now the most recent
  add(store, 8, 1 * mib);
  until(store, [&](auto&) { return store.managed_bytes() <= 6 * mib; });
  CHECK(store.managed_bytes() == 6 * mib);
  CHECK(store.spilled_bytes() == 2 * mib);
  CHECK(store.find(key(1)));
  CHECK_FALSE(store.find(key(2)));
  CHECK_FALSE(store.find(key(3)));
  CHECK(store.contains(key(2)));
  CHECK(store.bytes_of(key(2)) == 1 * mib);
  CHECK(bring_back(store, 2));
  CHECK(holds(store, 2, 1 * mib));
  CHECK(store.spilled_bytes() == 1 * mib);
}

TEST_CASE("a value that came back and was not changed leaves memory again without being written") {
  TemporaryFolder folder;
  ValueStore store({.memory_limit = 10 * mib, .spill_directory = folder.path, .segment_bytes = 1 * mib});
  for (std::uint64_t n = 1; n <= 8; ++n) add(store, n, 1 * mib);
  until(store, [&](auto&) { return store.spilled_bytes() == 2 * mib; });
  CHECK(bring_back(store, 1));
  for (std::uint64_t n = 3; n <= 8; ++n) CHECK(store.find(key(n)));   // 1 is the least recently used
  store.take();
  std::size_t files_before = folder.spill_files().size();
  add(store, 9, 1 * mib);      // 8 MiB: above the mark again
  until(store, [&](auto&) { return store.managed_bytes() <= 6 * mib; });
  CHECK_FALSE(store.find(key(1)));
  CHECK(folder.spill_files().size() == files_before + 1);   // one of the others was written
}

TEST_CASE("a value in use is not spilled, because that would free nothing") {
  TemporaryFolder folder;
  ValueStore store({.memory_limit = 10 * mib, .spill_directory = folder.path, .segment_bytes = 1 * mib});
  add(store, 1, 5 * mib);
  auto pinned = store.find(key(1));
  for (std::uint64_t n = 2; n <= 4; ++n) add(store, n, 1 * mib);
  until(store, [&](auto&) { return store.managed_bytes() <= 6 * mib; });
  CHECK(store.find(key(1)));
  CHECK(store.spilled_bytes() == 2 * mib);
}

TEST_CASE("small values share spill files") {
  TemporaryFolder folder;
  ValueStore store({.memory_limit = 1 * mib, .spill_directory = folder.path, .segment_bytes = 1 * mib});
  for (std::uint64_t n = 1; n <= 800; ++n) add(store, n, 1000);
  until(store, [&](auto&) { return store.managed_bytes() <= 7 * mib / 10; });
  CHECK(store.spilled_bytes() > 0);
  CHECK(store.spilled_bytes() + store.managed_bytes() == 800'000);
  CHECK(folder.spill_files().size() < 10);
  for (std::uint64_t n = 1; n <= 800; ++n) {
    REQUIRE(bring_back(store, n));
    REQUIRE(holds(store, n, 1000));
  }
}

TEST_CASE("a value larger than what is free passes through a spill file and stays usable") {
  TemporaryFolder folder;
  ValueStore store({.memory_limit = 2 * mib, .spill_directory = folder.path, .segment_bytes = 1 * mib});
  auto place = reserve(store, 6 * mib);
  CHECK(store.managed_bytes() == 0);
  CHECK(place->range());
  fill(place->bytes(), 1);
  REQUIRE(store.commit(key(1), std::move(place)));
  CHECK(holds(store, 1, 6 * mib));
  CHECK(store.spilled_bytes() == 6 * mib);
  SegmentRange range = store.segment_of(*store.find(key(1)));
  REQUIRE(range);
  CHECK(mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, range.descriptor, 0) == MAP_FAILED);
  SegmentReader reader(SegmentReader::Accept::any);
  REQUIRE(reader.add(range.segment, dup(range.descriptor)));
  CHECK(*reader.view(range.segment, range.offset, range.length) == value_of(6 * mib, 1).block());
  store.erase(key(1));
  CHECK(store.spilled_bytes() == 0);
}

TEST_CASE("a spilled value that no longer fits into memory is mapped from its file") {
  TemporaryFolder folder;
  ValueStore store({.memory_limit = 10 * mib, .spill_directory = folder.path, .segment_bytes = 1 * mib});
  add(store, 1, 8 * mib);
  until(store, [&](auto&) { return store.spilled_bytes() == 8 * mib; });
  auto crowd = reserve(store, 6 * mib);
  CHECK(bring_back(store, 1));
  CHECK(holds(store, 1, 8 * mib));
  CHECK(store.managed_bytes() == 6 * mib);
  CHECK(store.segment_of(*store.find(key(1))).length == 8 * mib);
}

TEST_CASE("any damaged byte of a spill file loses the value, and says so") {
  TemporaryFolder folder;
  for (std::uint64_t at : {0ul, 9ul, 30ul, 200ul, 70'000ul, 999'999ul, 1048576ul + 64 + 3}) {
    CAPTURE(at);
    ValueStore store({.memory_limit = 1 * mib, .spill_directory = folder.path});
    add(store, 1, 1 * mib);
    until(store, [&](auto&) { return store.spilled_bytes() == 1 * mib; });
    REQUIRE(folder.spill_files().size() == 1);
    std::fstream file(folder.spill_files()[0], std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    char byte = 0;
    file.get(byte);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 4));
    file.close();
    CHECK_FALSE(bring_back(store, 1));
    CHECK_FALSE(store.contains(key(1)));
    CHECK(store.managed_bytes() == 0);
    CHECK(store.spilled_bytes() == 0);
  }
}

TEST_CASE("a truncated or missing spill file loses the value, mapped or read") {
  TemporaryFolder folder;
  for (bool mapped : {false, true})
    for (bool missing : {false, true}) {
      ValueStore store({.memory_limit = 1 * mib, .spill_directory = folder.path});
      add(store, 1, 1 * mib);
      until(store, [&](auto&) { return store.spilled_bytes() == 1 * mib; });
      std::unique_ptr<Reservation> crowd;
      if (mapped) crowd = reserve(store, 1000);
      if (missing) files::remove(folder.spill_files()[0]);
      else files::resize_file(folder.spill_files()[0], 500'000);
      CHECK_FALSE(bring_back(store, 1));
    }
}

TEST_CASE("a full disk loses nothing, says so once, and spilling goes on when there is room again") {
  TemporaryFolder folder;
  ValueStore store({.memory_limit = 10 * mib, .spill_directory = folder.path, .segment_bytes = 1 * mib, .spill_retry = 0s});
  {
    FullDisk full(1 * mib);   // enough for a memory segment, not for a value with its checksums
    for (std::uint64_t n = 1; n <= 8; ++n) add(store, n, 1 * mib);
    StoreEvents news = until(store, [](const StoreEvents& all) { return !all.trouble.empty(); });
    CHECK(news.trouble.find("stay in memory") != std::string::npos);
    for (std::uint64_t n = 1; n <= 8; ++n) CHECK(holds(store, n, 1 * mib));
    CHECK(store.spilled_bytes() == 0);
    add(store, 9, 1 * mib);
    CHECK(store.paused());
    auto refused = store.reserve(4 * mib);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::memory_limit);
    CHECK(store.take().trouble.empty());
  }
  until(store, [&](auto&) { return store.managed_bytes() <= 7 * mib; });
  CHECK_FALSE(store.paused());
  for (std::uint64_t n = 1; n <= 9; ++n) {
    CHECK(bring_back(store, n));
    CHECK(holds(store, n, 1 * mib));
  }
}

TEST_CASE("after a full disk nothing is written until the pause is over") {
  TemporaryFolder folder;
  ValueStore store({.memory_limit = 1 * mib, .spill_directory = folder.path, .spill_limit = 100 * kib, .spill_retry = 1h});
  add(store, 1, 900 * kib);
  StoreEvents news = until(store, [](const StoreEvents& all) { return !all.trouble.empty(); });
  CHECK(news.trouble.find("limit") != std::string::npos);
  add(store, 2, 50 * kib);     // small enough for the limit
  store.take();
  CHECK(folder.spill_files().empty());
  CHECK(holds(store, 1, 900 * kib));
}

TEST_CASE("a value erased while it is written or loaded leaves nothing behind") {
  TemporaryFolder folder;
  {
    ValueStore store({.memory_limit = 4 * mib, .spill_directory = folder.path});
    add(store, 1, 4 * mib);      // is being written now
    store.erase(key(1));
    add(store, 1, 1 * mib);      // the key again: the first file must not become its copy
    add(store, 2, 3 * mib);
    until(store, [&](auto&) { return store.spilled_bytes() > 0; });
    for (std::uint64_t n : {1, 2})
      if (!store.find(key(n))) {
        store.load(key(n));
        store.erase(key(n));
      }
    for (std::uint64_t n : {1, 2}) store.erase(key(n));
    add(store, 3, 4 * mib);
    until(store, [&](auto&) { return store.spilled_bytes() == 4 * mib && store.managed_bytes() == 0; });
    add(store, 4, 4 * mib);
    until(store, [&](auto&) { return store.spilled_bytes() == 8 * mib && store.managed_bytes() == 0; });
    CHECK(folder.spill_files().size() == 2);   // the writer works in order: what was erased is gone by now
  }
  CHECK(folder.entries() == 0);
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

TEST_CASE("folders of dead processes are removed, those of living ones stay") {
  TemporaryFolder folder;
  pid_t child = fork();
  if (child == 0) {
    auto dead = SpillFolder::open(folder.path, 0);
    if (!dead) _exit(1);
    std::ofstream((*dead)->path() + "/1") << "left behind";
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  CHECK(folder.entries() == 2);
  auto first = *SpillFolder::open(folder.path, 0);
  CHECK(folder.entries() == 2);
  auto second = *SpillFolder::open(folder.path, 0);
  CHECK(files::exists(first->path()));
  CHECK(folder.entries() == 4);
  CHECK((files::status(first->path()).permissions() & files::perms::others_all) == files::perms::none);
}

TEST_CASE("an unusable spill directory is told, and the store works in memory") {
  ValueStore store({.memory_limit = 1 * mib, .spill_directory = "/proc/no-such-place"});
  StoreEvents news = until(store, [](const StoreEvents& all) { return !all.trouble.empty(); });
  CHECK(news.trouble.find("/proc/no-such-place") != std::string::npos);
  add(store, 1, 900 * kib);
  CHECK(holds(store, 1, 900 * kib));
  CHECK(store.paused());
  CHECK(store.reserve(200 * kib).error().kind == ErrorKind::memory_limit);
}

TEST_CASE("loading a key that is not here says lost") {
  ValueStore store({});
  CHECK_FALSE(store.load(key(1)));
  StoreEvents news = until(store, [](const StoreEvents& all) { return !all.lost.empty(); });
  CHECK(news.lost == std::vector<Key>{key(1)});
}
