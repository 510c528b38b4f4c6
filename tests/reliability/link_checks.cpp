// A8, A13, A14: workers that die, and links that lose what they should carry.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "reliability/check.h"
#include "reliability/cluster.h"
#include "reliability/tasks.h"

namespace weft::reliability {

namespace fs = std::filesystem;

namespace {

// ------------------------------------------------------------------------------------------- partitions

/// Loses packets of a link where the kernel lets us (a network of our own, with a firewall), else holds bytes back in its proxy.
/// The difference: a kernel that resends waits longer each time, so a link is back later than it was mended.
class Losses {
 public:
  Losses() {
    firewall_ = unshare(CLONE_NEWNET) == 0 && run("ip link set lo up") && run("iptables -L -n > /dev/null");
    std::printf("partitions %s\n", firewall_ ? "lose packets in a network of their own" : "hold bytes back in proxies");
  }
  std::string kind() const { return firewall_ ? "packets lost" : "bytes held back"; }
  void begin(Proxy& link, Proxy::Way way) { change(link, way, true); }
  void end(Proxy& link, Proxy::Way way) { change(link, way, false); }

 private:
  static bool run(const std::string& command) { return std::system((command + " 2> /dev/null").c_str()) == 0; }
  void change(Proxy& link, Proxy::Way way, bool begins) {
    if (!firewall_) return link.block(begins ? way : Proxy::none);
    std::string rule = std::string("iptables ") + (begins ? "-A" : "-D") + " INPUT -p tcp ";
    bool done = true;
    if (way & Proxy::forth) done &= run(rule + "--dport " + std::to_string(link.port()) + " -j DROP");
    if (way & Proxy::back) done &= run(rule + "--sport " + std::to_string(link.port()) + " -j DROP");
    need(done, "iptables refused a rule");
  }
  bool firewall_;
};

struct Seen {
  std::uint64_t tasks = 0, runs = 0, most_runs = 0;
  int wrong = 0, lost = 0;
};

/// Partitions each worker from the scheduler, all at once, while it is busy.
Seen partition_workers(Losses& losses, int workers, int rounds, Duration lease, Duration time, const std::vector<Proxy::Way>& ways) {
  Cluster cluster({.workers = workers, .slots = 1, .links = true,
                   .scheduler = {"--worker-lease", std::to_string(lease / 1ms) + "ms", "--heartbeat-interval", std::to_string(lease / 15 / 1ms) + "ms"}});
  std::string folder = cluster.folder() + "/traces";
  fs::create_directory(folder);
  Client client(cluster.address());
  await_workers(client, cluster.size());
  Seen seen;
  for (int round = 0; round < rounds; ++round) {
    // What is there already, and is read by what comes later; what runs through the partition.
    std::vector<Future<int>> before, during;
    int first = static_cast<int>(seen.tasks);
    for (int i = 0; i < 4 * workers; ++i) before.push_back(client.submit(Options{.pure = false}, leave_trace, folder, first + i, 1000));
    for (auto& future : before) seen.wrong += future.result(60s) < first;
    int then = first + static_cast<int>(before.size()), pieces = static_cast<int>(time / 100ms) * workers * 5 / 4;
    for (int i = 0; i < pieces; ++i) during.push_back(client.submit(Options{.pure = false}, leave_trace, folder, then + i, 100'000));
    eventually(60s, [&] { return traces(folder) >= seen.runs + before.size() + static_cast<std::size_t>(workers); });
    auto way = [&](std::size_t i) { return ways[(i + static_cast<std::size_t>(round)) % ways.size()]; };
    for (std::size_t i = 0; i < cluster.size(); ++i) losses.begin(cluster.worker_link(i), way(i));
    std::this_thread::sleep_for(time);
    for (std::size_t i = 0; i < cluster.size(); ++i) losses.end(cluster.worker_link(i), way(i));
    for (int i = 0; i < pieces; ++i) seen.wrong += during[static_cast<std::size_t>(i)].result(120s) != then + i;
    auto sums = client.map(std::plus<int>(), before, before);
    for (std::size_t i = 0; i < sums.size(); ++i) seen.wrong += sums[i].result(60s) != 2 * (first + static_cast<int>(i));
    seen.tasks += before.size() + during.size();
    seen.runs = traces(folder);
  }
  Traces runs(folder);
  for (std::uint64_t i = 0; i < seen.tasks; ++i) seen.most_runs = std::max(seen.most_runs, runs[static_cast<int>(i)]);
  std::string logs = client.logs();
  for (std::size_t at = 0; (at = logs.find("worker lost", at)) != logs.npos; ++at) ++seen.lost;
  return seen;
}

std::string describe(const Seen& seen, int partitions, Duration time, const Losses& losses) {
  return std::to_string(partitions) + " partitions of " + std::to_string(time / 1ms) + " ms (" + losses.kind() + "): " + std::to_string(seen.lost) + " workers lost, " +
         std::to_string(seen.runs) + " executions of " + std::to_string(seen.tasks) + " tasks, at most " + std::to_string(seen.most_runs) +
         " of one, " + std::to_string(seen.wrong) + " wrong results";
}

}  // namespace

// A13
Outcome short_partitions(Scale scale) {
  Losses losses;
  const bool quick = scale == Scale::quick;
  const Duration lease = quick ? 5s : 15s, time = lease * 3 / 5;
  const int workers = quick ? 4 : 5, rounds = quick ? 1 : 10;
  Seen seen = partition_workers(losses, workers, rounds, lease, time, {Proxy::both, Proxy::forth, Proxy::back});
  return judged(seen.wrong == 0 && seen.lost == 0 && seen.runs == seen.tasks, describe(seen, workers * rounds, time, losses));
}

// A14
Outcome long_partitions(Scale scale) {
  Losses losses;
  const bool quick = scale == Scale::quick;
  const Duration lease = quick ? 2s : 15s, time = 2 * lease;
  const int workers = quick ? 3 : 5, rounds = quick ? 1 : 10;
  Seen seen = partition_workers(losses, workers, rounds, lease, time, {Proxy::forth, Proxy::back, Proxy::both});
  return judged(seen.wrong == 0 && seen.most_runs <= 2 && seen.lost > 0, describe(seen, workers * rounds, time, losses));
}

// ------------------------------------------------------------------------------------------- deaths of workers

namespace {

Block part_of(const Block& whole, std::uint32_t part, std::uint32_t parts) {
  std::size_t size = whole.size() / parts;
  auto from = whole.begin() + static_cast<std::ptrdiff_t>(part * size);
  return Block(from, from + static_cast<std::ptrdiff_t>(size));
}
std::uint64_t digest_parts(const std::vector<Block>& parts) { return digest(0, parts); }

struct Shuffle {
  int wrong = 0;
  Duration time{};
};

/// Everybody's part for everybody: n blocks, n * n parts, n digests.
Shuffle shuffle(Client& client, std::uint32_t n, std::uint64_t seed, const std::function<void()>& meanwhile) {
  const std::uint32_t size = n * 16;
  Options options{.max_attempts = 1000};
  Time began = monotonic_now();
  std::vector<Future<Block>> blocks;
  for (std::uint32_t i = 0; i < n; ++i) blocks.push_back(client.submit(options, grow, seed + i, std::vector<Block>{}, size, 0u));
  std::vector<Future<std::uint64_t>> digests;
  for (std::uint32_t part = 0; part < n; ++part) {
    auto parts = client.map(options, part_of, blocks, part, n);
    digests.push_back(client.submit(options, digest_parts, parts));
  }
  blocks.clear();
  meanwhile();
  Shuffle seen;
  std::vector<Block> here;
  for (std::uint32_t i = 0; i < n; ++i) here.push_back(grow(seed + i, {}, size, 0));
  for (std::uint32_t part = 0; part < n; ++part) {
    std::vector<Block> parts;
    for (const Block& block : here) parts.push_back(part_of(block, part, n));
    seen.wrong += digests[part].result(1200s) != digest_parts(parts);
  }
  seen.time = monotonic_now() - began;
  return seen;
}

}  // namespace

// A8
Outcome worker_deaths(Scale scale) {
  const bool quick = scale == Scale::quick;
  const std::uint32_t n = quick ? 100 : 316;
  const Duration every = quick ? Duration(500ms) : 4s;
  Cluster cluster({.workers = 4, .slots = 1});
  Client client(cluster.address());
  await_workers(client, 4);
  Shuffle calm = shuffle(client, n, 1, [] {});
  std::mt19937 random(std::random_device{}());
  std::atomic<bool> over = false;
  int deaths = 0;
  // Daemons die with the thread that started them: it is this one, and waiting happens on another.
  Shuffle stormy;
  std::thread work([&] {
    try {
      stormy = shuffle(client, n, 1000, [] {});
    } catch (const std::exception& error) {
      std::printf("%s\n", error.what());
      stormy.wrong = 1;
    }
    over = true;
  });
  while (!eventually(deaths == 0 ? every / 8 : every, [&] { return over.load(); })) {
    std::size_t victim = random() % 4;
    cluster.end_worker(victim);
    cluster.start_worker(victim);
    ++deaths;
  }
  work.join();
  double times = static_cast<double>(stormy.time.count()) / static_cast<double>(calm.time.count());
  char ratio[80];
  std::snprintf(ratio, sizeof ratio, "%.1f s against %.1f s without (%.2f x)", static_cast<double>(stormy.time.count()) / 1e9, static_cast<double>(calm.time.count()) / 1e9, times);
  bool right = calm.wrong + stormy.wrong == 0 && deaths > 0;
  return judged(right && (quick || times <= 2.5), std::to_string(n * n) + " parts, " + std::to_string(deaths) + " deaths of workers: " +
                                                      std::to_string(stormy.wrong) + " wrong, " + ratio);
}

}  // namespace weft::reliability
