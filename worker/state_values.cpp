// Values: what is here, what is awaited, what is fetched.
#include <algorithm>

#include "common/coverage_mark.h"
#include "worker/state.h"

namespace weft::worker {

/// Parts that were fetched alone lie in the store under keys of their own.
Key State::part_key(const Key& key, std::uint32_t part) {
  return KeyHasher().add("part").add(key).add(std::uint64_t(part)).finish();
}

State::ItemNumber State::item_for(const Key& key, std::uint32_t part) {
  Key stored_as = part == whole_value ? key : part_key(key, part);
  ItemNumber number = number_of(stored_as);
  if (number != KeyIndex::none) return number;
  number = items_.insert({.key = stored_as, .source = key, .part = part});
  if (part != whole_value) parts_[key].insert(number);
  return number;
}

bool State::is_held(const Key& key) const {
  const Item* item = items_.look_up(key);
  return item && item->held;
}

bool State::is_made_here(const Key& key) const {
  const Item* item = items_.look_up(key);
  return item && item->makers > 0;
}

/// Book one input of an attempt. A part of a value that is here as a whole needs only the whole.
void State::use(Attempt& attempt, const AssignedInput& input) {
  bool whole_here = input.part != whole_value && is_held(input.key);
  ItemNumber number = item_for(input.key, whole_here ? whole_value : input.part);
  Item& item = items_[number];
  if (!item.users.insert(attempt.order.attempt).second) return;
  if (item.held) return;
  ++attempt.missing;
  if (input.bytes > 0) item.bytes = input.bytes;
  learn_locations(number, input.locations);
  // A question that is due already is not put off: attempts that come and go would put it off for ever.
  const Item& after = items_[number];
  if (!after.fetch && !after.queued && !after.asks) WEFT_UNLESS(66) ask_later(number);
}

void State::learn_locations(ItemNumber number, const std::vector<Location>& locations) {
  Item& item = items_[number];
  if (item.held || locations.empty()) return;
  item.locations = locations;
  if (item.asks) {
    item.asks = false;
    asks_.erase({item.ask_again, number});
  }
  if (item.queued || item.fetch) return;
  try_next_location(number);
}

/// Queue the item for fetching, in the order of the first attempt that needs it.
void State::try_next_location(ItemNumber number) {
  Item& item = items_[number];
  if (item.locations.empty()) return ask_for(number);
  Place place{INT64_MAX, 0, {}};  // copies for their own sake come after everything that somebody waits for
  for (AttemptId user : item.users) place = std::min(place, place_of(attempts_[attempts_.find(user)]));
  item.queued = true;
  item.queue_place = place;
  fetch_queue_.emplace(place, number);
}

void State::start_fetches() {
  while (!fetch_queue_.empty() && fetches_.size() < options_.fetches_max) {
    ItemNumber number = fetch_queue_.begin()->second;
    Item& item = items_[number];
    WEFT_CHECK(!item.held && !item.locations.empty());
    if (!fetches_.empty() && fetch_bytes_ + item.bytes > options_.fetch_bytes_max) return;
    if (pressure_.paused && !fetches_.empty()) return;
    fetch_queue_.erase(fetch_queue_.begin());
    item.queued = false;
    Location from = std::move(item.locations.front());
    item.locations.erase(item.locations.begin());
    WEFT_UNLESS(50) item.tried.push_back(from.worker);
    item.fetch = {++fetch_count_};
    fetches_.emplace(item.fetch, number);
    item.fetch_bytes = item.bytes;
    fetch_bytes_ += item.bytes;
    actions_.push_back(StartFetch{item.fetch, item.source, item.part, item.key, item.bytes, std::move(from)});
  }
}

/// Whatever is awaited and not on its way is asked for sooner or later: nothing waits for a message that was never sent.
void State::ask_later(ItemNumber number) {
  Item& item = items_[number];
  if (item.asks) asks_.erase({item.ask_again, number});
  item.asks = true;
  item.ask_again = now_ + options_.ask_interval;
  asks_.emplace(item.ask_again, number);
}

/// Tell the scheduler that none of the places it named has the input; again after a while if it has nothing to say.
void State::ask_for(ItemNumber number) {
  ask_later(number);
  // Each failed try is told once: the same question, put again because its answer is slow, is no second failure.
  if (!is_made_here(items_[number].source)) send(InputMissing{items_[number].source, std::exchange(items_[number].tried, {})});
}

void State::mark_held(ItemNumber number, std::uint64_t bytes) {
  Item& item = items_[number];
  if (item.held) return;
  item.held = true;
  item.bytes = bytes;
  ++held_count_;
  held_bytes_ += bytes;
  if (item.asks) asks_.erase({item.ask_again, number});
  item.asks = false;
  end_fetch(number);  // it came by another way
  item.keep = false;  // that the copy is here is said to the scheduler in any case
  item.tried.clear();
  item.locations.clear();
  for (AttemptId user : item.users) {
    Attempt& attempt = attempts_[attempts_.find(user)];
    if (--attempt.missing == 0) line_up(attempt);
  }
  if (item.part == whole_value) serve_parts(number);
}

/// Who waits for a part of what is now here as a whole takes it from there; nobody would send the part to its maker.
void State::serve_parts(ItemNumber whole) {
  auto parts = parts_.find(items_[whole].key);
  if (parts == parts_.end()) return;
  for (ItemNumber number : std::vector<ItemNumber>(parts->second.begin(), parts->second.end())) {
    if (items_[number].held) continue;
    for (AttemptId user : std::exchange(items_[number].users, {})) {
      items_[whole].users.insert(user);
      Attempt& attempt = attempts_[attempts_.find(user)];
      if (--attempt.missing == 0) line_up(attempt);
    }
    forget_if_idle(number);
  }
}

void State::report_held(ItemNumber number) {
  items_[number].reported = ++reports_;
  send(ValuesHeld{{{items_[number].key, items_[number].bytes}}});
}

/// The value is not here any more: those that need it wait again.
void State::mark_gone(ItemNumber number) {
  Item& item = items_[number];
  if (!item.held) return;
  item.held = false;
  --held_count_;
  held_bytes_ -= item.bytes;
  for (AttemptId user : item.users) {
    Attempt& attempt = attempts_[attempts_.find(user)];
    WEFT_MARK("worker: lost an input of a waiting run");
    if (attempt.missing++ == 0) --ready_count_;
  }
  WEFT_UNLESS(47) if (!item.users.empty()) ask_for(number);
  forget_if_idle(number);
}

void State::release_uses(Attempt& attempt) {
  for (const AssignedInput& input : attempt.order.inputs) {
    if (!input.small.empty()) continue;
    for (std::uint32_t part : {input.part, whole_value}) {
      ItemNumber number = number_of(part == whole_value ? input.key : part_key(input.key, part));
      if (number == KeyIndex::none) continue;
      items_[number].users.erase(attempt.order.attempt);
      forget_if_idle(number);
      if (input.part == whole_value) break;
    }
  }
}

/// What is not awaited any more is neither fetched nor asked for; an item that is not here either leaves the table, unless it is
/// made here. Parts leave the store with their last user.
void State::forget_if_idle(ItemNumber number) {
  Item& item = items_[number];
  if (item.awaited() || (item.held && item.part == whole_value)) return;
  if (item.held) {
    actions_.push_back(DropValue{item.key});
    --held_count_;
    held_bytes_ -= item.bytes;
  }
  bool fetching = static_cast<bool>(item.fetch);
  end_fetch(number);
  if (std::exchange(item.asks, false)) asks_.erase({item.ask_again, number});
  item.locations.clear();
  item.tried.clear();
  if (item.makers > 0) return;
  // The fetch may have ended already, and the word of it stand behind the order that made it needless.
  WEFT_UNLESS(76) if (fetching) actions_.push_back(DropValue{item.key});
  if (item.part != whole_value) {
    auto parts = parts_.find(item.source);
    parts->second.erase(number);
    if (parts->second.empty()) parts_.erase(parts);
  }
  items_.erase(number);
}

/// Neither fetch it nor wait for its turn any more.
void State::end_fetch(ItemNumber number) {
  Item& item = items_[number];
  if (item.queued) fetch_queue_.erase({item.queue_place, number});
  item.queued = false;
  if (!item.fetch) return;
  WEFT_MARK("worker: gave up a fetch");
  actions_.push_back(AbortFetch{item.fetch});
  fetch_bytes_ -= item.fetch_bytes;
  WEFT_UNLESS(48) fetches_.erase(item.fetch);
  item.fetch = {};
}

std::vector<Held> State::inventory() const {
  std::vector<Held> held;
  items_.each([&](const Item& item) {
    if (item.held && item.part == whole_value) held.push_back({item.key, item.bytes});
  });
  return held;
}

// ------------------------------------------------------------------------------------------------ events and orders

void State::on(const FetchDone& event) {
  auto found = fetches_.find(event.fetch);
  if (found == fetches_.end()) return;  // aborted: what came was dropped then
  ItemNumber number = found->second;
  Item& item = items_[number];
  fetch_bytes_ -= item.fetch_bytes;
  item.fetch = {};
  fetches_.erase(found);
  if (item.held) return;
  mark_held(number, event.bytes);
  if (item.part == whole_value) report_held(number);
  else forget_if_idle(number);
}

void State::on(const FetchFailed& event) {
  auto found = fetches_.find(event.fetch);
  if (found == fetches_.end()) return;
  ItemNumber number = found->second;
  fetch_bytes_ -= items_[number].fetch_bytes;
  items_[number].fetch = {};
  fetches_.erase(found);
  // A run that was stopped may have left it here while the fetch was to own it.
  drop_if_ownerless(items_[number].key);
  WEFT_UNLESS(51) try_next_location(number);
}

void State::on(const PutArrived& event) {
  if (!event.key) return;
  ItemNumber number = item_for(event.key, whole_value);
  mark_held(number, event.bytes);
  report_held(number);
}

void State::on(const ValueDamaged& event) {
  ItemNumber number = number_of(event.key);
  if (number == KeyIndex::none || !items_[number].held) return;
  WEFT_UNLESS(49) if (items_[number].part == whole_value) send(ValuesLost{{event.key}});
  mark_gone(number);
}

void State::on(const NeedValue& event) {
  if (!event.key) return;
  ItemNumber number = item_for(event.key, whole_value);
  if (items_[number].held || items_[number].fetch || items_[number].queued) return;
  items_[number].keep = true;
  ask_for(number);
}

void State::handle(const Drop& message) {
  for (const Key& key : message.keys) {
    ItemNumber number = number_of(key);
    if (number == KeyIndex::none) continue;
    if (items_[number].held && items_[number].reported > message.reports) {
      WEFT_MARK("worker: told to drop what it had just reported");
      continue;
    }
    items_[number].keep = false;
    if (items_[number].held) {
      actions_.push_back(DropValue{key});
      mark_gone(number);
    } else {
      forget_if_idle(number);
    }
  }
}

void State::handle(const Replicate& message) {
  const AssignedInput& input = message.input;
  if (!input.key) return;
  ItemNumber number = item_for(input.key, whole_value);
  if (items_[number].held) return report_held(number);
  items_[number].keep = true;
  items_[number].bytes = input.bytes;
  if (input.locations.empty()) ask_for(number);
  else learn_locations(number, input.locations);
}

void State::handle(const Holders& message) {
  const AssignedInput& input = message.input;
  ItemNumber number = number_of(input.key);
  if (number != KeyIndex::none && !items_[number].held && items_[number].awaited()) {
    if (!input.small.empty()) {
      // It rides along after all: store it as if fetched.
      WEFT_MARK("worker: an awaited value rides along");
      actions_.push_back(StoreSmall{input.key, input.small});
      mark_held(number, input.small.size());
      return report_held(number);
    }
    items_[number].bytes = input.bytes;
    learn_locations(number, input.locations);
  }
  // Parts of it are waited for one by one.
  if (auto parts = parts_.find(input.key); parts != parts_.end())
    for (ItemNumber part : parts->second)
      if (items_[part].asks) learn_locations(part, input.locations);
}

}  // namespace weft::worker
