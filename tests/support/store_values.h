// Values for tests of the worker's store, made from numbers, and waiting for its threads.
#pragma once

#include <poll.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <vector>

#include <doctest/doctest.h>

#include "worker/value_store.h"

namespace weft::test::store {

using namespace weft::worker;
namespace files = std::filesystem;

inline constexpr std::uint64_t kib = 1024, mib = 1024 * 1024;

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

inline Key key(std::uint64_t n) { return Key{1, n}; }

/// Fill a block of this size with a value whose bytes depend on `seed`.
inline void fill(std::span<std::byte> block, std::uint64_t seed) {
  std::uint64_t part = block.size() - 64;
  auto places = lay_out_value(block, 7, std::span(&part, 1));
  for (std::size_t i = 0; i < places[0].size(); ++i) places[0][i] = std::byte(seed * 131 + i * 7 + (i >> 12));
}
inline Value value_of(std::uint64_t size, std::uint64_t seed) {
  Bytes block(size);
  fill(block, seed);
  return *Value::from(Buffer::own(std::move(block)));
}
inline std::unique_ptr<Reservation> reserve(ValueStore& store, std::uint64_t size) {
  auto place = store.reserve(size);
  REQUIRE(place);
  return std::move(*place);
}
inline void add(ValueStore& store, std::uint64_t n, std::uint64_t size) {
  auto place = reserve(store, size);
  fill(place->bytes(), n);
  REQUIRE(store.commit(key(n), std::move(place)));
}
inline bool holds(ValueStore& store, std::uint64_t n, std::uint64_t size) {
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
    all.places.insert(all.places.end(), news.places.begin(), news.places.end());
    if (!news.trouble.empty()) all.trouble = news.trouble;
    if (done(all)) return all;
    pollfd waiting{store.descriptor(), POLLIN, 0};
    int ready = poll(&waiting, 1, 20'000);
    REQUIRE(ready == 1);
  }
}
inline bool bring_back(ValueStore& store, std::uint64_t n) {
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

}  // namespace weft::test::store
