// What the session knows of each key it holds: references, status, and where the bytes are.
#include <algorithm>
#include <utility>

#include "common/coverage_mark.h"
#include "client/session_state.h"

namespace weft::client {

// A fetch that failed this often is not a passing trouble: the workers cannot be reached from here.
static constexpr std::uint32_t fetch_failures_max = 40;
static constexpr std::uint32_t placement_tries_max = 100;
// Keys in one message: 1 MiB of keys.
static constexpr std::size_t keys_per_message = 1u << 16;

template <class Each>
static void in_pieces(std::vector<Key> keys, Each each) {
  if (keys.size() <= keys_per_message) {
    if (!keys.empty()) each(std::move(keys));
    return;
  }
  for (std::size_t at = 0; at < keys.size(); at += keys_per_message)
    each(std::vector<Key>(keys.begin() + at, keys.begin() + std::min(keys.size(), at + keys_per_message)));
}

std::uint32_t SessionState::acquire(const Key& key) {
  std::uint32_t slot = slot_of(key);
  if (slot == KeyIndex::none) {
    if (free_.empty()) {
      slot = entries_.size();
      entries_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    entries_[slot].key = key;
    index_.insert(key, slot);
  }
  ++entries_[slot].references;
  return slot;
}

// A key was asked for (again). True: the scheduler has to be told; false: its outcome is known or on its way.
bool SessionState::open_again(std::uint32_t slot) {
  Entry& entry = entries_[slot];
  if (closed_) {
    if (entry.status == Status::pending) fail(slot, *closed_);
    else actions_.push_back(Complete{slot, entry.key, entry.outcome});
    return false;
  }
  if (entry.status == Status::stored) {
    actions_.push_back(Complete{slot, entry.key, entry.outcome});
    return false;
  }
  if (entry.status == Status::pending) return std::exchange(entry.cancelling, false) || entry.sequence == 0;
  entry.status = Status::pending;
  entry.outcome = nullptr;
  actions_.push_back(Pending{slot, entry.key});
  return true;
}

void SessionState::on(SubmitGraph& event) {
  std::vector<std::uint32_t> opened;
  for (std::uint32_t row : event.chunk.wanted) {
    std::uint32_t slot = acquire(event.chunk.key(row));
    if (open_again(slot)) opened.push_back(slot);
  }
  // When all that it computes is already held, the chunk says nothing new.
  if (closed_ || (event.last && !in_graph_ && opened.empty() && event.chunk.size() == event.chunk.wanted.size())) return;
  in_graph_ = !event.last;
  const GraphChunk& chunk = event.chunk;
  std::size_t bytes = chunk.keys.size() + chunk.arguments.size() + 4 * (chunk.inputs.size() + 3 * chunk.size()) + 256;
  std::uint64_t sequence = command(Submit{0, std::move(event.chunk), event.last}, 0, bytes);
  for (std::uint32_t slot : opened) entries_[slot].sequence = sequence;
}

void SessionState::on(Acquire& event) {
  std::vector<Key> unknown;
  for (const Key& key : event.keys) {
    std::uint32_t slot = acquire(key);
    if (!open_again(slot)) continue;
    // The key must not be listed twice, and what is numbered now goes into the next command.
    entries_[slot].sequence = last_sequence() + 1 + unknown.size() / keys_per_message;
    unknown.push_back(key);
  }
  in_pieces(std::move(unknown), [&](std::vector<Key> keys) { command(Want{0, std::move(keys)}); });
}

void SessionState::on(ReleaseKeys& event) {
  bool names = false;
  for (const Key& key : event.keys) {
    names |= key.is_named();
    std::uint32_t slot = slot_of(key);
    WEFT_CHECK(slot != KeyIndex::none && entries_[slot].references > 0);
    Entry& entry = entries_[slot];
    if (--entry.references > 0 || entry.releasing) continue;
    entry.releasing = true;
    released_.push_back(slot);
  }
  if (names) flush_releases();  // a name may stand for another call from here on
}

// At the end of a step, so that a key released and asked for again meanwhile never leaves.
void SessionState::flush_releases() {
  std::vector<Key> keys;
  for (std::uint32_t slot : std::exchange(released_, {})) {
    Entry& entry = entries_[slot];
    entry.releasing = false;
    // Bytes that are promised to a worker stay until they are there: others may read what is released here.
    if (entry.references > 0 || (placements_.contains(slot) && !closed_)) continue;
    WEFT_UNLESS(56) keys.push_back(entry.key);
    index_.erase(entry.key, slot);
    reads_.erase(slot);
    locations_.erase(slot);
    placements_.erase(slot);
    entry = {};
    free_.push_back(slot);
  }
  if (closed_ || leaving_) return;  // the goodbye releases all
  in_pieces(std::move(keys), [&](std::vector<Key> piece) {
    command(Release{0, std::move(piece)});
    ++open_releases_;
  });
}

void SessionState::on(CancelKeys& event) {
  if (closed_) return;
  for (const Key& key : event.keys)
    if (std::uint32_t slot = slot_of(key); slot != KeyIndex::none) entries_[slot].cancelling = entries_[slot].status == Status::pending;
  in_pieces(std::move(event.keys), [&](std::vector<Key> keys) { command(Cancel{0, std::move(keys), event.force, event.reason}); });
}

void SessionState::on(RetryKeys& event) {
  if (closed_) return;
  std::vector<Key> failed;
  for (const Key& key : event.keys) {
    std::uint32_t slot = slot_of(key);
    if (slot == KeyIndex::none || entries_[slot].status != Status::failed) continue;
    open_again(slot);
    entries_[slot].sequence = last_sequence() + 1 + failed.size() / keys_per_message;
    failed.push_back(key);
  }
  in_pieces(std::move(failed), [&](std::vector<Key> keys) { command(Retry{0, std::move(keys)}); });
}

// --------------------------------------------------------------------------------------------------------- scattering

void SessionState::on(ScatterValues& event) {
  std::vector<std::uint32_t> slots;
  for (const Held& held : event.values) {
    std::uint32_t slot = acquire(held.key);
    if (!open_again(slot)) continue;
    placements_[slot] = {held, event.workers, event.replicas, 1};
    slots.push_back(slot);
  }
  if (!slots.empty()) scatter(slots);
}

// Ask where to put these. One command for each run of equal wishes.
void SessionState::scatter(const std::vector<std::uint32_t>& slots) {
  for (std::size_t at = 0; at < slots.size();) {
    const Placement& first = placements_.at(slots[at]);
    weft::Scatter wish{0, {}, first.workers, first.replicas};
    std::uint64_t sequence = last_sequence() + 1;
    for (; at < slots.size() && wish.values.size() < keys_per_message; ++at) {
      const Placement& next = placements_.at(slots[at]);
      if (next.workers != wish.workers || next.replicas != wish.replicas) break;
      wish.values.push_back(next.held);
      entries_[slots[at]].sequence = sequence;
    }
    command(std::move(wish));
  }
}

void SessionState::hear(ScatterTo& message) {
  std::uint32_t slot = slot_of(message.key);
  if (slot == KeyIndex::none) return;
  if (!placements_.contains(slot)) {
    WEFT_MARK("client: a place for data that it gave up");
    // Its loss was heard of meanwhile, and the bytes are given up here: nobody must wait for them.
    command(Cancel{0, {message.key}, true, "its data could not be put on a worker: it was lost before"});
    return;
  }
  actions_.push_back(PutValue{message.key, std::move(message.location)});
}

void SessionState::on(PutFailed& event) {
  std::uint32_t slot = slot_of(event.key);
  auto placement = placements_.find(slot);
  if (slot == KeyIndex::none || placement == placements_.end()) return;
  WEFT_MARK("client: a put failed");
  if (++placement->second.tries > placement_tries_max) {
    // Whoever reads it must not wait for bytes that will never come.
    command(Cancel{0, {event.key}, true, "its data could not be put on a worker: " + event.failure.message});
    return fail(slot, event.failure);
  }
  WEFT_UNLESS(59) scatter({slot});
}

// ------------------------------------------------------------------------------------------------------------ outcomes

/// What was scattered is on a worker, or given up.
void SessionState::end_placement(std::uint32_t slot) {
  Entry& entry = entries_[slot];
  if (placements_.erase(slot) == 0 || entry.references > 0 || entry.releasing) return;
  entry.releasing = true;
  released_.push_back(slot);
}

void SessionState::store(std::uint32_t slot, Value value, std::uint64_t bytes) {
  Entry& entry = entries_[slot];
  entry.status = Status::stored;
  entry.cancelling = false;
  entry.outcome = std::make_shared<const Outcome>(Outcome{std::move(value), bytes, nullptr});
  WEFT_UNLESS(67) end_placement(slot);
  actions_.push_back(Complete{slot, entry.key, entry.outcome});
}

void SessionState::fail(std::uint32_t slot, Failure why) {
  Entry& entry = entries_[slot];
  entry.status = Status::failed;
  entry.cancelling = false;
  entry.outcome = std::make_shared<const Outcome>(Outcome{{}, 0, std::make_shared<const Failure>(std::move(why))});
  reads_.erase(slot);
  locations_.erase(slot);
  end_placement(slot);
  actions_.push_back(Complete{slot, entry.key, entry.outcome});
}

// Everything whose bytes are not here fails.
void SessionState::fail_open(const Failure& why) {
  for (std::uint32_t slot = 0; slot < entries_.size(); ++slot) {
    const Entry& entry = entries_[slot];
    bool here = entry.status == Status::stored && entry.outcome->value.part_count() > 0;
    if (is_held(slot) && entry.status != Status::failed && !here) fail(slot, why);
  }
}

void SessionState::hear(TaskStored& message) {
  std::uint32_t slot = slot_of(message.key);
  if (slot == KeyIndex::none) return;
  Entry& entry = entries_[slot];
  if (message.executed < entry.sequence) {
    WEFT_MARK("client: a result of before it asked again");
    return;  // perhaps of another call that had this name
  }
  if (entry.status == Status::stored && entry.outcome->value.part_count() > 0) return;  // told again; we have it
  if (!message.small.empty()) {
    auto value = Value::from(Buffer::own(std::move(message.small)));
    if (!value) return fail(slot, failure(ErrorKind::protocol_error, "the scheduler sent a damaged value"));
    reads_.erase(slot);
    return store(slot, std::move(*value), message.bytes);
  }
  if (entry.status != Status::stored) store(slot, {}, message.bytes);
  auto read = reads_.find(slot);
  if (message.locations.empty()) {
    if (read != reads_.end()) fetch_later(slot, read->second, failure(ErrorKind::data_lost, "no worker holds it"));
    return;
  }
  locations_[slot] = std::move(message.locations);
  if (read != reads_.end()) fetch(slot, read->second);
}

void SessionState::hear(TaskFailed& message) {
  for (const Key& key : message.keys) {
    std::uint32_t slot = slot_of(key);
    if (slot == KeyIndex::none || entries_[slot].status == Status::failed) continue;  // the first one stays
    if (message.executed < entries_[slot].sequence) {
      WEFT_MARK("client: a failure of before it asked again");
      continue;
    }
    Failure failure = message.failure.failure;
    if (!failure.key) failure.key = key;
    fail(slot, std::move(failure));
  }
}

void SessionState::hear(TaskPending& message) {
  std::uint32_t slot = slot_of(message.key);
  if (slot == KeyIndex::none) return;
  Entry& entry = entries_[slot];
  // Bytes that are here stay here, whatever happens to the copies on workers.
  if (entry.status == Status::pending || (WEFT_MUTANT(57, entry.status == Status::stored, false) && entry.outcome->value.part_count() > 0)) return;
  WEFT_MARK("client: a stored value is made again");
  entry.status = Status::pending;
  entry.outcome = nullptr;
  locations_.erase(slot);
  actions_.push_back(Pending{slot, entry.key});
}

// ------------------------------------------------------------------------------------------------------------- reading

void SessionState::on(ReadValue& event) {
  std::uint32_t slot = slot_of(event.key);
  if (slot == KeyIndex::none) return;
  const Entry& entry = entries_[slot];
  if (entry.status == Status::failed || (entry.status == Status::stored && entry.outcome->value.part_count() > 0)) {
    actions_.push_back(Complete{slot, entry.key, entry.outcome});
    return;
  }
  auto [read, fresh] = reads_.try_emplace(slot);
  if (fresh && entry.status == Status::stored) fetch(slot, read->second);
}

// Fetch from the places we know, or ask for places; either way an event will follow.
void SessionState::fetch(std::uint32_t slot, Read& read) {
  read.busy = true;
  const Key& key = entries_[slot].key;
  auto known = locations_.find(slot);
  if (known == locations_.end()) {
    locate_.push_back(key);
    return;
  }
  actions_.push_back(Fetch{key, entries_[slot].outcome->bytes, std::move(known->second)});
  locations_.erase(known);
}

void SessionState::fetch_later(std::uint32_t slot, Read& read, const Failure& why) {
  if (++read.failures >= fetch_failures_max) {
    return fail(slot, failure(ErrorKind::connection_failed,
                              "the result is stored on a worker that this client cannot read from: " + why.message));
  }
  // The first failure is usually a moved value; only repeated ones are worth waiting for.
  auto pause = std::chrono::milliseconds(read.failures == 1 ? 0 : 10 << std::min(read.failures, 8u));
  WEFT_MARK("client: a read failed");
  read.busy = false;
  read.retry_at = now_ + pause;
  WEFT_UNLESS(58) retries_.insert(slot);
}

void SessionState::on(FetchDone& event) {
  std::uint32_t slot = slot_of(event.key);
  if (slot == KeyIndex::none) return;
  auto read = reads_.find(slot);
  bool asked = read != reads_.end() && read->second.busy;
  if (event.key.is_named() && !asked) return;  // perhaps of another call that had this name; else welcome, whoever asked
  reads_.erase(slot);
  locations_.erase(slot);
  std::uint64_t bytes = event.value.size();
  store(slot, std::move(event.value), bytes);
}

void SessionState::on(FetchFailed& event) {
  std::uint32_t slot = slot_of(event.key);
  auto read = reads_.find(slot);
  if (slot == KeyIndex::none || read == reads_.end() || !read->second.busy) return;
  if (entries_[slot].status == Status::stored) fetch_later(slot, read->second, event.failure);
}

void SessionState::flush_reads() {
  for (auto at = retries_.begin(); at != retries_.end();) {
    auto read = reads_.find(*at);
    if (read != reads_.end() && !read->second.busy) {
      bool due = entries_[*at].status == Status::stored && now_ >= read->second.retry_at;
      if (!due) {
        ++at;
        continue;
      }
      fetch(*at, read->second);
    }
    at = retries_.erase(at);
  }
  std::vector<Key> keys = std::exchange(locate_, {});
  if (link_ != Link::welcomed || leaving_) return;  // the next welcome asks again
  in_pieces(std::move(keys), [&](std::vector<Key> piece) { send(Locate{std::move(piece)}); });
}

}  // namespace weft::client
