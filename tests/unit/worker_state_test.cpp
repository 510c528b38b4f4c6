// The worker's brain: what is wanted against what happens, in every order (scheduler.md 6.3, group D).
#include "support/worker_harness.h"
#include "worker/outbox.h"

using namespace weft;
using namespace weft::test;
using namespace weft::worker;

TEST_CASE("inputs are fetched in the order of the tasks that need them, and the best ready task runs first") {  // case 47
  StateOptions options;
  options.fetches_max = 1;
  WorkerHarness w(1, options);
  Key a = key_of("a"), b = key_of("b");
  w.hear(w.order(1, key_of("late"), {b}, 9), w.order(2, key_of("soon"), {a}, 1));
  auto fetches = w.done<StartFetch>();
  REQUIRE(fetches.size() == 1);
  CHECK(fetches[0].key == a);
  w.on(FetchDone{fetches[0].fetch, 10});
  CHECK(w.done<StartRun>()[0].key == key_of("soon"));
  CHECK(w.done<StartFetch>()[0].key == b);
  CHECK(w.said<ValuesHeld>().size() == 1);
}

TEST_CASE("transfers are bounded in number and in bytes, but one may always go") {  // case 48
  StateOptions options;
  options.fetch_bytes_max = 15;
  WorkerHarness w(1, options);
  w.hear(w.order(1, key_of("x"), {key_of("a"), key_of("b")}));
  CHECK(w.done<StartFetch>().size() == 1);
  w.on(FetchFailed{w.done<StartFetch>()[0].fetch});
  CHECK(w.done<StartFetch>().size() == 1);
  CHECK(w.said<InputMissing>().size() == 1);
}

TEST_CASE("when no place can give an input the scheduler is asked, and its answer is used at once") {  // cases 49, 50, 58
  WorkerHarness w;
  Key a = key_of("a");
  w.hear(w.order(1, key_of("x"), {a}));
  w.on(FetchFailed{w.done<StartFetch>()[0].fetch});
  auto missing = w.said<InputMissing>();
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].tried == std::vector<WorkerId>{{2}});
  w.now = w.now + 3s;
  w.on(Tick{});
  missing = w.said<InputMissing>();
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].tried.empty());  // the answer is slow: nothing was tried again
  w.hear(Holders{{.key = a, .bytes = 10, .locations = {w.at(3)}}});
  CHECK(w.done<StartFetch>()[0].from.worker == WorkerId{3});
  w.on(FetchDone{w.done<StartFetch>()[0].fetch, 10});
  CHECK(w.done<StartRun>().size() == 1);
}

TEST_CASE("an input that comes while its fetch is queued or under way needs no fetch") {
  StateOptions options;
  options.fetches_max = 1;
  WorkerHarness w(1, options);
  Key a = key_of("a"), b = key_of("b");
  w.hear(w.order(1, key_of("x"), {a}), w.order(2, key_of("y"), {b}));
  w.on(PutArrived{b, 10});
  CHECK(w.done<StartRun>()[0].key == key_of("y"));
  w.on(PutArrived{a, 10});
  CHECK(w.done<AbortFetch>().size() == 1);
  CHECK(w.done<StartFetch>().empty());
}

TEST_CASE("taking an attempt back: each order of events ends in what the scheduler last wished") {  // cases 51, 52
  WorkerHarness w;
  Key x = key_of("x");
  SUBCASE("waiting for an input: the fetch stops") {
    w.hear(w.order(1, x, {key_of("a")}));
    w.hear(Revoke{{1}, false});
    CHECK(w.said<AttemptReturned>().size() == 1);
    CHECK(w.done<AbortFetch>().size() == 1);
  }
  SUBCASE("running, softly: it goes on") {
    w.hear(w.order(1, x));
    w.on(RunStarted{{1}});
    w.hear(Revoke{{1}, false});
    CHECK(w.said<AttemptStarted>().size() == 1);
    w.on(w.ended(1, x));
    CHECK(w.said<AttemptFinished>().size() == 1);
    w.hear(Drop{{x}, 0});  // said before it was known to be here
    CHECK(w.done<DropValue>().empty());
    w.hear(Drop{{x}, 1});
    CHECK(w.done<DropValue>().size() == 1);
  }
  SUBCASE("running, hard: it is stopped; what it brings later is dropped without a word") {
    w.hear(w.order(1, x));
    w.hear(Revoke{{1}, true});
    CHECK(w.done<StopRun>().size() == 1);
    SUBCASE("a value") {
      w.on(w.ended(1, x));
      CHECK(w.done<DropValue>().size() == 1);
    }
    SUBCASE("an exception") { w.on(w.ended(1, x, ErrorKind::task_error)); }
    CHECK(w.said<AttemptFinished>().empty());
    CHECK(w.said<AttemptFailed>().empty());
  }
  SUBCASE("ended before the order came: nothing happens") {
    w.hear(w.order(1, x));
    w.on(w.ended(1, x, ErrorKind::task_error));
    CHECK(w.said<AttemptFailed>().size() == 1);
    w.hear(Revoke{{1}, false});
    CHECK(w.said<AttemptReturned>().empty());
  }
  CHECK(w.state.empty());
}

