// How many frames a chain costs between scheduler and worker.
#include <doctest/doctest.h>

#include "tests/support/small_cluster.h"

using namespace weft;
using namespace std::chrono_literals;
using weft::worker::Isolation;

namespace {

int inc(int x) { return x + 1; }
constexpr auto patience = 60s;

}  // namespace

TEST_CASE("running ahead: a chain costs fewer frames and messages between scheduler and worker") {
  struct Counted {
    std::uint64_t frames, messages;
  };
  constexpr int links = 1000;
  auto count = [&](bool on) {
    scheduler::Options options;
    options.run_ahead = on;
    test::SmallCluster cluster(Isolation::thread, 1, 1, {}, options);
    Client client(cluster.client_links());
    CHECK(client.submit(inc, 0).result(patience) == 1);
    std::uint64_t frames = cluster.traffic->frames, messages = cluster.traffic->messages;
    Future<int> last = client.submit(inc, 1000);
    for (int i = 1; i < links; ++i) last = client.submit(inc, last);
    CHECK(last.result(patience) == 1000 + links);
    return Counted{cluster.traffic->frames - frames, cluster.traffic->messages - messages};
  };
  Counted with = count(true), without = count(false);
  MESSAGE("a chain of " << links << ": " << with.messages << " messages in " << with.frames << " frames with, " << without.messages << " in "
                        << without.frames << " without");
  CHECK(with.frames < without.frames);
  CHECK(with.messages < without.messages);
}
