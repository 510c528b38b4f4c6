#include "dashboard/moments.h"

#include <algorithm>

namespace weft::dashboard {

namespace {

template <class Rows, class Id, class IdOf>
auto find_row(const Rows& rows, const Id& id, IdOf id_of) -> const typename Rows::value_type* {
  auto place = std::lower_bound(rows.begin(), rows.end(), id, [&](const auto& row, const Id& wanted) { return id_of(row) < wanted; });
  return place != rows.end() && id_of(*place) == id ? &*place : nullptr;
}

}  // namespace

const WorkerMoment* Moment::worker(std::uint32_t id) const {
  return find_row(workers, id, [](const WorkerMoment& row) { return row.worker; });
}
const GroupMoment* Moment::group(std::uint32_t id) const {
  return find_row(groups, id, [](const GroupMoment& row) { return row.group; });
}
const LinkMoment* Moment::link(std::uint32_t from, std::uint32_t to) const {
  return find_row(links, std::pair(from, to), [](const LinkMoment& row) { return std::pair(row.from, row.to); });
}

void Moments::add(Moment moment) {
  bytes_ += moment.bytes();
  moments_.push_back(std::make_unique<const Moment>(std::move(moment)));
  if (bytes_ > bytes_max_) thin();
}

// Every second one of the older half goes: what is old has been halved many times, what is new never.
void Moments::thin() {
  if (moments_.size() < 4) return;
  std::size_t half = moments_.size() / 2, kept = 1;
  for (std::size_t i = 1; i < moments_.size(); ++i)
    if (i >= half || i % 2 == 0) moments_[kept++] = std::move(moments_[i]);
  moments_.resize(kept);
  bytes_ = 0;
  for (const auto& moment : moments_) bytes_ += moment->bytes();
}

const Moment* Moments::at(Micros t) const {
  auto after = std::upper_bound(moments_.begin(), moments_.end(), t, [](Micros wanted, const auto& m) { return wanted < m->t; });
  return after == moments_.begin() ? nullptr : std::prev(after)->get();
}

}  // namespace weft::dashboard
