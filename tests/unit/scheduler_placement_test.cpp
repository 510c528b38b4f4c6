// Where tasks go and where values stay when workers come, pause, leave and are restricted; verbs of operators; what is kept.
#include "support/mini_cluster.h"

using namespace weft;
using namespace weft::test;

namespace {

std::string number(std::string_view text, int i) { return std::string(text) + std::to_string(i); }

std::vector<TaskSpec> tasks(std::string_view name, int count) {
  std::vector<TaskSpec> specs;
  for (int i = 0; i < count; ++i) specs.push_back(task(number(name, i)));
  return specs;
}

/// Finish everything, the oldest attempt first; the keys in the order in which they were handed out.
std::vector<Key> order_of_running(SchedulerHarness& s, std::vector<Key> keys) {
  std::vector<Key> order;
  while (true) {
    Key oldest;
    for (Key key : keys)
      if (s.assigned_to(key) && (!oldest || s.attempt(key) < s.attempt(oldest))) oldest = key;
    if (!oldest) return order;
    order.push_back(oldest);
    s.finish(oldest);
  }
}

}  // namespace

TEST_CASE("a lost worker's root tasks are queued again, and a newcomer is filled at once") {  // case 24
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  s.submit(tasks("x", 20));
  s.lose(a);
  CHECK(s.state.counts().by_state[static_cast<int>(TaskState::ready)] == 18);
  WorkerId c = s.join({.name = "new"});
  CHECK(s.state.worker(c)->assigned.size() == 2);
  CHECK(s.state.worker(b)->assigned.size() == 2);
}

TEST_CASE("when all workers are paused, work waits for one that is not") {  // case 25
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  s.beat(a, true);
  s.beat(b, true);
  auto keys = s.submit(tasks("x", 8));
  CHECK(s.state.counts().by_state[static_cast<int>(TaskState::ready)] == 8);
  WorkerId c = s.join({.name = "new"});
  for (Key key : keys) {
    REQUIRE(s.assigned_to(key) == c);
    s.finish(key);
  }
}

TEST_CASE("a worker that is paused no more takes what waited") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  s.beat(a, true);
  Key x = s.submit(task("x"));
  CHECK(s.state_of(x) == TaskState::ready);
  s.beat(a, false);
  CHECK(s.assigned_to(x) == a);
}

TEST_CASE("neighbours of a wide reduction run together") {  // case 27
  MiniCluster c({}, 4, 2);
  c.work = [](const Key&) { return MiniCluster::Work{5ms, 1'000'000}; };
  std::vector<TaskSpec> graph;
  for (int row = 0; row < 16; ++row)
    for (int i = 0; i < 8; ++i) graph.push_back(task(number("root", 8 * row + i)).label("root").unwanted());
  for (int row = 0; row < 16; ++row) {
    TaskSpec sum = task(number("sum", row)).label("sum");
    for (int i = 0; i < 8; ++i) sum.on(key_of(number("root", 8 * row + i)));
    graph.push_back(sum);
  }
  c.submit(graph);
  c.run();
  MESSAGE("roots moved: " << c.numbers.bytes_moved / 1'000'000 << " of 128");
  CHECK(c.numbers.bytes_moved <= 13'000'000);
}

TEST_CASE("a tree of pairs is cut into a part for each worker: little more moves than where the parts meet") {
  MiniCluster c({}, 4, 1);
  c.work = [](const Key&) { return MiniCluster::Work{20ms, 10'000'000}; };
  std::vector<TaskSpec> graph;
  constexpr int leaves = 64;
  for (int i = 0; i < leaves; ++i) graph.push_back(task(number("leaf", i)).label("leaf").unwanted());
  std::string below = "leaf";
  for (int width = leaves / 2; width >= 1; width /= 2) {
    std::string level = "sums of " + std::to_string(width);
    for (int i = 0; i < width; ++i) {
      TaskSpec sum = task(number(level, i)).label("sum").on(key_of(number(below, 2 * i))).on(key_of(number(below, 2 * i + 1)));
      if (width > 1) sum.unwanted();
      graph.push_back(sum);
    }
    below = level;
  }
  c.submit(graph);
  c.run();
  MESSAGE("values moved: " << c.numbers.bytes_moved / 10'000'000 << ", at best 3");
  CHECK(c.numbers.bytes_moved <= 40'000'000);
}

