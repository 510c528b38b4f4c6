// Planning without types: nodes in order, tasks recorded, futures out; and plain functions named inside stages.
#include <weft/bag/plan.h>

#include <weft/bag/function.h>

#include "client/images.h"
#include "common/check.h"

namespace weft::detail {

StageNode::~StageNode() {
  // As in ~DelayedNode: what dies because this one dies waits in the outermost destructor's list.
  static thread_local std::vector<std::shared_ptr<const StageNode>>* dying = nullptr;
  std::vector<std::shared_ptr<const StageNode>> mine;
  for (auto& input : inputs) (dying ? *dying : mine).push_back(std::move(input));
  if (dying) return;
  dying = &mine;
  while (!mine.empty()) {
    std::shared_ptr<const StageNode> next = std::move(mine.back());
    mine.pop_back();
    next.reset();
  }
  dying = nullptr;
}

const void* Plan::partitions(const std::shared_ptr<const StageNode>& root) {
  if (auto made = made_.find(root.get()); made != made_.end()) return made->second.get();
  asked_.push_back(root);
  // A stage is asked when its inputs are made, so asking nests no deeper than one stage's own helpers.
  std::vector<const StageNode*> open{root.get()};
  while (!open.empty()) {
    const StageNode* stage = open.back();
    if (made_.contains(stage)) {
      open.pop_back();
      continue;
    }
    std::size_t before = open.size();
    for (const auto& input : stage->inputs)
      if (!made_.contains(input.get())) open.push_back(input.get());
    if (open.size() != before) continue;
    open.pop_back();
    auto made = stage->make(*this);
    made_.emplace(stage, std::move(made));
  }
  return made_.at(root.get()).get();
}

InputRef Plan::add_task(const std::string& label, PreparedCall call, bool pure) {
  Options options = options_;
  options.key.reset();   // one name cannot name many tasks
  if (options.label.empty()) options.label = label;
  options.pure = options.pure && pure;
  DelayedPointer node = record(std::move(call), options);
  Key key = node->call.key;
  return {.key = key, .hold = hold(std::move(node))};
}

std::vector<FutureHandle> Plan::start(const std::vector<InputRef>& pieces) const {
  std::vector<FutureHandle> futures(pieces.size());
  std::vector<DelayedPointer> roots;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const Hold* hold = static_cast<const Hold*>(pieces[i].hold.get());
    WEFT_CHECK(hold && pieces[i].part == all_parts);
    if (hold->node) roots.push_back(hold->node), places.push_back(i);
    else futures[i] = hold->future;
  }
  if (roots.empty()) return futures;
  std::vector<FutureHandle> started = submit_graph(client_, roots);
  for (std::size_t i = 0; i < places.size(); ++i) futures[places[i]] = std::move(started[i]);
  return futures;
}

FunctionPlace place_of(Thunk marker, void (*function)()) {
  FunctionRef ref = function_ref(marker, function).value_or_throw();
  return {ref.thunk_image, ref.target_image, ref.thunk_offset, ref.target_offset};
}

void (*find_function(Thunk marker, const FunctionPlace& place))() {
  FunctionRef ref{.thunk_image = place.marker_image, .thunk_offset = place.marker_offset, .target_image = place.image,
                  .target_offset = place.offset};
  void (*function)() = nullptr;
  Thunk found = resolve_function(ref, &function).value_or_throw();
  if (found != marker || function == nullptr) throw ProtocolError("a stage's function is of another type than the stage");
  return function;
}

}  // namespace weft::detail