TEST_CASE("a stopped run that ends late does not take the value of the next try with it") {
  WorkerHarness w;
  Key x = key_of("x");
  w.hear(w.order(1, x));
  w.hear(Revoke{{1}, true}, w.order(2, x));
  w.on(w.ended(1, x));
  CHECK(w.done<DropValue>().empty());  // the second try owns what lies in the store
  SUBCASE("which ends") {
    w.on(w.ended(2, x));
    CHECK(w.said<AttemptFinished>()[0].attempt == AttemptId{2});
    CHECK(w.state.held_count() == 1);
  }
  SUBCASE("which fails and leaves nothing") {
    w.on(w.ended(2, x, ErrorKind::task_error));
    CHECK(w.done<DropValue>().size() == 1);
  }
  SUBCASE("which is stopped too") {
    w.hear(Revoke{{2}, true});
    CHECK(w.done<DropValue>().size() == 1);
  }
}

TEST_CASE("what a stopped run leaves while the same value is fetched goes when the fetch fails") {
  WorkerHarness w(2);
  Key x = key_of("x");
  w.hear(w.order(1, x));
  w.hear(Revoke{{1}, true}, w.order(2, key_of("y"), {x}));
  FetchId fetch = w.done<StartFetch>().at(0).fetch;
  w.on(w.ended(1, x));
  CHECK(w.done<DropValue>().empty());  // it may have been fetched already, and the word of it not heard
  w.on(FetchFailed{fetch});
  REQUIRE(w.done<DropValue>().size() == 1);
  CHECK(w.done<DropValue>()[0].key == x);
}

TEST_CASE("slots and cores bound what is with the executors; a blocked task lends its slot") {  // cases 26, 38
  WorkerHarness w(2);
  w.hear(w.order(1, key_of("a")), w.order(2, key_of("wide"), {}, 0, 1), w.order(3, key_of("c")));
  CHECK(w.done<StartRun>().size() == 1);  // the wide one is next and does not fit yet
  w.on(w.ended(1, key_of("a"), ErrorKind::task_error));
  CHECK(w.done<StartRun>()[0].key == key_of("wide"));
  w.on(RunBlocked{{2}});
  CHECK(w.done<StartRun>().size() == 1);
  w.on(RunBlocked{{2}, false}, w.ended(3, key_of("c"), ErrorKind::task_error), w.ended(2, key_of("wide"), ErrorKind::task_error));
  CHECK(w.state.empty());
}

TEST_CASE("a paused worker starts nothing while something runs, and goes on by itself") {  // case 70
  WorkerHarness w(2);
  w.on(Pressure{.paused = true});
  w.hear(w.order(1, key_of("a")), w.order(2, key_of("b")));
  CHECK(w.done<StartRun>().size() == 1);
  w.on(Pressure{});
  CHECK(w.done<StartRun>().size() == 1);
}

TEST_CASE("a question for an input is not put off by attempts that come and go") {
  StateOptions options;
  WorkerHarness w(1, options);
  auto reader = [&](std::uint64_t attempt, const char* name) {
    Assign order = w.order(attempt, key_of(name), {key_of("a")});
    order.inputs[0].locations.clear();
    w.hear(std::move(order));
  };
  reader(1, "x");
  w.now = w.now + options.ask_interval * 3 / 4;
  reader(2, "y");
  w.hear(Revoke{{2}, true});
  w.now = w.now + options.ask_interval / 2;
  w.on(Tick{});
  CHECK(w.said<InputMissing>().size() == 1);
}

TEST_CASE("a damaged input is told, and its reader waits for it again") {
  WorkerHarness w;
  Key a = key_of("a");
  w.hear(w.order(1, key_of("first")), w.order(2, key_of("x"), {a}));
  w.on(FetchDone{{1}, 10});
  w.on(ValueDamaged{a});
  CHECK(w.said<ValuesLost>().size() == 1);
  CHECK(w.said<InputMissing>().size() == 1);
}

