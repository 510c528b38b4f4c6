#include "common/data/transfer.h"

#include <algorithm>
#include <cstring>

namespace weft {

ValueFetcher::ValueFetcher(Endpoint& endpoint, Place place, TransferOptions options, Borrower* borrower)
    : borrower_(borrower), place_(std::move(place)), links_(endpoint, *this, options) {}

void ValueFetcher::start(Fetch fetch) {
  FetchId id = fetch.id;
  WEFT_CHECK(id && !fetches_.contains(id));
  fetches_[id].fetch = std::move(fetch);
  links_.join(id);
}

void ValueFetcher::cancel(FetchId id) {
  if (fetches_.contains(id)) remove(id);
}

// The answers still come; until then their bytes are on their way.
void ValueFetcher::leave(Running& running) {
  for (std::uint64_t number : running.requests) requests_.at(number).fetch = {};
  running.requests.clear();
  if (running.peer) links_.leave(running.peer, running.fetch.id);
  running.peer = {};
}

const Location* ValueFetcher::destination(FetchId id, Time now) {
  auto at = fetches_.find(id);
  if (at == fetches_.end()) return nullptr;   // cancelled
  Running& running = at->second;
  if (running.location < running.fetch.locations.size())
    return borrow(running, now) ? nullptr : &running.fetch.locations[running.location];
  end(id, failure(ErrorKind::worker_unavailable, running.why.empty() ? "nobody is known to have it" : running.why));
  return nullptr;
}

void ValueFetcher::connected(FetchId id, PeerId peer) {
  fetches_.at(id).peer = peer;
  links_.want_turn(peer, id);
}

void ValueFetcher::unreachable(FetchId id, Failure why) { next_location(fetches_.at(id), std::move(why.message)); }

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

// What comes for a fetch that was cancelled goes back as it dies here.
void ValueFetcher::on_borrowed(FetchId id, std::optional<Borrowed> borrowed) {
  auto at = fetches_.find(id);
  if (at == fetches_.end() || !std::exchange(at->second.borrowing, false)) return;
  if (!borrowed) return links_.join(id);
  at->second.content = borrowed->content;
  end(id, {}, std::move(borrowed));
}

ValueLinks::Turn ValueFetcher::speak(FetchId id, Time now) {
  using enum ValueLinks::Turn;
  Running& running = fetches_.at(id);
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
  links_.say(running.peer, request, {}, charge, now);
  ++last_request_;
  requests_[request.request] = {id, running.peer, request.offset, request.length, charge};
  running.requests.push_back(request.request);
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
  links_.join(running.fetch.id);
}

bool ValueFetcher::on_reply(PeerId peer, const ValueReply& message, const Buffer& bytes) {
  auto* reply = std::get_if<ValueRange>(&message);
  auto asked = reply ? requests_.find(reply->request) : requests_.end();
  if (asked == requests_.end() || asked->second.peer != peer) return false;
  auto at = fetches_.find(asked->second.fetch);
  const bool wanted = at != fetches_.end();   // else it was cancelled, or went on elsewhere
  if (wanted && at->second.requests.front() != reply->request) return false;
  Request request = asked->second;
  requests_.erase(asked);
  links_.refund(peer, request.charge);
  if (!wanted) return true;
  Running& running = at->second;
  running.requests.pop_front();
  if (!reply->error.empty()) {
    next_location(running, reply->error);
    return true;
  }
  bool first = !running.known;
  Accepted accepted = accept(running, request, *reply, bytes);
  if (accepted == Accepted::lie) return false;
  if (!fetches_.contains(request.fetch)) return true;
  if (accepted == Accepted::taken && running.received == running.total) end(request.fetch, {});
  else if (accepted == Accepted::again || first) links_.want_turn(peer, request.fetch);
  return true;
}

ValueFetcher::Accepted ValueFetcher::accept(Running& running, const Request& request, const ValueRange& reply,
                                            const Buffer& bytes) {
  bool probe = !running.known && running.received > 0;
  if (reply.offset != request.offset || reply.offset > reply.total) return Accepted::lie;
  if (!probe && request.offset != running.received) return Accepted::lie;
  if (bytes.size() != std::min(request.length, reply.total - reply.offset)) return Accepted::lie;
  if (running.known && (reply.total != running.total || reply.content != running.content)) return Accepted::lie;
  if (!running.known) {
    Accepted size = accept_size(running, reply);
    if (size != Accepted::taken || probe) return size;
  }
  if (!bytes.empty()) std::memcpy(running.place.data() + request.offset, bytes.data(), bytes.size());
  running.received += bytes.size();
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

void ValueFetcher::lost(PeerId peer, const std::string& why) {
  for (auto& [id, running] : fetches_)
    if (running.peer == peer) next_location(running, why);
  std::erase_if(requests_, [&](const auto& entry) { return entry.second.peer == peer; });
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
