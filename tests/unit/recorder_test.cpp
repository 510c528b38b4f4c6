// What a scheduler was given, recorded and run again: the same state, step by step, or a sentence that says why not.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "scheduler/recorder.h"
#include "support/endpoints.h"
#include "support/scheduler_harness.h"

using namespace weft;
using namespace weft::test;
using scheduler::Recorder;
using scheduler::Replay;
namespace fs = std::filesystem;

namespace {

/// A scheduler that is recorded.
struct Recorded {
  PrivateFolder folder;
  std::string path = folder.path + "/recording";
  std::unique_ptr<Recorder> recorder;
  SchedulerHarness s;

  explicit Recorded(std::uint64_t bytes_max = 64u << 20) {
    auto opened = Recorder::open(path, bytes_max);
    REQUIRE(opened);
    recorder = std::move(*opened);
    s.before_step = [this](Time now, const std::vector<scheduler::Event>& batch) { recorder->step(s.state, now, batch); };
  }
  void work(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      Key x = s.submit(task("x" + std::to_string(i))), y = s.submit(task("y" + std::to_string(i)).on(x));
      s.finish(x);
      s.finish(y);
      s.release({x, y});
    }
  }
};

/// The end of the recording: steps, or why it could not be run again.
Result<std::uint64_t> replayed(const std::string& path, const scheduler::State* like = nullptr) {
  Result<Replay> replay = Replay::open(path);
  if (!replay) return replay.error();
  while (true) {
    Result<bool> more = replay->next();
    if (!more) return more.error();
    replay->state().check();
    if (!*more) break;
  }
  if (like) CHECK(fingerprint(replay->state()) == fingerprint(*like));
  return replay->steps();
}

Bytes bytes_in(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  return {reinterpret_cast<const std::byte*>(text.data()), reinterpret_cast<const std::byte*>(text.data()) + text.size()};
}
void write(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

TEST_CASE("a recording ends where the scheduler is") {
  Recorded r;
  r.s.workers<3>();
  r.work(20);
  Key left = r.s.submit(task("left"));
  auto steps = replayed(r.path, &r.s.state);
  REQUIRE(steps);
  CHECK(*steps > 60);
  auto replay = Replay::open(r.path);
  while (*replay->next()) {}
  CHECK(replay->state().find(left)->state == r.s.state_of(left));
  CHECK_FALSE(replay->is_cut());
}

TEST_CASE("a full recording is put aside, and both parts can be run again") {
  Recorded r(60'000);
  r.s.workers<2>();
  r.work(400);
  CHECK(fs::file_size(r.path) < 60'000);
  CHECK(fs::file_size(r.path + ".old") < 60'000);
  CHECK(replayed(r.path, &r.s.state));
  auto older = replayed(r.path + ".old");
  REQUIRE(older);
  CHECK(*older > 10);
}

TEST_CASE("a question that changes something is a part of the recording") {
  Recorded r;
  r.s.workers<2>();
  r.work(2);
  Ask ask{.verb = "retire", .words = {"w1"}};
  r.recorder->question(r.s.state, r.s.now, ask);
  CHECK(r.s.state.answer(r.s.now, ask));
  r.work(2);
  CHECK(replayed(r.path, &r.s.state));
}

TEST_CASE("a process that died while it wrote left a recording that ends before") {
  Recorded r;
  r.s.workers<1>();
  r.work(3);
  Bytes whole = bytes_in(r.path);
  auto all = replayed(r.path);
  write(r.path, std::span(whole).first(whole.size() - 5));
  auto cut = replayed(r.path);
  REQUIRE(cut);
  CHECK(*cut == *all - 1);
}

TEST_CASE("a damaged recording, another file and another way are told from a broken invariant") {
  Recorded r;
  r.s.workers<1>();
  r.work(3);
  Bytes whole = bytes_in(r.path);
  for (std::size_t at : {std::size_t{9}, whole.size() / 3, whole.size() / 2, whole.size() - 3}) {
    Bytes damaged = whole;
    damaged[at] ^= std::byte{16};
    write(r.path, damaged);
    CHECK_FALSE(replayed(r.path));
  }
  std::ofstream(r.path, std::ios::trunc) << "a list of things to do\n";
  auto other = replayed(r.path);
  REQUIRE_FALSE(other);
  CHECK(other.error().message.find("is no recording") != std::string::npos);
  CHECK(replayed(r.folder.path + "/nothing").error().kind == ErrorKind::io_error);
  auto refused = Recorder::open(r.path, 1000);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("name another file") != std::string::npos);
  CHECK(fs::file_size(r.path) == 23);

  Recorded skipped;
  skipped.s.workers<1>();
  auto record = std::exchange(skipped.s.before_step, nullptr);
  skipped.work(1);  // nobody wrote that down
  skipped.s.before_step = record;
  skipped.work(1);
  auto went = replayed(skipped.path);
  REQUIRE_FALSE(went);
  CHECK(went.error().message.find("went another way") != std::string::npos);
}

TEST_CASE("a recording is private, holds no secret of a worker, and an earlier one is kept") {
  Recorded r;
  Bytes secret;
  for (char c : std::string("SECRETOFAWORKER!")) secret.push_back(static_cast<std::byte>(c));
  r.s.join({.name = "w", .secret = secret});
  r.work(1);
  std::ifstream file(r.path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  CHECK(text.find("tcp://w") != std::string::npos);
  CHECK(text.find("SECRETOFAWORKER") == std::string::npos);
  struct stat about {};
  REQUIRE(stat(r.path.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  auto next = Recorder::open(r.path, 1u << 20);
  REQUIRE(next);
  (*next)->step(r.s.state, r.s.now, {scheduler::Tick{}});
  CHECK(replayed(r.path));
  CHECK(replayed(r.path + ".old"));
  std::ifstream begun_anew(r.path, std::ios::binary);
  text.assign(std::istreambuf_iterator<char>(begun_anew), {});
  CHECK(text.find("SECRETOFAWORKER") == std::string::npos);
}

TEST_CASE("a full disk ends the recording, not the scheduler") {
  Recorded r;
  r.s.workers<1>();
  r.work(3);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  auto handler = signal(SIGXFSZ, SIG_IGN);
  rlimit full{fs::file_size(r.path) + 100, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &full);
  r.work(3);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  REQUIRE(r.recorder->failed());
  CHECK(r.recorder->failed()->message.find(r.path) != std::string::npos);
  CHECK(r.s.state.finished_runs() == 12);
  CHECK(replayed(r.path));  // up to there
}
