// What a person and a wire notice of a small cluster in this process: words about work that nobody may run, and how many frames a
// chain costs.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include "common/process.h"
#include "tests/support/endpoints.h"
#include "tests/support/small_cluster.h"

using namespace weft;
using namespace std::chrono_literals;
using weft::worker::Isolation;

namespace {

int inc(int x) { return x + 1; }
constexpr auto patience = 60s;

/// What is written to stderr while it lives.
class Stderr {
 public:
  Stderr() : saved_(dup(2)) {
    int file = open((folder_.path + "/stderr").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(file, 2);
    close(file);
  }
  ~Stderr() {
    dup2(saved_, 2);
    close(saved_);
  }
  std::string text() const { return read_whole_file(folder_.path + "/stderr").value_or_throw(); }

 private:
  test::PrivateFolder folder_;
  int saved_;
};

}  // namespace

TEST_CASE("a client whose work nobody may run says so in one line, and goes on waiting") {
  scheduler::Options options;
  options.unrunnable_after = 20ms;
  test::SmallCluster cluster(Isolation::thread, 1, 1, {}, options);
  Client client(cluster.client_links());
  CHECK(client.submit(inc, 1).result(patience) == 2);  // the worker is here
  std::string said;
  {
    Stderr captured;
    auto stuck = client.map(Options{.label = "train", .resources = {{"gpu", 1}}}, inc, std::vector<int>{1, 2, 3});
    auto why = [&] { return client.logs().find("no worker offers gpu=1") != std::string::npos; };
    while (!why() || captured.text().empty()) std::this_thread::sleep_for(1ms);
    CHECK(client.submit(inc, 2).result(patience) == 3);
    for (const auto& future : stuck) CHECK_FALSE(future.done());
    client.cancel(stuck);
    CHECK_THROWS_AS(stuck[0].result(patience), Cancelled);
    said = captured.text();
  }
  CHECK(said == "weft: 3 tasks of 'train' wait: no worker offers gpu=1; start one with --resources gpu=1, or cancel them\n");
}

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
