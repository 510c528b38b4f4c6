// Statics: a Client, a cluster and futures may live as long as the process, and die in any order.
#include <iostream>
#include <optional>

#include <weft/weft.h>

static int inc(int x) { return x + 1; }

static std::optional<weft::Client> embedded;         // made in main, after init: the executors of this program pass here, too
static std::optional<weft::Client> client;
static std::vector<weft::Future<int>> futures;       // of a client that outlives them
static std::optional<weft::LocalCluster> cluster;    // dies first: what is still to be said finds nobody, and that is fine

int main(int argc, char** argv) {
  weft::init(argc, argv);
  embedded.emplace();
  std::cout << embedded->submit(inc, 1).result() << "\n";
  cluster.emplace(weft::LocalClusterOptions{.workers = 1});
  client.emplace(*cluster);
  std::cout << client->submit(inc, 2).result() << "\n";
  futures = client->map(inc, std::vector{1, 2, 3});
}
