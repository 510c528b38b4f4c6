// A12, A24, A25: disks that lie and disks that are full.
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "common/exit_codes.h"
#include "common/programs.h"
#include "reliability/check.h"
#include "reliability/cluster.h"
#include "reliability/tasks.h"
#include "scheduler/store.h"

namespace weft::reliability {

namespace fs = std::filesystem;

namespace {

void flip_bit(const std::string& path, std::uint64_t bit) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(bit / 8));
  char byte = static_cast<char>(file.get() ^ (1 << bit % 8));
  file.seekp(static_cast<std::streamoff>(bit / 8));
  file.put(byte);
}
void zero_page(const std::string& path, std::uint64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::uint64_t page = at / 4096 * 4096;
  file.seekp(static_cast<std::streamoff>(page));
  file.write(std::string(std::min<std::uint64_t>(4096, fs::file_size(path) - page), '\0').data(), static_cast<std::streamsize>(std::min<std::uint64_t>(4096, fs::file_size(path) - page)));
}

using Rows = std::vector<scheduler::Row>;
bool equal(const Rows& a, const Rows& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].id != b[i].id || a[i].body != b[i].body) return false;
  return true;
}
Result<Rows> rows_in(const std::string& folder) {
  auto store = scheduler::open_sqlite_store({folder});
  if (!store) return store.error();
  return (*store)->load();
}
void copy_store(const std::string& from, const std::string& to) {
  fs::remove_all(to);
  fs::create_directory(to);
  fs::permissions(to, fs::perms::owner_all);
  for (const auto& entry : fs::directory_iterator(from))
    if (entry.path().filename() != "pid") fs::copy_file(entry.path(), to / entry.path().filename());
}

/// What a killed scheduler left: a main file and a WAL with graphs, wants and names.
void fill_store(Cluster& cluster) {
  Client client(cluster.address());
  await_workers(client, 1);
  std::vector<Future<int>> kept;
  for (int i = 0; i < 40; ++i) {
    auto more = client.map(Options{.pure = i % 2 == 0}, increment, std::vector<int>(50, i));
    kept.insert(kept.end(), more.begin(), more.end());
    client.publish("numbers-" + std::to_string(i), more);
  }
  wait(kept);
  cluster.end_scheduler();
}

}  // namespace

// A12
Outcome damaged_store(Scale scale) {
  const int places = scale == Scale::quick ? 100 : 1000;
  Cluster cluster({.workers = 1});
  fill_store(cluster);
  const std::string store = cluster.folder() + "/store", hurt = cluster.folder() + "/hurt";
  copy_store(store, hurt);
  const Rows all = rows_in(hurt).value_or_throw();
  std::mt19937_64 random(4711);
  int recovered = 0, refused = 0, lied = 0, wrong_code = 0;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(store))
    if (entry.path().filename() != "pid" && !entry.path().filename().string().ends_with("-shm") && entry.file_size() > 0) files.push_back(entry.path().filename());
  for (int i = 0; i < places; ++i) {
    copy_store(store, hurt);
    std::string file = hurt / files[random() % files.size()];
    std::uint64_t size = fs::file_size(file), at = random() % size;
    if (i % 3 == 0) flip_bit(file, at * 8 + random() % 8);
    else if (i % 3 == 1) zero_page(file, at);
    else fs::resize_file(file, at);
    auto rows = rows_in(hurt);
    if (!rows) ++refused;
    else if (equal(*rows, all)) ++recovered;
    else ++lied;
    // The program itself, now and then: it must not serve what its store refuses.
    if (!rows && refused % (places / 10) == 1) {
      ChildOptions options{.arguments = {"--folder", cluster.folder() + "/other", "--store", hurt, "--dashboard=false", "--log-level", "off"}};
      auto child = ChildProcess::start(find_program("weft-scheduler").value_or_throw(), options);
      wrong_code += std::move(child).value_or_throw().wait(monotonic_now() + 20s) != exit_code::io_error;
    }
  }
  return judged(lied == 0 && wrong_code == 0, std::to_string(places) + " damages of " + std::to_string(files.size()) + " files with " +
                                                  std::to_string(all.size()) + " rows: " + std::to_string(recovered) + " recovered whole, " +
                                                  std::to_string(refused) + " refused, " + std::to_string(lied) + " served less or other; " +
                                                  std::to_string(wrong_code) + " refusals without exit code 74");
}

// ------------------------------------------------------------------------------------------- spilling

