// A29 to A31: who never reads, and what grows when it should not.
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <thread>

#include <weft/local_cluster.h>

#include "reliability/check.h"
#include "reliability/cluster.h"
#include "reliability/tasks.h"
#include "support/http_client.h"

namespace weft::reliability {

namespace fs = std::filesystem;

namespace {

std::uint64_t bytes_below(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code gone;
  for (fs::recursive_directory_iterator at(folder, gone), end; !gone && at != end; at.increment(gone))
    if (at->is_regular_file(gone)) bytes += at->file_size(gone);
  return bytes;
}
double growth(std::uint64_t before, std::uint64_t after) {
  return before == 0 ? 0 : 100 * (static_cast<double>(after) / static_cast<double>(before) - 1);
}

}  // namespace

// A29
Outcome deaf_viewers(Scale) {
  constexpr int viewers = 100, rounds = 7, tasks = 50'000;
  LocalCluster cluster({.workers = 1, .dashboard = true});
  Client client(cluster);
  const std::uint16_t port = test::port_of(cluster.dashboard());
  int first = 0;
  auto rate = [&] {
    std::vector<int> numbers(tasks);
    for (int& number : numbers) number = first++;
    Time began = monotonic_now();
    gather(client.map(increment, numbers));
    return tasks / (static_cast<double>((monotonic_now() - began).count()) / 1e9);
  };
  auto rates = [&] {
    std::vector<double> all(rounds);
    for (double& one : all) one = rate();
    std::sort(all.begin(), all.end());
    return all;
  };
  rate();
  // Values to show, so that there is something not to read.
  std::vector<int> numbers(20'000);
  for (int& number : numbers) number = first++;
  auto held = client.map(increment, numbers);
  wait(held);
  std::vector<double> alone = rates();
  std::vector<std::unique_ptr<test::HttpClient>> deaf;
  for (int i = 0; i < viewers; ++i) deaf.push_back(test::viewer_that_never_reads(port));
  Time began = monotonic_now();
  std::vector<double> beside = rates();
  double behind = 0;
  for (int cut = 0; cut < viewers && monotonic_now() < began + 120s;) {
    Time asked = monotonic_now();
    cut = test::HttpClient(port).json("/api/v1/system")["viewers"]["cut"];
    behind = std::max(behind, static_cast<double>((monotonic_now() - asked).count()) / 1e6);
    std::this_thread::sleep_for(100ms);
  }
  double time = static_cast<double>((monotonic_now() - began).count()) / 1e9, loss = 100 * (1 - beside[rounds / 2] / alone[rounds / 2]);
  char text[250];
  std::snprintf(text, sizeof text, "%d cut after %.1f s, the slowest answer to a good one %.0f ms; tasks a second %.0f (%.0f to %.0f) alone, %.0f (%.0f to %.0f) beside them",
                viewers, time, behind, alone[rounds / 2], alone.front(), alone.back(), beside[rounds / 2], beside.front(), beside.back());
  return judged(time < 31 && behind <= 500 && loss <= 1, text);
}

// A30
Outcome sustained_load(Scale) {
  const char* chosen = std::getenv("WEFT_LOAD_TASKS");
  const int total = chosen ? std::atoi(chosen) : 10'000'000, batch = 50'000;
  Cluster cluster({.workers = 4});
  Client client(cluster.address());
  await_workers(client, 4);
  std::vector<int> numbers(batch);
  std::uint64_t early = 0, wrong = 0;
  Time began = monotonic_now();
  for (int first = 0; first < total; first += batch) {
    for (int i = 0; i < batch; ++i) numbers[static_cast<std::size_t>(i)] = first + i;
    auto futures = client.map(increment, numbers);
    wait(futures);
    wrong += static_cast<std::uint64_t>(futures.back().result() != first + batch);
    if (first % (total / 10) != 0 || first == 0) continue;
    std::uint64_t now = resident_bytes(cluster.scheduler_pid());
    if (early == 0) early = now;
    std::printf("%d tasks: %.1f MiB\n", first, static_cast<double>(now) / (1 << 20));
  }
  double time = static_cast<double>((monotonic_now() - began).count()) / 1e9;
  std::uint64_t late = resident_bytes(cluster.scheduler_pid());
  char text[200];
  std::snprintf(text, sizeof text, "%d tasks in %.0f s (%.0f a second), %llu wrong; scheduler %.1f MiB after a tenth, %+.2f %% at the end", total, time,
                total / time, static_cast<unsigned long long>(wrong), static_cast<double>(early) / (1 << 20), growth(early, late));
  return judged(wrong == 0 && growth(early, late) < 1, text);
}

// A31
Outcome soak(Scale) {
  const char* chosen = std::getenv("WEFT_SOAK_SECONDS");
  const Duration length = 1s * (chosen ? std::atoi(chosen) : 300);
  Cluster cluster({.workers = 2, .links = true, .memory = "32MiB", .worker = {"--executor-memory", "512MiB"}});
  Client client(cluster.address());
  await_workers(client, 2);
  std::mt19937_64 random(std::random_device{}());
  struct Sample {
    std::uint64_t memory[3], descriptors[3], store;
  };
  std::vector<Sample> samples;
  std::uint64_t tasks = 0, wrong = 0, faults = 0;
  auto measure = [&] {
    Sample sample{};
    int pids[] = {cluster.scheduler_pid(), cluster.worker_pid(0), cluster.worker_pid(1)};
    for (int i = 0; i < 3; ++i) sample.memory[i] = resident_bytes(pids[i]), sample.descriptors[i] = descriptors_of(pids[i]);
    sample.store = bytes_below(cluster.folder() + "/store");
    samples.push_back(sample);
  };
  for (Time end = monotonic_now() + length; monotonic_now() < end;) {
    std::vector<Future<Block>> layer;
    std::vector<Block> here;
    std::uint64_t seed = random();
    for (std::uint32_t i = 0; i < 20; ++i) {
      layer.push_back(client.submit(Options{.max_attempts = 100}, grow, seed + i, std::vector<Block>{}, i * 10'000, 1000u));
      here.push_back(grow(seed + i, {}, i * 10'000, 0));
    }
    auto sum = client.submit(Options{.max_attempts = 100}, digest, seed, layer);
    if (random() % 3 == 0) cluster.worker_link(random() % 2).reset(), ++faults;
    if (random() % 3 == 0)
      for (int pid : children_of(cluster.worker_pid(random() % 2))) kill(pid, SIGKILL), ++faults;
    wrong += sum.result(120s) != digest(seed, here);
    tasks += 21;
    layer.clear();
    measure();
  }
  // Quarters: the first is for warming up, the last is compared with the second.
  auto middle = [&](auto member, int i, int quarter) {
    std::vector<std::uint64_t> numbers;
    for (std::size_t k = samples.size() * static_cast<std::size_t>(quarter) / 4; k < samples.size() * static_cast<std::size_t>(quarter + 1) / 4; ++k) numbers.push_back(member(samples[k], i));
    std::sort(numbers.begin(), numbers.end());
    return numbers.empty() ? 0 : numbers[numbers.size() / 2];
  };
  auto memory = [](const Sample& s, int i) { return s.memory[i]; };
  auto descriptors = [](const Sample& s, int i) { return s.descriptors[i]; };
  auto store = [](const Sample& s, int) { return s.store; };
  std::string text = std::to_string(tasks) + " tasks with " + std::to_string(faults) + " faults in " + std::to_string(length / 1s) + " s, " + std::to_string(wrong) + " wrong;";
  bool met = wrong == 0;
  const char* names[] = {"scheduler", "w0", "w1"};
  for (int i = 0; i < 3; ++i) {
    double more = growth(middle(memory, i, 1), middle(memory, i, 3));
    std::uint64_t before = middle(descriptors, i, 1), after = middle(descriptors, i, 3);
    char part[120];
    std::snprintf(part, sizeof part, " %s: memory %+.1f %%, descriptors %llu then %llu;", names[i], more, static_cast<unsigned long long>(before), static_cast<unsigned long long>(after));
    text += part;
    met &= more < 5 && after <= before + 4;
  }
  std::uint64_t store_before = middle(store, 0, 1), store_after = middle(store, 0, 3);
  text += " store " + std::to_string(store_before >> 10) + " KiB then " + std::to_string(store_after >> 10) + " KiB";
  return judged(met && store_after <= store_before * 11 / 10, text);
}

}  // namespace weft::reliability
