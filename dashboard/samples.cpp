#include "dashboard/samples.h"

#include <algorithm>
#include <utility>

namespace weft::dashboard {

void Samples::add(Micros t, std::uint32_t worker, const StackSamples& samples) {
  if (texts_.size() + 2 > texts_max_) make_room();
  if (rows_.size() >= rows_max_) rows_.pop_front();
  std::uint32_t label = number_of(samples.label);
  rows_.push_back({t, worker, label, number_of(samples.stack), samples.count, samples.period_us});
}

std::uint32_t Samples::number_of(std::string_view text) {
  if (auto known = numbers_.find(text); known != numbers_.end()) return known->second;
  numbers_.emplace(text, static_cast<std::uint32_t>(texts_.size()));
  texts_.emplace_back(text);
  return static_cast<std::uint32_t>(texts_.size() - 1);
}

// The older half goes, as often as it takes, and with it the texts that only it had.
void Samples::make_room() {
  while (texts_.size() + 2 > texts_max_) {
    rows_.erase(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>((rows_.size() + 1) / 2));
    std::deque<std::string> old = std::exchange(texts_, {});
    numbers_.clear();
    for (Row& row : rows_) row.label = number_of(old[row.label]), row.stack = number_of(old[row.stack]);
    if (rows_.empty()) return;
  }
}

Samples::Answer Samples::find(Micros t0, Micros t1, std::uint32_t worker, const std::string* label) const {
  Answer answer;
  std::uint32_t wanted = 0;
  if (label) {
    auto known = numbers_.find(*label);
    if (known == numbers_.end()) return answer;
    wanted = known->second;
  }
  auto first = std::ranges::upper_bound(rows_, t0, {}, &Row::t);
  for (; first != rows_.end() && first->t <= t1; ++first) {
    if ((worker && first->worker != worker) || (label && first->label != wanted)) continue;
    answer.seconds += static_cast<double>(first->count) * first->period_us * 1e-6;
    StackTree* node = &answer.tree;
    node->value += first->count;
    std::string_view stack = texts_[first->stack];
    while (!stack.empty()) {
      std::string_view name = stack.substr(0, stack.find('\n'));
      stack.remove_prefix(std::min(stack.size(), name.size() + 1));
      auto child = node->children.find(name);
      if (child == node->children.end()) child = node->children.emplace(name, StackTree{}).first;
      node = &child->second;
      node->value += first->count;
    }
  }
  return answer;
}

}  // namespace weft::dashboard
