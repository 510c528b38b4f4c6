// The dashboard's pages: what is asked for is answered from the tables, at any time.
#include <cstring>
#include <map>
#include <set>

#include "support/watched.h"

using namespace weft;
using namespace weft::test;
using namespace weft::dashboard;
using scheduler::Seen;
using scheduler::Sighting;

TEST_CASE("the critical path goes back through the input that arrived last") {
  Watched w;
  w.s.workers<1>();
  w.s.submit({task("x"), task("y"), task("z").on(key_of("x"), key_of("y"))});
  for (const char* name : {"y", "x", "z"}) {
    w.s.now = w.s.now + 1s;
    w.s.finish(key_of(name));
  }
  Json path = w.get("critical_path").json["path"];
  REQUIRE(path.size() == 2);
  CHECK(path[0]["key"] == key_of("x").hex());
  CHECK(path[1]["key"] == key_of("z").hex());
}

TEST_CASE("a failed task counts as failed also when it is forgotten") {
  Watched w;
  w.s.workers<1>();
  Key x = w.s.submit(task("x"));
  w.s.say(w.s.assigned_to(x), AttemptFailed{w.s.state.find(x)->attempt, x, {Failure{.kind = ErrorKind::task_error}}});
  CHECK(w.get("overview").json["progress"]["0"]["failed"] == 1);
  w.s.release(x);
  Json overview = w.get("overview").json;
  CHECK(overview["tasks"]["failed"] == 0);
  CHECK(overview["progress"]["0"]["failed"] == 1);
  CHECK(overview["progress"]["0"]["done"] == 0);
}

TEST_CASE("a lost worker raises an alert, and its tasks are counted elsewhere") {
  Watched w;
  w.s.workers<2>();
  Key x = w.s.submit(task("x"));
  w.s.start(x);
  w.s.lose(w.s.assigned_to(x));
  Json overview = w.get("overview").json;
  REQUIRE(overview["alerts"].size() == 1);
  CHECK(overview["alerts"].begin()->at("level") == "error");
  CHECK(overview["workers"]["total"] == 1);
  CHECK(w.get("events?kind=worker_lost").json["events"].size() == 1);
}

TEST_CASE("failures are grouped by type and first frame; the text of the task is only text") {
  Watched w;
  w.s.workers<1>();
  for (const char* name : {"p", "q"}) {
    Key key = w.s.submit(task(name));
    w.s.say(w.s.assigned_to(key), AttemptFailed{w.s.state.find(key)->attempt,
                                                key,
                                                {Failure{.kind = ErrorKind::task_error,
                                                         .message = "<script>\xff",
                                                         .type = "std::bad_alloc",
                                                         .traceback = "f() at a.cpp:1\nmain"}}});
  }
  Json errors = w.get("errors").json["errors"];
  REQUIRE(errors.size() == 1);
  CHECK(errors.begin()->at("failed_attempts") == 2);
  CHECK(errors.begin()->at("frame") == "f() at a.cpp:1");
  CHECK(Json::parse(w.get("errors").text()).is_object());  // not UTF-8 before
}

