// The dashboard's tables: what the scheduler shows arrives, is counted rightly, and is heard by those who subscribe.
#include <filesystem>
#include <thread>

#include <stdlib.h>

#include "dashboard/dashboard.h"
#include "dashboard/event_log.h"
#include "dashboard/viewer.h"
#include "support/http_client.h"
#include "support/watched.h"

using namespace weft;
using namespace weft::test;
using namespace weft::dashboard;
using scheduler::Observer;
using scheduler::Seen;
using scheduler::Sighting;

TEST_CASE("what the scheduler shows is what its own counters say") {
  Watched w;
  w.s.workers<2>();
  w.s.submit({task("x").at("w1"), task("y").on(key_of("x")).at("w2"), task("z").on(key_of("y"))});
  w.s.finish(key_of("x"), 1000);
  Json overview = w.get("overview").json;
  auto counts = w.s.state.counts();
  for (int i = 0; i < scheduler::task_state_count; ++i)
    CHECK(overview["tasks"][scheduler::name_of(static_cast<TaskState>(i))] == counts.by_state[i]);
  CHECK(overview["totals"]["finished"] == w.s.state.finished_runs());
  CHECK(overview["workers"]["total"] == 2);
  CHECK(w.get("tasks/" + key_of("x").hex()).json["task"]["state"] == "stored");
  CHECK(w.get("tasks/" + key_of("x").hex()).json["task"]["bytes"] == 1000);
  CHECK(w.get("tasks/" + key_of("x").hex() + "/story").json["story"].size() >= 3);
  CHECK(w.get("graph").json["edges"].size() == 1);  // all three have one label
}

