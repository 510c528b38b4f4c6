// The state recounted from scratch. Every index and counter is compared with what the tasks themselves say.
#include <algorithm>

#include "scheduler/state.h"

namespace weft::scheduler {

namespace {

struct Recount {
  std::uint32_t missing = 0, open_dependents = 0, kept_by = 0, ahead = 0;
};

}  // namespace

static void check_edges(const TaskTable& tasks, TaskNumber number) {
  const Task& task = tasks[number];
  for (std::uint32_t i = 0; i < task.inputs.size(); ++i) {
    const Task& input = tasks[task.inputs[i].task];
    WEFT_CHECK(input.key);
    WEFT_CHECK(task.inputs[i].slot < input.dependents.size());
    WEFT_CHECK(input.dependents[task.inputs[i].slot].task == number && input.dependents[task.inputs[i].slot].input == i);
  }
  for (std::uint32_t i = 0; i < task.dependents.size(); ++i) {
    const Task& dependent = tasks[task.dependents[i].task];
    WEFT_CHECK(dependent.inputs[task.dependents[i].input].task == number);
    WEFT_CHECK(dependent.inputs[task.dependents[i].input].slot == i);
  }
}

static void check_task(const TaskTable& tasks, TaskNumber number) {
  const Task& task = tasks[number];
  Recount count;
  for (const InputEdge& edge : task.inputs) {
    const Task& input = tasks[edge.task];
    if (input.state != TaskState::stored) ++count.missing;
    if (input.state == TaskState::assigned && input.worker == task.ahead_worker) ++count.ahead;
    if (is_open(task.state)) WEFT_CHECK(input.state != TaskState::released && input.state != TaskState::failed);
  }
  for (const DependentEdge& edge : task.dependents) {
    if (is_open(tasks[edge.task].state)) ++count.open_dependents;
    if (tasks[edge.task].keeps_inputs) ++count.kept_by;
  }
  WEFT_CHECK(task.kept_by == count.kept_by);
  if (task.keeps_inputs) WEFT_CHECK(task.state == TaskState::failed);
  WEFT_CHECK(task.open_dependents == count.open_dependents);
  if (is_open(task.state)) {
    WEFT_CHECK(task.needed());
    WEFT_CHECK(task.missing == count.missing);
  }
  if (task.state == TaskState::waiting) {
    WEFT_CHECK(task.missing > 0);
    WEFT_CHECK(task.ahead_count <= count.ahead);  // it may miss inputs that came while another worker was counted
  }
  if (task.state == TaskState::ready) WEFT_CHECK(task.missing == 0);
  WEFT_CHECK((task.state == TaskState::assigned) == static_cast<bool>(task.worker));
  WEFT_CHECK((task.state == TaskState::assigned) == static_cast<bool>(task.attempt));
  WEFT_CHECK((task.state == TaskState::stored) == !task.replicas.empty());
  WEFT_CHECK((task.state == TaskState::failed) == (task.failure != nullptr));
  if (task.state == TaskState::stored) WEFT_CHECK(task.needed() || task.kept_by > 0);
  if (task.state == TaskState::released) WEFT_CHECK(!task.needed());
  if (task.delayed) WEFT_CHECK(task.state == TaskState::ready && !task.kept_for);
  WEFT_CHECK(task.needed() || !task.dependents.empty());
  if (task.begun) WEFT_CHECK(!task.is_data);
  if (task.started || task.recalling) WEFT_CHECK(task.state == TaskState::assigned);
}

void State::check() const {
  WEFT_CHECK(review_.empty() && retract_.empty() && spread_review_.empty());
  for (const auto& [number, spread] : spreads_) {
    WEFT_CHECK(tasks_[number].key && (!spread.flights.empty() || !spread.readers.empty()));
    std::set<WorkerId> targets;
    for (const Flight& flight : spread.flights) WEFT_CHECK(worker(flight.from) && worker(flight.to) && targets.insert(flight.to).second);
    for (WorkerId reader : spread.readers) WEFT_CHECK(worker(reader));
    // Who waits for its turn waits for a copy that is on its way, or for a holder to come back.
    bool readable = std::any_of(tasks_[number].replicas.begin(), tasks_[number].replicas.end(),
                                [&](const Replica& replica) { return worker(replica.worker)->peer; });
    WEFT_CHECK(spread.readers.empty() || !readable || !spread.flights.empty());
  }
  for (const auto& [attempt, held] : orders_held_) WEFT_CHECK(tasks_[held.task].attempt == attempt && tasks_[held.task].begun);
  for (const auto& [number, source] : moving_) WEFT_CHECK(tasks_[number].state == TaskState::stored && worker(source));
  for (const auto& [number, copies] : replicas_wanted_) WEFT_CHECK(tasks_[number].key);
  std::size_t known = 0, keepers = 0;
  std::vector<Group> groups(groups_.size());
  std::vector<std::size_t> wanted(holders_.size()), of_shape(shapes_.size());
  for (TaskNumber number = 0; number < tasks_.size(); ++number) {
    const Task& task = tasks_[number];
    if (!task.key) continue;
    ++known;
    keepers += task.keeps_inputs;
    WEFT_CHECK(number_of(task.key) == number);
    check_edges(tasks_, number);
    check_task(tasks_, number);
    ++groups[shapes_[task.shape].group].counts[static_cast<int>(task.state)];
    ++of_shape[task.shape];
    for (const WantEdge& want : task.wants) {
      WEFT_CHECK(holders_[want.holder].wanted[want.slot] == number);
      ++wanted[want.holder];
    }
    for (const Replica& replica : task.replicas) WEFT_CHECK(workers_[replica.worker.number]->holding[replica.slot] == number);
    if (task.kept_for) WEFT_CHECK(workers_[task.kept_for.number]->reserved.contains({task.rank, number}));
  }
  WEFT_CHECK(keepers == keepers_);
  WEFT_CHECK(known == index_.size() && known + tasks_.free_rows() == tasks_.size());
  for (std::size_t i = 0; i < groups_.size(); ++i)
    WEFT_CHECK(std::equal(std::begin(groups[i].counts), std::end(groups[i].counts), std::begin(groups_[i].counts)));
  for (std::size_t i = 0; i < holders_.size(); ++i) WEFT_CHECK(holders_[i].wanted.size() == wanted[i]);
  for (const auto& [hash, number] : shapes_by_hash_) {
    const Shape& shape = shapes_[number];
    bool listed = std::find(unused_shapes_.begin(), unused_shapes_.end(), number) != unused_shapes_.end();
    WEFT_CHECK(shape.tasks == of_shape[number] && shape.unused == listed && (listed || shape.tasks > 0));
  }
  check_workers();
}

/// What adding up amounts of this size may leave behind.
static double slack(double total) { return 1e-6 * std::max(1.0, total); }

void State::check_workers() const {
  std::uint64_t slots = 0;
  for (WorkerId id : alive_) {
    const Worker& worker = *workers_[id.number];
    slots += worker.slots;
    WEFT_CHECK(worker.peer || !worker.leave_sent);  // who left is forgotten at once
    Duration load{};
    std::uint32_t recalls = 0, cores = 0;
    std::uint64_t bytes = 0;
    std::map<std::string, double> taken;
    for (std::uint32_t i = 0; i < worker.assigned.size(); ++i) {
      const Task& task = tasks_[worker.assigned[i]];
      WEFT_CHECK(task.state == TaskState::assigned && task.worker == id && task.worker_slot == i);
      load += 1us * task.estimate_us;
      recalls += task.recalling;
      const TaskOptions& options = shape_of(task).options;
      if (options.cores > 1) cores += options.cores;
      for (const auto& [name, amount] : options.resources) taken[name] += amount;
    }
    for (const auto& [place, session] : session_of_channel_)
      if (place.first == id) cores -= holders_[session].cores_lent;
    for (TaskNumber number : worker.holding) {
      bytes += tasks_[number].bytes;
      const SmallVector<Replica>& replicas = tasks_[number].replicas;
      WEFT_CHECK(std::count_if(replicas.begin(), replicas.end(), [&](const Replica& r) { return r.worker == id; }) == 1);
    }
    WEFT_CHECK(load == worker.load && recalls == worker.recalls && cores == worker.cores_reserved && bytes == worker.holding_bytes);
    WEFT_CHECK(cores <= worker.slots || worker.nested > 0);
    for (const auto& [name, total] : worker.resources)
      WEFT_CHECK(std::abs(worker.resources_free.at(name) + taken[name] - total) < slack(total) && taken[name] <= total + slack(total));
    for (const auto& [rank, number] : worker.reserved)
      WEFT_CHECK(tasks_[number].state == TaskState::ready && tasks_[number].kept_for == id);
  }
  WEFT_CHECK(slots == slots_total_);
}

}  // namespace weft::scheduler
