// A16 to A18: clients whose links break, who vanish, and who leave work behind.
#include <filesystem>

#include <nlohmann/json.hpp>

#include "reliability/check.h"
#include "reliability/cluster.h"
#include "reliability/tasks.h"

namespace weft::reliability {

namespace fs = std::filesystem;

namespace {

std::uint64_t tasks_of(Client& client) { return nlohmann::json::parse(client.ask("status", {}, {}, true)).at("tasks").get<std::uint64_t>(); }
double seconds(Duration time) { return static_cast<double>(time.count()) / 1e9; }

}  // namespace

// A16
Outcome client_resets(Scale scale) {
  const int count = scale == Scale::quick ? 2'000 : 100'000;
  Cluster cluster({.workers = 2, .links = true});
  std::string folder = cluster.folder() + "/traces";
  fs::create_directory(folder);
  Client client(cluster.address());
  await_workers(client, 2);
  std::atomic<bool> over = false;
  std::atomic<int> resets = 0;
  std::thread breaker([&] {
    for (; !over; ++resets) {
      std::this_thread::sleep_for(100ms);
      cluster.client_link(0).reset();
    }
  });
  std::vector<Future<int>> futures;
  std::string failed;
  int wrong = 0;
  try {
    for (int i = 0; i < count; ++i) {
      futures.push_back(client.submit(Options{.pure = false}, leave_trace, folder, i, 0));
      // Each submit a command of its own, over the whole time and not in one burst.
      if (i % 10 == 0) std::this_thread::sleep_for(scale == Scale::quick ? 20ms : 30ms);
    }
    for (int i = 0; i < count; ++i) wrong += futures[static_cast<std::size_t>(i)].result(120s) != i;
  } catch (const std::exception& error) {
    failed = error.what();
  }
  over = true;
  breaker.join();
  int not_once = 0;
  Traces seen(folder);
  for (int i = 0; i < count; ++i) not_once += seen[i] != 1;
  return judged(wrong == 0 && not_once == 0 && failed.empty(), std::to_string(count) + " commands, " + std::to_string(resets.load()) + " resets: " +
                                                                   std::to_string(not_once) + " not done exactly once, " + std::to_string(wrong) +
                                                                   " wrong" + (failed.empty() ? "" : "; " + failed));
}

// A17
Outcome vanished_client(Scale scale) {
  const bool quick = scale == Scale::quick;
  const int count = quick ? 10'000 : 100'000;
  const Duration grace = quick ? 3s : 60s;
  Cluster cluster({.workers = 1, .links = true, .scheduler = {"--client-grace", std::to_string(grace / 1s) + "s"}});
  Client watcher(cluster.address(0));
  await_workers(watcher, 1);
  std::uint64_t memory[2] = {};
  Duration longest{}, shortest = Duration::max();
  bool released = true;
  // The first rounds fill what allocators and bounded histories keep; the last shows what is kept besides.
  for (int round = 0; round < (quick ? 3 : 2); ++round) {
    const std::size_t link_number = 1 + static_cast<std::size_t>(round);
    Client victim(cluster.address(link_number));
    std::vector<int> numbers(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) numbers[static_cast<std::size_t>(i)] = i;
    auto futures = victim.map(increment, numbers);
    wait(futures);
    Proxy& link = cluster.client_link(link_number);
    link.lead_to(0);
    link.reset();
    Time gone = monotonic_now();
    released &= eventually(grace + 30s, [&] { return tasks_of(watcher) == 0; });
    longest = std::max(longest, monotonic_now() - gone);
    shortest = std::min(shortest, monotonic_now() - gone);
    memory[0] = std::exchange(memory[1], resident_bytes(cluster.scheduler_pid()));
  }
  double growth = 100 * (static_cast<double>(memory[1]) / static_cast<double>(memory[0]) - 1);
  bool met = released && shortest >= grace - 2s && longest <= grace + 2s && growth <= (quick ? 5 : 1);
  char text[200];
  std::snprintf(text, sizeof text, "%d futures released after %.1f and %.1f s of a grace of %.0f s; memory of the scheduler %+.1f %% in the last round", count,
                seconds(shortest), seconds(longest), seconds(grace), growth);
  return judged(met, text);
}

// A18
Outcome fire_and_forget(Scale scale) {
  const int count = scale == Scale::quick ? 200 : 1000, slots = 2;
  Cluster cluster({.workers = 2, .slots = slots});
  std::string folder = cluster.folder() + "/traces";
  fs::create_directory(folder);
  Time began;
  {
    Client client(cluster.address());
    await_workers(client, 2);
    began = monotonic_now();
    std::vector<Future<int>> futures;
    for (int i = 0; i < count; ++i) futures.push_back(client.submit(Options{.pure = false}, leave_trace, folder, i, 2000));
    client.fire_and_forget(futures);
  }
  Duration stay = monotonic_now() - began;
  need(eventually(60s, [&] { return traces(folder) >= static_cast<std::uint64_t>(count) / 3; }), "nothing goes on after the client");
  cluster.end_scheduler();
  cluster.start_scheduler();
  bool all = eventually(120s, [&] {
    Traces seen(folder);
    for (int i = 0; i < count; ++i)
      if (seen[i] == 0) return false;
    return true;
  });
  Client client(cluster.address());
  eventually(30s, [&] { return tasks_of(client) == 0; });
  std::uint64_t runs = traces(folder);
  char text[200];
  std::snprintf(text, sizeof text, "the client stayed %.0f ms; %s of %d tasks ended, %llu executions", 1000 * seconds(stay), all ? "all" : "NOT all", count,
                static_cast<unsigned long long>(runs));
  return judged(all && runs <= static_cast<std::uint64_t>(count + 2 * slots * 2), text);
}

}  // namespace weft::reliability
