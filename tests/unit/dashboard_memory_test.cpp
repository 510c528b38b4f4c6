// Who holds what: in memory, on disk, and more than once.
#include "common/value_places.h"
#include "support/watched.h"

using namespace weft;
using namespace weft::test;
using namespace weft::dashboard;

namespace {

struct Memory {
  Watched w;
  WorkerId a, b;
  Key x;

  /// x of 1000 bytes is at a.
  Memory() {
    w.s.workers<2>();
    x = w.s.submit(task("x").at("w1"));
    a = w.s.assigned_to(x);
    b = WorkerId{a.number == 1 ? 2u : 1u};
    w.s.finish(x, 1000);
  }
  void copy_to_b() { w.s.say(b, ValuesHeld{{{x, 1000}}}); }
  void tell(WorkerId worker, ValuePlace place) {
    PlacedValue value{x, place};
    w.s.say(worker, LogLine{places_level, {}, text_of({&value, 1})});
  }
  void is(int memory, int disk, int copies) {
    Json rows = w.get("memory?by=group").json["rows"];
    REQUIRE(rows.size() == 1);
    CHECK(rows["0"]["managed_bytes"] == memory);
    CHECK(rows["0"]["spilled_bytes"] == disk);
    CHECK(rows["0"]["copies_bytes"] == copies);
    CHECK(rows["0"]["count"] == 1);
    Json row = w.get("memory?by=key").json["rows"][x.hex()];
    CHECK(row["managed_bytes"] == memory);
    CHECK(row["spilled_bytes"] == disk);
    CHECK(row["copies_bytes"] == copies);
  }
};

}  // namespace

TEST_CASE("memory, disk and copies of a group are told apart") {
  Memory m;
  m.is(1000, 0, 0);
  m.copy_to_b();
  m.is(2000, 0, 1000);
  m.tell(m.a, ValuePlace::disk);
  m.is(1000, 1000, 1000);
  m.tell(m.a, ValuePlace::memory);
  m.is(2000, 0, 1000);
  m.tell(m.b, ValuePlace::lent);   // in a's memory, where it counts
  m.is(1000, 0, 0);
  CHECK(m.w.get("logs").json["lines"].size() == 2);   // two workers joined; places are no lines of a log
}

TEST_CASE("a copy that is gone does not count, nor does a value that nobody wants") {
  Memory m;
  m.copy_to_b();
  m.tell(m.b, ValuePlace::disk);
  m.w.s.lose(m.a);
  m.is(0, 1000, 0);
  m.w.s.say(m.b, ValuesLost{{m.x}});
  CHECK(m.w.get("memory?by=group").json["rows"].empty());
}

TEST_CASE("a place that is told before the copy is right when the copy comes") {
  Memory m;
  m.tell(m.b, ValuePlace::disk);
  m.copy_to_b();
  m.is(1000, 1000, 1000);
  m.w.s.release(m.x);
  CHECK(m.w.get("memory?by=group").json["rows"].empty());
}

TEST_CASE("groups and the rest are what the workers hold") {
  Memory m;
  m.w.s.say(m.a, WorkerHeartbeat{.managed_bytes = 1500, .spilled_bytes = 300});
  Json memory = m.w.get("memory?by=group").json;
  CHECK(memory["rest"]["managed_bytes"] == 500);
  CHECK(memory["rest"]["spilled_bytes"] == 300);
}