TEST_CASE("a restriction wins over locality: the data moves") {  // case 29
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = s.submit(task("x").at("w1"));
  s.finish(x, 1'000'000'000);
  Key y = s.submit(task("y").on(x).at("w2"));
  CHECK(s.assigned_to(y) == b);
}

TEST_CASE("no worker of that name: a strict task waits for it, a loose one runs anywhere") {  // case 30
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key strict = s.submit(task("strict").at("elsewhere")), loose = s.submit(task("loose").at("elsewhere", false));
  CHECK(s.state_of(strict) == TaskState::ready);
  CHECK(s.assigned_to(loose) == a);
  WorkerId b = s.join({.name = "elsewhere"});
  CHECK(s.assigned_to(strict) == b);
}

TEST_CASE("earlier submissions come first, those of one burst side by side") {  // cases 32, 33
  SchedulerHarness s;
  s.workers<1>();
  auto keys = s.submit(tasks("first", 6));
  bool burst = false;
  SUBCASE("apart") { s.now = s.now + 1s; }
  SUBCASE("in one burst") { burst = true; }
  for (Key key : s.submit(tasks("second", 6))) keys.push_back(key);
  auto order = order_of_running(s, keys);
  REQUIRE(order.size() == 12);
  auto place = [&](Key key) { return std::find(order.begin(), order.end(), key) - order.begin(); };
  CHECK((place(key_of("second0")) < place(key_of("first5"))) == burst);
}

TEST_CASE("nothing is taken back for workers that may not run it") {  // case 43
  scheduler::Options options;
  options.hold_back = false;
  SchedulerHarness s(options);
  auto [a] = s.workers<1>();
  bool paused = false;
  std::vector<TaskSpec> specs = tasks("x", 20);
  SUBCASE("paused") { paused = true; }
  SUBCASE("restricted") {
    for (TaskSpec& spec : specs) spec.at("w1");
  }
  auto keys = s.submit(specs);
  s.start(keys[0]);
  s.finish(keys[0], 8, 10s);
  WorkerId b = s.join({.name = "idle"});
  if (paused) s.beat(b, true);
  s.heard<Revoke>(a);
  s.pass(2s);
  CHECK(s.heard<Revoke>(a).empty());
}

TEST_CASE("rebalancing copies, then drops; what is about to be read stays") {  // cases 73, 76
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  std::vector<Key> keys;
  for (int i = 0; i < 4; ++i) {
    keys.push_back(s.submit(task(number("x", i)).at("w1")));
    s.finish(keys.back(), 1'000'000'000);
  }
  Key reader = s.submit(task("reader").on(keys[0]).at("w1"));
  CHECK(s.ask("rebalance").body == "{\"moved\":2}");
  auto orders = s.heard<Replicate>(b);
  REQUIRE(orders.size() == 2);
  CHECK(s.state.worker(a)->holding.size() == 4);
  SUBCASE("both arrive") {
    for (const Replicate& order : orders) s.hold(b, order.input.key, 1'000'000'000);
    for (const Replicate& order : orders) CHECK(s.holds(a, order.input.key) == (order.input.key == keys[0]));
    CHECK(s.assigned_to(reader) == a);
  }
  SUBCASE("a copy that fails leaves the value where it was") {
    for (const Replicate& order : orders) s.say(b, InputMissing{order.input.key, {a}});
    CHECK(s.state.worker(a)->holding.size() == 4);
  }
}

TEST_CASE("the only worker is not retired with values that nobody could take") {  // case 74
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x"));
  s.finish(x);
  CHECK(s.ask("retire", {"w1"}).body.find(R"("retiring":false)") != std::string::npos);
  Key y = s.submit(task("y"));
  CHECK(s.assigned_to(y) == a);
}

TEST_CASE("copies that were asked for are made again after a loss, and when a worker joins") {
  SchedulerHarness s;
  auto [a, b, c] = s.workers<3>();
  Key x = s.submit(task("x").at("w1"));
  s.finish(x);
  s.ask("replicate", {"2"}, {x});
  WorkerId second = !s.heard<Replicate>(b).empty() ? b : c, third = second == b ? c : b;
  s.hold(second, x);
  s.heard<Replicate>(third);
  s.lose(second);
  CHECK(s.heard<Replicate>(third).size() == 1);
  s.hold(third, x);
  s.lose(third);
  WorkerId d = s.join({.name = "new"});
  CHECK(s.heard<Replicate>(d).size() == 1);
}

TEST_CASE("a restart ends all tasks and renews the executors of every worker") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = s.submit(task("x")), y = s.submit(task("y"));
  s.finish(x);
  s.ask("restart", {"somebody"});
  CHECK(s.state_of(x) == TaskState::failed);
  CHECK(s.state_of(y) == TaskState::failed);
  for (WorkerId worker : {a, b}) CHECK(s.heard<RestartExecutors>(worker).size() == 1);
}

TEST_CASE("whose key is revoked is gone at once") {
  SchedulerHarness s;
  auto [a, b] = s.workers<2>();
  Key x = s.submit(task("x").at("w1", false));
  s.start(x);
  s.step(scheduler::AccessRevoked{s.peer_of(a)});
  CHECK(s.assigned_to(x) == b);
  CHECK(s.state.find(x)->losses == 0);  // nobody is to blame
  CHECK(s.heard<WorkerRefused>(a).size() == 1);
  s.step(scheduler::AccessRevoked{{1}});  // the first peer is the client
  auto refused = s.heard<Refused>();
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].sequence == 0);
  CHECK(refused[0].failure.failure.message.find("weft keys revoke") != std::string::npos);
  CHECK(s.closed.back() == PeerId{1});
  CHECK(s.state.counts().sessions == 0);
  CHECK(s.state.empty());
}

