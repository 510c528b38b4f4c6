// What may be asked of /api/v1: everything else is answered by which parameter is wrong, and what it may be.
#include "dashboard/viewer.h"
#include "support/watched.h"

using namespace weft;
using namespace weft::test;
using namespace weft::dashboard;

TEST_CASE("a parameter that is nonsense is refused by name, with what it may be") {
  Watched w;
  w.s.workers<1>();
  w.s.submit(task("x"));
  struct Case {
    std::string target, parameter, expected;
  };
  const std::string limit = "a whole number from 1 to 10000", time = "a number of microseconds from 0 to 9000000000000000";
  for (const Case& c :
       {Case{"tasks?limit=x", "limit", limit},
        Case{"tasks?limit=-1", "limit", limit},
        Case{"tasks?limit=0", "limit", limit},
        Case{"tasks?limit=1.5", "limit", limit},
        Case{"tasks?limit=10001", "limit", limit},
        Case{"events?limit=1e99", "limit", limit},
        Case{"logs?limit=nan", "limit", limit},
        Case{"tasks?limit=3&limit=4", "limit", "given once"},
        Case{"tasks?sort=label", "sort", "label, state, worker, key, limit, after, t0 or t1"},
        Case{"overview?x=1", "x", "t0 or t1"},
        Case{"overview?x", "x", "t0 or t1"},
        Case{"tasks?state=done", "state", "released, waiting, ready, assigned, stored, failed, forgotten or running"},
        Case{"tasks?state=stored%20failed", "state", ""},
        Case{"tasks?after=12", "after", "a key: 32 hexadecimal digits"},
        Case{"tasks?key=wx", "key", "the first digits of a key: at most 32 hexadecimal ones"},
        Case{"events?after=-1", "after", ""},
        Case{"events?kind=nothing", "kind", ""},
        Case{"logs?level=8", "level", "a whole number from 0 to 7"},
        Case{"logs?level=error", "level", ""},
        Case{"memory?by=colour", "by", "worker, group or key"},
        Case{"series?by=group", "by", "cluster or worker"},
        Case{"series?names=busy,nothing", "names", ""},
        Case{"series?names=busy,", "names", ""},
        Case{"series?names=waiting&by=worker", "names", ""},
        Case{"series?px=0", "px", "a whole number from 2 to 5000"},
        Case{"profile?group=-2", "group", ""},
        Case{"profile?span=-5", "span", time},
        Case{"graph/raster", "group", ""},
        Case{"graph/raster?group=0&at=-1", "at", ""},
        Case{"runs/compare?a=0", "b", ""},
        Case{"trace?format=png", "format", "chrome or perfetto"},
        Case{"timeline?px=many", "px", ""},
        Case{"network?window=5", "window", ""},
        Case{"tasks/" + key_of("x").hex() + "/lineage?hops=0", "hops", "a whole number from 1 to 20"},
        Case{"overview?t1=soon", "t1", time},
        Case{"overview?t0=-1", "t0", time},
        Case{"overview?t0=2&t1=1", "t0", "a time that is not after t1"},
        Case{"errors?t1=inf", "t1", time},
        Case{"groups?t0=9e15&t1=9e16", "t1", time}}) {
    Body body = w.get(c.target);
    CAPTURE(c.target);
    CHECK(body.status == 400);
    const Json& error = body.json["error"];
    CHECK(error["code"] == 400);
    CHECK(error["parameter"] == c.parameter);
    CHECK(error["text"].get<std::string>().find(c.parameter) != std::string::npos);
    if (!c.expected.empty()) CHECK(error["expected"] == c.expected);
    CHECK(error["expected"].get<std::string>() != "");
  }
}

TEST_CASE("what is behind a resource's name belongs to it") {
  Watched w;
  for (const char* path : {"", "nothing", "overview/more", "graph/nothing", "runs/nothing", "tasks/x/y/z", "tasks//story",
                           "workers/a/b", "system/config"}) {
    CAPTURE(path);
    CHECK(w.get(path).status == 404);
  }
}

TEST_CASE("every series that is told of can be asked for") {
  Watched w;
  w.s.workers<1>();
  for (bool by_worker : {false, true})
    for (std::string_view name : names_of_series(by_worker)) {
      Json series = w.get("series?names=" + std::string(name) + (by_worker ? "&by=worker" : "")).json["series"];
      CHECK((by_worker ? series["1"] : series).contains(std::string(name)));
    }
}

TEST_CASE("a parameter without a value is not given, and times beyond what is held are clamped") {
  Watched w;
  w.s.workers<1>();
  w.s.submit({task("x"), task("y")});
  CHECK(w.get("tasks?label=&state=&limit=&t1=").json["tasks"].size() == 2);
  CHECK(w.get("tasks?label=&t1=").json["live"] == true);
  CHECK(w.get("overview?t0=0&t1=9e15").status == 200);
  CHECK(w.get("tasks?key=" + key_of("x").hex().substr(0, 8)).json["tasks"].size() == 1);
  CHECK(w.get("tasks?limit=1&after=" + key_of("x").hex()).json["tasks"].size() == 1);
  CHECK(w.get("tasks?after=" + key_of("nobody").hex()).status == 404);  // not the first page again, for ever
}

TEST_CASE("a subscription is checked as a question is") {
  Watched w;
  Topics topics;
  Viewer viewer(w.pages, w.feed, topics);
  for (const char* path : {"events?kind=x", "logs?limit=-1", "stream?lanes=5-1", "stream?t0=2&t1=1", "tasks?sort=key"}) {
    viewer.receive("{\"sub\":[{\"id\":1,\"get\":\"/api/v1/" + std::string(path) + "\"}]}");
    auto frame = viewer.next(1);
    REQUIRE(frame);
    CHECK(Json::parse(frame->bytes)["error"]["code"] == 400);
    CHECK(Json::parse(frame->bytes)["error"].contains("parameter"));
  }
  CHECK_FALSE(viewer.next(2));
}