TEST_CASE("what was dropped is shown again: tasks that nobody heard of are there, and those that are gone are gone") {
  Watched w;
  w.s.workers<1>();
  auto many = [](const std::string& name) {
    std::vector<TaskSpec> tasks;
    for (int i = 0; i < 3'000; ++i) tasks.push_back(task(name + std::to_string(i)));
    return tasks;
  };
  std::vector<Key> first = w.s.submit(many("x"));
  w.drain();
  // Each is two records or more, and nobody reads: the ring holds 4096.
  w.s.submit(many("y"));
  w.s.release(first);
  CHECK(w.observer.dropped() > 1'000);
  auto right = [&] {
    auto counts = w.s.state.counts();
    Json tasks = w.get("overview").json["tasks"];
    for (int i = 0; i < scheduler::task_state_count; ++i)
      if (tasks[scheduler::name_of(static_cast<TaskState>(i))] != counts.by_state[i]) return false;
    return true;
  };
  CHECK_FALSE(right());
  for (int i = 0; i < 1'000 && !right(); ++i) {
    CHECK(w.s.state.wake_at() <= w.s.now + 3s);
    w.s.pass(w.s.state.wake_at() - w.s.now);
  }
  CHECK(right());
  CHECK(w.get("tasks/" + key_of("x0").hex()).json["task"]["state"] == "forgotten");
}

TEST_CASE("a full ring drops and says so; what is read is whole") {
  Observer observer(512);
  for (int i = 0; i < 400; ++i)
    observer.write(Sighting{.amount = static_cast<std::uint64_t>(i), .what = Seen::step},
                   "a text of more than one slot, since it is longer than forty-six bytes");
  CHECK(observer.dropped() > 0);
  Feed feed;
  const Sighting* first = nullptr;
  auto drain = [&] {
    while (std::size_t slots = observer.peek(first)) {
      feed.apply(first, slots);
      observer.consume(slots);
    }
  };
  drain();
  std::uint64_t read = feed.totals().steps;
  CHECK(read + observer.dropped() == 400);
  CHECK(feed.totals().dropped == 0);  // said with the next record that fits
  observer.write(Sighting{.what = Seen::step});
  drain();
  CHECK(feed.totals().dropped == observer.dropped());
  CHECK(feed.events().back().kind == std::string("gap"));
}

TEST_CASE("two threads: every record arrives once, in order") {
  Observer observer(1024);
  constexpr std::uint64_t count = 300'000;
  std::thread writer([&] {
    for (std::uint64_t i = 0; i < count;)
      if (observer.write(Sighting{.amount = i, .what = Seen::step},
                         i % 3 ? "" : "text text text text text text text text text text text text"))
        ++i;
      else std::this_thread::yield();
  });
  std::uint64_t next = 0;
  bool ordered = true;
  while (next < count) {
    const Sighting* first = nullptr;
    std::size_t slots = observer.peek(first);
    if (slots == 0) std::this_thread::yield();
    for (std::size_t i = 0; i < slots; i += 1u + first[i].text_slots)
      if (first[i].what == Seen::step) ordered &= first[i].amount == next++;
    observer.consume(slots);
  }
  writer.join();
  CHECK(ordered);
}

TEST_CASE("moments stay within their memory and keep the first") {
  Moments moments(200 * sizeof(Moment));
  for (Micros t = 0; t < 5'000; ++t) moments.add(Moment{.t = t});
  CHECK(moments.bytes() <= 201 * sizeof(Moment));
  CHECK(moments.all().front()->t == 0);
  CHECK(moments.at(4'999)->t == 4'999);
  CHECK(moments.at(-1) == nullptr);
}

TEST_CASE("deltas of a topic make the body that a snapshot shows") {
  Watched w;
  w.s.workers<2>();
  w.drain();
  Topics topics;
  Viewer viewer(w.pages, w.feed, topics);
  viewer.receive(R"({"sub":[{"id":1,"get":"/api/v1/overview","hz":10}]})");
  Micros now = 1'000'000;
  auto frame = viewer.next(now);
  REQUIRE(frame);
  Json seen = Json::parse(frame->bytes)["snapshot"];
  w.s.submit({task("x"), task("y")});
  w.drain();
  frame = viewer.next(now += 1'000'000);
  REQUIRE(frame);
  Json message = Json::parse(frame->bytes);
  CHECK(message["base"] == 1);
  seen.merge_patch(message["delta"]);
  Json now_there = w.get("overview").json;
  for (const char* time : {"t0", "t1"}) seen.erase(time), now_there.erase(time);
  Json without_nulls = Json::object();  // a patch cannot say null: it removes the field
  without_nulls.merge_patch(now_there);
  CHECK(seen == without_nulls);
  CHECK_FALSE(viewer.next(now += 1'000'000));  // nothing changed
  SUBCASE("a viewer that comes back gets what it missed") {
    w.s.submit({task("z")});
    w.drain();
    Viewer again(w.pages, w.feed, topics);
    again.receive(R"({"sub":[{"id":5,"get":"/api/v1/overview","since":2}]})");
    frame = again.next(now += 1'000'000);
    REQUIRE(frame);
    CHECK(Json::parse(frame->bytes)["base"] == 2);
  }
}

TEST_CASE("nonsense from a viewer is answered, never obeyed") {
  Watched w;
  w.drain();
  Topics topics;
  Viewer viewer(w.pages, w.feed, topics);
  for (const char* text :
       {"", "[]", "{\"sub\":[{}]}", "{\"sub\":[{\"id\":1,\"get\":\"/etc/passwd\"}]}",
        "{\"sub\":[{\"id\":1,\"get\":\"/api/v1/\"}]}", "{\"sub\":[{\"id\":1,\"get\":\"/api/v1/overview?t1=x\"}]}"}) {
    viewer.receive(text);
    auto frame = viewer.next(1);
    REQUIRE(frame);
    CHECK(Json::parse(frame->bytes).contains("error"));
  }
  CHECK_FALSE(viewer.next(2));
}

TEST_CASE("a log read again gives the same tables") {
  char folder[] = "/tmp/weft-log-XXXXXX";
  REQUIRE(mkdtemp(folder));
  Watched w;
  w.s.workers<2>();
  for (int i = 0; i < 50; ++i) w.s.submit(task(std::to_string(i)));
  {
    auto log = EventLog::open(folder, 8u << 20, 17, 1'000);
    REQUIRE(log);
    w.drain_into(*log);
  }
  Feed again;
  auto start = read_event_log(folder, again);
  REQUIRE(start);
  CHECK(start->epoch == 17);
  CHECK(again.totals().transitions == w.feed.totals().transitions);
  CHECK(again.tasks().size() == w.feed.tasks().size());
  CHECK(again.workers().size() == 2);
  CHECK_FALSE(read_event_log("/nowhere", again));
  std::filesystem::remove_all(folder);
}

TEST_CASE("samples are bounded: the old ones go first") {
  Samples samples(100, 20);
  for (int i = 0; i < 1'000; ++i) samples.add(i, 1, {"label", "stack " + std::to_string(i), 1, 20'000});
  auto held = samples.find(-1, 1'000, 0, nullptr);
  CHECK(held.tree.value <= 20);
  CHECK(held.tree.children.contains("stack 999"));
  samples.add(1'000, 1, {"label", "stack 999", 2, 20'000});
  CHECK(samples.find(-1, 1'000, 0, nullptr).tree.children.at("stack 999").value == 3);
}

TEST_CASE("a folder has every start of a scheduler, and what each was") {
  char folder[] = "/tmp/weft-starts-XXXXXX";
  REQUIRE(mkdtemp(folder));
  for (std::uint64_t epoch : {17, 18}) {
    Watched w;
    w.around.version = "1.2." + std::to_string(epoch), w.around.host = "node", w.around.pid = epoch;
    w.around.options = {{"port", {{"value", "1"}, {"default", "2"}, {"origin", "weft.toml"}}}};
    w.s.workers<1>();
    for (std::uint64_t i = 0; i < epoch; ++i) w.s.submit(i == 1 ? task("1").at("nobody") : task(std::to_string(i)));
    auto log = EventLog::open(folder, 64u << 20, epoch, static_cast<std::int64_t>(epoch), about_texts(w.around));
    REQUIRE(log);
    w.drain_into(*log);
  }
  auto starts = log_starts(folder);
  REQUIRE(starts.size() == 2);
  CHECK(starts[1].epoch == 18);
  CHECK(starts[1].bytes > 0);
  for (std::uint64_t asked : {0, 17, 18}) {  // 0: the newest
    const std::uint64_t epoch = asked ? asked : 18;
    auto history = History::open(folder, asked);
    REQUIRE(history);
    std::string type;
    auto get = [&](const char* target) { return Json::parse(history->get(std::string("/api/v1/") + target, type)); };
    CHECK(get("tasks?limit=1000")["tasks"].size() == epoch);
    Json system = get("system");
    CHECK(system["scheduler"]["epoch"] == epoch);
    CHECK(system["scheduler"]["pid"] == epoch);
    CHECK(system["scheduler"]["host"] == "node");
    CHECK(system["version"] == "1.2." + std::to_string(epoch));
    CHECK(system["reader"] != "");
    CHECK(get("config")["options"]["port"] == Json({{"value", "1"}, {"default", "2"}, {"origin", "weft.toml"}}));
    CHECK(get("starts")["starts"].size() == 2);
    Json why = get(("tasks/" + key_of("0").hex() + "/explain").c_str());
    CHECK(why["source"] == "log");
    CHECK(why["state"] == "assigned");
    CHECK(why["why"] == "it was given to w1");
    CHECK(get(("tasks/" + key_of("1").hex() + "/explain").c_str())["why"].get<std::string>().find(
              "known only while the scheduler lives") != std::string::npos);
  }
  auto none = History::open(folder, 5);
  REQUIRE_FALSE(none);
  CHECK(none.error().message.find("no scheduler of epoch 5") != std::string::npos);

  auto served = Dashboard::open_history({.port = 0, .history = folder});
  REQUIRE(served);
  HttpClient client((*served)->port());
  CHECK(client.json("/api/v1/tasks?limit=1000")["tasks"].size() == 18);
  CHECK(client.json("/api/v1/starts")["starts"]["17"]["path"] == "/starts/17/");
  CHECK(client.json("/starts/17/api/v1/tasks?limit=1000")["tasks"].size() == 17);
  CHECK(client.get("/starts/17/") == 200);  // the page
  CHECK(client.get("/starts/16/") == 404);
  CHECK(client.get("/starts/17") == 404);
  HttpClient viewer((*served)->port());
  REQUIRE(viewer.get("/starts/17/ws",
                     "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                     "dGhlIHNhbXBsZSBub25jZQ==\r\n") == 101);
  CHECK(Json::parse(viewer.hear())["hello"]["epoch"] == 17);
  std::filesystem::remove_all(folder);
}