TEST_CASE("what belongs to labels, options and programs goes with their last task") {
  SchedulerHarness s;
  s.workers<1>();
  for (int i = 0; i < 3'000; ++i) {
    Key x = s.submit(task(number("x", i)).label(number("label", i)).resource(number("r", i), 1));
    s.release(x);
  }
  std::string groups = s.ask("groups").body;
  std::size_t labels = 0;
  for (auto at = groups.find("\"label\""); at != std::string::npos; at = groups.find("\"label\"", at + 1)) ++labels;
  CHECK(labels <= 1'001);
  s.goodbye();
  CHECK(s.state.empty());
}

TEST_CASE("drops to a worker that is at work wait for the next word, and come before it") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  auto keys = s.submit(tasks("x", 2));
  s.finish(keys[0]);
  s.forget_mail();
  s.release(keys[0]);
  CHECK(s.heard<Drop>(a).empty());
  s.beat(a);
  auto drops = s.heard<Drop>(a);
  REQUIRE(drops.size() == 1);
  CHECK(drops[0].keys == std::vector<Key>{keys[0]});
}

TEST_CASE("what nobody may run keeps waiting, and whoever waits for it is told once") {
  SchedulerHarness s;
  s.workers<2>();
  int other = s.client();
  std::vector<TaskSpec> graph;
  for (const char* name : {"t1", "t2", "t3"}) graph.push_back(task(name).label("train").resource("gpu", 1).unwanted());
  graph.push_back(task("all").on(key_of("t1"), key_of("t2"), key_of("t3")));
  s.submit(graph);
  s.submit(task("fine"), other);
  s.pass(4s);
  CHECK(s.heard<Advice>().empty());
  s.pass(3s);
  auto told = s.heard<Advice>();
  REQUIRE(told.size() == 1);
  CHECK(told[0].text == "3 tasks of 'train' wait: no worker offers gpu=1; start one with --resources gpu=1, or cancel them");
  CHECK(s.notes == std::vector{told[0].text});
  CHECK(s.ask("logs").body.find("no worker offers gpu=1") != std::string::npos);
  CHECK(s.heard<Advice>(other).empty());
  s.submit(task("t4").label("train").resource("gpu", 1));
  s.pass(20s);
  CHECK(s.heard<Advice>().empty());  // they know

  s.submit(task("here").label("named").at("nowhere"));
  s.submit(task("wide").label("wide").cores(9));
  s.pass(7s);
  std::set<std::string> texts;
  for (const Advice& advice : s.heard<Advice>()) texts.insert(advice.text);
  CHECK(texts == std::set<std::string>{
                     "1 task of 'named' waits: no worker is called nowhere; start one with --name nowhere, or cancel it",
                     "1 task of 'wide' waits: no worker has 9 cores; start one with --nthreads 9, or cancel it"});
  WorkerId gpu = s.join({.name = "gpu", .slots = 4, .resources = {{"gpu", 4}}});
  for (const char* name : {"t1", "t2", "t3", "t4"}) CHECK(s.assigned_to(key_of(name)) == gpu);
}

