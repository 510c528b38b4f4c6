// What a scheduler keeps on disk: it comes back whole or is refused in a sentence, never less than was confirmed.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>

#include "scheduler/store.h"
#include "scheduler/store_thread.h"

using namespace weft;
using namespace weft::scheduler;
namespace fs = std::filesystem;

namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/weft-store-XXXXXX";
    REQUIRE(mkdtemp(name));
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  std::string path;
};

Row row(std::uint64_t number, std::size_t size = 100) {
  Bytes body(size);
  for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<std::byte>(number + i);
  return {{RowKind::intent, number, 0}, body};
}
std::unique_ptr<Store> open(const std::string& folder, bool accept_loss = false) {
  auto store = open_sqlite_store({folder, accept_loss});
  if (!store) FAIL(store.error().message);
  return std::move(*store);
}
void fill(const std::string& folder, std::uint64_t rows) {
  auto store = open(folder);
  for (std::uint64_t i = 1; i <= rows; ++i) REQUIRE(store->commit(std::vector{row(i, 3'000)}));
}
/// Its rows, or why not.
Result<std::vector<Row>> rows_in(const std::string& folder) {
  auto store = open_sqlite_store({folder});
  if (!store) return store.error();
  return (*store)->load();
}
bool same(const std::vector<Row>& rows, std::uint64_t count) {
  if (rows.size() != count) return false;
  for (std::uint64_t i = 1; i <= count; ++i)
    if (rows[i - 1].id != row(i).id || *rows[i - 1].body != *row(i, 3'000).body) return false;
  return true;
}
void patch(const std::string& path, std::size_t at, std::byte mask) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  char byte = static_cast<char>(static_cast<std::byte>(file.get()) ^ mask);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(byte);
}
void copy(const std::string& from, const std::string& to) {
  fs::remove_all(to);
  fs::create_directory(to);
  fs::permissions(to, fs::perms::owner_all);
  for (const char* name : {"store.db", "store.db-wal", "commit"})
    if (fs::exists(from + '/' + name)) fs::copy(from + '/' + name, to + '/' + name);
}

}  // namespace

TEST_CASE("rows come back, and erased ones do not") {
  Folder folder;
  {
    auto store = open(folder.path);
    REQUIRE(store->commit(std::vector{row(1), row(2), row(3)}));
    REQUIRE(store->commit(std::vector{Row{{RowKind::intent, 2, 0}, std::nullopt}, row(1, 50)}));
    REQUIRE(store->commit(std::vector{Row{{RowKind::wants, 7, 1}, Bytes(1)}, Row{{RowKind::wants, 7, 2}, Bytes(1)}}));
    REQUIRE(store->commit(std::vector{Row{{RowKind::wants, 7, 0}, std::nullopt, true}}));
  }
  auto rows = rows_in(folder.path);
  REQUIRE(rows);
  REQUIRE(rows->size() == 2);
  CHECK((*rows)[0].body->size() == 50);
  CHECK((*rows)[1].id.a == 3);
}

TEST_CASE("an epoch rises with every start, whatever the clock says") {
  Folder folder;
  CHECK(*open(folder.path)->next_epoch(100) == 100);
  CHECK(*open(folder.path)->next_epoch(7) == 101);
}

TEST_CASE("what a start that fails made is taken away, unless it holds something or was there before") {
  auto files = [](const std::string& folder) { return std::distance(fs::directory_iterator(folder), {}); };
  auto on_trial = [](const std::string& folder) {
    auto store = open_sqlite_store({.folder = folder, .on_trial = true});
    REQUIRE(store);
    REQUIRE((*store)->next_epoch(100));
    return std::move(*store);
  };
  Folder folder;
  on_trial(folder.path);
  CHECK(files(folder.path) == 0);
  SUBCASE("it got a row") { REQUIRE(on_trial(folder.path)->commit(std::vector{row(1)})); }
  SUBCASE("it was kept") { on_trial(folder.path)->keep(); }
  CHECK(files(folder.path) == 2);
  on_trial(folder.path);
  CHECK(files(folder.path) == 2);
}

TEST_CASE("a second scheduler is refused and told whose the store is") {
  Folder folder;
  auto first = open(folder.path);
  auto second = open_sqlite_store({folder.path});
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find("process " + std::to_string(getpid())) != std::string::npos);
}

TEST_CASE("a store of another version is refused, and both are named") {
  Folder folder;
  fill(folder.path, 1);
  patch(folder.path + "/store.db", 63, std::byte{2 ^ 9});  // SQLite's user_version
  auto rows = rows_in(folder.path);
  REQUIRE_FALSE(rows);
  CHECK(rows.error().message.find("format 9") != std::string::npos);
  CHECK(rows.error().message.find("format 2") != std::string::npos);
}

TEST_CASE("a store that was killed at any commit has all of them") {
  Folder folder, copied;
  auto store = open(folder.path);
  for (std::uint64_t i = 1; i <= 20; ++i) {
    REQUIRE(store->commit(std::vector{row(i, 3'000)}));
    copy(folder.path, copied.path);  // as a crash would leave it
    auto rows = rows_in(copied.path);
    REQUIRE(rows);
    CHECK(same(*rows, i));
  }
}

TEST_CASE("any flipped bit is harmless or refused") {
  Folder folder, copied;
  auto store = open(folder.path);
  for (std::uint64_t i = 1; i <= 10; ++i) REQUIRE(store->commit(std::vector{row(i, 3'000)}));
  std::mt19937 random(4711);
  int refused = 0;
  for (bool closed : {false, true}) {
    if (closed) store.reset();  // all is in the main file now
    for (int i = 0; i < 150; ++i) {
      copy(folder.path, copied.path);
      std::string file = copied.path + (closed ? "/store.db" : i % 5 == 0 ? "/commit" : "/store.db-wal");
      patch(file, random() % fs::file_size(file), static_cast<std::byte>(1u << random() % 8));
      auto rows = rows_in(copied.path);
      if (rows) CHECK(same(*rows, 10));
      else CHECK(rows.error().kind == ErrorKind::io_error);
      refused += !rows;
    }
  }
  CHECK(refused > 100);
}

TEST_CASE("a store that was cut short is refused, unless nothing was lost") {
  Folder folder, copied;
  fill(folder.path, 10);
  std::uintmax_t size = fs::file_size(folder.path + "/store.db");
  for (std::uintmax_t keep : {size - 1, size - 4096, size / 2, std::uintmax_t(4096), std::uintmax_t(100)}) {
    copy(folder.path, copied.path);
    fs::resize_file(copied.path + "/store.db", keep);
    auto rows = rows_in(copied.path);
    if (rows) CHECK(same(*rows, 10));
    if (keep <= size / 2) CHECK_FALSE(rows);
  }
}

TEST_CASE("commits that the disk lost are noticed, and can be accepted") {
  Folder folder, copied;
  auto store = open(folder.path);
  for (std::uint64_t i = 1; i <= 5; ++i) REQUIRE(store->commit(std::vector{row(i, 3'000)}));
  copy(folder.path, copied.path);
  for (std::uint64_t i = 6; i <= 8; ++i) REQUIRE(store->commit(std::vector{row(i, 3'000)}));
  fs::copy_file(folder.path + "/commit", copied.path + "/commit", fs::copy_options::overwrite_existing);
  auto rows = rows_in(copied.path);
  REQUIRE_FALSE(rows);
  CHECK(rows.error().message.find("lost its last 3 commits") != std::string::npos);
  {
    auto accepted = open(copied.path, true);
    CHECK(same(*accepted->load(), 5));
    REQUIRE(accepted->commit(std::vector{row(6, 3'000)}));
  }
  CHECK(same(*rows_in(copied.path), 6));
}

TEST_CASE("a full disk is a sentence, and what was confirmed is there") {
  Folder folder;
  int report[2];
  REQUIRE(pipe(report) == 0);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{300'000, 300'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    auto store = open_sqlite_store({folder.path});
    std::uint64_t confirmed = 0;
    Result<void> done;
    while (store && confirmed < 10'000 && (done = (*store)->commit(std::vector{row(confirmed + 1, 3'000)}))) ++confirmed;
    bool good = store && !done && done.error().kind == ErrorKind::io_error;
    if (write(report[1], &confirmed, sizeof confirmed) < 0) good = false;
    _exit(good ? 0 : 1);
  }
  std::uint64_t confirmed = 0;
  REQUIRE(read(report[0], &confirmed, sizeof confirmed) == sizeof confirmed);
  int status = 0;
  waitpid(child, &status, 0);
  close(report[0]);
  close(report[1]);
  CHECK(status == 0);
  CHECK(confirmed > 10);
  auto rows = rows_in(folder.path);
  REQUIRE(rows);
  // The failed commit may have reached the disk, but nothing less.
  CHECK((same(*rows, confirmed) || same(*rows, confirmed + 1)));
}

TEST_CASE("a commit takes what arrived while the one before ran; a failure is told once") {
  struct SlowStore : Store {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false, fail = false;
    std::vector<std::size_t> commits;
    Result<std::vector<Row>> load() override { return std::vector<Row>(); }
    Result<std::uint64_t> next_epoch(std::uint64_t least) override { return least; }
    void keep() override {}
    Result<void> commit(std::span<const Row> rows) override {
      std::unique_lock lock(mutex);
      commits.push_back(rows.size());
      changed.notify_all();
      changed.wait(lock, [this] { return open; });
      if (fail) return failure(ErrorKind::io_error, "no");
      return {};
    }
  };
  auto owned = std::make_unique<SlowStore>();
  SlowStore& store = *owned;
  std::mutex mutex;
  std::condition_variable news;
  int heard = 0;
  StoreThread thread(std::move(owned), [&] {
    std::lock_guard lock(mutex);
    ++heard;
    news.notify_all();
  });
  auto add = [&](std::uint64_t ticket) { thread.add({ticket, {StoredWorker{std::to_string(ticket)}}}); };
  add(1);
  {
    std::unique_lock lock(store.mutex);
    store.changed.wait(lock, [&] { return store.commits.size() == 1; });
  }
  for (std::uint64_t ticket = 2; ticket <= 9; ++ticket) add(ticket);
  {
    std::lock_guard lock(store.mutex);
    store.open = true;
    store.changed.notify_all();
  }
  std::unique_lock lock(mutex);
  news.wait(lock, [&] { return heard == 2; });
  CHECK(store.commits == std::vector<std::size_t>{1, 8});
  CHECK(thread.committed() == 9);
  store.fail = true;
  add(10);
  news.wait(lock, [&] { return heard == 3; });
  CHECK(thread.committed() == 9);
  CHECK(thread.failed());
}
