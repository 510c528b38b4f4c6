#include "common/data/transfer.h"

#include <algorithm>

namespace weft {

static constexpr std::uint64_t give_up = UINT64_MAX;  // an offset that follows nothing: the holder drops the put

void ValueSender::start(FetchId id, const Key& key, Buffer bytes, Location location) {
  WEFT_CHECK(id && !puts_.contains(id));
  puts_[id] = {.key = key, .bytes = std::move(bytes), .location = std::move(location)};
  links_.join(id);
}

void ValueSender::cancel(FetchId id, Time now) {
  auto at = puts_.find(id);
  if (at == puts_.end() || at->second.over) return;
  Running& running = at->second;
  running.over = true;
  if (running.begun) {
    links_.drop_turn(running.peer, id);
    say(running, give_up, {}, now);
  }
  if (running.owed.empty()) remove(id);
}

const Location* ValueSender::destination(FetchId id, Time) {
  auto at = puts_.find(id);
  return at == puts_.end() ? nullptr : &at->second.location;   // null: cancelled
}

void ValueSender::connected(FetchId id, PeerId peer) {
  Running& running = puts_.at(id);
  running.peer = peer;
  auto& line = lines_[{peer, running.key}];
  line.push_back(id);
  if (line.size() == 1) links_.want_turn(peer, id);
}

void ValueSender::unreachable(FetchId id, Failure why) { end(id, std::move(why)); }

ValueLinks::Turn ValueSender::speak(FetchId id, Time now) {
  using enum ValueLinks::Turn;
  Running& running = puts_.at(id);
  std::size_t length = std::min<std::uint64_t>(running.bytes.size() - running.sent, value_range_max);
  if (!links_.has_room(running.peer, std::max(length, charge_min))) return blocked;
  running.begun = true;
  running.sent += length;
  say(running, running.sent - length, running.bytes.slice(running.sent - length, length), now);
  return running.sent < running.bytes.size() ? again : done;
}

void ValueSender::say(Running& running, std::uint64_t offset, Buffer bytes, Time now) {
  PutRange range{.key = running.key, .offset = offset, .total = running.bytes.size(), .bytes = bytes.size(),
                 .token = running.location.token};
  std::size_t charge = std::max(bytes.size(), charge_min);
  running.owed.push_back({offset == give_up ? give_up : running.sent, charge});
  links_.say(running.peer, range, std::move(bytes), charge, now);
}

// Ranges are answered one by one and in order.
bool ValueSender::on_reply(PeerId peer, const ValueReply& message, const Buffer&) {
  auto* reply = std::get_if<PutDone>(&message);
  auto line = reply ? lines_.find({peer, reply->key}) : lines_.end();
  if (line == lines_.end()) return false;
  FetchId id = line->second.front();
  Running& running = puts_.at(id);
  if (running.owed.empty()) return false;
  Owed range = running.owed.front();
  if (reply->error.empty() && reply->received != range.end) return false;
  running.owed.pop_front();
  links_.refund(peer, range.charge);
  if (!running.over && !reply->error.empty()) end(id, failure(ErrorKind::worker_unavailable, reply->error));
  else if (!running.over && range.end == running.bytes.size()) end(id, {});
  else if (running.over && running.owed.empty()) remove(id);
  return true;
}

void ValueSender::lost(PeerId peer, const std::string& why) {
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

// Answers that are still owed come first: they must not be taken for those of a later put of the same key.
void ValueSender::end(FetchId id, Failure failure) {
  Running& running = puts_.at(id);
  running.over = true;
  running.bytes = {};
  if (running.peer) links_.drop_turn(running.peer, id);
  ended_.push_back({id, std::move(failure)});
  if (running.owed.empty()) remove(id);
}

void ValueSender::remove(FetchId id) {
  auto at = puts_.find(id);
  if (PeerId peer = at->second.peer) {
    links_.leave(peer, id);
    if (auto line = lines_.find({peer, at->second.key}); line != lines_.end()) {
      bool was_first = line->second.front() == id;
      std::erase(line->second, id);
      if (line->second.empty()) lines_.erase(line);
      else if (was_first) links_.want_turn(peer, line->second.front());
    }
  }
  puts_.erase(at);
}

}  // namespace weft
