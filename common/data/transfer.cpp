#include "common/data/transfer.h"

#include <algorithm>
#include <cstring>

namespace weft {

// A request costs something even if its answer is empty, so that a million empty parts are bounded too.
static constexpr std::size_t charge_min = 256;

ValueFetcher::ValueFetcher(Endpoint& endpoint, Place place, TransferOptions options, ValueLinks::Connect connect, Borrower* borrower)
    : endpoint_(endpoint), borrower_(borrower), place_(std::move(place)),
      links_(endpoint, std::move(connect), options.links_max, options.in_flight_max, options.in_flight_per_peer_max,
             options.idle_close, options.stall) {}

void ValueFetcher::start(Fetch fetch, Time now) {
  FetchId id = fetch.id;
  WEFT_CHECK(id && !fetches_.contains(id));
  fetches_[id].fetch = std::move(fetch);
  unconnected_.push_back(id);
  pump(now);
}

void ValueFetcher::cancel(FetchId id) {
  if (auto at = fetches_.find(id); at != fetches_.end()) remove(id);
}

// The answers still come; until then their bytes are on their way.
void ValueFetcher::leave(Running& running) {
  for (std::uint64_t number : running.requests) requests_.at(number).fetch = {};
  running.requests.clear();
  if (!running.peer) return;
  turns_.drop(running.peer, running.fetch.id);
  links_.release(running.peer);
  running.peer = {};
}

void ValueFetcher::pump(Time now) {
  connect_waiting(now);
  turns_.run([&](PeerId, FetchId id) { return ask(fetches_.at(id), now); });
  if (!unconnected_.empty()) connect_waiting(now);
}

// The first one that finds all connections busy waits, and the others behind it.
void ValueFetcher::connect_waiting(Time now) {
  while (!unconnected_.empty()) {
    FetchId id = unconnected_.front();
    auto at = fetches_.find(id);
    if (at == fetches_.end()) {               // cancelled
      unconnected_.pop_front();
      continue;
    }
    Running& running = at->second;
    if (running.location >= running.fetch.locations.size()) {
      unconnected_.pop_front();
      end(id, failure(ErrorKind::worker_unavailable, running.why.empty() ? "nobody is known to have it" : running.why));
      continue;
    }
    if (borrow(running, now)) {
      unconnected_.pop_front();
      continue;
    }
    auto peer = links_.acquire(running.fetch.locations[running.location], now);
    if (peer && !*peer) return;
    unconnected_.pop_front();
    if (!peer) {
      next_location(running, peer.error().message);
    } else {
      running.peer = *peer;
      turns_.add(*peer, id);
    }
  }
}

/// Values of less than a page are on their owner's heap, where nobody else sees them.
bool ValueFetcher::borrow(Running& running, Time now) {
  constexpr std::uint64_t heap_below = 4096;
  bool small = running.fetch.bytes > 0 && running.fetch.bytes < heap_below;
  if (!borrower_ || small || running.received > 0 || std::exchange(running.borrow_tried, true)) return false;
  FetchId id = running.fetch.id;
  running.borrowing = borrower_->borrow(running.fetch.locations[running.location], running.fetch.key, running.fetch.part,
                                        [this, id](std::optional<Borrowed> got) { on_borrowed(id, std::move(got)); }, now);
  return running.borrowing;
}

// What comes for a fetch that was cancelled goes back as it dies here. The owner's `on_time` goes on with the others.
void ValueFetcher::on_borrowed(FetchId id, std::optional<Borrowed> borrowed) {
  auto at = fetches_.find(id);
  if (at == fetches_.end() || !std::exchange(at->second.borrowing, false)) return;
  if (!borrowed) return unconnected_.push_back(id);
  at->second.content = borrowed->content;
  end(id, {}, std::move(borrowed));
}

TransferTurns::Turn ValueFetcher::ask(Running& running, Time now) {
  using enum TransferTurns::Turn;
  GetRange request{.request = last_request_ + 1, .key = running.fetch.key, .part = running.fetch.part, .offset = running.asked,
                   .token = running.fetch.locations[running.location].token};
  if (running.known) {
    request.length = std::min<std::uint64_t>(running.total - running.asked, value_range_max);
  } else if (running.received > 0) {
    request.offset = 0;                       // no bytes: only whether this holder's value is the one we have a part of
  } else {
    std::uint64_t expected = running.fetch.bytes ? running.fetch.bytes : value_range_max;
    request.length = std::clamp<std::uint64_t>(expected, charge_min, value_range_max);
  }
  std::size_t charge = std::max<std::size_t>(request.length, charge_min);
  if (!links_.has_room(running.peer, charge)) return blocked;
  if (!endpoint_.send(running.peer, encode(ValueRequest(request)))) {
    PeerId peer = running.peer;
    links_.forget(peer, true);
    lose(peer, "the connection takes no more requests");
    return done;
  }
  ++last_request_;
  requests_[request.request] = {running.fetch.id, running.peer, request.offset, request.length, charge};
  running.requests.push_back(request.request);
  links_.charge(running.peer, charge, now);
  if (!running.known) return done;            // the first answer tells the size
  running.asked += request.length;
  return running.asked < running.total ? again : done;
}

// What is here already is kept if the next holder's value has the same content.
void ValueFetcher::next_location(Running& running, std::string why) {
  leave(running);
  running.why = std::move(why);
  running.tried.push_back(running.fetch.locations[running.location].worker);
  ++running.location;
  running.known = running.borrow_tried = false;
  unconnected_.push_back(running.fetch.id);
}

bool ValueFetcher::on_event(const EndpointEvent& event, Time now) {
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
  const ValueRange* range = reply ? std::get_if<ValueRange>(&*reply) : nullptr;
  if (range && requests_.contains(range->request) && requests_.at(range->request).peer == received.peer) {
    on_reply(received.peer, *range, received.payload);
  } else {
    links_.forget(received.peer, true);
    lose(received.peer, "the worker sent something that is not an answer");
  }
  pump(now);
  return true;
}

void ValueFetcher::on_reply(PeerId peer, const ValueRange& reply, const Buffer& payload) {
  Request request = requests_.at(reply.request);
  requests_.erase(reply.request);
  links_.refund(peer, request.charge);
  auto at = fetches_.find(request.fetch);
  if (at == fetches_.end()) return;           // cancelled, or it went on elsewhere
  Running& running = at->second;
  Accepted accepted = Accepted::lie;
  if (running.requests.front() == reply.request) {
    running.requests.pop_front();
    if (!reply.error.empty()) return next_location(running, reply.error);
    bool first = !running.known;
    accepted = accept(running, request, reply, payload);
    if (!fetches_.contains(request.fetch)) return;
    if (accepted == Accepted::taken && running.received == running.total) return end(request.fetch, {});
    if (accepted == Accepted::again || (accepted == Accepted::taken && first)) turns_.add(peer, request.fetch);
  }
  if (accepted != Accepted::lie) return;
  links_.forget(peer, true);
  lose(peer, "the worker's answer does not fit the request");
}

ValueFetcher::Accepted ValueFetcher::accept(Running& running, const Request& request, const ValueRange& reply,
                                            const Buffer& payload) {
  bool probe = !running.known && running.received > 0;
  if (reply.offset != request.offset || reply.offset > reply.total) return Accepted::lie;
  if (!probe && request.offset != running.received) return Accepted::lie;
  if (payload.size() != std::min(request.length, reply.total - reply.offset)) return Accepted::lie;
  if (running.known && (reply.total != running.total || reply.content != running.content)) return Accepted::lie;
  if (!running.known) {
    Accepted size = accept_size(running, reply);
    if (size != Accepted::taken || probe) return size;
  }
  if (!payload.empty()) std::memcpy(running.place.data() + request.offset, payload.data(), payload.size());
  running.received += payload.size();
  running.asked = std::max(running.asked, running.received);
  return Accepted::taken;
}

// The first answer of a holder: how large its value is, and whether it is the one that we have the beginning of.
ValueFetcher::Accepted ValueFetcher::accept_size(Running& running, const ValueRange& reply) {
  running.asked = running.received;
  if (running.received > 0) {
    bool same = reply.total == running.total && reply.content == running.content && reply.content != 0;
    if (!same) {
      running.asked = running.received = 0;
      return Accepted::again;
    }
  } else {
    auto place = place_(running.fetch.id, reply.total);
    if (!place) {
      end(running.fetch.id, place.error());
      return Accepted::again;
    }
    WEFT_CHECK(place->size() == reply.total);
    running.place = *place;
    running.total = reply.total;
    running.content = reply.content;
  }
  running.known = true;
  return Accepted::taken;
}

// The connection is gone: its requests too, and its fetches go on elsewhere.
void ValueFetcher::lose(PeerId peer, const std::string& why) {
  turns_.forget(peer);
  for (auto& [id, running] : fetches_)
    if (running.peer == peer) next_location(running, why);
  std::erase_if(requests_, [&](const auto& entry) { return entry.second.peer == peer; });
}

void ValueFetcher::on_time(Time now) {
  for (PeerId peer : links_.expire(now)) {
    links_.forget(peer, true);
    lose(peer, "the worker did not answer in time");
  }
  pump(now);
}

void ValueFetcher::end(FetchId id, Failure failure, std::optional<Borrowed> borrowed) {
  Running& running = fetches_.at(id);
  ended_.push_back({id, running.content, std::move(failure), std::move(borrowed), std::move(running.tried)});
  remove(id);
}

void ValueFetcher::remove(FetchId id) {
  leave(fetches_.at(id));
  fetches_.erase(id);
}

}  // namespace weft
