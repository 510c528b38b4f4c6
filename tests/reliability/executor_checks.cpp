// A19 to A23: what user code can do wrong costs its own process, and is told as it was.
#include <algorithm>
#include <filesystem>

#include "reliability/bad_tasks.h"
#include "reliability/check.h"
#include "reliability/cluster.h"
#include "reliability/tasks.h"

namespace weft::reliability {

namespace {

/// How a future ended; `none` for a result.
template <class T>
Failure failure_of(const Future<T>& future, Duration patience = 120s) {
  auto failure = future.exception(patience);
  return failure ? *failure : Failure{};
}

std::vector<int> numbers_from(int first, int count) {
  std::vector<int> numbers(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) numbers[static_cast<std::size_t>(i)] = first + i;
  return numbers;
}

double seconds(Duration time) { return static_cast<double>(time.count()) / 1e9; }
std::string rounded(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", number);
  return text;
}

}  // namespace

// A19
Outcome crashers(Scale scale) {
  const int good = scale == Scale::quick ? 2'000 : 100'000, bad = scale == Scale::quick ? 10 : 100;
  Cluster cluster({.workers = 2, .slots = 1});
  std::string folder = cluster.folder() + "/traces";
  std::filesystem::create_directory(folder);
  Client client(cluster.address());
  await_workers(client, 2);
  client.submit(increment, -5).result(60s);
  auto time_of = [&](int first, bool with_crashers, int microseconds) {
    Time began = monotonic_now();
    std::vector<Future<int>> crashing;
    std::vector<Future<int>> innocent;
    std::vector<int> pauses(static_cast<std::size_t>(good / 10), microseconds);
    for (int part = 0; part < 10; ++part) {
      auto more = client.map(leave_trace, std::vector<std::string>(pauses.size(), folder), numbers_from(first + part * good / 10, good / 10), pauses);
      innocent.insert(innocent.end(), more.begin(), more.end());
      for (int i = 0; with_crashers && i < bad / 10; ++i) crashing.push_back(client.submit(crash, first + part * bad + i));
    }
    int wrong = 0;
    for (std::size_t i = 0; i < innocent.size(); ++i) wrong += innocent[i].result(300s) != first + static_cast<int>(i);
    for (const auto& future : crashing) {
      Failure failure = failure_of(future);
      wrong += failure.kind != ErrorKind::task_crashed || failure.signal != SIGSEGV || failure.attempt != 3;
    }
    return std::pair(wrong, monotonic_now() - began);
  };
  auto [wrong_alone, alone] = time_of(0, false, 0);
  auto [wrong, together] = time_of(good, true, 0);
  auto loss = [](Duration with, Duration without) { return 100 * (seconds(with) / seconds(without) - 1); };
  // What three attempts of each cost by themselves is no loss of the others.
  bool met = scale == Scale::quick || loss(together, alone) < 5;
  std::string text = rounded(loss(together, alone)) + " % more time (" + rounded(seconds(alone)) + " s without, " + rounded(seconds(together)) + " s with)";
  int parts = 2;
  if (scale == Scale::full) {
    // Tasks that do nothing end sooner than processes start; these work for a millisecond.
    auto [wrong_working, working] = time_of(2 * good, false, 1000);
    auto [wrong_together, working_together] = time_of(3 * good, true, 1000);
    wrong += wrong_working + wrong_together;
    text += "; of tasks of 1 ms " + rounded(loss(working_together, working)) + " %";
    parts += 2;
  }
  const std::uint64_t runs = traces(folder), due = static_cast<std::uint64_t>(parts) * static_cast<std::uint64_t>(good);
  return judged(met && wrong + wrong_alone == 0 && runs == due,
                std::to_string(bad) + " crashers among " + std::to_string(good) + " tasks: " + std::to_string(wrong + wrong_alone) +
                    " not TaskCrashed after exactly 3 attempts or not right, " + std::to_string(runs) + " executions of " + std::to_string(due) +
                    " innocent tasks, " + text);
}

// A20
Outcome runaways(Scale scale) {
  const int count = scale == Scale::quick ? 6 : 100;
  Cluster cluster({.workers = 1, .slots = 2});
  Client client(cluster.address());
  await_workers(client, 1);
  client.submit(increment, -5).result(60s);
  std::vector<Future<int>> endless;
  for (int i = 0; i < count; ++i) endless.push_back(client.submit(Options{.timeout = 1s}, spin, i));
  int wrong = 0;
  Duration longest{};
  Time before = monotonic_now();
  for (std::size_t i = 0; i < endless.size(); i += 2) {  // two at a time run
    for (std::size_t k : {i, i + 1}) wrong += failure_of(endless[k]).kind != ErrorKind::task_timeout;
    longest = std::max(longest, monotonic_now() - before);
    before = monotonic_now();
  }
  bool free = client.submit(increment, 1).result(10s) == 2;
  return judged(wrong == 0 && free && longest < 2s, std::to_string(count) + " endless loops: " + std::to_string(wrong) +
                                                        " not TaskTimeout, the longest pair held its slots for " + rounded(seconds(longest)) + " s; slots are free");
}

// A21
Outcome memory_bombs(Scale scale) {
  const int count = scale == Scale::quick ? 4 : 100;
  Cluster cluster({.workers = 2, .memory = "2GiB", .worker = {"--executor-memory", scale == Scale::quick ? "256MiB" : "2GiB"}});
  Client client(cluster.address());
  await_workers(client, 2);
  auto safe = client.submit(increment, 1);
  safe.result(60s);
  int pids[] = {cluster.worker_pid(0), cluster.worker_pid(1)};
  std::vector<Future<int>> bombs;
  for (int i = 0; i < count; ++i) bombs.push_back(client.submit(allocate, i, 20ull << 30));
  int wrong = 0;
  std::uint64_t largest = 0;
  for (const auto& bomb : bombs) {
    wrong += failure_of(bomb).kind != ErrorKind::memory_limit;
    for (int pid : pids) largest = std::max(largest, resident_bytes(pid));
  }
  std::string fallen = cluster.fallen();
  bool met = wrong == 0 && fallen.empty() && largest < (2ull << 30) && safe.result() == 2;
  return judged(met, std::to_string(count) + " tasks that want 20 GiB: " + std::to_string(wrong) + " not MemoryLimit, daemons at most " +
                         std::to_string(largest >> 20) + " MiB" + (fallen.empty() ? ", both alive" : "; " + fallen));
}

// A22
Outcome leaks(Scale scale) {
  const int count = scale == Scale::quick ? 1'000 : 100'000;
  const std::uint64_t limit = 256ull << 20;
  Cluster cluster({.workers = 1, .worker = {"--executor-memory", std::to_string(limit)}});
  Client client(cluster.address());
  await_workers(client, 1);
  auto futures = client.map(leak, numbers_from(0, count));
  std::uint64_t largest = 0;
  int wrong = 0;
  std::string why;
  for (int i = 0; i < count; ++i) {
    Failure failure = failure_of(futures[static_cast<std::size_t>(i)], 300s);
    if (failure.kind != ErrorKind::none && wrong++ == 0) why = failure.message;
    if (i % 20 == 0)
      for (int pid : children_of(cluster.worker_pid(0))) largest = std::max(largest, resident_bytes(pid));
  }
  return judged(wrong == 0 && largest <= limit, std::to_string(count) + " tasks that leak 1 MiB each: " + std::to_string(wrong) +
                                                    " failed" + (why.empty() ? "" : " (" + why + ")") + ", executors at most " + std::to_string(largest >> 20) + " of " +
                                                    std::to_string(limit >> 20) + " MiB");
}

// A23
Outcome exceptions(Scale) {
  Cluster cluster({.workers = 1, .slots = 2});
  Client client(cluster.address());
  await_workers(client, 1);
  const int ways = static_cast<int>(Exit::count);
  std::vector<Future<int>> futures;
  for (int way = 0; way < ways; ++way) futures.push_back(client.submit(Options{.max_attempts = 1}, end_badly, way));
  std::string wrong;
  for (int way = 0; way < ways; ++way) {
    Failure failure = failure_of(futures[static_cast<std::size_t>(way)]);
    ErrorKind expected = ErrorKind::task_crashed;
    for (Exit thrown : {Exit::standard, Exit::integer, Exit::nested, Exit::long_text, Exit::strange_bytes})
      if (way == static_cast<int>(thrown)) expected = ErrorKind::task_error;
    if (way == static_cast<int>(Exit::bad_alloc)) expected = ErrorKind::memory_limit;
    if (failure.kind != expected) wrong += "way " + std::to_string(way) + " is " + name_of(failure.kind) + "; ";
    std::size_t size = std::max({failure.message.size(), failure.type.size(), failure.traceback.size(), failure.output.size()});
    if (size > (64 << 10)) wrong += "way " + std::to_string(way) + " has a text of " + std::to_string(size) + " bytes; ";
  }
  bool free = client.submit(increment, 1).result(10s) == 2;
  return judged(wrong.empty() && free, std::to_string(ways) + " ways to end badly: " + (wrong.empty() ? "each a typed error with texts of at most 64 KiB" : wrong));
}

}  // namespace weft::reliability