namespace {

constexpr std::uint32_t words = 512 << 10;  // 4 MiB

/// Makes so many blocks, a few at a time, and keeps them or lets each go when it was read.
int wrong_results(Client& client, int first, int count, std::vector<Future<Block>>* kept) {
  int wrong = 0;
  for (int i = 0; i < count; i += 2) {
    std::vector<Future<Block>> futures;
    for (int k = i; k < i + 2; ++k) futures.push_back(client.submit(grow, static_cast<std::uint64_t>(first + k), std::vector<Block>{}, words, 0u));
    for (int k = 0; k < 2; ++k) wrong += futures[static_cast<std::size_t>(k)].result(120s) != grow(static_cast<std::uint64_t>(first + i + k), {}, words, 0);
    if (kept) kept->insert(kept->end(), futures.begin(), futures.end());
  }
  return wrong;
}
std::uint64_t spilled(Client& client) {
  std::uint64_t bytes = 0;
  for (const WorkerInfo& worker : client.workers()) bytes += worker.spilled_bytes;
  return bytes;
}

}  // namespace

// A24
Outcome full_spill_disk(Scale scale) {
  const bool quick = scale == Scale::quick;
  const int stream = (quick ? 256 : 1024) / 4;
  char made[] = "/tmp/weft-small-XXXXXX";
  need(mkdtemp(made), "no folder can be made in /tmp");
  std::string disk = small_disk(made + std::string("/disk"), 64);
  if (disk.empty()) return {"a small disk cannot be mounted here (it needs root)", Verdict::absent};
  fill_disk(disk);
  std::string seen;
  bool met = false;
  {
    Cluster cluster({.workers = 1, .memory = "128MiB", .worker = {"--executor-memory", "512MiB"}, .spill_folder = disk});
    Client client(cluster.address());
    await_workers(client, 1);
    std::vector<Future<Block>> kept;
    int wrong = wrong_results(client, 0, 24, &kept);       // 96 of 128 MiB: more than is kept in memory if there is a disk
    wrong += wrong_results(client, 1000, stream, nullptr);  // and much more passes through
    std::uint64_t before = spilled(client);
    make_room(disk);
    bool again = quick || eventually(45s, [&] { return spilled(client) > 0; });
    wrong += wrong_results(client, 0, 24, nullptr);
    std::string fallen = cluster.fallen();
    met = wrong == 0 && before == 0 && again && fallen.empty();
    seen = std::to_string((24 + stream) * 4) + " MiB through 128 MiB of memory beside a full disk: " + std::to_string(wrong) + " wrong" +
           (quick ? "" : again ? ", spilling again soon after there was room" : ", NOT spilling again 45 s after there was room") + (fallen.empty() ? "" : "; " + fallen);
  }
  umount2(disk.c_str(), MNT_DETACH);
  fs::remove_all(made);
  return judged(met, seen);
}

// A25
Outcome damaged_spill(Scale scale) {
  const int count = scale == Scale::quick ? 60 : 1000;
  Cluster cluster({.workers = 1, .memory = "64MiB", .worker = {"--executor-memory", "512MiB"}});
  Client client(cluster.address());
  await_workers(client, 1);
  std::vector<Future<Block>> futures;
  for (int i = 0; i < count; ++i)
    futures.push_back(client.submit(grow, static_cast<std::uint64_t>(i), std::vector<Block>{}, words / 4, 0u));
  wait(futures);
  std::uint64_t runs = runs_of(client);
  std::mt19937_64 random(std::random_device{}());
  std::uint64_t damaged = 0;
  std::vector<fs::path> files;
  auto collect = [&] {
    files.clear();
    for (const auto& entry : fs::recursive_directory_iterator(cluster.folder() + "/w0"))
      if (entry.is_regular_file() && entry.path().string().find("/weft-spill-") != std::string::npos && entry.file_size() > (1 << 19)) files.push_back(entry.path());
    return files.size();
  };
  // Until the spilling threads have nothing more to do.
  for (std::size_t before = 0, now; (now = collect()) != before || now == 0; before = now) std::this_thread::sleep_for(500ms);
  for (const fs::path& file : files) {
    flip_bit(file, (4096 + random() % (fs::file_size(file) - 8192)) * 8 + random() % 8);
    ++damaged;
  }
  int wrong = 0;
  for (int i = 0; i < count; ++i) wrong += futures[static_cast<std::size_t>(i)].result(120s) != grow(static_cast<std::uint64_t>(i), {}, words / 4, 0);
  std::uint64_t again = runs_of(client) - runs;
  return judged(wrong == 0 && again >= damaged && damaged > 0, std::to_string(damaged) + " damaged spill files of " + std::to_string(count) +
                                                                   " values: " + std::to_string(again) + " made again, " + std::to_string(wrong) + " wrong");
}

}  // namespace weft::reliability
