// Templates, and the groups, queues and programs that live with them. A template stays while a task has it; the last
// `unused_templates_max` that no task has stay for the next submission of the same call.
#include <algorithm>

#include "common/coverage_mark.h"
#include "scheduler/state.h"

namespace weft::scheduler {

/// A free place of a table, or a new one at its end.
template <class T>
static std::uint32_t take_place(std::vector<T>& table, std::vector<std::uint32_t>& free) {
  if (free.empty()) {
    table.emplace_back();
    return static_cast<std::uint32_t>(table.size() - 1);
  }
  std::uint32_t number = free.back();
  free.pop_back();
  return number;
}

/// The number of a template. It is safe until the end of the step, with or without tasks.
std::uint32_t State::intern_shape(const Template& shape) {
  const TaskOptions& o = shape.options;
  KeyHasher options_hash;
  options_hash.add(std::uint64_t(o.cores)).add(std::uint64_t(o.workers_strict)).add(std::uint64_t(shape.function.kernel != 0));
  for (const auto& [name, amount] : o.resources) options_hash.add(name).add(std::as_bytes(std::span(&amount, 1)));
  for (const std::string& worker : o.workers) options_hash.add("worker").add(worker);
  Key signature = options_hash.finish();
  Key hash = KeyHasher()
                 .add(signature).add(shape.label).add(shape.function.thunk_image).add(shape.function.thunk_offset)
                 .add(shape.function.target_offset).add(shape.shared_arguments).finish();
  for (auto [same, end] = shapes_by_hash_.equal_range(hash); same != end; ++same)
    if (shapes_[same->second].what == shape) return same->second;
  std::uint32_t number = take_place(shapes_, free_shapes_);
  shapes_[number] = Shape{.what = shape, .hash = hash, .group = group_for(shape.label), .queue = queue_for(signature),
                          .serial = ++shape_serials_, .unused = true};
  unused_shapes_.push_back(number);
  shapes_by_hash_.emplace(hash, number);
  if (auto program = programs_.find(shape.function.program); program != programs_.end()) ++program->second.shapes;
  return number;
}

std::uint32_t State::group_for(const std::string& label) {
  auto [place, is_new] = group_by_label_.try_emplace(label, 0);
  if (is_new) {
    place->second = take_place(groups_, free_groups_);
    groups_[place->second] = Group{.label = label, .born = now_, .number = group_numbers_++};
  }
  ++groups_[place->second].shapes;
  return place->second;
}

std::uint32_t State::queue_for(const Key& signature) {
  auto [place, is_new] = queue_by_signature_.try_emplace(signature, 0);
  if (is_new) {
    place->second = take_place(queues_, free_queues_);
    bool busy = queues_[place->second].busy;
    queues_[place->second] = Queue{.signature = signature, .busy = busy};
  }
  ++queues_[place->second].shapes;
  return place->second;
}

/// A task of this template is forgotten.
void State::leave_shape(std::uint32_t number) {
  Shape& shape = shapes_[number];
  if (WEFT_MUTANT(65, --shape.tasks, shape.tasks) > 0 || WEFT_MUTANT(69, shape.unused, false)) return;
  shape.unused = true;
  WEFT_UNLESS(68) unused_shapes_.push_back(number);
}

/// The oldest of those that no task has go, and with the last of a label or signature its group or queue.
void State::free_unused_shapes() {
  while (unused_shapes_.size() > options_.unused_templates_max) {
    std::uint32_t number = unused_shapes_.front();
    unused_shapes_.pop_front();
    Shape& shape = shapes_[number];
    shape.unused = false;
    if (WEFT_MUTANT(81, shape.tasks > 0, false)) continue;
    auto [same, end] = shapes_by_hash_.equal_range(shape.hash);
    shapes_by_hash_.erase(std::find_if(same, end, [&](const auto& entry) { return entry.second == number; }));
    if (Group& group = groups_[shape.group]; --group.shapes == 0) {
      group_by_label_.erase(group.label);
      group = {};
      free_groups_.push_back(shape.group);
    }
    if (Queue& queue = queues_[shape.queue]; --queue.shapes == 0) {
      WEFT_CHECK(queue.kept == 0);
      queue_by_signature_.erase(queue.signature);
      queue = Queue{.busy = queue.busy};
      free_queues_.push_back(shape.queue);
    }
    Key program = shape.what.function.program;
    shape = {};
    free_shapes_.push_back(number);
    if (auto known = programs_.find(program); known != programs_.end()) {
      if (known->second.shapes > 0) --known->second.shapes;
      leave_program(program);
    }
  }
}

void State::leave_program(const Key& program) {
  auto known = programs_.find(program);
  if (known->second.shapes > 0 || !known->second.owners.empty()) return;
  if (durable()) persist(Erased{{RowKind::program, program.high, program.low}});
  programs_.erase(known);
}

void State::handle(HolderNumber session, const AnnounceProgram& message) { add_program(message, holders_[session].session); }

void State::add_program(const AnnounceProgram& message, SessionId owner) {
  auto [program, is_new] = programs_.try_emplace(message.program);
  if (durable() && (is_new || program->second.files != message.files)) persist(StoredProgram{message, owner});
  program->second.files = message.files;
  program->second.owners.insert(owner);
  if (is_new)  // its templates may have come first
    for (const Shape& shape : shapes_) program->second.shapes += shape.hash && shape.what.function.program == message.program;
  for (const Key& key : message.file_keys) file_owners_.emplace(key, owner);
}

/// After a restart: sessions that ended before it own nothing.
void State::end_programs_of_strangers() {
  std::set<SessionId> strangers;
  for (const auto& [key, program] : programs_)
    for (SessionId owner : program.owners)
      if (!sessions_.contains(owner)) strangers.insert(owner);
  for (SessionId stranger : strangers) end_programs_of(stranger);
}

void State::end_programs_of(SessionId session) {
  std::erase_if(file_owners_, [&](const auto& owner) { return owner.second == session; });
  std::vector<Key> left;
  for (auto& [key, program] : programs_)
    if (program.owners.erase(session)) left.push_back(key);
  for (const Key& key : left) leave_program(key);
}

void State::note_transition(const Task& task, TaskState from, TaskState to) {
  show_transition(task, from, to);
  if (options_.story_max == 0) return;
  if (story_.size() >= options_.story_max) story_.pop_front();
  story_.push_back({now_, task.key, shapes_[task.shape].group, from, to, task.worker, task.attempt, nullptr});
}

/// Why a task has just left its worker, or failed.
void State::note_why(TaskNumber number, std::shared_ptr<const std::string> why) {
  for (auto step = story_.rbegin(); step != story_.rend() && step->key == tasks_[number].key; ++step) {
    if (step->from != TaskState::assigned && step->to != TaskState::failed) continue;
    step->why = std::move(why);
    return;
  }
}

}  // namespace weft::scheduler
