// A scheduler's state that is watched, as a dashboard does it: the records in a ring, the tables behind it, and the pages of
// these.
#pragma once

#include "dashboard/event_log.h"
#include "dashboard/pages.h"
#include "support/scheduler_harness.h"

namespace weft::test {

struct Watched {
  scheduler::Observer observer{1u << 12};
  SchedulerHarness s;
  dashboard::Feed feed;
  dashboard::Surroundings around;
  dashboard::Pages pages{feed, around};

  Watched() {
    s.state.observe(&observer);
    feed.set_origin(Time{0});
  }
  void drain() {
    const scheduler::Sighting* first = nullptr;
    while (std::size_t slots = observer.peek(first)) {
      feed.apply(first, slots);
      observer.consume(slots);
    }
    feed.advance(s.now);
  }
  /// What a dashboard with an event log does with what was seen.
  void drain_into(dashboard::EventLog& log) {
    const scheduler::Sighting* first = nullptr;
    while (std::size_t slots = observer.peek(first)) {
      feed.apply(first, slots);
      CHECK(log.append(first, slots, feed, feed.origin()));
      observer.consume(slots);
    }
  }
  dashboard::Body get(const std::string& target) {
    drain();
    return pages.get(*dashboard::Query::read("/api/v1/" + target));
  }
};

}  // namespace weft::test
