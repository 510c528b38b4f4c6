// A client's counterpart in one process and one thread: an Endpoint whose peer answers inside `send`, running tasks as they
// arrive. Tests hold results back, break links and look at what was said.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "client/client_core.h"

namespace weft::test {

/// What the fake knows; shared by the test's thread and the client's.
struct FakeScheduler {
  std::recursive_mutex mutex;
  std::condition_variable_any news;
  std::vector<EndpointEvent> inbox;  // for the client
  bool woken = false, refuse = false, hold = false, away = false;
  PeerId peer;
  std::uint64_t last_peer = 0, executed = 0, tasks_run = 0, submits = 0;
  std::map<Key, Value> values;
  std::map<Key, Failure> failures;
  std::vector<Key> held;             // answers that wait for `let_go`
  std::set<Key> released;
  std::size_t largest_release = 0;   // keys in one message
  std::vector<GraphChunk> waiting;

  void let_go();
  void break_link();
  /// Wait until the client's side made this true.
  void until(const std::function<bool()>& fact);

  // What its endpoint and its workers do, under the mutex.
  void hear(ClientMessage& message);
  void say(std::vector<ClientBound> messages);
  void tell(const Key& key);
  void run(const GraphChunk& chunk);
  void run_ready();
};

client::Links links_to(const std::shared_ptr<FakeScheduler>& fake);

}  // namespace weft::test
