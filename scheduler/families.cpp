// Root tasks whose values will be combined go to one worker: a reduction of n values on W workers then moves W - 1 of them. A family is
// all that lies under one reader, or under its reader, and so on, as long as it is no more than one worker's share.
#include <algorithm>
#include <optional>
#include <set>

#include "scheduler/state.h"

namespace weft::scheduler {

// A reader of more inputs is fed by everybody.
static constexpr std::size_t inputs_max = 32;
// What one look may cost; a larger share is kept in pieces.
static constexpr std::size_t share_max = 256;
static constexpr int levels_max = 16;

/// Who combines its value with others soonest; one that passes it on alone if there is no such reader.
TaskNumber State::reader_of(TaskNumber number) const {
  TaskNumber best = no_task, passing_on = no_task;
  for (const DependentEdge& edge : tasks_[number].dependents) {
    std::size_t inputs = tasks_[edge.task].inputs.size();
    if (inputs == 1) passing_on = edge.task;
    else if (inputs <= inputs_max && (best == no_task || inputs < tasks_[best].inputs.size())) best = edge.task;
  }
  return best == no_task ? passing_on : best;
}

/// The root tasks that are to run and that `top` depends on, itself or through others; nothing said if they are more than `most`.
std::optional<std::vector<TaskNumber>> State::roots_under(TaskNumber top, std::size_t most) const {
  std::vector<TaskNumber> roots, open{top};
  std::set<TaskNumber> seen{top};
  while (!open.empty()) {
    TaskNumber number = open.back();
    open.pop_back();
    const Task& task = tasks_[number];
    if (task.state == TaskState::ready && is_root_like(task)) roots.push_back(number);
    for (const InputEdge& edge : task.inputs)
      if (is_open(tasks_[edge.task].state) && seen.insert(edge.task).second) open.push_back(edge.task);
    if (roots.size() > most || seen.size() > 4 * most + inputs_max) return std::nullopt;
  }
  return roots;
}

/// Keep for the same worker the rest of this task's family: the nearest one, or if `whole_share` the largest that fits.
void State::reserve_family(TaskNumber number, Worker& worker, bool whole_share) {
  if (!options_.locality) return;
  const Group& group = group_of(tasks_[number]);
  std::uint64_t alike = 0;
  for (std::uint64_t count : group.counts) alike += count;
  const std::size_t share = std::min<std::uint64_t>(share_max, alike * worker.slots / std::max<std::uint64_t>(1, slots_total_));
  std::vector<TaskNumber> family;
  bool nearest = true;
  TaskNumber top = reader_of(number);
  for (int level = 0; level < levels_max && top != no_task; ++level, top = reader_of(top)) {
    if (tasks_[top].inputs.size() < 2) continue;
    auto wider = roots_under(top, nearest ? std::max(share, inputs_max) : share);
    if (!wider) break;
    family = *std::move(wider);
    nearest = false;
    if (!whole_share) break;
  }
  for (TaskNumber sibling : family) {
    const Task& task = tasks_[sibling];
    bool takes = !task.kept_for && !task.delayed && task.avoid != worker.id;  // what crashed here would stand before all others
    if (takes && task.shape == tasks_[number].shape) keep_for(sibling, worker);
  }
}

}  // namespace weft::scheduler
