// The worker's state recounted from scratch.
#include <algorithm>

#include "worker/state.h"

namespace weft::worker {

void State::check() const {
  std::size_t held = 0, known = 0, asked = 0, queued = 0;
  std::uint64_t held_bytes = 0, fetch_bytes = 0;
  std::size_t parts = 0, listed_parts = 0;
  std::map<AttemptId, std::uint32_t> missing_of;
  std::map<ItemNumber, std::uint32_t> makers;
  for (ItemNumber number = 0; number < items_.end(); ++number) {
    const Item& item = items_[number];
    if (!item.key) continue;
    ++known;
    WEFT_CHECK(number_of(item.key) == number);
    held += item.held;
    held_bytes += item.held ? item.bytes : 0;
    asked += item.asks;
    queued += item.queued;
    if (item.asks) WEFT_CHECK(asks_.contains({item.ask_again, number}));
    if (item.fetch) {
      WEFT_CHECK(fetches_.at(item.fetch) == number && !item.queued);
      fetch_bytes += item.fetch_bytes;
    }
    for (AttemptId user : item.users) WEFT_CHECK(attempts_.contains(user) && !attempts_.look_up(user)->in_hand);
    WEFT_CHECK(item.held || item.awaited() || item.makers > 0);
    WEFT_CHECK((!item.held && item.awaited()) == (item.fetch || item.queued || item.asks));
    if (item.makers > 0) makers[number] = item.makers;
    WEFT_CHECK(!item.queued || (fetch_queue_.contains({item.queue_place, number}) && !item.locations.empty()));
    if (item.part != whole_value) WEFT_CHECK(parts_.at(item.source).contains(number)), ++parts;
    if (!item.held)
      for (AttemptId user : item.users) ++missing_of[user];
  }
  WEFT_CHECK(known == items_.size() && held == held_count_ && held_bytes == held_bytes_);
  WEFT_CHECK(asked == asks_.size() && queued == fetch_queue_.size() && fetch_bytes == fetch_bytes_);

  for (const auto& [source, numbers] : parts_) listed_parts += numbers.size();
  WEFT_CHECK(parts == listed_parts);

  std::uint32_t cores = 0, wide = 0, lent = 0;
  std::size_t ready = 0;
  std::set<Place> listed(ready_.begin(), ready_.end());
  attempts_.each([&](const Attempt& attempt) {
    std::uint32_t own = attempt.shape->options.cores;
    WEFT_CHECK(items_[attempt.makes].key == attempt.order.key && makers[attempt.makes]-- > 0);
    if (attempt.in_hand) {
      if (attempt.blocked) ++lent;
      else cores += own;
      wide += own > 1;
      return;
    }
    auto found = missing_of.find(attempt.order.attempt);
    WEFT_CHECK(attempt.missing == (found == missing_of.end() ? 0 : found->second));
    if (attempt.ready()) WEFT_CHECK(listed.contains(place_of(attempt)));
    ready += attempt.ready();
  });
  WEFT_CHECK(ready == ready_count_ && cores == in_hand_cores_ && wide == in_hand_wide_ && lent == lent_);
  for (const auto& [number, left] : makers) WEFT_CHECK(left == 0);
}

std::string State::describe() const {
  std::string text;
  attempts_.each([&](const Attempt& attempt) {
    text += "attempt " + std::to_string(attempt.order.attempt.number) + " of " + attempt.order.key.hex() + (attempt.in_hand ? " in hand" : "") +
            (attempt.started ? " started" : "") + ", " + std::to_string(attempt.missing) + " inputs missing\n";
  });
  items_.each([&](const Item& item) {
    if (!item.held && item.awaited())
      text += "awaits " + item.source.hex() + (item.asks ? " asks" : "") + (item.fetch ? " fetching" : "") +
              (item.queued ? " queued" : "") + (item.keep ? " to keep" : "") + ", " + std::to_string(item.users.size()) + " users, " +
              std::to_string(item.locations.size()) + " places left\n";
  });
  return text;
}

}  // namespace weft::worker
