// Who could run a task, who has credit for it, and who is expected to start it first.
#include <algorithm>

#include "common/coverage_mark.h"
#include "scheduler/state.h"

namespace weft::scheduler {

// Work that nobody has measured yet counts this much.
static constexpr Duration unknown_run_time = 10ms;

Duration State::estimate(const Task& task) const {
  std::int64_t run_time = group_of(task).run_time;
  return run_time < 0 ? unknown_run_time : Duration(run_time);
}

/// Whether this worker may ever run it: names, resources, user code.
bool State::may_run(const Task& task, const Worker& worker) const {
  const Template& shape = shape_of(task);
  const TaskOptions& options = shape.options;
  if (!task.is_data && shape.function.kernel == 0 && !worker.runs_user_code) return false;
  if (options.cores > worker.slots) return false;
  for (const auto& [name, amount] : options.resources) {
    auto has = worker.resources.find(name);
    if (has == worker.resources.end() || has->second < amount) return false;
  }
  if (options.workers.empty()) return true;
  auto matches = [&](const Worker& w) {
    return std::any_of(options.workers.begin(), options.workers.end(),
                       [&](const std::string& text) { return text == w.name || text == w.endpoint || text == w.host; });
  };
  if (matches(worker)) return true;
  if (options.workers_strict) return false;
  return std::none_of(alive_.begin(), alive_.end(), [&](WorkerId id) { return matches(*workers_[id.number]) && workers_[id.number]->usable(); });
}

/// Taking and giving back fractions leaves an error of rounding, which must not make the last one wait for ever.
static bool is_enough(double free, double amount) { return free > amount - 1e-9 * std::max(1.0, amount); }

/// Whether it may be sent there now: what it reserves is free.
bool State::fits_now(const Task& task, const Worker& worker) const {
  if (!worker.usable() || !may_run(task, worker)) return false;
  const TaskOptions& options = shape_of(task).options;
  // After a crash, an impure run is known only if its command is, and its worker is waited for.
  if (!options.pure && WEFT_MUTANT(38, !is_committed(task) || worker.joined > committed_, false)) return false;
  if (options.cores > 1 && WEFT_MUTANT(79, worker.cores_reserved + options.cores > worker.slots, false)) return false;
  for (const auto& [name, amount] : options.resources)
    if (WEFT_MUTANT(80, !is_enough(worker.resources_free.at(name), amount), false)) return false;
  return true;
}

/// How many root tasks may wait at a worker: enough to bridge the way to us and back, few enough to keep memory low.
bool State::has_credit(const Task& task, const Worker& worker) const {
  if (!options_.hold_back) return true;
  const Group& group = group_of(task);
  std::uint64_t per_slot = options_.credit_unknown;
  if (group.run_time >= 0) {
    std::int64_t run_time = std::max<std::int64_t>(group.run_time, 1'000);
    per_slot = std::clamp<std::int64_t>(1 + options_.credit_time.count() / run_time, 2, options_.credit_max);
  }
  // Long tasks: the next one of a slot need not be there before the last one is nearly done.
  std::uint64_t window = group.run_time > options_.credit_time.count() ? worker.slots + 1 : per_slot * worker.slots;
  if (group.bytes > 0 && worker.memory_limit > 0) {
    std::uint64_t room = worker.memory_limit > worker.holding_bytes ? worker.memory_limit - worker.holding_bytes : 0;
    window = std::min<std::uint64_t>(window, std::max<std::uint64_t>(worker.slots, room / 4 / group.bytes));
  }
  // A task with a client of its own may be waiting for the very task that asks for credit here.
  return worker.assigned.size() < window + worker.nested;
}

/// Expected time until it could start there: the queue ahead of it and the bytes still to move.
Duration State::cost(const Task& task, const Worker& worker) const {
  Duration wait = worker.assigned.size() < worker.slots ? Duration{} : expected_wait(worker);
  if (task.avoid == worker.id) wait += 1s;
  if (!options_.locality) return wait;
  std::uint64_t bytes = 0;
  for (const InputEdge& edge : task.inputs) {
    const Task& input = tasks_[edge.task];
    if (!input.small.empty()) continue;
    bool here = std::any_of(input.replicas.begin(), input.replicas.end(), [&](const Replica& r) { return r.worker == worker.id; });
    if (!here) bytes += input.bytes + static_cast<std::uint64_t>(options_.transfer_latency.count() * options_.bandwidth / 1e9);
  }
  return wait + Duration(static_cast<std::int64_t>(bytes * 1e9 / options_.bandwidth));
}

/// The best of a few candidates: holders of the inputs, and some workers in turn. Cost does not grow with the cluster.
WorkerId State::choose(const Task& task) {
  std::vector<WorkerId> candidates;
  auto consider = [&](WorkerId id) {
    if (std::find(candidates.begin(), candidates.end(), id) == candidates.end()) candidates.push_back(id);
  };
  if (options_.locality) {
    for (std::size_t i = 0; i < task.inputs.size() && i < 64 && candidates.size() < 12; ++i) {
      const SmallVector<Replica>& replicas = tasks_[task.inputs[i].task].replicas;
      for (std::size_t r = 0; r < replicas.size() && r < 4; ++r) consider(replicas[r].worker);
    }
  }
  std::size_t others = alive_.size() <= 16 || !shape_of(task).options.workers.empty() || !shape_of(task).options.resources.empty()
                           ? alive_.size() : 6;
  for (std::size_t i = 0; i < others; ++i) consider(alive_[(cursor_ + i) % alive_.size()]);
  ++cursor_;
  if (std::none_of(candidates.begin(), candidates.end(), [&](WorkerId id) { return fits_now(task, *workers_[id.number]); }))
    candidates = alive_;
  WorkerId best;
  Duration best_cost{};
  for (WorkerId id : candidates) {
    const Worker& worker = *workers_[id.number];
    if (!fits_now(task, worker)) continue;
    Duration price = cost(task, worker);
    bool better = !best || price < best_cost ||
                  (price == best_cost && worker.assigned.size() * workers_[best.number]->slots <
                                             workers_[best.number]->assigned.size() * worker.slots);
    if (!better) continue;
    best = id;
    best_cost = price;
  }
  return best;
}

}  // namespace weft::scheduler
