#include "dashboard/held_values.h"

#include <algorithm>

namespace weft::dashboard {

static constexpr std::size_t early_max = 10'000;

void HeldValues::count(const Value& value, int sign) {
  if (groups_.size() <= value.group) groups_.resize(value.group + 1);
  HeldByGroup& sum = groups_[value.group];
  auto add = [&](std::uint64_t& to, std::uint64_t amount) { to = sign > 0 ? to + amount : to - amount; };
  std::uint64_t here = 0;
  for (const Copy& copy : value.copies) {
    if (copy.place == ValuePlace::lent) continue;   // its lender counts it
    add(copy.place == ValuePlace::disk ? sum.disk : sum.memory, value.bytes);
    if (++here > 1) add(sum.copies, value.bytes);
  }
  if (!value.copies.empty()) add(sum.values, 1);
}

void HeldValues::hold(std::uint32_t row, const Key& key, std::uint32_t group, std::uint32_t worker, std::uint64_t bytes) {
  if (values_.size() <= row) values_.resize(row + 1);
  Value& value = values_[row];
  count(value, -1);
  value.group = group;
  value.bytes = bytes;
  bool known = std::any_of(value.copies.begin(), value.copies.end(), [&](const Copy& copy) { return copy.worker == worker; });
  if (!known) {
    auto early = early_.find({key, worker});
    value.copies.push_back({worker, early == early_.end() ? ValuePlace::memory : early->second});
    if (early != early_.end()) early_.erase(early);
  }
  count(value, +1);
}

void HeldValues::drop(std::uint32_t row, std::uint32_t worker) {
  if (row >= values_.size()) return;
  SmallVector<Copy>& copies = values_[row].copies;
  auto place = std::find_if(copies.begin(), copies.end(), [&](const Copy& copy) { return copy.worker == worker; });
  if (place == copies.end()) return;
  count(values_[row], -1);
  std::copy(place + 1, copies.end(), place);
  copies.pop_back();
  count(values_[row], +1);
}

void HeldValues::drop_all(std::uint32_t row) {
  if (row >= values_.size()) return;
  count(values_[row], -1);
  values_[row].copies = {};
}

void HeldValues::lose(std::uint32_t worker) {
  for (std::uint32_t row = 0; row < values_.size(); ++row)
    if (!values_[row].copies.empty()) drop(row, worker);
  std::erase_if(early_, [&](const auto& entry) { return entry.first.second == worker; });
}

void HeldValues::move(std::uint32_t row, const Key& key, std::uint32_t worker, ValuePlace place) {
  if (row < values_.size())
    for (Copy& copy : values_[row].copies)
      if (copy.worker == worker) {
        count(values_[row], -1);
        copy.place = place;
        return count(values_[row], +1);
      }
  if (early_.size() < early_max || early_.contains({key, worker})) early_[{key, worker}] = place;
}

const SmallVector<HeldValues::Copy>& HeldValues::copies(std::uint32_t row) const {
  static const SmallVector<Copy> none{};
  return row < values_.size() ? values_[row].copies : none;
}

}  // namespace weft::dashboard