TEST_CASE("a hello says what is held and what runs, and repeats what nobody heard") {  // case 67
  WorkerHarness w;
  Key x = key_of("x"), y = key_of("y");
  w.hear(w.order(1, x), w.order(2, y));
  w.on(w.ended(1, x));
  w.on(LinkLost{});
  w.on(w.ended(2, y, ErrorKind::task_error));
  w.now = w.now + 1s;
  w.on(Tick{});
  CHECK(w.done<Connect>().size() == 1);
  w.on(LinkUp{});
  auto hello = w.said<WorkerHello>();
  REQUIRE(hello.size() == 1);
  CHECK(hello[0].held.size() == 1);
  CHECK(hello[0].epoch == 1);
  CHECK(w.said<AttemptFailed>().size() == 1);
  SUBCASE("an older scheduler is not obeyed") {
    w.hear(WorkerWelcome{1, 0, {1}, 1s, 15s});
    CHECK(w.done<HangUp>().size() == 1);
  }
}

TEST_CASE("a silent scheduler is left after a lease, and without any the worker ends") {  // case 66
  WorkerHarness w;
  w.now = w.now + 16s;
  w.on(Tick{});
  CHECK(w.done<HangUp>().size() == 1);
  w.now = w.now + 700s;
  w.on(Tick{});
  CHECK(w.done<Exit>()[0].code == 69);
}

TEST_CASE("a link to somebody who never welcomes is no scheduler: the worker gives up in time") {
  worker::StateOptions options;
  options.identity.slots = 1;
  options.death_timeout = 10s;
  worker::State state(options);
  Time now{1'000'000'000};
  std::optional<Exit> exit;
  for (int second = 0; second < 12; ++second, now = now + 1s)
    for (worker::Event event : {worker::Event{LinkUp{}}, worker::Event{LinkLost{}}, worker::Event{Tick{}}})
      for (const worker::Action& action : state.step(now, {event}))
        if (auto* said = std::get_if<Exit>(&action)) exit = *said;
  REQUIRE(exit);
  CHECK(exit->code == 69);
}

TEST_CASE("of what a run says about its progress the newest goes on, ten times a second at most") {
  WorkerHarness w;
  Key x = key_of("x");
  w.hear(w.order(1, x));
  w.on(RunStarted{{1}}, RunProgress{{1}, 0.1});
  REQUIRE(w.said<AttemptProgress>().size() == 1);
  CHECK(w.said<AttemptProgress>()[0].fraction == 0.1);
  for (double fraction : {0.2, 0.3, 0.4}) {
    w.on(RunProgress{{1}, fraction});
    CHECK(w.said<AttemptProgress>().empty());
  }
  CHECK(w.state.wake_at() <= w.now + 100ms);
  w.now = w.now + 100ms;
  w.on(Tick{});
  REQUIRE(w.said<AttemptProgress>().size() == 1);
  CHECK(w.said<AttemptProgress>()[0].fraction == 0.4);
  w.on(RunProgress{{1}, 0.9}, w.ended(1, x));  // over: its end says more
  w.now = w.now + 100ms;
  w.on(Tick{}, RunProgress{{1}, 1.0});
  CHECK(w.said<AttemptProgress>().empty());
}

TEST_CASE("a frame says nothing of a start whose end it brings") {
  Outbox outbox;
  Key x = key_of("x"), y = key_of("y");
  outbox.add({AttemptStarted{{1}, x}, AttemptStarted{{2}, y}});
  outbox.add({AttemptProgress{{1}, x, 0.5}, AttemptFinished{.attempt = {1}, .key = x}});
  std::vector<WorkerMessage> frame = outbox.take();
  REQUIRE(frame.size() == 2);
  CHECK(std::get<AttemptStarted>(frame[0]).attempt == AttemptId{2});
  CHECK(std::get<AttemptFinished>(frame[1]).attempt == AttemptId{1});
  CHECK(outbox.empty());
}

TEST_CASE("a fetch that ended just behind the order that made it needless leaves nothing in the store") {
  WorkerHarness w;
  Key a = key_of("a");
  w.hear(w.order(1, key_of("x"), {a}));
  FetchId fetch = w.done<StartFetch>()[0].fetch;
  w.on(Message{WorkerBound{Revoke{{1}, true}}}, FetchDone{fetch, 10});
  auto dropped = w.done<DropValue>();
  CHECK(std::any_of(dropped.begin(), dropped.end(), [&](const DropValue& drop) { return drop.key == a; }));
  CHECK(w.state.empty());
}
