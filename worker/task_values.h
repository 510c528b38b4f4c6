// Values for tasks' own clients, which have no sockets: reads come from the store or from other workers, puts go to other
// workers. Owned by the server's loop.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/data/transfer.h"
#include "worker/executors.h"
#include "worker/value_store.h"

namespace weft::worker {

class TaskValues {
 public:
  /// `endpoint`: where others reach our own values; nothing is fetched from there.
  TaskValues(ValueStore& store, Endpoint& links, std::string endpoint, Borrower* borrower);

  void read(TaskRead read);
  /// Somebody must own the value's memory until it is sent.
  void put(TaskPut put);
  /// This value came from disk, or is lost.
  void arrived(const Key& key);

  bool on_event(const EndpointEvent& event, Time now) { return fetcher_.on_event(event, now) || sender_.on_event(event, now); }
  std::vector<TaskAnswer> take(Time now);
  Time wake_at() const { return std::min(fetcher_.wake_at(), sender_.wake_at()); }

 private:
  // A read whose bytes are on their way from another worker.
  struct Fetching {
    TaskRead read;
    std::unique_ptr<Reservation> place;
  };
  void finish(FetchEnded& ended);

  ValueStore& store_;
  ValueFetcher fetcher_;
  ValueSender sender_;
  std::string endpoint_;
  std::map<FetchId, Fetching> fetches_;
  std::map<FetchId, TaskPut> puts_;
  std::map<Key, std::vector<TaskRead>> loading_;   // reads of spilled values
  std::vector<TaskAnswer> answers_;
  std::uint64_t count_ = 0;
};

}  // namespace weft::worker