TEST_CASE("a cluster without workers says so once, and nothing is said of tasks that only wait their turn") {
  SchedulerHarness s;
  s.submit(task("x"));
  s.pass(7s);
  auto told = s.heard<Advice>();
  REQUIRE(told.size() == 1);
  CHECK(told[0].text.find("there is no worker; start one with weft-worker") != std::string::npos);
  s.workers<1>();
  for (int i = 0; i < 50; ++i) s.submit(task(number("y", i)).label("many").cores(1));
  s.pass(30s);
  CHECK(s.heard<Advice>().empty());
}

TEST_CASE("how far a run is can be asked while it runs, and goes with the attempt") {
  SchedulerHarness s;
  auto [a] = s.workers<1>();
  Key x = s.submit(task("x"));
  AttemptId first = s.attempt(x);
  s.say(a, AttemptProgress{first, x, 0.25});
  s.say(a, AttemptProgress{first, x, 0.5});
  s.say(a, AttemptProgress{first, x, 7});  // no such part of anything
  CHECK(s.ask("explain", {}, {x}).body.find("\"progress\":0.5") != std::string::npos);
  CHECK(s.ask("tasks").body.find("\"progress\":0.5") != std::string::npos);
  CHECK(s.ask("processing").body.find("\"progress\":0.5") != std::string::npos);
  s.give_back(x);
  CHECK(s.ask("tasks").body.find("progress") == std::string::npos);
  s.say(a, AttemptProgress{first, x, 0.75});  // late
  CHECK(s.ask("tasks").body.find("progress") == std::string::npos);
}

TEST_CASE("a task as wide as its worker lends all of it to a child as wide") {
  SchedulerHarness s;
  auto [a] = s.workers<1>(4);
  Key parent = s.submit(task("parent").cores(4));
  std::uint64_t channel = s.attempt(parent).number;
  std::vector<TaskSpec> children{task("wide child").cores(4)};
  s.say(a, FromTask{channel, {ClientHello{1, 1, {7, 7}, "task", 1, 0}, Submit{1, SchedulerHarness::chunk(children), true}}});
  CHECK(s.assigned_to(key_of("wide child")) == a);
  Key next = s.submit(task("next").cores(4));
  CHECK_FALSE(s.assigned_to(next));
  s.finish(key_of("wide child"));
  s.finish(parent);
  CHECK(s.assigned_to(next) == a);
}
