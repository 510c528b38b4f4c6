#include "reliability/faults.h"

#include <signal.h>

#include <filesystem>
#include <memory>

namespace weft::reliability {

namespace {

using Random = std::mt19937_64;

Duration between(Random& random, Duration least, Duration most) {
  return least + Duration(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>((most - least).count() + 1)));
}
std::string milliseconds(Duration time) { return std::to_string(time / 1ms) + " ms"; }

Fault lasting(std::string kind, std::string what, Duration time, std::function<void()> mend) {
  return {kind, kind + ' ' + what + " for " + milliseconds(time), monotonic_now() + time, std::move(mend)};
}

// A fault needs its part of the cluster in order: what is down already has no further fault.
std::optional<std::size_t> some_worker(Battlefield& field, Random& random) {
  std::size_t i = random() % field.cluster.size();
  if (field.cluster.worker_pid(i) < 0) return std::nullopt;
  return i;
}

std::optional<Fault> kill_scheduler(Battlefield& field, Random& random) {
  if (field.cluster.scheduler_pid() < 0) return std::nullopt;
  Duration time = between(random, 0ms, 1500ms);
  field.cluster.end_scheduler();
  return lasting("kill", "the scheduler", time, [&field] {
    if (field.cluster.scheduler_pid() < 0) field.cluster.start_scheduler();
  });
}

std::optional<Fault> kill_worker(Battlefield& field, Random& random) {
  auto i = some_worker(field, random);
  if (!i) return std::nullopt;
  Duration time = between(random, 0ms, 3s);
  field.cluster.end_worker(*i);
  return lasting("kill", "worker w" + std::to_string(*i), time, [&field, i] {
    if (field.cluster.worker_pid(*i) < 0) field.cluster.start_worker(*i);
  });
}

std::optional<Fault> kill_executor(Battlefield& field, Random& random) {
  auto i = some_worker(field, random);
  std::vector<int> executors = i ? children_of(field.cluster.worker_pid(*i)) : std::vector<int>{};
  if (executors.empty()) return std::nullopt;
  kill(executors[random() % executors.size()], SIGKILL);
  return lasting("kill", "an executor of w" + std::to_string(*i), 0ms, [] {});
}

std::optional<Fault> kill_client(Battlefield& field, Random& random) {
  std::size_t i = random() % field.clients.size();
  field.clients.replace(i);
  return lasting("kill", "client " + std::to_string(i), 0ms, [] {});
}

std::optional<Fault> stop_process(Battlefield& field, Random& random) {
  auto i = some_worker(field, random);
  bool scheduler = random() % 3 == 0;
  int pid = scheduler ? field.cluster.scheduler_pid() : i ? field.cluster.worker_pid(*i) : -1;
  if (pid < 0) return std::nullopt;
  // Shorter and longer than a lease.
  Duration time = between(random, 200ms, scheduler ? 6s : 8s);
  kill(pid, SIGSTOP);
  return lasting("stop", scheduler ? "the scheduler" : "worker w" + std::to_string(*i), time, [pid] { kill(pid, SIGCONT); });
}

std::pair<Proxy*, std::string> some_link(Battlefield& field, Random& random) {
  std::size_t worker = random() % field.cluster.size(), client = random() % field.clients.size();
  switch (random() % 3) {
    case 0: return {&field.cluster.worker_link(worker), "the scheduler's link of w" + std::to_string(worker)};
    case 1: return {&field.cluster.value_link(worker), "the value link of w" + std::to_string(worker)};
    default: return {&field.cluster.client_link(client), "the link of client " + std::to_string(client)};
  }
}

std::optional<Fault> block_link(Battlefield& field, Random& random) {
  auto [link, name] = some_link(field, random);
  auto way = static_cast<Proxy::Way>(1 + random() % 3);
  Duration time = between(random, 100ms, 8s);
  link->block(way);
  const char* ways[] = {"", " forth", " back", " both ways"};
  return lasting(way == Proxy::both ? "partition" : "one-way loss", name + ways[way], time, [link = link] { link->block(Proxy::none); });
}

std::optional<Fault> reset_link(Battlefield& field, Random& random) {
  auto [link, name] = some_link(field, random);
  link->reset();
  return lasting("reset", name, 0ms, [] {});
}

std::optional<Fault> slow_link(Battlefield& field, Random& random) {
  auto [link, name] = some_link(field, random);
  link->slow(20'000 + static_cast<std::uint32_t>(random() % 200'000));
  return lasting("slow", name, between(random, 1s, 6s), [link = link] { link->slow(0); });
}

std::optional<Fault> fill_spill_disk(Battlefield& field, Random& random) {
  const std::string& disk = field.spill_disk;
  if (disk.empty() || std::filesystem::exists(disk + "/filler")) return std::nullopt;
  fill_disk(disk);
  return lasting("full disk", "of the workers", between(random, 1s, 6s), [disk] { make_room(disk); });
}

std::optional<Fault> fill_descriptors(Battlefield& field, Random& random) {
  auto i = some_worker(field, random);
  if (!i) return std::nullopt;
  int pid = field.cluster.worker_pid(*i);
  std::size_t before = limit_descriptors(pid, descriptors_of(pid));
  return lasting("full descriptor table", "of w" + std::to_string(*i), between(random, 500ms, 3s), [pid, before] { limit_descriptors(pid, before); });
}

std::optional<Fault> jump_clock(Battlefield& field, Random& random) {
  std::int64_t day = Duration(24h).count();
  field.wall_clock = random() % 2 ? day : -day;
  return lasting("clock jump", field.wall_clock > 0 ? "a day forth" : "a day back", between(random, 0ms, 3s), [&field] { field.wall_clock = 0; });
}

}  // namespace

Fault break_something(Battlefield& field, Random& random) {
  // How often each comes, of all.
  static const std::vector<std::pair<int, std::optional<Fault> (*)(Battlefield&, Random&)>> kinds = {
      {10, kill_scheduler}, {12, kill_worker}, {16, kill_executor}, {4, kill_client}, {12, stop_process}, {16, block_link},
      {14, reset_link}, {6, slow_link}, {4, fill_spill_disk}, {3, fill_descriptors}, {3, jump_clock}};
  for (;;) {
    int draw = static_cast<int>(random() % 100);
    for (auto& [share, make] : kinds) {
      if ((draw -= share) >= 0) continue;
      if (auto fault = make(field, random)) return *fault;
      break;
    }
  }
}

}  // namespace weft::reliability
