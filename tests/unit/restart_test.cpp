// A scheduler that died and is started again with what its store kept: what goes on, what is asked for, and what is forgotten.
#include <algorithm>
#include <map>

#include "scheduler/store.h"
#include "support/scheduler_harness.h"

using namespace weft;
using namespace weft::scheduler;
using namespace weft::test;

namespace {

/// A state that takes back what another one persisted.
struct Restarted : SchedulerHarness {
  static Options options(std::uint64_t epoch) {
    Options options;
    options.durable = true;
    options.epoch = epoch;
    return options;
  }
  Restarted() : SchedulerHarness(options(1)) {}
  std::map<RowId, Bytes> rows() const {
    std::map<RowId, Bytes> kept;
    for (const Persist& persist : persisted)
      for (const Record& record : persist.records) {
        Row row = row_of(record);
        if (row.body) kept[row.id] = *row.body;
        else if (!row.all) kept.erase(row.id);
        else std::erase_if(kept, [&](const auto& k) { return k.first.kind == row.id.kind && k.first.a == row.id.a; });
      }
    return kept;
  }
  std::size_t rows_of(RowKind kind) const {
    auto kept = rows();
    return static_cast<std::size_t>(std::count_if(kept.begin(), kept.end(), [&](const auto& k) { return k.first.kind == kind; }));
  }
  State restart() const {
    std::vector<Record> records;
    for (const auto& [id, body] : rows()) records.push_back(*record_of({id, body}));
    State state(options(2));
    state.restore(now, std::move(records));
    return state;
  }
};

}  // namespace

TEST_CASE("a finished pure task costs the store nothing, and its release forgets everything") {
  Restarted s;
  s.workers<1>();
  Key x = s.submit(task("x"));
  std::size_t before = s.persisted.size();
  s.finish(x);
  CHECK(s.persisted.size() == before);
  CHECK(s.rows_of(RowKind::intent) == 1);
  s.release(x);
  CHECK(s.rows_of(RowKind::intent) == 0);
}

TEST_CASE("an impure task starts when its command is committed") {
  Restarted s;
  s.workers<1>();
  TaskSpec spec = task("x");
  spec.shape.options.pure = false;
  Key x = s.submit(spec);
  CHECK(s.state_of(x) == TaskState::ready);
  CHECK(s.state_of(s.submit(task("pure"))) == TaskState::assigned);
  s.step(Committed{s.persisted.back().ticket});
  CHECK(s.state_of(x) == TaskState::assigned);
}

TEST_CASE("after a restart nothing is given out before the workers are back, and what runs goes on") {
  Restarted s;
  s.workers<1>();
  Key x = s.submit(task("x"));
  AttemptId attempt = s.state.find(x)->attempt;
  std::string name = s.state.worker(s.state.find(x)->worker)->name;
  State again = s.restart();
  again.step(s.now + 10s, {Tick{}});  // reading a big store takes longer than the grace, which begins now
  CHECK(again.recovering());
  CHECK(again.find(x)->state == TaskState::ready);
  WorkerHello hello{.protocol_min = 1, .protocol_max = 1, .name = name, .instance = 1, .epoch = 1, .secret = Bytes(16),
                    .running = {{attempt, x, true}}};
  auto actions = again.step(s.now, {FromWorker{PeerId{77}, hello}});
  CHECK_FALSE(again.recovering());
  CHECK(again.find(x)->state == TaskState::assigned);
  CHECK(again.find(x)->attempt == attempt);
  for (const Action& action : actions)
    if (const auto* frame = std::get_if<ToWorker>(&action))
      for (const WorkerBound& message : frame->messages) CHECK_FALSE(std::holds_alternative<Revoke>(message));
  again.check();
}

TEST_CASE("a failure and its cause are still known after a restart") {
  Restarted s;
  s.workers<1>();
  Key x = s.submit(task("x"));
  s.cancel(x);
  State again = s.restart();
  again.step(s.now, {Tick{}});
  CHECK(again.find(x)->state == TaskState::failed);
  CHECK(again.find(x)->failure->kind == ErrorKind::cancelled);
}

TEST_CASE("what may run once is ordered when the store knows it, and after a restart goes on or fails") {
  Restarted s;
  auto [worker] = s.workers<1>();
  TaskSpec spec = task("x").max_attempts(1);
  spec.shape.options.pure = false;
  Key x = s.submit(spec);
  s.step(Committed{s.persisted.back().ticket});
  REQUIRE(s.state_of(x) == TaskState::assigned);
  CHECK(s.heard<Assign>(worker).empty());
  s.step(Committed{s.persisted.back().ticket});
  CHECK(s.heard<Assign>(worker).size() == 1);
  State again = s.restart();
  again.step(s.now, {Tick{}});
  SUBCASE("with its worker") {
    WorkerHello hello{.protocol_min = 1, .protocol_max = 1, .name = "w1", .instance = 1, .epoch = 1, .slots = 1, .secret = Bytes(16),
                      .running = {{s.attempt(x), x, false}}};
    again.step(s.now, {FromWorker{PeerId{77}, hello}});
    CHECK(again.find(x)->attempt == s.attempt(x));
  }
  SUBCASE("without it") {
    again.step(s.now + again.options().recovery_grace + 1s, {Tick{}});
    REQUIRE(again.find(x)->state == TaskState::failed);
    CHECK(again.find(x)->failure->kind == ErrorKind::worker_unavailable);
  }
  again.check();
}

TEST_CASE("what may run once is asked for, not taken back, when its input is not there after a restart: it may just have begun") {
  Restarted s;
  s.workers<2>();
  Key x = s.submit(task("x").at("w2"));
  s.finish(x, 1'000'000);
  TaskSpec spec = task("y").on(x).max_attempts(1).at("w1");
  spec.shape.options.pure = false;
  Key y = s.submit(spec);
  s.step(Committed{s.persisted.back().ticket});  // its command,
  s.step(Committed{s.persisted.back().ticket});  // and that a worker has it
  State again = s.restart();
  again.step(s.now, {Tick{}});
  WorkerHello hello{.protocol_min = 1, .protocol_max = 1, .name = "w1", .instance = 1, .epoch = 1, .slots = 1, .secret = Bytes(16),
                    .running = {{s.attempt(y), y, false}}};
  again.step(s.now, {FromWorker{PeerId{77}, hello}});
  CHECK(again.find(y)->state == TaskState::assigned);
  CHECK(again.find(y)->attempt == s.attempt(y));
  CHECK(again.find(y)->recalling);
  again.check();
}
