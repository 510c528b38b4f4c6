// Values on one host: lent, viewed where they lie, returned.
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include <doctest/doctest.h>

#include "common/data/borrower.h"
#include "common/data/lender.h"
#include "common/data/transfer.h"
#include "common/machine.h"
#include "worker/value_store.h"

using namespace weft;

namespace {

constexpr std::size_t mib = 1u << 20;
Key key(std::uint64_t n) { return Key{3, n}; }

Value value_of(std::size_t bytes, int seed) {
  Bytes part(bytes, std::byte(seed));
  std::span<const std::byte> view(part);
  return Value::make(1, std::span(&view, 1));
}

/// A worker's store with its lender, and a reader; every step waits for the sockets, never for time.
struct Host {
  std::string folder;
  worker::ValueStore store{{}};
  std::unique_ptr<Lender> lender;
  std::optional<Borrower> borrower;
  Time now{1};

  Host() {
    char name[] = "/tmp/weft-loans-XXXXXX";
    REQUIRE(mkdtemp(name));
    folder = name;
    lender = Lender::open(folder, [this](const Borrow& ask) { return offer(ask); }).value_or_throw();
    borrower.emplace();
  }
  ~Host() { std::filesystem::remove_all(folder); }

  Lender::Offer offer(const Borrow& ask) {
    auto value = store.find(ask.key);
    if (!value || ask.token.seal != 7) return {.refusal = "it is not here"};
    SegmentRange range = store.lend(value->block().bytes());
    if (!range) return {.refusal = "it is on the heap"};
    return {.bytes = value->block(), .range = range, .content = store.content_of(ask.key)};
  }
  Location location() const { return {.worker = {1}, .token = {1, 7}, .memory = lender ? lender->address() : ""}; }

  /// Ask, and go round until the answer is there.
  std::optional<Borrowed> borrow(const Key& key, Location from) {
    bool done = false;
    std::optional<Borrowed> got;
    bool asked = borrower->borrow(from, key, whole_value, [&](std::optional<Borrowed> answer) {
      got = std::move(answer);
      done = true;
    }, now);
    REQUIRE(asked);
    while (!done) {
      if (lender) lender->serve();
      borrower->serve(now);
    }
    return got;
  }
  void wait_for_returns() {
    while (lender->loans() > 0) {
      pollfd look{lender->descriptor(), POLLIN, 0};
      poll(&look, 1, -1);
      lender->serve();
    }
  }
};

}  // namespace

TEST_CASE("a lent value is read where it lies, and its range is not used again before it is returned") {
  Host host;
  REQUIRE(host.store.put(key(1), value_of(2 * mib, 1)));
  auto got = host.borrow(key(1), host.location());
  REQUIRE(got);
  CHECK(got->content == host.store.content_of(key(1)));
  CHECK(got->bytes == host.store.find(key(1))->block());
  CHECK(got->bytes.data() != host.store.find(key(1))->block().data());  // its own mapping

  host.store.erase(key(1));
  CHECK(host.store.managed_bytes() > 2 * mib);
  REQUIRE(host.store.put(key(2), value_of(2 * mib, 2)));
  CHECK(got->bytes == value_of(2 * mib, 1).block());  // not overwritten
  Buffer part = got->bytes.slice(100, 10);
  got.reset();
  host.store.erase(key(2));
  CHECK(host.lender->loans() == 1);                   // a part of the view is a view
  part = {};
  host.wait_for_returns();
  CHECK(host.store.managed_bytes() == 0);
}

TEST_CASE("a borrowed segment cannot be mapped writable, and is mapped once for all its values") {
  Host host;
  for (std::uint64_t n : {1, 2}) REQUIRE(host.store.put(key(n), value_of(mib, int(n))));
  auto a = host.borrow(key(1), host.location()), b = host.borrow(key(2), host.location());
  REQUIRE((a && b));
  SegmentRange first = host.borrower->range_of(a->bytes.bytes()), second = host.borrower->range_of(b->bytes.bytes());
  CHECK(first.segment == second.segment);
  CHECK(first.offset != second.offset);
  CHECK(first.length == a->bytes.size());
  CHECK(mmap(nullptr, mib, PROT_READ | PROT_WRITE, MAP_SHARED, first.descriptor, 0) == MAP_FAILED);
  CHECK_FALSE(host.borrower->range_of(value_of(mib, 1).block().bytes()));
}

TEST_CASE("what cannot be lent is refused, and the line goes on") {
  Host host;
  REQUIRE(host.store.put(key(1), value_of(10, 1)));
  REQUIRE(host.store.put(key(2), value_of(mib, 2)));
  CHECK_FALSE(host.borrow(key(1), host.location()));  // on the heap
  CHECK_FALSE(host.borrow(key(9), host.location()));
  Location forged = host.location();
  forged.token.seal = 8;
  CHECK_FALSE(host.borrow(key(2), forged));
  CHECK(host.borrow(key(2), host.location()));
}

