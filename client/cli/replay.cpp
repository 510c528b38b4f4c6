// weft replay: run a scheduler's recording through the State of this build and recount it on the way.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>

#include "client/cli/cli.h"
#include "common/exit_codes.h"
#include "scheduler/recorder.h"

namespace weft::cli {

namespace {

struct Wishes {
  std::uint64_t until = 0;
  bool check_every_step = false;
};

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

/// Recounting a large state takes longer than a step of it: by default no more time goes there than into the steps.
Json run(scheduler::Replay& replay, const Wishes& wishes, volatile std::uint64_t& step) {
  Duration stepping{}, checking{};
  std::uint64_t checks = 0;
  auto check = [&] {
    Time before = monotonic_now();
    replay.state().check();
    checking += monotonic_now() - before;
    ++checks;
  };
  while (wishes.until == 0 || replay.steps() < wishes.until) {
    step = replay.steps();
    Time before = monotonic_now();
    if (!replay.next().value_or_throw()) break;
    stepping += monotonic_now() - before;
    if (wishes.check_every_step || checking <= stepping) check();
  }
  if (replay.steps() > 0) check();  // a state that comes from a store is settled by its first step
  scheduler::Counts counts = replay.state().counts();
  Json by_state = Json::object();
  for (int i = 0; i < scheduler::task_state_count; ++i) by_state[name_of(static_cast<scheduler::TaskState>(i))] = counts.by_state[i];
  return {{"steps", replay.steps()}, {"events", replay.events()}, {"recorded_seconds", seconds(replay.now() - replay.began())},
          {"replayed_seconds", seconds(stepping)}, {"checks", checks}, {"cut", replay.is_cut()}, {"tasks", counts.tasks},
          {"workers", counts.workers}, {"clients", counts.sessions}, {"by_state", by_state}};
}

std::string as_text(const Json& seen) {
  std::string text = seen["steps"].dump() + " steps of " + seen["events"].dump() + " events, recorded in " + show_seconds(seen["recorded_seconds"]) +
                     ", replayed in " + show_seconds(seen["replayed_seconds"]) + "; recounted " + seen["checks"].dump() + " times: all invariants hold\n";
  text += "at the end: " + seen["tasks"].dump() + " tasks, " + seen["workers"].dump() + " workers, " + seen["clients"].dump() + " clients\n";
  if (seen["cut"]) text += "the last step was not written to its end: the scheduler died while it wrote, or lives\n";
  return text;
}

}  // namespace

int run_replay(Arguments arguments) {
  VerbOptions options("replay", "Run a recording (weft-scheduler --recorder FILE) through the scheduler's state again and check its invariants.");
  TextList words;
  Wishes wishes;
  options.add().positional("FILE", words, 1, 1, "the recording; what came before it is in FILE.old");
  options.add().add("until", wishes.until, "stop after so many steps; 0: at the end");
  options.add().add("check-every-step", wishes.check_every_step, "recount after every step, however long that takes");
  if (auto code = options.start(arguments)) return *code;
  Result<scheduler::Replay> replay = scheduler::Replay::open(words[0]);
  if (!replay) {
    std::fprintf(stderr, "weft replay: %s\n", replay.error().message.c_str());
    return replay.error().kind == ErrorKind::io_error ? exit_code::no_input : exit_code::bad_data;
  }

  // A broken invariant ends a process; which step did it is known to another one.
  void* shared = mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw IoError(std::string("cannot map a page: ") + std::strerror(errno));
  auto& step = *static_cast<volatile std::uint64_t*>(shared);
  pid_t child = fork();
  if (child < 0) throw IoError(std::string("cannot start a process: ") + std::strerror(errno));
  if (child == 0) {
    int code = exit_code::ok;
    try {
      Json seen = run(*replay, wishes, step);
      if (options.json()) print_json("replay", seen);
      else print(as_text(seen));
    } catch (const Error& error) {
      std::fprintf(stderr, "weft replay: %s\n", error.what());
      code = exit_code::bad_data;
    }
    std::fflush(stdout);
    _exit(code);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  std::fprintf(stderr, "weft replay: that was step %llu; --until %llu stops before it\n", static_cast<unsigned long long>(step),
               static_cast<unsigned long long>(step));
  return exit_code::software;
}

}  // namespace weft::cli
