// Decides, for the exhaustive mode, which of several possible things happens next, and remembers which situations it has seen.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

namespace weft::simulation {

/// Walks all paths of a tree of choices depth first, one path a run.
/// Source: exhaustigen, as in TigerBeetle's tests (Hovel, 2021): the last choice that can be raised is raised.
class Chooser {
 public:
  /// A number below `end`. In a situation that an earlier path went on from, the path ends: `pruned` is true from then on.
  std::uint32_t choose(std::uint32_t end, std::uint64_t situation) {
    if (at_ == path_.size()) {
      if (!seen_.insert(situation).second) pruned_ = true;
      path_.push_back({0, pruned_ ? 1 : end});
    }
    return path_[at_++].value;
  }
  bool pruned() const { return pruned_; }
  /// Go to the next path; false if there is none.
  bool next() {
    path_.resize(at_);
    while (!path_.empty() && path_.back().value + 1 >= path_.back().end) path_.pop_back();
    at_ = 0;
    pruned_ = false;
    if (path_.empty()) return false;
    ++path_.back().value;
    return true;
  }
  std::size_t situations() const { return seen_.size(); }

 private:
  struct Choice {
    std::uint32_t value, end;
  };
  std::vector<Choice> path_;
  std::size_t at_ = 0;
  bool pruned_ = false;
  std::unordered_set<std::uint64_t> seen_;
};

}  // namespace weft::simulation
