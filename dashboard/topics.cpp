#include "dashboard/topics.h"

#include <algorithm>
#include <utility>

#include "common/time.h"

namespace weft::dashboard {

static constexpr Micros fresh_for = 80'000;          // the fastest viewer asks ten times a second
static constexpr int pause_times = 5;                // a page that takes long is made less often
static constexpr Micros remembered_for = 60'000'000;
static constexpr std::size_t remembered_bytes = 1u << 20;

/// Put `next` behind `first`. False: one cannot say it, because something was removed and came again.
static bool append_patch(Json& first, const Json& next) {
  for (const auto& [name, value] : next.items()) {
    auto old = first.find(name);
    if (old == first.end()) first[name] = value;
    else if (old->is_object() && value.is_object()) {
      if (!append_patch(*old, value)) return false;
    } else if (value.is_object()) {
      return false;
    } else {
      *old = value;
    }
  }
  return true;
}

void Topic::refresh(const Pages& pages, Micros now) {
  used = now;
  if (now - built_ < fresh_for_ && seq_ > 0) return;
  built_ = now;
  Time began = monotonic_now();
  update(pages.get(query_), now);
  fresh_for_ = std::max<Micros>(fresh_for, pause_times * ((monotonic_now() - began) / 1us));
}

void Topic::update(Body fresh, Micros now) {
  text_.clear();
  if (seq_ == 0 || fresh.status != body_.status || fresh.status != 200) {
    if (seq_ > 0 && fresh.json == body_.json) return;
    body_ = std::move(fresh);
    ++seq_;
    changes_.clear();
    bytes_ = 0;
    return;
  }
  // The times alone are no change.
  Json patch = merge_patch(body_.json, fresh.json);
  for (const char* time : {"t0", "t1"}) patch.erase(time);
  body_ = std::move(fresh);
  if (patch.empty()) return;
  std::size_t size = to_text(patch).size();
  changes_.push_back({++seq_, now, std::move(patch), size});
  bytes_ += size;
  while (changes_.size() > 1 && (bytes_ > remembered_bytes || changes_.front().t < now - remembered_for)) {
    bytes_ -= changes_.front().bytes;
    changes_.pop_front();
  }
}

const std::string& Topic::text() {
  if (text_.empty()) text_ = to_text(body_.json);
  return text_;
}

std::optional<Json> Topic::since(std::uint64_t seq) const {
  if (seq == seq_) return Json::object();
  if (seq > seq_ || changes_.empty() || changes_.front().seq > seq + 1) return std::nullopt;
  Json patch = Json::object();
  for (const Change& change : changes_)
    if (change.seq > seq && !append_patch(patch, change.patch)) return std::nullopt;
  return patch;
}

std::shared_ptr<Topic> Topics::find(const std::string& path, const Query& query, Micros now) {
  std::shared_ptr<Topic>& topic = topics_[path];
  if (!topic) topic = std::make_shared<Topic>(query);
  topic->used = now;
  return topic;
}

void Topics::forget_unused(Micros now) {
  std::erase_if(topics_, [&](const auto& entry) { return entry.second.use_count() == 1 && entry.second->used < now - remembered_for; });
}

}  // namespace weft::dashboard
