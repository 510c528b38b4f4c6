// Graphs: a submitted chunk is checked against what is known, then admitted whole or refused whole.
#include <algorithm>

#include "common/coverage_mark.h"
#include "scheduler/state.h"

namespace weft::scheduler {

void State::handle(HolderNumber session, const Submit& message) {
  std::shared_ptr<const Failure> refused = holders_[session].graph_refused;
  Result<void> admitted = refused ? Result<void>(*refused) : admit(session, message);
  if (!admitted) {
    refuse(session, message.sequence, admitted.error());
    if (!refused) refuse_graph(session, admitted.error());
    holders_[session].graph_refused = std::make_shared<const Failure>(admitted.error());
  }
  if (message.last) holders_[session].graph_refused.reset();
  if ((!admitted || message.last) && holders_[session].graph) {
    end_holder(holders_[session].graph);
    holders_[session].graph = 0;
  }
}

/// A later chunk was refused: what came before of the same graph and is nobody else's ends with the same cause.
void State::refuse_graph(HolderNumber session, const Failure& why) {
  HolderNumber graph = holders_[session].graph;
  if (!graph) return;
  auto cause = std::make_shared<const Failure>(why);
  std::vector<Key> keys;
  for (TaskNumber number : holders_[graph].wanted) keys.push_back(tasks_[number].key);
  std::set<TaskNumber> kept = needed_by_others(session, keys);
  for (TaskNumber number : std::vector<TaskNumber>(holders_[graph].wanted)) {
    if (!is_open(tasks_[number].state) || kept.contains(number)) continue;
    if (tasks_[number].state == TaskState::assigned) revoke(number, true);
    fail(number, cause);
  }
}

/// Whether this row says what the known task of its key is.
bool State::is_same_call(TaskNumber number, const GraphChunk& chunk, std::size_t row, const std::vector<std::uint32_t>& shapes) const {
  const Task& task = tasks_[number];
  auto arguments = chunk.arguments_of(row);
  auto [begin, end] = chunk.inputs_of(row);
  const Template& known = shapes_[task.shape].what;
  const Template& sent = shapes_[shapes[chunk.template_of[row]]].what;
  bool same = known.function == sent.function && known.shared_arguments == sent.shared_arguments &&
              std::equal(arguments.begin(), arguments.end(), task.arguments.begin(), task.arguments.end()) &&
              end - begin == task.inputs.size();
  for (std::uint32_t i = begin; same && i < end; ++i)
    same = tasks_[task.inputs[i - begin].task].key == chunk.input_key(chunk.inputs[i]);
  return same;
}

/// Refuse a chunk that contradicts what is known, before anything of it is kept.
Result<void> State::check_against_known(const GraphChunk& chunk, const std::vector<std::uint32_t>& shapes) const {
  for (const Key& key : chunk.externals)
    if (number_of(key) == KeyIndex::none)
      return failure(ErrorKind::protocol_error, "refused graph chunk: input " + key.hex() + " is not known here");
  if (index_.size() + chunk.size() > options_.tasks_max)
    return failure(ErrorKind::protocol_error, "refused graph chunk: more than " + std::to_string(options_.tasks_max) + " tasks");
  for (std::size_t row = 0; row < chunk.size(); ++row) {
    Key key = chunk.key(row);
    if (!key) return failure(ErrorKind::protocol_error, "refused graph chunk: a task has no key");
    TaskNumber number = number_of(key);
    if (number == KeyIndex::none || !key.is_named()) continue;
    if (!is_same_call(number, chunk, row, shapes))
      return failure(ErrorKind::invalid_argument, "the key of task '" + shapes_[shapes[chunk.template_of[row]]].what.label + "' (" + key.hex() +
                                                      ") already names another call; choose another key, or release the old futures first");
  }
  return {};
}

/// Whether one of these waits, by its inputs or inside its function, for the task that this session belongs to: neither would ever end.
bool State::waits_for_its_own_task(const Holder& session, std::vector<TaskNumber> tasks) const {
  if (!session.through) return false;
  std::set<TaskNumber> seen;
  while (!tasks.empty()) {
    TaskNumber number = tasks.back();
    tasks.pop_back();
    if (number == KeyIndex::none || !is_open(tasks_[number].state) || !seen.insert(number).second) continue;
    const Task& task = tasks_[number];
    for (const InputEdge& edge : task.inputs) tasks.push_back(edge.task);
    if (task.state != TaskState::assigned) continue;
    if (task.worker == session.through && task.attempt.number == session.channel) return true;
    auto own = session_of_channel_.find({task.worker, task.attempt.number});
    if (own == session_of_channel_.end()) continue;
    tasks.insert(tasks.end(), holders_[own->second].wanted.begin(), holders_[own->second].wanted.end());
  }
  return false;
}

static Failure endless_wait() {
  return failure(ErrorKind::invalid_argument, "a task would wait for itself: what it asks for needs its own result; call the function "
                                              "directly, or give the inner call other arguments");
}

/// It was refused, or forgotten with the last that wanted it.
Failure State::unknown_task(const Key& key) {
  return {.kind = ErrorKind::data_lost, .message = "the scheduler knows no task of this key; submit it first", .key = key};
}

void State::handle(HolderNumber session, const Want& message) {
  for (const Key& key : message.keys) {
    TaskNumber number = number_of(key);
    if (number == KeyIndex::none) {
      tell_failed(session, key, unknown_task(key));
      continue;
    }
    if (waits_for_its_own_task(holders_[session], {number})) {
      tell_failed(session, key, endless_wait());
      continue;
    }
    add_want(session, number);
    if (tasks_[number].state == TaskState::released) require(number);
    else tell_outcome(session, number);
  }
}

Result<void> State::admit(HolderNumber session, const Submit& message) {
  const GraphChunk& chunk = message.chunk;
  if (Result<void> good = check_chunk(chunk); !good) return good.error();
  // A name that nobody wants any more may stand for another call from here on.
  for (std::size_t row = 0; row < chunk.size(); ++row) {
    if (!chunk.key(row).is_named() || number_of(chunk.key(row)) == KeyIndex::none) continue;
    settle();
    break;
  }
  if (holders_[session].through) {
    std::vector<TaskNumber> known;
    for (const Key& key : chunk.externals) known.push_back(number_of(key));
    for (std::size_t row = 0; row < chunk.size(); ++row) known.push_back(number_of(chunk.key(row)));
    if (waits_for_its_own_task(holders_[session], std::move(known))) return endless_wait();
  }
  std::vector<std::uint32_t> shapes;
  for (const Template& shape : chunk.templates) shapes.push_back(intern_shape(shape));
  if (Result<void> good = check_against_known(chunk, shapes); !good) return good.error();

  Holder& owner = holders_[session];
  // Submissions of one burst progress together; later ones come after earlier ones.
  if (owner.generation == 0 || now_ - owner.generation_began > 100ms) {
    owner.generation = ++generations_;
    owner.generation_began = now_;
  }
  Rank base{owner.generation, 0};
  // Children run before their parent's siblings, and theirs before them: depth first, or waiting tasks would pile up.
  if (owner.through) base = {owner.parent.major, std::max<std::int64_t>(owner.parent.minor, INT64_MIN / 2) - (std::int64_t(1) << 32)};
  HolderNumber graph = owner.graph;
  if (!message.last && !graph) {
    graph = new_holder(Holder::Kind::graph);
    holders_[session].graph = graph;
  }

  GraphRows rows = add_rows(chunk, shapes, base);
  if (std::uint32_t intent = rows.fresh.empty() ? 0 : new_intent(session, message, base)) {
    intents_[intent].tasks = rows.fresh.size();
    for (TaskNumber number : rows.fresh) tasks_[number].intent = intent;
  }
  for (TaskNumber number : rows.revived)
    for (const WantEdge& want : tasks_[number].wants) tell(want.holder, TaskPending{tasks_[number].key});
  for (std::uint32_t row : chunk.wanted) {
    TaskNumber number = rows.all[row];
    add_want(session, number);
    if (tasks_[number].state == TaskState::released) require(number);
    else tell_outcome(session, number);
  }
  for (TaskNumber number : rows.revived)
    if (tasks_[number].needed()) require(number);
    else review_.push_back(number);
  for (TaskNumber number : rows.fresh) {
    if (graph) {
      add_want(graph, number);
      if (tasks_[number].state == TaskState::released) require(number);
    } else if (WEFT_MUTANT(35, !tasks_[number].needed(), false)) {
      review_.push_back(number);
    }
  }
  return {};
}

/// Make the tasks of a checked chunk that are not known yet, and open those again that were cancelled. A chunk that is read again
/// after a restart may have rows whose inputs are forgotten, which nobody needs: these are left out.
GraphRows State::add_rows(const GraphChunk& chunk, const std::vector<std::uint32_t>& shapes, Rank base) {
  GraphRows rows{.all = std::vector<TaskNumber>(chunk.size(), no_task)};
  auto source_of = [&](std::uint32_t input) {
    return input < chunk.externals.size() ? number_of(chunk.externals[input]) : rows.all[input - chunk.externals.size()];
  };
  for (std::size_t row = 0; row < chunk.size(); ++row) {
    Key key = chunk.key(row);
    TaskNumber number = number_of(key);
    auto [begin, end] = chunk.inputs_of(row);
    if (restoring_) {
      bool complete = std::all_of(chunk.inputs.begin() + begin, chunk.inputs.begin() + end,
                                  [&](std::uint32_t input) { return source_of(input) != no_task; });
      if (!complete) continue;
      if (number != KeyIndex::none && key.is_named() && !is_same_call(number, chunk, row, shapes)) {
        forget_outdated(number);
        number = KeyIndex::none;
      }
    }
    if (number == KeyIndex::none) {
      number = create(key, shapes[chunk.template_of[row]]);
      Task& task = tasks_[number];
      task.rank = {(-static_cast<std::int64_t>(shape_of(task).options.priority) << 32) + base.major,
                   (chunk.order.empty() ? static_cast<std::int64_t>(row) : chunk.order[row]) + base.minor};
      auto arguments = chunk.arguments_of(row);
      task.arguments.assign(arguments.begin(), arguments.end());
      task.inputs.reserve(end - begin);
      for (std::uint32_t i = begin; i < end; ++i) {
        TaskNumber source = source_of(chunk.inputs[i]);
        Task& made = tasks_[source];
        task.inputs.push_back({source, chunk.input_parts.empty() ? whole_value : chunk.input_parts[i],
                               static_cast<std::uint32_t>(made.dependents.size())});
        made.dependents.push_back({number, WEFT_MUTANT(36, i - begin, 0)});
      }
      show_edges(task);
      rows.fresh.push_back(number);
    } else if (tasks_[number].state == TaskState::failed && tasks_[number].failure->kind == ErrorKind::cancelled) {
      WEFT_MARK("graph: a cancelled task is asked for again");
      tasks_[number].errors = tasks_[number].losses = 0;
      tasks_[number].begun = false;
      move_to(number, TaskState::released);  // what was cancelled before may be asked for again
      WEFT_UNLESS(34) rows.revived.push_back(number);
    }
    rows.all[row] = number;
  }
  return rows;
}

}  // namespace weft::scheduler
