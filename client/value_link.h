// How the client's loop moves values: fetches and puts that are driven by the loop's own Endpoint events and end as session
// events. The transfer code behind it lives in common/data.
#pragma once

#include <vector>

#include "client/session_state.h"
#include "common/transport/endpoint.h"

namespace weft::client {

class ValueLink {
 public:
  virtual ~ValueLink() = default;
  /// Fetch the whole value, of this size, from one of these places; ends as FetchDone or FetchFailed.
  virtual void fetch(const Key& key, std::uint64_t bytes, std::vector<Location> locations, Time now) = 0;
  /// Write the value there; a failure ends as PutFailed, success is the scheduler's to tell.
  virtual void put(const Key& key, const Value& value, const Location& location, Time now) = 0;
  /// Handle an event of one of its own connections; false: it belongs to somebody else.
  virtual bool handle(EndpointEvent& event, Time now) = 0;
  /// What ended since the last call; also drives time limits.
  virtual std::vector<Event> take(Time now) = 0;
  /// When `take` should be called at the latest.
  virtual Time wake_at() const = 0;
};

/// What a client talks through: made by whoever knows the transports (the wiring of local_cluster, embedded and programs).
struct Links {
  std::unique_ptr<Endpoint> endpoint;
  std::unique_ptr<ValueLink> values;
  std::string address;         // of the scheduler, for `endpoint->connect`
  std::string server_key;      // that must answer there; empty on ipc and in process
  bool runs_here = false;      // the workers are in this process, so they have its functions
  Key parent_program;          // of a task's client: the program that the task belongs to
  bool driven = false;         // no thread: the client is served by the thread that made it, whenever that calls or waits
  std::shared_ptr<void> hold;  // whatever must live as long as the client, such as an embedded cluster
};

}  // namespace weft::client
