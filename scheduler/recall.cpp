// Taking back what has not started from busy workers, for idle ones.
#include <algorithm>

#include "common/coverage_mark.h"
#include "scheduler/state.h"

namespace weft::scheduler {

/// How long what waits there will wait: as long as expected, and at least as long as nothing has ended there.
Duration State::expected_wait(const Worker& worker) const { return std::max(worker.load / worker.slots, now_ - worker.moved); }

/// Idle workers take attempts that have not started from workers where they would wait for long. The worker gives them back or
/// says that they run; only then are they placed again.
void State::recall_for_idle() {
  if (idle_.empty() || recall_again_ > now_) return;
  recall_again_ = now_ + 1us * alive_.size();  // the look at everybody pays only now and then
  std::uint64_t idle_slots = 0;
  for (WorkerId id : idle_) {
    const Worker& worker = worker_ref(id);
    if (worker.usable() && worker.assigned.size() < worker.slots) idle_slots += worker.slots - worker.assigned.size();
  }
  if (idle_slots == 0) return;
  for (WorkerId id : std::vector<WorkerId>(alive_)) {
    Worker& worker = worker_ref(id);
    if (idle_slots == 0) return;
    if (!worker.peer || worker.recalls > 0 || worker.assigned.size() <= worker.slots) continue;
    if (expected_wait(worker) < options_.recall_worth || worker.recall_again > now_) continue;
    // Looking through a long list pays only now and then.
    worker.recall_again = now_ + 1us * worker.assigned.size();
    // Last in rank first; never more than half of what must wait there. What was sent ahead of its inputs needs no slot yet.
    std::vector<std::pair<Rank, TaskNumber>> waiting;
    std::size_t running = 0;
    for (TaskNumber number : worker.assigned) {
      const Task& task = tasks_[number];
      bool unsent = orders_held_.contains(task.attempt);  // else a slow disk and idle workers would pass it round for ever
      running += task.started;
      if (!task.started && !task.is_data && task.missing == 0 && !unsent) waiting.emplace_back(task.rank, number);
    }
    // Where nothing ends, what runs keeps its slots; else as many more will start soon.
    bool stalled = now_ - worker.moved >= options_.recall_worth;
    std::size_t taken = stalled ? std::min<std::size_t>(running, worker.slots) : 0;
    std::size_t must_wait = waiting.size() - std::min<std::size_t>(waiting.size(), worker.slots - taken);
    std::size_t movable = (must_wait + 1) / 2;
    std::sort(waiting.rbegin(), waiting.rend());
    for (std::size_t i = 0; i < waiting.size() && movable > 0 && idle_slots > 0; ++i) {
      const Task& task = tasks_[waiting[i].second];
      // As it will be asked once more when it was given back: else it would go to and fro.
      Duration wait = std::max((worker.load - 1us * task.estimate_us) / worker.slots, now_ - worker.moved);
      bool better = std::any_of(idle_.begin(), idle_.end(), [&](WorkerId other) {
        const Worker& thief = worker_ref(other);
        return thief.assigned.size() < thief.slots && fits_now(task, thief) &&
               cost(task, thief) + options_.recall_worth / 2 < wait;
      });
      if (!better) continue;
      WEFT_MARK("recall: asked for");
      revoke(waiting[i].second, WEFT_MUTANT(61, false, true));
      --movable;
      --idle_slots;
    }
  }
}

}  // namespace weft::scheduler
