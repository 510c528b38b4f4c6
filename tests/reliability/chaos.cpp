// A7: real processes under random faults.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "reliability/check.h"
#include "reliability/faults.h"

namespace weft::reliability {

namespace fs = std::filesystem;

namespace {

constexpr Duration progress_within = 60s;  // of tolerable faults

/// The number that daemons add to their wall clocks.
std::atomic<std::int64_t>& shared_offset(const std::string& path) {
  int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  need(file >= 0 && ftruncate(file, sizeof(std::int64_t)) == 0, "no file for the wall clock");
  void* memory = mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return *static_cast<std::atomic<std::int64_t>*>(memory);
}

/// Breaks and mends until the time is over; then everything is mended.
struct Storm {
  void blow(Battlefield& field, std::mt19937_64& random, Duration length, Duration mean_gap) {
    Time began = monotonic_now(), end = began + length, next = began;
    std::uint64_t graphs = field.clients.graphs();
    Time progress = began;
    while (monotonic_now() < end) {
      Time now = monotonic_now();
      mend_until(now);
      // A daemon may end by itself only because of a fault; whoever runs daemons starts them again.
      if (std::string fallen = field.cluster.fallen(); !fallen.empty()) {
        std::printf("%6.1f s  %s\n", seconds(now - began), fallen.c_str());
        ended += fallen;
        restart(field);
      }
      if (now >= next && open.size() < 5) {
        Fault fault = break_something(field, random);
        std::printf("%6.1f s  %s\n", seconds(now - began), fault.what.c_str());
        std::fflush(stdout);
        ++counts[fault.kind];
        open.push_back(std::move(fault));
        next = now + Duration(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(2 * mean_gap.count())));
      }
      if (std::uint64_t so_far = field.clients.graphs(); so_far != graphs) graphs = so_far, progress = now;
      longest_pause = std::max(longest_pause, now - progress);
      std::this_thread::sleep_for(10ms);
    }
    mend_until(Time::never());
    restart(field);
  }
  static void restart(Battlefield& field) {
    if (field.cluster.scheduler_pid() < 0) field.cluster.start_scheduler();
    for (std::size_t i = 0; i < field.cluster.size(); ++i)
      if (field.cluster.worker_pid(i) < 0) field.cluster.start_worker(i);
  }
  void mend_until(Time now) {
    for (std::size_t i = 0; i < open.size();) {
      if (open[i].mended_at > now) {
        ++i;
        continue;
      }
      open[i].mend();
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  static double seconds(Duration time) { return static_cast<double>(time.count()) / 1e9; }
  int faults() const {
    int sum = 0;
    for (auto& [kind, count] : counts) sum += count;
    return sum;
  }

  std::vector<Fault> open;
  std::map<std::string, int> counts;
  std::string ended;
  Duration longest_pause{};
};

}  // namespace

Outcome chaos(Scale scale) {
  const char* chosen = std::getenv("WEFT_CHAOS_SEED");
  const char* length = std::getenv("WEFT_CHAOS_SECONDS");
  std::uint64_t seed = chosen ? std::stoull(chosen) : std::random_device{}();
  Duration time = 1s * (length ? std::stoll(length) : scale == Scale::quick ? 20 : 600);
  std::printf("chaos: seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  char made[] = "/tmp/weft-chaos-XXXXXX";
  need(mkdtemp(made), "no folder can be made in /tmp");
  std::string folder = made, disk = small_disk(folder + "/disk", 64);
  if (disk.empty()) std::printf("no small disk can be mounted here: faults of disks are left out\n");
  std::atomic<std::int64_t>& clock = shared_offset(folder + "/clock");
  std::string shim = fs::read_symlink("/proc/self/exe").parent_path().string() + "/libreliability_shim.so";
  Cluster cluster({.workers = 4, .slots = 1, .links = true, .memory = "24MiB",
                   .scheduler = {"--worker-lease", "4s", "--heartbeat-interval", "300ms", "--client-grace", "15s"},
                   .worker = {"--executor-memory", "512MiB", "--same-host-values", "off"},
                   .environment = {{"LD_PRELOAD", shim}, {"WEFT_CLOCK_FILE", folder + "/clock"}}, .spill_folder = disk, .recorded = true});
  ChaosClients clients(cluster, folder + "/clients", seed, 3);
  Battlefield field{cluster, clients, disk, clock};
  Storm storm;
  storm.blow(field, random, time, scale == Scale::quick ? 1s : 2s);

  // All is mended: what was begun ends, nobody's work is lost, and what is released leaves nothing.
  std::string wrong = clients.finish(progress_within + 120s);
  Client client(cluster.address(3));
  await_workers(client, cluster.size());
  bool empty = eventually(60s, [&] { return client.ask("tasks", {}, {}, true) == "[]"; });
  if (!empty) wrong += "the scheduler still has tasks: " + client.ask("tasks", {}, {}, true).substr(0, 500) + "; ";
  auto held = [&] {
    std::uint64_t bytes = 0;
    for (const WorkerInfo& worker : client.workers()) bytes += worker.managed_bytes + worker.spilled_bytes;
    return bytes;
  };
  if (!eventually(30s, [&] { return held() == 0; })) wrong += "workers still hold " + std::to_string(held()) + " bytes; ";
  if (storm.longest_pause > progress_within) wrong += "no graph ended for " + std::to_string(storm.longest_pause / 1s) + " s; ";
  client.close();
  wrong += cluster.shut_down();
  wrong += cluster.recordings_that_fail();

  std::string seen = std::to_string(storm.faults()) + " faults (";
  for (auto& [kind, count] : storm.counts) seen += std::to_string(count) + ' ' + kind + ", ";
  seen.resize(seen.size() - 2);
  seen += ") in " + std::to_string(time / 1s) + " s; " + std::to_string(clients.graphs()) + " graphs of " + std::to_string(clients.tasks()) +
          " tasks right; longest pause between graphs " + std::to_string(storm.longest_pause / 1ms) + " ms; seed " + std::to_string(seed);
  if (!storm.ended.empty()) seen += "; ended by themselves: " + storm.ended;
  if (!wrong.empty()) seen += "; WRONG: " + wrong.substr(0, 2000);
  if (wrong.empty() && !std::getenv("WEFT_RELIABILITY_KEEP")) {
    if (!disk.empty()) umount2(disk.c_str(), MNT_DETACH);
    fs::remove_all(folder);
  }
  return judged(wrong.empty(), seen);
}

}  // namespace weft::reliability
