// Values on their way to disk and back.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>

#include "common/crc32c.h"
#include "support/store_values.h"
#include "worker/spill.h"

using namespace weft;
using namespace weft::worker;
using namespace weft::test::store;

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

TEST_CASE("where values came to lie is told when it changes, and again when asked") {
  TemporaryFolder folder;
  ValueStore store({.memory_limit = 10 * mib, .spill_directory = folder.path, .segment_bytes = 1 * mib});
  std::map<Key, ValuePlace> places;
  auto listen = [&](StoreEvents& events) {
    for (const PlacedValue& value : events.places) places[value.key] = value.place;
    return true;
  };
  auto bytes_on_disk = [&] {
    std::uint64_t sum = 0;
    for (const auto& [key, place] : places) sum += place == ValuePlace::disk ? store.bytes_of(key) : 0;
    return sum;
  };
  for (std::uint64_t n = 1; n <= 7; ++n) add(store, n, 1 * mib);
  until(store, listen);
  CHECK(places.empty());   // what is where it was made needs no word
  add(store, 8, 1 * mib);
  until(store, [&](StoreEvents& events) { return listen(events) && store.spilled_bytes() == 2 * mib && bytes_on_disk() == 2 * mib; });
  CHECK_FALSE(store.load(key(1)));
  until(store, [&](StoreEvents& events) { return listen(events) && !events.loaded.empty(); });
  CHECK(places.at(key(1)) == ValuePlace::memory);
  CHECK(bytes_on_disk() == store.spilled_bytes());
  places.clear();
  store.tell_places_again();
  until(store, listen);
  CHECK(bytes_on_disk() == store.spilled_bytes());
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
  void* file = mmap(nullptr, range.offset + range.length, PROT_READ, MAP_SHARED, range.descriptor, 0);
  REQUIRE(file != MAP_FAILED);
  Buffer expected = value_of(6 * mib, 1).block();
  CHECK(expected.size() == range.length);
  CHECK(std::memcmp(static_cast<std::byte*>(file) + range.offset, expected.data(), range.length) == 0);
  munmap(file, range.offset + range.length);
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
