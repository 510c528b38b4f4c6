// What a big result costs a reader on the same host: from `view()` to a readable view, to every page touched, and to a vector of
// the user's own; and what it costs a task on another worker. Processes are real.
// Usage: same_host_bench [MB] (WEFT_WORKER__SAME_HOST_VALUES=off: through sockets, as between hosts)
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include <weft/weft.h>

#include "common/time.h"

namespace {

double milliseconds_since(weft::Time start) { return double((weft::monotonic_now() - start).count()) / 1e6; }

std::vector<double> ones(std::size_t n, int) { return std::vector<double>(n, 1.0); }
double first_and_last(const weft::Buffer& bytes) { return double(bytes.data()[0]) + double(bytes.data()[bytes.size() - 1]); }
weft::Buffer bytes_of(std::size_t n, int seed) { return weft::Buffer::own(weft::Bytes(n, std::byte(seed))); }
double ready(double x) { return x; }

}  // namespace

int main(int argc, char** argv) {
  weft::init(argc, argv);
  const std::size_t megabytes = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 500;
  const std::size_t count = megabytes * 1'000'000 / sizeof(double);
  weft::LocalCluster cluster({.workers = 2, .memory_limit = 8ull << 30});
  weft::Client client(cluster);
  for (int round = 0; round < 3; ++round) {
    auto future = client.submit(ones, count, round);
    weft::wait(future);
    weft::Time start = weft::monotonic_now();
    auto view = future.view();
    double seen = milliseconds_since(start);
    double sum = std::accumulate(view->begin(), view->end(), 0.0);
    double summed = milliseconds_since(start);
    start = weft::monotonic_now();
    std::vector<double> own = future.result();
    std::printf("client  %zu MB: view %.2f ms, view and sum %.1f ms, vector %.1f ms%s\n", megabytes, seen, summed,
                milliseconds_since(start), sum == double(count) && own.size() == count ? "" : " WRONG");
  }
  auto there = [](const char* name) {
    weft::Options options;
    options.workers = {name};
    return options;
  };
  for (int round = 0; round < 3; ++round) {
    auto big = client.submit(there("worker-0"), bytes_of, megabytes * 1'000'000, 10 + round);
    weft::wait(big);
    client.submit(there("worker-1"), ready, double(round)).result();  // its executor stands
    weft::Time start = weft::monotonic_now();
    client.submit(there("worker-1"), first_and_last, big).result();
    std::printf("worker  %zu MB: a task elsewhere that looks at both ends %.2f ms\n", megabytes, milliseconds_since(start));
  }
}
