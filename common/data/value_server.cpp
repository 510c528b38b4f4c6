#include "common/data/transfer.h"

#include <algorithm>
#include <cstring>

namespace weft {

static void append_frames(PeerId peer, ValueFrames<ValueReply>& replies, std::vector<ServerFrame>& frames) {
  for (auto& frame : replies.take()) frames.push_back({peer, encode(frame.messages), std::move(frame.payload)});
}

Result<std::vector<ServerFrame>> ValueServer::on_frame(PeerId peer, const Buffer& head, const Buffer& payload) {
  auto requests = decode<std::vector<ValueRequest>>(head.bytes());
  if (!requests) return requests.error();
  if (requests->size() > messages_per_frame_max) return failure(ErrorKind::protocol_error, "a frame of more requests than the limit");
  Replies replies;
  bool fits = for_each_message(*requests, payload, [&](const ValueRequest& request, const Buffer& bytes) {
    if (auto* range = std::get_if<GetRange>(&request)) get(peer, *range, replies);
    else replies.add(put(peer, std::get<PutRange>(request), bytes));
    return true;
  });
  if (!fits) return failure(ErrorKind::protocol_error, "a frame's bytes are not those of its ranges");
  std::vector<ServerFrame> frames;
  append_frames(peer, replies, frames);
  return frames;
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

void ValueServer::get(PeerId peer, const GetRange& request, Replies& replies) {
  ValueRange reply{.request = request.request, .offset = request.offset};
  auto refuse = [&](std::string why) {
    reply.error = std::move(why);
    replies.add(reply);
  };
  if (request.length > value_range_max) return refuse("the range is longer than the limit");
  Opened found = open(request.key, request.part, request.token);
  if (found.later) {
    std::size_t& waiting = parked_of_[peer];
    if (waiting >= parked_per_peer_max) return refuse("too many requests wait for the disk");
    ++waiting;
    parked_[request.key].push_back({peer, request});
    return;
  }
  if (!found.refusal.empty()) return refuse(std::move(found.refusal));
  if (request.offset > found.bytes.size()) return refuse("the range begins beyond the end");
  reply.bytes = std::min<std::uint64_t>(request.length, found.bytes.size() - request.offset);
  // Ranges are asked for in order, so whoever has the last byte has it all.
  if (request.offset + reply.bytes == found.bytes.size()) gate_.use_up(request.token);
  reply.total = found.bytes.size();
  reply.content = found.content;
  replies.add(reply, found.bytes.slice(request.offset, reply.bytes));
}

void ValueServer::unpark_one(PeerId peer) {
  auto at = parked_of_.find(peer);
  WEFT_CHECK(at != parked_of_.end() && at->second > 0);
  if (--at->second == 0) parked_of_.erase(at);
}

std::vector<ServerFrame> ValueServer::arrived(const Key& key) {
  std::vector<ServerFrame> frames;
  auto at = parked_.find(key);
  if (at == parked_.end()) return frames;
  auto waiting = std::move(at->second);
  parked_.erase(at);
  std::map<PeerId, Replies> replies;
  for (const Parked& one : waiting) {
    unpark_one(one.peer);
    get(one.peer, one.request, replies[one.peer]);
  }
  for (auto& [peer, said] : replies) append_frames(peer, said, frames);
  return frames;
}

PutDone ValueServer::put(PeerId peer, const PutRange& range, const Buffer& bytes) {
  auto refuse = [&](std::string why) { return PutDone{.key = range.key, .error = std::move(why)}; };
  if (!gate_.accepts(range.key, range.token)) return refuse("the token is wrong or used");
  if (bytes.size() > value_range_max) return refuse("the range is longer than the limit");
  auto at = puts_.find(range.key);
  if (at != puts_.end() && at->second.peer != peer) return refuse("another client is putting this value");
  if (at != puts_.end() && range.offset == 0 && at->second.received > 0) {  // the client begins again
    give_up_put(at);
    at = puts_.end();
  }
  if (at == puts_.end()) {
    if (range.offset != 0) return refuse("the first range must begin at 0");
    auto place = holder_.begin_put(range.key, range.total);
    if (!place) return refuse(place.error().message);
    WEFT_CHECK(place->size() == range.total);
    at = puts_.emplace(range.key, Put{peer, range.token, range.total, 0, *place}).first;
  }
  Put& put = at->second;
  bool fits = range.total == put.total && range.offset == put.received && bytes.size() <= put.total - put.received &&
              (!bytes.empty() || put.total == 0);
  if (!fits) {
    give_up_put(at);
    return refuse("the ranges do not follow each other");
  }
  if (!bytes.empty()) std::memcpy(put.place.data() + put.received, bytes.data(), bytes.size());
  put.received += bytes.size();
  PutDone done{.key = range.key, .received = put.received};
  if (put.received == put.total) {
    puts_.erase(at);
    auto kept = holder_.end_put(range.key, true);
    if (!kept) return refuse(kept.error().message);
    gate_.use_up(range.token);
  }
  return done;
}

void ValueServer::give_up_put(std::map<Key, Put>::iterator at) {
  Key key = at->first;
  puts_.erase(at);
  static_cast<void>(holder_.end_put(key, false));
}

void ValueServer::on_lost(PeerId peer) {
  if (parked_of_.erase(peer)) {
    for (auto at = parked_.begin(); at != parked_.end();) {
      std::erase_if(at->second, [&](const Parked& one) { return one.peer == peer; });
      at = at->second.empty() ? parked_.erase(at) : std::next(at);
    }
  }
  for (auto at = puts_.begin(); at != puts_.end();) {
    auto put = at++;
    if (put->second.peer == peer) give_up_put(put);
  }
}

}  // namespace weft
