#include "common/data/transfer.h"

#include <algorithm>
#include <cstring>

namespace weft {

std::optional<ServerReply> ValueServer::on_request(PeerId peer, const ValueRequest& request, const Buffer& payload) {
  if (auto* get_range = std::get_if<GetRange>(&request)) return get(peer, *get_range);
  return put(peer, std::get<PutRange>(request), payload);
}

ValueServer::Opened ValueServer::open(const Key& key, std::uint32_t part, const Token& token) {
  if (!gate_.accepts(key, token)) return {.refusal = "the token is wrong or used"};
  auto found = holder_.look_up(key);
  if (!found.value && found.later) return {.later = true, .refusal = "the value is on disk"};
  if (!found.value) return {.refusal = "the value is not here"};
  if (part == whole_value) return {.bytes = found.value->block(), .content = found.content};
  if (part >= found.value->part_count()) return {.refusal = "the value has no such part"};
  return {.bytes = found.value->part(part), .content = found.content};
}

std::optional<ServerReply> ValueServer::get(PeerId peer, const GetRange& request) {
  ValueRange reply{.request = request.request, .offset = request.offset};
  auto refuse = [&](std::string why) {
    reply.error = std::move(why);
    return ServerReply{peer, reply, {}};
  };
  if (request.length > value_range_max) return refuse("the range is longer than the limit");
  Opened found = open(request.key, request.part, request.token);
  if (found.later) {
    std::size_t& waiting = parked_of_[peer];
    if (waiting >= parked_per_peer_max) return refuse("too many requests wait for the disk");
    ++waiting;
    parked_[request.key].push_back({peer, request});
    return std::nullopt;
  }
  if (!found.refusal.empty()) return refuse(std::move(found.refusal));
  if (request.offset > found.bytes.size()) return refuse("the range begins beyond the end");
  std::size_t length = std::min<std::uint64_t>(request.length, found.bytes.size() - request.offset);
  // Ranges are asked for in order, so whoever has the last byte has it all.
  if (request.offset + length == found.bytes.size()) gate_.use_up(request.token);
  reply.total = found.bytes.size();
  reply.content = found.content;
  return ServerReply{peer, reply, found.bytes.slice(request.offset, length)};
}

void ValueServer::unpark_one(PeerId peer) {
  auto at = parked_of_.find(peer);
  WEFT_CHECK(at != parked_of_.end() && at->second > 0);
  if (--at->second == 0) parked_of_.erase(at);
}

std::vector<ServerReply> ValueServer::arrived(const Key& key) {
  std::vector<ServerReply> replies;
  auto at = parked_.find(key);
  if (at == parked_.end()) return replies;
  auto waiting = std::move(at->second);
  parked_.erase(at);
  for (const Parked& one : waiting) {
    unpark_one(one.peer);
    if (auto reply = get(one.peer, one.request)) replies.push_back(std::move(*reply));
  }
  return replies;
}

ServerReply ValueServer::refuse_put(PeerId peer, const PutRange& range, std::string why) {
  return {peer, PutDone{.key = range.key, .error = std::move(why)}, {}};
}

ServerReply ValueServer::put(PeerId peer, const PutRange& range, const Buffer& payload) {
  if (!gate_.accepts(range.key, range.token)) return refuse_put(peer, range, "the token is wrong or used");
  if (payload.size() > value_range_max) return refuse_put(peer, range, "the range is longer than the limit");
  auto at = puts_.find(range.key);
  if (at != puts_.end() && at->second.peer != peer) return refuse_put(peer, range, "another client is putting this value");
  if (at != puts_.end() && range.offset == 0 && at->second.received > 0) {  // the client begins again
    puts_.erase(at);
    static_cast<void>(holder_.end_put(range.key, false));
    at = puts_.end();
  }
  if (at == puts_.end()) {
    if (range.offset != 0) return refuse_put(peer, range, "the first range must begin at 0");
    auto place = holder_.begin_put(range.key, range.total);
    if (!place) return refuse_put(peer, range, place.error().message);
    WEFT_CHECK(place->size() == range.total);
    at = puts_.emplace(range.key, Put{peer, range.token, range.total, 0, *place}).first;
  }
  Put& put = at->second;
  bool fits = range.total == put.total && range.offset == put.received && payload.size() <= put.total - put.received &&
              (!payload.empty() || put.total == 0);
  if (!fits) {
    puts_.erase(at);
    static_cast<void>(holder_.end_put(range.key, false));
    return refuse_put(peer, range, "the ranges do not follow each other");
  }
  if (!payload.empty()) std::memcpy(put.place.data() + put.received, payload.data(), payload.size());
  put.received += payload.size();
  PutDone done{.key = range.key, .received = put.received};
  if (put.received == put.total) {
    puts_.erase(at);
    auto kept = holder_.end_put(range.key, true);
    if (!kept) return refuse_put(peer, range, kept.error().message);
    gate_.use_up(range.token);
  }
  return {peer, done, {}};
}

void ValueServer::on_lost(PeerId peer) {
  if (parked_of_.erase(peer)) {
    for (auto at = parked_.begin(); at != parked_.end();) {
      std::erase_if(at->second, [&](const Parked& one) { return one.peer == peer; });
      at = at->second.empty() ? parked_.erase(at) : std::next(at);
    }
  }
  for (auto at = puts_.begin(); at != puts_.end();) {
    if (at->second.peer != peer) {
      ++at;
      continue;
    }
    static_cast<void>(holder_.end_put(at->first, false));
    at = puts_.erase(at);
  }
}

}  // namespace weft