TEST_CASE("a past time shows what was then; a range shows rates over it") {
  Feed feed;
  Surroundings around;
  Pages pages(feed, around);
  auto at = [](std::int64_t seconds) { return Time{seconds * 1'000'000'000 + 1}; };
  auto finish = [&](std::int64_t second, std::uint64_t low) {
    Sighting record{.when = at(second),
                    .key = {2, low},
                    .amount = 10,
                    .worker = 1,
                    .extra = 0x3f000000,
                    .what = Seen::finished};  // 0.5 s
    feed.apply(&record, 1);
  };
  feed.set_origin(Time{0});
  for (std::uint64_t i = 1; i <= 20; ++i) finish(static_cast<std::int64_t>(i), i);
  feed.advance(at(21));
  Json then = pages.get(*Query::read("/api/v1/overview?t0=5500000&t1=10500000")).json;
  CHECK(then["live"] == false);
  CHECK(then["totals"]["finished"].get<int>() <= 11);
  CHECK(then["rates"]["finished_per_s"].get<double>() == doctest::Approx(1).epsilon(0.2));
  CHECK(pages.get(*Query::read("/api/v1/overview?t1=nonsense")).status == 400);
  // The timeline: half of each second was busy.
  std::string frame = pages.stream(*Query::read("/api/v1/stream?px=20"), 0, 20'000'000, 7, 1, false);
  std::uint32_t lanes = 0, count = 0;
  std::memcpy(&lanes, frame.data() + 36, 4);
  std::memcpy(&count, frame.data() + 40, 4);
  CHECK(lanes == 1);
  CHECK(count == 20);
  CHECK(frame[32] == 0);
}

TEST_CASE("a run that failed took its time, on one of its worker's slots") {
  Watched w;
  w.s.workers<2>();
  std::vector<Key> tasks = w.s.submit({task("a").at("w1"), task("b").at("w1"), task("c").at("w1")});
  for (const Key& key : tasks) {
    w.s.start(key);
    w.s.now = w.s.now + 2s;
    w.s.fail(key);
  }
  Json group = w.get("groups").json["groups"]["0"];
  CHECK(group["run_s"]["sum"].get<double>() == doctest::Approx(6));
  CHECK(group["run_s"]["max"].get<double>() == doctest::Approx(2));
  Json timeline = w.get("timeline?t0=0").json;
  CHECK(timeline["rects"].size() == 3);
  CHECK(timeline["lanes"].size() == 1);  // one slot, whatever the clocks say
  CHECK(w.get("tasks/" + tasks[0].hex()).json["task"]["run_s"].get<double>() == doctest::Approx(2));
}

TEST_CASE("what runs wants a slot, however short its like took, and nothing wants more than the open tasks do") {
  Watched w;
  auto [worker] = w.s.workers<1>();
  CHECK(w.get("scale").json["wanted_slots"] == 0);
  Key x = w.s.submit(task("x"));
  w.s.start(x);
  CHECK(w.get("scale").json["wanted_slots"] == 1);
  // A worker may say that more runs than is open.
  w.s.say(worker, WorkerHeartbeat{.running = 5});
  CHECK(w.get("scale").json["wanted_slots"] == 1);
  w.s.finish(x);
  CHECK(w.get("scale").json["wanted_slots"] == 0);
}

TEST_CASE("the past is the past, also for single tasks") {
  Watched w;
  w.s.workers<1>();
  Key x = w.s.submit(task("x"));
  w.s.start(x);
  w.s.now = w.s.now + 5s;
  w.drain();
  auto then = std::to_string(w.feed.now() - 1'000'000);
  w.s.now = w.s.now + 5s;
  w.s.finish(x);
  CHECK(w.get("tasks?state=stored").json["tasks"].size() == 1);
  CHECK(w.get("tasks?state=stored&t1=" + then).json["tasks"].empty());
  Json row = w.get("tasks?t1=" + then).json["tasks"].begin().value();
  CHECK(row["state"] != "stored");
  CHECK(row["end"].is_null());
}

TEST_CASE("lanes that are no range are none") {
  Watched w;
  w.s.workers<3>();
  for (const char* where : {"w1", "w2", "w3"}) w.s.finish(w.s.submit(task(where).at(where)));
  for (std::string lanes : {"2-0", "2-1", "5-1", "18446744073709551615", "0-18446744073709551615", "1-", "-", "x"}) {
    CHECK(w.get("stream?lanes=" + lanes).status == 400);
    // A frame without lanes, were it asked for all the same.
    std::string frame = w.pages.stream(*Query::read("/api/v1/stream?lanes=" + lanes), 0, w.feed.now(), 1, 1, false);
    REQUIRE(frame.size() >= 56);
    std::uint32_t count = 1;
    std::memcpy(&count, frame.data() + 36, 4);
    CHECK(count == 0);
  }
}

TEST_CASE("metrics are what Prometheus reads") {
  Watched w;
  w.s.workers<2>();
  w.s.submit(task("x").label("a \"label\"\\\n"));
  w.drain();
  std::string text = w.pages.metrics();
  std::set<std::string> families;
  std::size_t samples = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::string line = text.substr(at, text.find('\n', at) - at);
    at += line.size() + 1;
    if (line.starts_with("# HELP ")) continue;
    if (line.starts_with("# TYPE ")) {
      CHECK(families.insert(line.substr(7, line.find(' ', 7) - 7)).second);  // one declaration each
      continue;
    }
    // name{label="value",…} number
    std::size_t name = line.find_first_of("{ ");
    REQUIRE(name != line.npos);
    CHECK(families.contains(line.substr(0, name)));
    std::size_t value = name;
    if (line[name] == '{') {
      bool quoted = false;
      for (value = name + 1; value < line.size() && (quoted || line[value] != '}'); ++value) {
        if (line[value] == '\\' && quoted) ++value;
        else if (line[value] == '"') quoted = !quoted;
      }
      REQUIRE(value < line.size());
      ++value;
    }
    char* end = nullptr;
    std::strtod(line.c_str() + value, &end);
    CHECK(*end == '\0');
    ++samples;
  }
  CHECK(samples > 20);
}

TEST_CASE("samples of stacks are a tree by worker, label and time") {
  Watched w;
  w.s.workers<2>();
  auto sampled = [&](std::uint32_t worker, const char* label, const char* stack, std::uint32_t count) {
    w.s.now = w.s.now + 1s;
    w.observer.write(Sighting{.when = w.s.now, .worker = worker, .extra = samples_level, .what = Seen::log},
                     StackSamples{label, stack, count, 20'000}.text());
  };
  const std::size_t lines = w.get("logs").json["lines"].size();
  sampled(1, "sum", "sum\nadd", 3);
  sampled(2, "sum", "sum\nadd", 4);
  sampled(1, "load", "load", 5);
  Json all = w.get("profile").json;
  CHECK(all["samples"] == 12);
  CHECK(all["period_s"] == 0.02);
  REQUIRE(all["root"]["children"].size() == 2);
  CHECK(all["root"]["children"][1] ==
        Json({{"name", "sum"}, {"value", 7}, {"children", {{{"name", "add"}, {"value", 7}, {"children", Json::array()}}}}}));
  CHECK(w.get("profile?worker=w2").json["samples"] == 4);
  CHECK(w.get("profile?span=1500000").json["samples"] == 9);
  CHECK(w.get("profile?worker=nobody").status == 404);
  CHECK(w.get("logs").json["lines"].size() == lines);  // they are no lines of a log
  w.observer.write(Sighting{.when = w.s.now, .worker = 1, .extra = samples_level, .what = Seen::log}, "nonsense");
  CHECK(w.get("profile").json["samples"] == 12);
}

TEST_CASE("a restart is on the errors page, with all that it ended, and an event says whose it was") {
  Watched w;
  w.s.workers<2>();
  std::vector<TaskSpec> many{task("x").label("load"), task("y").label("sum").on(key_of("x"))};
  for (int i = 0; i < 1'500; ++i) many.push_back(task("m" + std::to_string(i)).label("map"));
  w.s.submit(many);
  w.s.start(key_of("x"));
  w.s.finish(key_of("x"));
  w.drain();
  REQUIRE(w.s.state.answer(w.s.now, Ask{.verb = "restart", .words = {"the dashboard"}}));
  Json errors = w.get("errors").json["errors"];
  REQUIRE(errors.size() == 1);
  Json error = *errors.begin();
  CHECK(error["kind"] == "Cancelled");
  CHECK(error["message"] == "the cluster was restarted by the dashboard");
  CHECK(error["failed_tasks"] == 1'502);   // the first ones one by one, of the others their number
  CHECK(error["workers"].empty());  // none is to blame
  std::map<std::string, int> by_label;
  Json groups = w.get("groups").json["groups"];
  for (const auto& [group, count] : error["groups"].items()) by_label[groups[group]["label"]] = count;
  CHECK(by_label == std::map<std::string, int>{{"load", 1}, {"map", 1'500}, {"sum", 1}});
  CHECK(w.get("tasks/" + key_of("y").hex()).json["task"]["error"]["message"] ==
        "the cluster was restarted by the dashboard");
  Json events = w.get("events?kind=control").json["events"];
  REQUIRE(events.size() == 1);
  CHECK(events[0]["text"] == "restart of the cluster, by the dashboard: 1502 tasks were ended");
  CHECK(w.get("events?kind=failed").json["events"].empty());  // one word, one event
}

TEST_CASE("an event says which verb, on what and by whom, for clients as for the dashboard") {
  Watched w;
  w.s.workers<2>();
  Key x = w.s.submit(task("x").label("load")), y = w.s.submit(task("y").label("sum")),
      z = w.s.submit(task("z").label("sum"));
  const int ana = w.s.client("ana");
  auto newest = [&] {
    Json events = w.get("events?kind=control").json["events"];
    REQUIRE_FALSE(events.empty());
    return events.back();
  };
  const std::string me = "client ana";
  w.s.command(ana, Cancel{w.s.next(ana), {x}, true, "too slow"});
  CHECK(newest()["text"] == "cancel load " + x.hex().substr(0, 12) + ", by " + me + ": too slow");
  CHECK(newest()["verb"] == "cancel");
  CHECK(newest()["by"] == me);
  CHECK(newest()["key"] == x.hex());
  CHECK(w.get("errors").json["errors"].begin()->at("message") == "too slow");
  w.s.ask("retire", {"w2"}, {}, ana);
  CHECK(newest()["text"] == "retire w2, by " + me);
  CHECK(newest()["worker"] == "w2");
  REQUIRE(w.s.state.answer(w.s.now, Ask{.verb = "cancel", .words = {"no need"}, .keys = {y, z}}));
  CHECK(newest()["text"] == "cancel sum " + y.hex().substr(0, 12) + " and 1 other, by the dashboard: no need");
  REQUIRE(w.s.state.answer(w.s.now, Ask{.verb = "retry", .keys = {x}}));
  CHECK(newest()["text"] == "retry load " + x.hex().substr(0, 12) + ", by the dashboard");
  REQUIRE(w.s.state.answer(w.s.now, Ask{.verb = "rebalance"}));
  CHECK(newest()["by"] == "the dashboard");
  const std::size_t count = w.get("events?kind=control").json["events"].size();
  CHECK_FALSE(w.s.state.answer(w.s.now, Ask{.verb = "retire", .words = {"nobody"}}));  // nothing was done
  REQUIRE(w.s.state.answer(w.s.now, Ask{.verb = "status"}));                           // a question is no verb
  CHECK(w.get("events?kind=control").json["events"].size() == count);
}

TEST_CASE("a failed attempt is not a failed task until no other may follow") {
  Watched w;
  w.s.workers<1>();
  Key x = w.s.submit(task("x").retries(1));
  Key y = w.s.submit(task("y").on(x));
  auto fail = [&] { w.s.say(w.s.assigned_to(x), AttemptFailed{w.s.state.find(x)->attempt, x, {Failure{.kind = ErrorKind::task_error, .type = "Bad"}}}); };
  auto counted = [&](std::uint64_t attempts, std::uint64_t tasks, std::uint64_t retried) {
    Json totals = w.get("overview").json["totals"], group = w.get("groups").json["groups"]["0"], error = *w.get("errors").json["errors"].begin();
    for (const Json* each : {&totals, &group}) {
      CHECK(each->at("failed_attempts") == attempts);
      CHECK(each->at("failed_tasks") == (tasks ? tasks + 1 : 0));   // y, which depends on it, was never tried
      CHECK(each->at("retried") == retried);
    }
    CHECK(error.at("failed_attempts") == attempts);
    CHECK(error.at("failed_tasks") == tasks);
    CHECK(w.get("workers").json["workers"].begin()->at("failed_attempts") == attempts);
  };
  w.s.pass(1s);
  fail();
  counted(1, 0, 1);
  w.s.pass(1s);
  fail();
  counted(2, 1, 1);
  w.s.pass(2s);
  CHECK(w.get("runs").json["runs"]["0"].at("failed_tasks") == 2);
}

TEST_CASE("of many labels those with most to do come first, and every other can be asked for") {
  Watched w;
  w.s.workers<1>();
  for (int i = 0; i < 150; ++i) {
    std::string label = "label-" + std::to_string(i);
    for (int n = 0; n <= i; ++n) w.s.submit(task(label + std::to_string(n)).label(label));
    w.drain();
  }
  Json overview = w.get("overview").json;
  CHECK(overview["labels"] == 150);
  CHECK(overview["progress"].size() == 100);
  std::uint64_t least = 1'000;
  for (const Json& row : overview["progress"]) least = std::min<std::uint64_t>(least, row["open"]);
  CHECK(least == 51);   // the hundred largest of 1 to 150
  CHECK(w.get("progress?limit=1000").json["progress"].size() == 150);
  Json found = w.get("progress?label=bel-14&limit=3").json;
  CHECK(found["labels"] == 11);   // label-14 and label-140 to label-149
  REQUIRE(found["progress"].size() == 3);
  for (const Json& row : found["progress"]) CHECK(row["open"].get<int>() > 147);
}
