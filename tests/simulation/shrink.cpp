#include "simulation/shrink.h"

#include <algorithm>

namespace weft::simulation {

namespace {

class Shrinker {
 public:
  Shrinker(const Plan& failing, std::uint32_t runs_max) : best_{failing, run(failing)}, runs_left_(runs_max) {}

  Shrunk shrink() {
    for (bool smaller = true; smaller && runs_left_ > 0;) {
      smaller = fewer_faults();
      smaller |= fewer_wishes();
      smaller |= smaller_world();
      smaller |= fewer_tasks();
    }
    return std::move(best_);
  }

 private:
  /// True if the candidate fails too: it is the best from now on.
  bool accept(Plan candidate, std::uint32_t tries) {
    for (std::uint32_t i = 0; i < tries && runs_left_ > 0; ++i, --runs_left_) {
      Report report = run(candidate);
      if (!report.error.empty()) {
        best_ = {std::move(candidate), std::move(report)};
        return true;
      }
      ++candidate.network_seed;
    }
    return false;
  }

  template <class Change>
  bool change(Change change, std::uint32_t tries = 3) {
    Plan candidate = best_.plan;
    change(candidate);
    return accept(std::move(candidate), tries);
  }

  /// Source: delta debugging, Zeller and Hildebrandt (2002), IEEE TSE 28(2): leave out halves, then quarters, and so on.
  bool fewer_faults() {
    bool smaller = false;
    for (std::size_t piece = best_.plan.faults.size(); piece > 0 && runs_left_ > 0; piece /= 2) {
      for (std::size_t at = 0; at < best_.plan.faults.size();) {
        auto without = [&](Plan& plan) {
          auto begin = plan.faults.begin() + static_cast<std::ptrdiff_t>(at);
          plan.faults.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(piece, plan.faults.size() - at)));
        };
        if (change(without, best_.plan.faults.size() > 20 ? 1 : 6)) smaller = true;
        else at += piece;
      }
    }
    return smaller;
  }

  bool fewer_wishes() {
    bool smaller = false;
    for (auto field : {&Plan::throw_percent, &Plan::crash_percent, &Plan::fetch_fail_percent, &Plan::cancel_percent, &Plan::share_percent,
                       &Plan::release_early_percent, &Plan::scatter_percent, &Plan::twice_percent, &Plan::reserve_percent, &Plan::late_end_percent, &Plan::late_frame_percent})
      if (best_.plan.*field > 0) smaller |= change([&](Plan& plan) { plan.*field = 0; });
    if (best_.plan.impure) smaller |= change([](Plan& plan) { plan.impure = false; });
    if (best_.plan.once) smaller |= change([](Plan& plan) { plan.once = false; });
    for (auto field : {&Plan::join_until, &Plan::transfer_max})
      if (best_.plan.*field > Duration{}) smaller |= change([&](Plan& plan) { plan.*field = {}; });
    if (best_.plan.trees) smaller |= change([](Plan& plan) { plan.trees = false; });
    return smaller;
  }

  bool smaller_world() {
    bool smaller = false;
    for (auto field : {&Plan::clients, &Plan::graphs, &Plan::workers})
      while (best_.plan.*field > 1 && change([&](Plan& plan) { --(plan.*field); }, 20)) smaller = true;
    Duration last = best_.plan.faults.empty() ? Duration{} : best_.plan.faults.back().when;
    if (best_.plan.faults_until > last + 1ms) smaller |= change([&](Plan& plan) { plan.faults_until = last + 1ms; });
    return smaller;
  }

  bool fewer_tasks() {
    bool smaller = false;
    while (best_.plan.tasks > 1 && change([](Plan& plan) { plan.tasks /= 2; }, 40)) smaller = true;
    while (best_.plan.tasks > 1 && change([](Plan& plan) { --plan.tasks; }, 20)) smaller = true;
    // Many tasks that are few at most: another graph may do.
    for (int i = 0; i < 20 && best_.report.tasks > 8 && !smaller; ++i)
      smaller = change([&](Plan& plan) { plan.seed += static_cast<std::uint64_t>(i) + 1, plan.tasks = std::min(plan.tasks, 4u); }, 20);
    return smaller;
  }

  Shrunk best_;
  std::uint32_t runs_left_;
};

}  // namespace

Shrunk shrink(const Plan& failing, std::uint32_t runs_max) { return Shrinker(failing, runs_max).shrink(); }

}  // namespace weft::simulation
