// The worker's state recounted from scratch.
#include <algorithm>

#include "worker/state.h"

namespace weft::worker {

void State::check() const {
  std::size_t held = 0, known = 0, asked = 0, queued = 0;
  std::uint64_t held_bytes = 0, fetch_bytes = 0;
  std::size_t parts = 0, listed_parts = 0;
  std::map<AttemptId, std::uint32_t> missing_of;
  std::map<Key, std::uint32_t> made_here;
  for (ItemNumber number = 0; number < items_.size(); ++number) {
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
    for (AttemptId user : item.users) WEFT_CHECK(attempts_.contains(user) && !attempts_.at(user).in_hand);
    bool awaited = item.keep || !item.users.empty();
    WEFT_CHECK(item.held || awaited);
    WEFT_CHECK(item.held != (item.fetch || item.queued || item.asks));
    WEFT_CHECK(!item.queued || (fetch_queue_.contains({item.queue_place, number}) && !item.locations.empty()));
    if (item.part != whole_value) WEFT_CHECK(parts_.at(item.source).contains(number)), ++parts;
    if (!item.held)
      for (AttemptId user : item.users) ++missing_of[user];
  }
  WEFT_CHECK(known == index_.size() && held == held_count_ && held_bytes == held_bytes_);
  WEFT_CHECK(asked == asks_.size() && queued == fetch_queue_.size() && fetch_bytes == fetch_bytes_);

  for (const auto& [source, numbers] : parts_) listed_parts += numbers.size();
  WEFT_CHECK(parts == listed_parts);

  std::uint32_t cores = 0, wide = 0, lent = 0;
  std::size_t ready = 0;
  for (const auto& [id, attempt] : attempts_) {
    std::uint32_t own = attempt.shape->options.cores;
    ++made_here[attempt.order.key];
    if (attempt.in_hand) {
      if (attempt.blocked) ++lent;
      else cores += own;
      wide += own > 1;
      continue;
    }
    auto found = missing_of.find(id);
    std::uint32_t missing = found == missing_of.end() ? 0 : found->second;
    WEFT_CHECK(attempt.missing == missing);
    bool listed = ready_.contains(place_of(attempt));
    WEFT_CHECK(listed == (missing == 0));
    ready += listed;
  }
  WEFT_CHECK(ready == ready_.size() && cores == in_hand_cores_ && wide == in_hand_wide_ && lent == lent_);
  WEFT_CHECK(made_here == made_here_);
}

std::string State::describe() const {
  std::string text;
  for (const auto& [id, attempt] : attempts_)
    text += "attempt " + std::to_string(id.number) + " of " + attempt.order.key.hex() + (attempt.in_hand ? " in hand" : "") +
            (attempt.started ? " started" : "") + ", " + std::to_string(attempt.missing) + " inputs missing\n";
  for (const Item& item : items_)
    if (item.key && !item.held)
      text += "awaits " + item.source.hex() + (item.asks ? " asks" : "") + (item.fetch ? " fetching" : "") +
              (item.queued ? " queued" : "") + (item.keep ? " to keep" : "") + ", " + std::to_string(item.users.size()) + " users, " +
              std::to_string(item.locations.size()) + " places left\n";
  return text;
}

}  // namespace weft::worker
