// What an operator may set about scheduling. Each mechanism that can be switched off can be compared with itself.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "common/time.h"

namespace weft::scheduler {

struct Options {
  bool durable = false;                        // there is a store: say what it must keep
  Duration recovery_grace = 5s;                // after a restart, workers that were here may take so long to come back
  std::uint64_t epoch = 1;                     // of this scheduler process; rises with every restart

  Duration lease = 15s;                        // how long a silent worker is believed alive
  Duration heartbeat_interval = 1s;            // up to 200 peers of a kind; n / 200 seconds above, at most a third of the lease
  Duration reconnect_grace = 2s;               // a worker whose link was cut by the system is back by then, or lost
  Duration client_grace = 60s;                 // a vanished client's futures are kept this long

  bool locality = true;                        // place tasks where their inputs are
  bool hold_back = true;                       // deal out root tasks by credit instead of at once
  bool recall = true;                          // take queued attempts back from busy workers for idle ones
  bool run_ahead = true;                       // send a task together with the inputs it waits for
  bool broadcast = true;                       // let copies of a value that many read make further copies
  std::uint32_t broadcast_fan_out = 2;         // how many copies leave one holder while others are coming
  std::uint64_t broadcast_min = 1u << 20;      // smaller values are fetched by many at once
  std::uint32_t run_ahead_max = 1024;          // tasks sent ahead with one: what a frame can hold

  double bandwidth = 1e9;                      // bytes per second between workers, until measured
  Duration transfer_latency = 200us;           // of one fetch
  Duration credit_time = 4ms;                  // root work sent ahead, per slot
  std::uint32_t credit_max = 1024;             // root tasks sent ahead, per slot
  std::uint32_t credit_unknown = 2;            // the same for tasks whose duration nobody knows yet, running ones included
  Duration recall_worth = 20ms;                // an idle worker takes work that would wait longer than this

  Duration unrunnable_after = 5s;              // work that nobody here may run is spoken of when it has waited so long

  std::uint32_t sessions_max = 20'000;
  std::uint64_t tasks_max = 100'000'000;
  std::size_t story_max = 100'000;             // transitions remembered for `story`
  std::size_t unused_templates_max = 1'000;    // kept for the next submission of the same call

  /// What each of so many peers is told: together they are not heard more often than 200 are.
  Duration heartbeat_of(std::size_t peers) const {
    return std::max(heartbeat_interval, std::min(heartbeat_interval * static_cast<std::int64_t>(peers / 200), lease / 3));
  }
};

}  // namespace weft::scheduler
