// What must hold: values are right, failures are such as the faults allow, runs are not repeated needlessly, and nothing is left.
#include <algorithm>
#include <cstring>

#include "simulation/cluster.h"

namespace weft::simulation {

Value value_of(Hash hash) {
  auto bytes = std::as_bytes(std::span(&hash, 1));
  std::span<const std::byte> parts[] = {bytes};
  return Value::make(1, parts);
}

Hash hash_of(const Value& value) {
  Hash hash = 0;
  if (value.part_count() == 1 && value.part(0).size() == 8) std::memcpy(&hash, value.part(0).data(), 8);
  return hash;
}

void Cluster::wrong(std::string what) {
  if (report_.error.empty()) report_.error = "t=" + std::to_string(now_.nanoseconds / 1'000'000) + "ms: " + std::move(what);
}

void Cluster::judge(int number, const Key& key, const client::Outcome& outcome) {
  if (outcome.failure) {
    if (!is_allowed(number, key, *outcome.failure))
      wrong("client " + std::to_string(number) + " got " + name_of(outcome.failure->kind) + " (" + outcome.failure->message + ") for " + key.hex() + ", which executors got " +
            std::to_string(truth_.at(key).begun) + " times");
    return;
  }
  if (outcome.value.block().empty()) return;  // stored, not read yet
  if (hash_of(outcome.value) != truth(key)) wrong("client " + std::to_string(number) + " got a wrong value of " + key.hex());
}

/// A failure must be one that the faults of this run allow.
bool Cluster::is_allowed(int number, const Key& key, const Failure& failure) {
  std::set<Key> seen;
  std::vector<Key> work{key};
  bool crashes = false, once = false, cancelled = false, data = false;
  while (!work.empty()) {
    Key next = work.back();
    work.pop_back();
    if (!seen.insert(next).second) continue;
    const TrueTask& task = truth_.at(next);
    crashes |= task.may_crash;
    once |= task.once;
    cancelled |= clients_[number].cancelled.contains(next);
    data |= task.data;
    work.insert(work.end(), task.inputs.begin(), task.inputs.end());
  }
  bool lossy = harm_ || plan_.fetch_fail_percent > 0;
  // Whose fault it is said to be must have been tried as often as that. A run that was given up with its worker, and that the next
  // scheduler took over, counts twice.
  auto cause = truth_.find(failure.key);
  bool tried = cause != truth_.end() && seen.contains(failure.key) && cause->second.begun + epoch_ - 1 >= (cause->second.once ? 1 : TaskOptions{}.max_attempts);
  switch (failure.kind) {
    case ErrorKind::task_error:  // one retry is allowed, and the second try does not throw: but two schedulers may each give a first try
      return cause != truth_.end() && (cause->second.once ? cause->second.thrown >= 1 : epoch_ > 1 && cause->second.thrown >= 2);
    case ErrorKind::task_crashed: return crashes && tried;
    case ErrorKind::task_poisoned: return lossy && tried;
    case ErrorKind::cancelled: return cancelled || (data && lossy && failure.message.starts_with("its data could not be put"));
    case ErrorKind::data_lost: return ((data || once) && lossy) || amnesia_;
    case ErrorKind::worker_unavailable:  // nobody knows whether it ran
      return once && harm_ && (amnesia_ || !clients_[number].stored.contains(failure.key));
    case ErrorKind::connection_failed: return (truth_.at(key).data && lossy) || truth_.at(key).rotten;  // no worker took, or gave, the bytes
    case ErrorKind::scheduler_reset:
    case ErrorKind::protocol_error: return amnesia_;
    default: return false;
  }
}

/// A run got a slot: from here on it may have done what it does.
void Cluster::judge_start(const Key& key) {
  TrueTask& task = truth_.at(key);
  if (++task.started > 1 && task.once && !amnesia_) wrong("task " + key.hex() + " may run once, and began twice");
}

/// A run ended well.
void Cluster::judge_run(const Key& key, TrueTask& task) {
  ++report_.runs;
  if (task.runs++ == 0) return;
  ++report_.repeats;
  bool forgotten = task.shared || plan_.release_early_percent > 0;  // and asked for again, which is new work
  if (plan_.only(FaultKind::scheduler_death) && plan_.impure && !forgotten)
    wrong("only the scheduler died, and impure task " + key.hex() + " ran twice");
  if (!harm_ && plan_.crash_percent + plan_.throw_percent + plan_.fetch_fail_percent == 0 && !forgotten)
    wrong("nothing was lost, and task " + key.hex() + " ran twice");
  if (task.runs > 2 + report_.faults) wrong("task " + key.hex() + " ran " + std::to_string(task.runs) + " times");
}

/// How long after healing every future may take to end, and what is released to be gone: leases, a client that is waited for because
/// it may have bytes, all work one after the other, and a client's tries to read what cannot be read.
Duration Cluster::patience() const { return 110s + 1s * static_cast<std::int64_t>(report_.tasks) + (rot_ ? 120s : 0s); }

bool Cluster::all_ended() const {
  for (const ClientProcess& client : clients_) {
    if (client.graphs_left > 0) return false;
    for (const Key& key : client.wanted) {
      auto found = client.ended.find(key);
      if (found == client.ended.end()) return false;
      if (!found->second->failure && found->second->value.block().empty() && !truth_.at(key).data) return false;
    }
  }
  return true;
}

/// Everybody left and nothing is left.
bool Cluster::is_clean() const {
  auto finished = [](const ClientProcess& client) { return client.finished; };
  auto empty = [](const WorkerProcess& worker) { return !worker.state || (worker.state->empty() && worker.store.empty()); };
  return std::all_of(clients_.begin(), clients_.end(), finished) && scheduler_ && scheduler_->empty() && store_is_empty() &&
         std::all_of(workers_.begin(), workers_.end(), empty);
}

std::string Cluster::what_is_left() const {
  std::string what = releasing_ ? "something is left after everything was released" : "not every future ended";
  for (const auto& [id, body] : store_) what += "; row of kind " + std::to_string(static_cast<int>(id.kind));
  if (!scheduler_) return what + "; the scheduler is down";
  scheduler::Counts counts = scheduler_->counts();
  what += "; scheduler: " + std::to_string(counts.tasks) + " tasks, " + std::to_string(counts.sessions) + " sessions, " +
          std::to_string(counts.workers) + " workers;";
  for (int i = 0; i < scheduler::task_state_count; ++i)
    what += std::string(" ") + name_of(static_cast<scheduler::TaskState>(i)) + "=" + std::to_string(counts.by_state[i]);
  for (const WorkerProcess& worker : workers_)
    what += "; " + worker.name + (!worker.state ? ": down" : worker.state->empty() ? ": empty" : ": not empty") +
            " store=" + std::to_string(worker.store.size()) + (worker.state ? "\n" + worker.state->describe() : "");
  for (const ClientProcess& client : clients_)
    for (const Key& key : client.wanted) {
      if (client.ended.contains(key)) continue;
      const scheduler::Task* task = scheduler_->find(key);
      what += "\n" + key.hex() + " is " + (task ? name_of(task->state) : "unknown");
      if (task)
        what += ", attempt " + std::to_string(task->attempt.number) + " worker " + std::to_string(task->worker.number) + " missing " +
                std::to_string(task->missing) + (task->recalling ? " recalling" : "") + (task->started ? " started" : "");
    }
  return what;
}

}  // namespace weft::simulation
