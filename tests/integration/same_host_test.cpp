// The mechanism "values on one host are mapped, not copied", on and off: what goes through the sockets.
#include <filesystem>
#include <numeric>

#include <doctest/doctest.h>

#include "support/small_cluster.h"

using namespace weft;

namespace {

constexpr std::size_t elements = 1u << 20;

std::vector<double> ramp(std::size_t n) {
  std::vector<double> values(n);
  std::iota(values.begin(), values.end(), 0.0);
  return values;
}
double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

struct Folder {
  std::string path;
  Folder() {
    char name[] = "/tmp/weft-same-XXXXXX";
    REQUIRE(mkdtemp(name));
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

/// One value of 8 MiB, used by a task on the other worker and read by the client: the value bytes that went through sockets.
std::uint64_t bytes_through_sockets(const std::string& memory_folder) {
  test::SmallCluster cluster(worker::Isolation::thread, 1, 2, memory_folder);
  Client client(cluster.client_links());
  auto on = [](const char* worker) {
    Options options;
    options.workers = {worker};
    return options;
  };
  auto values = client.submit(on("w0"), ramp, elements);
  CHECK(client.submit(on("w1"), sum, values).result() == double(elements) * double(elements - 1) / 2);
  auto view = values.view();
  CHECK(view->size() == elements);
  CHECK(view->back() == double(elements - 1));
  return *cluster.payload_bytes;
}

}  // namespace

TEST_CASE("on one host values are mapped where they lie; switched off, all their bytes go through sockets") {
  Folder folder;
  CHECK(bytes_through_sockets(folder.path) == 0);
  CHECK(bytes_through_sockets("") >= 2 * elements * sizeof(double));
}
