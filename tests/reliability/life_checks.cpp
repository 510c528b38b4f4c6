// A26, A44, A45, A49: clocks that jump, ends in good order, and starts that must fail.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "common/exit_codes.h"
#include "reliability/bad_tasks.h"
#include "reliability/check.h"
#include "reliability/cluster.h"
#include "reliability/tasks.h"
#include "support/running_programs.h"

namespace weft::reliability {

namespace fs = std::filesystem;

static std::string rounded(Duration time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", static_cast<double>(time.count()) / 1e9);
  return text;
}

// A26
Outcome clock_jumps(Scale scale) {
  const bool quick = scale == Scale::quick;
  char path[] = "/tmp/weft-clock-XXXXXX";
  int file = mkstemp(path);
  need(file >= 0 && ftruncate(file, sizeof(std::int64_t)) == 0, "no file for the wall clock");
  auto& clock = *static_cast<std::atomic<std::int64_t>*>(mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  close(file);
  std::string shim = fs::read_symlink("/proc/self/exe").parent_path().string() + "/libreliability_shim.so";
  std::map<std::string, std::string> environment{{"LD_PRELOAD", shim}, {"WEFT_CLOCK_FILE", path}};
  Duration earliest = Duration::max(), latest{};
  int wrong = 0, jumps = 0;
  bool lost = false;
  {
    Cluster cluster({.workers = 2, .scheduler = {"--worker-lease", "5s"}, .environment = environment});
    Client client(cluster.address());
    await_workers(client, 2);
    for (const auto& future : client.map(increment, std::vector<int>{1, 2, 3, 4})) future.result(60s);
    const Time end = monotonic_now() + (quick ? 5s : 300s);
    for (int i = 0; monotonic_now() < end; ++i) {
      Time began = monotonic_now();
      auto endless = client.submit(Options{.timeout = 1s}, spin, i);
      for (int half : {0, 1}) {
        clock = (jumps++ % 2 ? -1 : 1) * Duration(24h).count();
        if (!half) wait(endless, {.timeout = 500ms});   // the time between two jumps
      }
      auto failure = endless.exception(60s);
      wrong += !failure || failure->kind != ErrorKind::task_timeout;
      Duration took = monotonic_now() - began;
      earliest = std::min(earliest, took);
      latest = std::max(latest, took);
    }
    lost = client.logs().find("worker lost") != std::string::npos;
  }
  unlink(path);
  bool met = wrong == 0 && !lost && earliest >= 1s && latest <= 1s + (quick ? 500ms : 100ms);
  return judged(met, std::to_string(jumps) + " jumps of a day: timeouts of 1 s came after " + rounded(earliest) + " to " + rounded(latest) + ", " +
                         std::to_string(wrong) + " wrong, " + (lost ? "a worker was declared lost" : "no worker lost"));
}

// A44
Outcome drain(Scale scale) {
  const bool quick = scale == Scale::quick;
  const int blocks = (quick ? 64 : 1024) / 4, rounds = quick ? 1 : 10;
  Duration longest{}, end{};
  int wrong = 0;
  std::uint64_t again = 0;
  std::string words;
  for (int round = 0; round < rounds; ++round) {
    Cluster cluster({.workers = 2, .memory = "3GiB"});
    Client client(cluster.address());
    await_workers(client, 2);
    std::vector<Future<Block>> kept;
    for (int i = 0; i < blocks; ++i)
      kept.push_back(client.submit(Options{.workers = {"w0"}, .workers_strict = false}, grow, static_cast<std::uint64_t>(i), std::vector<Block>{}, 512u << 10, 0u));
    wait(kept);
    std::uint64_t runs = runs_of(client);
    Time began = monotonic_now();
    int code = cluster.end_worker(0, SIGTERM, 60s);
    longest = std::max(longest, monotonic_now() - began);
    if (code != 0) words += "the worker's exit code is " + std::to_string(code) + "; ";
    for (int i = 0; i < blocks; ++i) wrong += kept[static_cast<std::size_t>(i)].result(60s) != grow(static_cast<std::uint64_t>(i), {}, 512 << 10, 0);
    again += runs_of(client) - runs;
    kept.clear();
    began = monotonic_now();
    code = cluster.end_scheduler(SIGTERM, 60s);
    end = std::max(end, monotonic_now() - began);
    if (code != 0) words += "the scheduler's exit code is " + std::to_string(code) + "; ";
  }
  bool met = wrong == 0 && again == 0 && words.empty() && longest <= 25s && end <= 5s;
  return judged(met, std::to_string(rounds) + " times " + std::to_string(blocks * 4) + " MiB: worker gone within " + rounded(longest) + ", " +
                         std::to_string(again) + " recomputed, " + std::to_string(wrong) + " wrong; scheduler gone within " + rounded(end) + (words.empty() ? "" : "; " + words));
}

// ------------------------------------------------------------------------------------------- starts that must fail

namespace {

struct BadStart {
  std::string program;
  std::vector<std::string> arguments;
  int code;
  std::string says;  // part of its reason
};

std::vector<BadStart> bad_start_list(const std::string& home, const std::string& taken_port, const std::string& full_disk) {
  using namespace exit_code;
  const std::vector<std::string> anywhere = {"--port", "0", "--worker-port", "0"};
  auto scheduler = [&](std::vector<std::string> more, int code, std::string says) {
    more.insert(more.begin(), anywhere.begin(), anywhere.end());
    return BadStart{"weft-scheduler", std::move(more), code, std::move(says)};
  };
  const std::string nowhere = "ipc://" + home + "/nowhere/worker";
  auto worker = [&](std::vector<std::string> more, int code, std::string says) {
    more.insert(more.begin(), nowhere);
    return BadStart{"weft-worker", std::move(more), code, std::move(says)};
  };
  std::vector<BadStart> list = {
      {"weft-scheduler", {"--port", taken_port, "--worker-port", "0"}, unavailable, taken_port},
      {"weft-scheduler", {"--port", "0", "--worker-port", taken_port}, unavailable, taken_port},
      {"weft-scheduler", {"--host", "no.such.host.invalid", "--port", "0", "--worker-port", "0"}, no_host, "no.such.host.invalid"},
      {"weft-scheduler", {"--listen", "udp://x", "--worker-port", "0"}, usage, "udp"},
      {"weft-scheduler", {"--listen", "ipc://" + home + "/no/such/folder/socket", "--worker-port", "0"}, cannot_create, "/no/such/folder"},
      scheduler({"--scheduler-file", "/proc/nowhere/file"}, cannot_create, "/proc/nowhere"),
      scheduler({"--pid-file", "/proc/nowhere/pid"}, cannot_create, "/proc/nowhere"),
      scheduler({"--keys", "/proc/nowhere/keys"}, cannot_create, "/proc/nowhere"),
      scheduler({"--store", "/proc/nowhere/store"}, io_error, "/proc/nowhere"),
      scheduler({"--store", home + "/a-file"}, io_error, "a-file"),
      scheduler({"--folder", "/proc/nowhere/folder"}, cannot_create, "/proc/nowhere"),
      scheduler({"--folder", home + "/a-file"}, cannot_create, "a-file"),
      scheduler({"--folder", home + "/open-to-all"}, cannot_create, "open-to-all"),
      scheduler({"--config", home + "/missing.conf"}, configuration, "missing.conf"),
      scheduler({"--config", home + "/bad.conf"}, configuration, "bad.conf"),
      worker({"--local-directory", "/proc/nowhere/local"}, cannot_create, "/proc/nowhere"),
      worker({"--local-directory", home + "/a-file"}, cannot_create, "a-file"),
      worker({"--local-directory", home + "/open-to-all"}, cannot_create, "open-to-all"),
      worker({"--pid-file", "/proc/nowhere/pid"}, cannot_create, "/proc/nowhere"),
      worker({"--listen-address", "udp://x", "--local-directory", home + "/l1"}, usage, "udp"),
      worker({"--listen-address", "tcp://127.0.0.1:" + taken_port, "--local-directory", home + "/l2"}, unavailable, taken_port),
      worker({"--config", home + "/missing.conf"}, configuration, "missing.conf"),
      worker({"--config", home + "/bad.conf"}, configuration, "bad.conf"),
      {"weft-worker", {}, usage, "--scheduler-file"},
      {"weft-worker", {"udp://x"}, usage, "udp"},
      {"weft-worker", {"tcp://127.0.0.1:99999"}, usage, "99999"},
      {"weft-worker", {"a", "b"}, usage, "SCHEDULER"},
      {"weft-worker", {"--scheduler-file", home + "/bad.json"}, io_error, "bad.json"},
      {"weft-worker", {"--scheduler-file", home + "/missing.json", "--death-timeout", "100ms"}, unavailable, "missing.json"},
      {"weft", {"no-such-verb"}, usage, "no-such-verb"},
      {"weft", {"status", "--no-such-option"}, usage, "--no-such-option"},
      {"weft", {"status"}, no_host, "scheduler"},
  };
  for (auto [option, value] : {std::pair{"--port", "no"}, {"--port", "70000"}, {"--worker-lease", "soon"}, {"--worker-lease", "-1s"},
                               {"--worker-lease", "0"}, {"--heartbeat-interval", "0s"}, {"--sessions-max", "0"}, {"--tasks-max", "0"},
                               {"--sessions-max", "many"}, {"--recall", "perhaps"}, {"--log-level", "loud"}, {"--no-such-option", "1"}})
    list.push_back({"weft-scheduler", {option, value}, usage, option});
  for (auto [option, value] : {std::pair{"--nthreads", "few"}, {"--memory-limit", "huge"}, {"--resources", "GPU"}, {"--resources", "GPU=-1"},
                               {"--spill-at", "often"}, {"--isolation", "none"}, {"--lifetime", "long"}, {"--no-such-option", "1"}})
    list.push_back({"weft-worker", {nowhere, option, value}, usage, option});
  if (!full_disk.empty()) {
    list.push_back(scheduler({"--store", full_disk + "/store"}, io_error, "full"));
    list.push_back(scheduler({"--keys", full_disk + "/keys"}, cannot_create, full_disk));
  }
  return list;
}

std::vector<std::string> files_below(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

// A45
Outcome bad_starts(Scale scale) {
  const Duration limit = scale == Scale::quick ? 5s : 1s;
  std::string disk;
  char made[] = "/tmp/weft-small-XXXXXX";
  need(mkdtemp(made), "no folder can be made in /tmp");
  disk = small_disk(made + std::string("/disk"), 1);
  if (!disk.empty()) fill_disk(disk);
  test::Home home;
  auto holder = home.scheduler();
  std::string output = holder->output, port = output.substr(output.find("127.0.0.1:") + 10);
  port.resize(port.find('\n'));
  std::ofstream(home.path + "/a-file") << "x";
  std::ofstream(home.path + "/bad.conf") << "this is no configuration\n[[[";
  std::ofstream(home.path + "/bad.json") << "{";
  fs::create_directory(home.path + "/open-to-all");
  fs::permissions(home.path + "/open-to-all", fs::perms::all);
  auto list = bad_start_list(home.path, port, disk);
  std::string wrong;
  Duration longest{};
  int bad = 0;
  for (const BadStart& start : list) {
    std::string words;
    auto before = files_below(home.path);
    Time began = monotonic_now();
    auto program = home.run(start.program, start.arguments);
    int code = program->exit_code();
    Duration took = monotonic_now() - began;
    longest = std::max(longest, took);
    auto after = files_below(home.path);
    if (code != start.code) words += " code " + std::to_string(code) + " instead of " + std::to_string(start.code);
    if (took > limit) words += " after " + rounded(took);
    if (program->errors.find(start.says) == std::string::npos) words += " without naming " + start.says;
    auto lines = std::count(program->errors.begin(), program->errors.end(), '\n');
    if (lines > 3) words += " in " + std::to_string(lines) + " lines";
    for (const std::string& file : after)
      if (!std::binary_search(before.begin(), before.end(), file) && !fs::is_directory(file)) words += " leaving " + file;
    if (words.empty()) continue;
    ++bad;
    wrong += start.program;
    for (const std::string& argument : start.arguments) wrong += ' ' + argument;
    wrong += ':' + words + " (" + program->errors.substr(0, 300) + "); ";
  }
  holder->signal(SIGTERM);
  need(holder->exit_code() == 0, "the one good scheduler did not end well");
  umount2((made + std::string("/disk")).c_str(), MNT_DETACH);
  fs::remove_all(made);
  std::printf("%s\n", wrong.c_str());
  return judged(bad == 0, std::to_string(list.size()) + " bad starts, " + std::to_string(bad) + " not as documented; the longest took " + rounded(longest) +
                              (bad ? "; " + wrong.substr(0, 1500) : ""));
}

// A49
Outcome shutdown_in_flight(Scale scale) {
  const bool quick = scale == Scale::quick;
  const int count = quick ? 10'000 : 100'000, rounds = quick ? 1 : 50;
  Duration longest{};
  std::string left;
  auto shared = [] {
    std::string names;
    for (const auto& entry : fs::directory_iterator("/dev/shm"))
      if (entry.path().filename().string().find("weft") != std::string::npos) names += entry.path().string() + ' ';
    return names;
  };
  for (int round = 0; round < rounds; ++round) {
    LocalCluster cluster({.workers = 2, .threads_per_worker = 2, .memory_limit = 256u << 20, .log_level = "off"});
    std::string folder = fs::path(cluster.address().substr(6)).parent_path();
    Client client(cluster);
    std::vector<int> numbers(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) numbers[static_cast<std::size_t>(i)] = i;
    auto futures = client.map(rest, numbers, 20'000);
    futures[0].result(60s);
    Time began = monotonic_now();
    cluster.close();
    bool gone = eventually(10s, [&] { return descendants_of(getpid()).empty(); });
    longest = std::max(longest, monotonic_now() - began);
    if (!gone)
      for (int pid : descendants_of(getpid())) left += describe_process(pid) + ' ';
    if (fs::exists(folder)) left += folder + ' ';
  }
  left += shared();
  return judged(left.empty() && longest < 10s, std::to_string(rounds) + " shutdowns with " + std::to_string(count) + " tasks in flight: all gone within " +
                                                   rounded(longest) + (left.empty() ? ", nothing left" : "; LEFT: " + left));
}

}  // namespace weft::reliability
