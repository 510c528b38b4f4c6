// The dashboard as its owners see it: give it an observer and a way to ask the scheduler, and it serves feed.md on a thread
// of its own. Nothing that a viewer does reaches the scheduler's thread, except questions that are put through `ask`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"
#include "common/time.h"
#include "dashboard/log_start.h"
#include "scheduler/observer.h"

namespace weft::dashboard {

struct DashboardOptions {
  std::string host = "127.0.0.1";  // off loopback a token is asked for
  std::uint16_t port = 8787;       // 0: any free one
  bool other_port_if_taken = true;
  std::vector<std::string> hosts;  // more names that a request's Host may have
  std::string prefix;              // "/weft": what a proxy puts before every path
  std::string assets;              // folder of the page, instead of the one built in
  std::string token_file;          // made when it is not there; needed off loopback
  std::string history;             // folder of the event log; empty: none
  std::uint64_t history_bytes = 512ull << 20;
  bool control = false;  // allow verbs that change something
  std::size_t sessions_max = 256;
  Duration stall = std::chrono::seconds(30);  // a viewer that takes nothing for so long is cut
  // Shown on the System page.
  std::uint64_t epoch = 0;    // of a history: which start; 0: the newest
  std::string config = "{}";  // JSON: {name: {value, default, origin}}
};

/// Put a question to the scheduler; `answered` may be called on another thread. False: too many wait.
using Answered = std::function<void(Result<std::string>)>;
using Asker =
    std::function<bool(const std::string& verb, std::vector<std::string> words, std::vector<Key> keys, Answered answered)>;

class Dashboard {
 public:
  /// Listen and serve until destroyed. The observer lives longer.
  static Result<std::unique_ptr<Dashboard>> start(DashboardOptions options, scheduler::Observer& observer, Asker ask);
  /// The same pages from the event log in `options.history`, without a scheduler.
  static Result<std::unique_ptr<Dashboard>> open_history(DashboardOptions options);
  ~Dashboard();

  /// "http://127.0.0.1:8787/": what a person opens. Never has the token in it.
  const std::string& url() const;
  std::uint16_t port() const;

  class Impl;

 private:
  explicit Dashboard(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
  std::unique_ptr<std::thread> thread_;
};

/// Read a log and write one of its answers: what `weft report` and `weft trace` are made from. `target`:
/// "/api/v1/overview?t1=…".
class History {
 public:
  /// `epoch`: which start of the scheduler; 0: the newest.
  static Result<History> open(const std::string& folder, std::uint64_t epoch = 0);
  ~History();
  History(History&&) noexcept;
  /// The body and its type; errors are bodies too.
  std::string get(const std::string& target, std::string& type) const;

 private:
  struct Data;
  explicit History(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

/// A body by its target, from a cluster or from a log, and its type.
using Source = std::function<std::string(const std::string& target, std::string& type)>;
/// One self-contained file: the page with the bodies inside. A Failure if this weft was built without its page.
Result<std::string> make_report(const Source& source, const std::string& assets);

}  // namespace weft::dashboard
