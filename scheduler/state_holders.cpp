// Holders: whoever keeps tasks wanted (sessions, published names, fire-and-forget), and what each of them is told.
#include <algorithm>

#include "common/coverage_mark.h"
#include "scheduler/state.h"

namespace weft::scheduler {

HolderNumber State::new_holder(Holder::Kind kind) {
  HolderNumber number;
  if (!free_holders_.empty()) {
    number = free_holders_.back();
    free_holders_.pop_back();
  } else {
    number = static_cast<HolderNumber>(holders_.size());
    holders_.emplace_back();
  }
  holders_[number] = Holder{.kind = kind, .id = ++stored_ids_};
  return number;
}

/// Release everything it holds and forget it.
void State::end_holder(HolderNumber number) {
  if (HolderNumber graph = holders_[number].graph) end_holder(graph);
  while (!holders_[number].wanted.empty()) remove_want(number, holders_[number].wanted.back());
  Holder& holder = holders_[number];
  log_end(holder);
  if (holder.kind == Holder::Kind::session) {
    sessions_.erase(holder.session);
    end_programs_of(holder.session);
    if (holder.peer) session_of_peer_.erase(holder.peer);
    leave_channel(holder);
  }
  holder = Holder{};
  free_holders_.push_back(number);
}

void State::add_want(HolderNumber holder, TaskNumber number) {
  Task& task = tasks_[number];
  for (const WantEdge& want : task.wants)
    if (want.holder == holder) return;
  std::vector<TaskNumber>& wanted = holders_[holder].wanted;
  task.wants.push_back({.holder = holder, .slot = static_cast<std::uint32_t>(wanted.size())});
  wanted.push_back(number);
  task.released_durably = false;
  log_want(holder, number, true);
}

bool State::remove_want(HolderNumber holder, TaskNumber number) {
  Task& task = tasks_[number];
  auto place = std::find_if(task.wants.begin(), task.wants.end(), [&](const WantEdge& w) { return w.holder == holder; });
  if (place == task.wants.end()) return false;
  log_want(holder, number, false);
  bool had_data = place->has_data;
  std::uint32_t slot = place->slot;
  *place = task.wants.back();
  task.wants.pop_back();
  std::vector<TaskNumber>& wanted = holders_[holder].wanted;
  wanted[slot] = wanted.back();
  wanted.pop_back();
  if (slot < wanted.size())
    for (WantEdge& moved : tasks_[wanted[slot]].wants)
      if (moved.holder == holder) moved.slot = WEFT_MUTANT(28, slot, moved.slot);
  WEFT_UNLESS(27) if (!task.needed()) review_.push_back(number);
  // Its put may still end well; if not, somebody else must offer the bytes.
  bool unoffered = had_data && task.needed() && task.state == TaskState::assigned && !somebody_has_bytes(task);
  if (unoffered) run_again(number, Duration{});
  return true;
}

bool State::wants(SessionId session, const Key& key) const {
  auto holder = sessions_.find(session);
  const Task* task = find(key);
  return holder != sessions_.end() && task &&
         std::any_of(task->wants.begin(), task->wants.end(), [&](const WantEdge& want) { return want.holder == holder->second; });
}

void State::tell(HolderNumber session, ClientBound message) {
  Holder& holder = holders_[session];
  if (!holder.peer && !holder.through) return;
  if (holder.outbox.empty()) speaking_sessions_.push_back(session);
  holder.outbox.push_back(std::move(message));
}

/// A million tasks that end together are one message: said one by one, their failures would fill any queue.
void State::tell_failed(HolderNumber session, const Key& key, Failure failure) {
  if (failure.key == key) failure.key = {};
  Holder& holder = holders_[session];
  auto* last = holder.outbox.empty() ? nullptr : std::get_if<TaskFailed>(&holder.outbox.back());
  if (last && last->executed == holder.executed && last->failure.failure == failure) last->keys.push_back(key);
  else tell(session, TaskFailed{{key}, {std::move(failure)}, holder.executed});
}

/// Say how a wanted task stands, if it stands anywhere final.
void State::tell_outcome(HolderNumber number, TaskNumber which) {
  const Task& task = tasks_[which];
  const Holder& holder = holders_[number];
  if (holder.kind != Holder::Kind::session || !(holder.peer || holder.through)) return;
  if (WEFT_MUTANT(29, task.state == TaskState::failed, false)) tell_failed(number, task.key, *task.failure);
  if (task.state != TaskState::stored) return;
  TaskStored message{.key = task.key, .bytes = task.bytes, .small = bytes_of(task.small), .executed = holder.executed};
  if (message.small.empty())
    for (const Replica& replica : task.replicas)
      if (message.locations.size() < 3) message.locations.push_back(locate(task, worker_ref(replica.worker)));
  tell(number, std::move(message));
}

void State::tell_everyone(TaskNumber number) {
  bool forgotten = false;
  for (const WantEdge& want : tasks_[number].wants) {
    tell_outcome(want.holder, number);
    forgotten |= want.holder == fire_and_forget_;
  }
  if (!forgotten) return;
  if (durable() && tasks_[number].state == TaskState::stored) hold(number);  // or a restart might run it again
  remove_want(fire_and_forget_, number);
}

void State::answer(HolderNumber session, std::uint64_t request, std::string body) {
  tell(session, Answer{request, {}, std::move(body)});
}
void State::answer_failure(HolderNumber session, std::uint64_t request, Failure failure) {
  tell(session, Answer{request, {std::move(failure)}, {}});
}

}  // namespace weft::scheduler