TEST_CASE("another host, or a socket that we cannot see, is not asked at all") {
  Host host;
  auto asks = [&](std::string memory) {
    return host.borrower->borrow({.memory = std::move(memory)}, key(1), whole_value, [](auto) {}, host.now);
  };
  CHECK_FALSE(asks(""));
  CHECK_FALSE(asks("another-boot-0 " + host.folder + "/memory"));
  CHECK_FALSE(asks(host_id() + " " + host.folder + "/nobody"));
  CHECK_FALSE(asks(host_id() + " /" + std::string(200, 'x')));
  CHECK(asks(host.lender->address()));
}

TEST_CASE("an owner that is gone leaves the views, and says that copies are wanted") {
  Host host;
  std::optional<Borrowed> got;
  {
    REQUIRE(host.store.put(key(1), value_of(mib, 1)));
    got = host.borrow(key(1), host.location());
    REQUIRE(got);
  }
  host.store.erase(key(1));
  host.lender.reset();
  host.borrower->serve(host.now);
  CHECK(host.borrower->take_unsure() == std::vector{got->lender});
  CHECK(got->bytes == value_of(mib, 1).block());
  host.borrower.reset();
  CHECK(got->bytes == value_of(mib, 1).block());
}

TEST_CASE("a reader that is gone has returned everything") {
  Host host;
  REQUIRE(host.store.put(key(1), value_of(mib, 1)));
  host.borrow(key(1), host.location()).reset();
  host.borrower.reset();
  host.wait_for_returns();
  host.store.erase(key(1));
  CHECK(host.store.managed_bytes() == 0);
}

TEST_CASE("an owner that does not answer in time is given up") {
  Host host;
  int answers = 0;
  REQUIRE(host.borrower->borrow(host.location(), key(1), whole_value, [&](auto got) { answers += !got; }, host.now));
  host.borrower->serve(host.now);
  CHECK(answers == 0);
  CHECK(host.borrower->wake_at() == host.now + Borrower::patience);
  host.borrower->serve(host.now + Borrower::patience);
  CHECK(answers == 1);
  CHECK(host.borrower->wake_at() == Time::never());
}

TEST_CASE("more is asked at once than an owner is sent at once") {
  Host host;
  REQUIRE(host.store.put(key(1), value_of(mib, 1)));
  std::size_t wanted = 3 * Borrower::asked_max, got = 0;
  for (std::size_t i = 0; i < wanted; ++i)
    host.borrower->borrow(host.location(), key(1), whole_value, [&](auto answer) { got += answer.has_value(); }, host.now);
  while (got < wanted) {
    host.lender->serve();
    host.borrower->serve(host.now);
  }
  host.wait_for_returns();
}

TEST_CASE("a borrowed value counts with its owner only, until its owner recalls it") {
  Host owner;
  REQUIRE(owner.store.put(key(1), value_of(mib, 1)));
  worker::ValueStore reader({.memory_limit = 16 * mib});
  auto got = owner.borrow(key(1), owner.location());
  REQUIRE(got);
  std::uint64_t lender = got->lender;
  REQUIRE(reader.keep_borrowed(key(1), std::move(got->bytes), got->content, lender));
  got.reset();
  CHECK(reader.managed_bytes() == 0);
  CHECK(reader.content_of(key(1)) == owner.store.content_of(key(1)));

  owner.lender->recall();
  owner.borrower->serve(owner.now);
  CHECK(owner.borrower->take_unsure() == std::vector{lender});
  reader.copy_borrowed(lender);
  while (reader.managed_bytes() == 0 || owner.lender->loans() > 0) {
    pollfd look[] = {{reader.descriptor(), POLLIN, 0}, {owner.lender->descriptor(), POLLIN, 0}};
    poll(look, 2, -1);
    reader.take();
    owner.lender->serve();
  }
  CHECK(reader.managed_bytes() == value_of(mib, 1).size());
  CHECK(reader.find(key(1))->block() == value_of(mib, 1).block());
  owner.store.erase(key(1));
  CHECK(owner.store.managed_bytes() == 0);
}

TEST_CASE("sockets of processes that are gone are removed from the folder") {
  Host host;
  std::string dead = host.folder + "/memory-999999999.0";
  REQUIRE(mknod(dead.c_str(), S_IFREG | 0600, 0) == 0);
  auto second = Lender::open(host.folder, [](const Borrow&) { return Lender::Offer{.refusal = "no"}; });
  REQUIRE(second);
  CHECK_FALSE(std::filesystem::exists(dead));
  CHECK((*second)->address() != host.lender->address());
}
