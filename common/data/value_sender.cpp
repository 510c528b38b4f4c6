#include "common/data/transfer.h"

#include <algorithm>

namespace weft {

static constexpr std::size_t charge_min = 256;
static constexpr std::uint64_t give_up = UINT64_MAX;  // an offset that follows nothing: the holder drops the put

ValueSender::ValueSender(Endpoint& endpoint, TransferOptions options, ValueLinks::Connect connect)
    : endpoint_(endpoint),
      links_(endpoint, std::move(connect), options.links_max, options.in_flight_max, options.in_flight_per_peer_max,
             options.idle_close, options.stall) {}

void ValueSender::start(FetchId id, const Key& key, Buffer bytes, Location location, Time now) {
  WEFT_CHECK(id && !puts_.contains(id));
  puts_[id] = {.key = key, .bytes = std::move(bytes), .location = std::move(location)};
  unconnected_.push_back(id);
  pump(now);
}

void ValueSender::cancel(FetchId id, Time now) {
  auto at = puts_.find(id);
  if (at == puts_.end() || at->second.over) return;
  Running& running = at->second;
  bool begun = running.begun;
  running.over = true;
  if (begun && links_.knows(running.peer)) {
    turns_.drop(running.peer, id);
    PutRange range{.key = running.key, .offset = give_up, .total = running.bytes.size(), .token = running.location.token};
    if (endpoint_.send(running.peer, encode(ValueRequest(range)))) {
      running.owed.push_back(give_up);
      links_.charge(running.peer, charge_min, now);
    }
  }
  if (running.owed.empty()) remove(id);
  pump(now);
}

void ValueSender::pump(Time now) {
  connect_waiting(now);
  turns_.run([&](PeerId, FetchId id) { return push(id, puts_.at(id), now); });
  if (!unconnected_.empty()) connect_waiting(now);
}

void ValueSender::connect_waiting(Time now) {
  while (!unconnected_.empty()) {
    FetchId id = unconnected_.front();
    auto at = puts_.find(id);
    if (at == puts_.end()) {                  // cancelled
      unconnected_.pop_front();
      continue;
    }
    auto peer = links_.acquire(at->second.location, now);
    if (peer && !*peer) return;
    unconnected_.pop_front();
    if (!peer) {
      end(id, peer.error());
      continue;
    }
    at->second.peer = *peer;
    auto& line = lines_[{*peer, at->second.key}];
    line.push_back(id);
    if (line.size() == 1) turns_.add(*peer, id);
  }
}

TransferTurns::Turn ValueSender::push(FetchId, Running& running, Time now) {
  using enum TransferTurns::Turn;
  std::size_t length = std::min<std::uint64_t>(running.bytes.size() - running.sent, value_range_max);
  std::size_t charge = std::max(length, charge_min);
  if (!links_.has_room(running.peer, charge)) return blocked;
  PutRange range{.key = running.key, .offset = running.sent, .total = running.bytes.size(), .token = running.location.token};
  if (!endpoint_.send(running.peer, encode(ValueRequest(range)), running.bytes.slice(running.sent, length))) {
    PeerId peer = running.peer;
    links_.forget(peer, true);
    lose(peer, "the connection takes no more");
    return done;
  }
  running.begun = true;
  running.sent += length;
  running.owed.push_back(running.sent);
  links_.charge(running.peer, charge, now);
  return running.sent < running.bytes.size() ? again : done;
}

bool ValueSender::on_event(const EndpointEvent& event, Time now) {
  if (auto* lost = std::get_if<PeerLost>(&event)) {
    if (!links_.knows(lost->peer)) return false;
    links_.forget(lost->peer, false);
    lose(lost->peer, "the connection to the worker was lost: " + lost->reason);
    pump(now);
    return true;
  }
  const auto& received = std::get<Received>(event);
  if (!links_.knows(received.peer)) return false;
  links_.heard(received.peer, now);
  auto reply = decode<ValueReply>(received.head.bytes());
  if (auto* done = reply ? std::get_if<PutDone>(&*reply) : nullptr) {
    on_reply(received.peer, *done);
  } else {
    links_.forget(received.peer, true);
    lose(received.peer, "the worker sent something that is not an answer");
  }
  pump(now);
  return true;
}

// Ranges are answered one by one and in order.
void ValueSender::on_reply(PeerId peer, const PutDone& reply) {
  auto line = lines_.find({peer, reply.key});
  FetchId id = line == lines_.end() ? FetchId{} : line->second.front();
  auto at = puts_.find(id);
  bool expected = at != puts_.end() && !at->second.owed.empty();
  if (expected && reply.error.empty() && reply.received != at->second.owed.front()) expected = false;
  if (!expected) {
    links_.forget(peer, true);
    return lose(peer, "the worker's answer does not fit what was put");
  }
  Running& running = at->second;
  std::uint64_t end_of_range = running.owed.front();
  running.owed.pop_front();
  // All ranges but the last have full length.
  std::uint64_t rest = end_of_range % value_range_max;
  std::size_t length = end_of_range == give_up || end_of_range == 0 ? 0 : rest ? rest : value_range_max;
  links_.refund(peer, std::max(length, charge_min));
  if (!running.over && !reply.error.empty()) end(id, failure(ErrorKind::worker_unavailable, reply.error));
  else if (!running.over && end_of_range == running.bytes.size()) end(id, {});
  else if (running.over && running.owed.empty()) remove(id);
}

void ValueSender::lose(PeerId peer, const std::string& why) {
  turns_.forget(peer);
  std::vector<FetchId> gone;
  for (const auto& [id, running] : puts_)
    if (running.peer == peer) gone.push_back(id);
  for (FetchId id : gone) puts_.at(id).owed.clear();
  std::erase_if(lines_, [&](const auto& entry) { return entry.first.first == peer; });
  for (FetchId id : gone) {
    if (puts_.at(id).over) remove(id);
    else end(id, failure(ErrorKind::connection_failed, why));
  }
}

void ValueSender::on_time(Time now) {
  for (PeerId peer : links_.expire(now)) {
    links_.forget(peer, true);
    lose(peer, "the worker did not answer in time");
  }
  pump(now);
}

// Answers that are still owed come first: they must not be taken for those of a later put of the same key.
void ValueSender::end(FetchId id, Failure failure) {
  Running& running = puts_.at(id);
  running.over = true;
  running.bytes = {};
  turns_.drop(running.peer, id);
  ended_.push_back({id, std::move(failure)});
  if (running.owed.empty()) remove(id);
}

void ValueSender::remove(FetchId id) {
  auto at = puts_.find(id);
  PeerId peer = at->second.peer;
  if (peer) {
    turns_.drop(peer, id);
    links_.release(peer);
    if (auto line = lines_.find({peer, at->second.key}); line != lines_.end()) {
      bool was_first = line->second.front() == id;
      std::erase(line->second, id);
      if (line->second.empty()) lines_.erase(line);
      else if (was_first) turns_.add(peer, line->second.front());
    }
  }
  puts_.erase(at);
}

}  // namespace weft
