// How a lazy collection becomes tasks. A node is one stage over all partitions; planning asks each node once for its partitions,
// inputs first, and gives recorded calls (<weft/delayed.h>) to submit. Internal.
#pragma once

#include <functional>
#include <unordered_map>

#include <weft/delayed.h>

namespace weft::detail {

/// A result, or one part of a result, of a planned task or of a future. As an argument it stands for its value.
template <class T>
struct Piece {
  InputRef ref;
};
template <class T>
struct FutureTraits<Piece<T>> {
  static constexpr bool is_future = true;
  using value_type = T;
  static InputRef input(const Piece<T>& piece) { return piece.ref; }
};

class Plan;

/// A stage. Immutable, shared by all collections that are built on it.
struct StageNode {
  StageNode() = default;
  StageNode(const StageNode&) = delete;
  virtual ~StageNode();   // without recursion: a chain of a million stages is safe
  virtual std::shared_ptr<const void> make(Plan& plan) const = 0;
  std::vector<std::shared_ptr<const StageNode>> inputs;
};
/// A stage whose partitions are each an A: a Piece, or what a source reads from (a slice of a file, numbers, plain elements).
template <class A>
struct StageOf final : StageNode {
  using Partitions = std::shared_ptr<const std::vector<A>>;
  std::function<Partitions(Plan&)> partitions;
  std::shared_ptr<const void> make(Plan& plan) const override { return partitions(plan); }
};
template <class A>
using Stage = std::shared_ptr<const StageOf<A>>;
template <class T>
using PieceStage = Stage<Piece<T>>;

/// One translation into tasks: for one client, with options for every task.
class Plan {
 public:
  Plan(ClientPointer client, Options options) : client_(std::move(client)), options_(std::move(options)) {}

  const ClientPointer& client() const { return client_; }
  const Options& options() const { return options_; }

  /// The partitions of a stage; the same each time it is asked for.
  template <class A>
  const std::vector<A>& of(const Stage<A>& stage) {
    return *static_cast<const std::vector<A>*>(partitions(stage));
  }

  /// Add a task.
  template <class F, class... A>
  auto call(const std::string& label, F f, const A&... arguments) {
    return add<CallResult<F, A...>>(label, prepare(f, arguments...), true);
  }
  /// Add a task that must run even if an equal one ran before.
  template <class F, class... A>
  auto call_impure(const std::string& label, F f, const A&... arguments) {
    return add<CallResult<F, A...>>(label, prepare(f, arguments...), false);
  }

  /// Start what the pieces need; answers futures in their order. Pieces must be whole results.
  std::vector<FutureHandle> start(const std::vector<InputRef>& pieces) const;

 private:
  template <class R>
  Piece<R> add(const std::string& label, PreparedCall call, bool pure) {
    return {add_task(label, std::move(call), pure)};
  }
  InputRef add_task(const std::string& label, PreparedCall call, bool pure);
  const void* partitions(const std::shared_ptr<const StageNode>& root);

  ClientPointer client_;
  Options options_;
  std::unordered_map<const StageNode*, std::shared_ptr<const void>> made_;
  std::vector<std::shared_ptr<const StageNode>> asked_;   // kept, so that no other stage gets the address of one that was made
};

/// A stage from a function of the plan.
template <class A, class F>
Stage<A> make_stage(std::vector<std::shared_ptr<const StageNode>> inputs, F partitions) {
  auto stage = std::make_shared<StageOf<A>>();
  stage->inputs = std::move(inputs);
  stage->partitions = [partitions = std::move(partitions)](Plan& plan) {
    return std::make_shared<const std::vector<A>>(partitions(plan));
  };
  return stage;
}
/// A stage whose partitions are known already.
template <class A>
Stage<A> known_stage(std::vector<A> partitions) {
  auto stage = std::make_shared<StageOf<A>>();
  stage->partitions = [known = std::make_shared<const std::vector<A>>(std::move(partitions))](Plan&) { return known; };
  return stage;
}

/// A part as a task of its own, so that a client can hold it.
template <class T>
struct TakePart {
  T operator()(T part) const { return part; }
};
template <class T>
InputRef whole(Plan& plan, const Piece<T>& piece) {
  return piece.ref.part == all_parts ? piece.ref : plan.call("take_part", TakePart<T>{}, piece).ref;
}
template <class T>
Delayed<T> to_delayed(Plan& plan, const Piece<T>& piece) {
  InputRef ref = whole(plan, piece);
  auto node = static_cast<const Hold*>(ref.hold.get())->node;
  if (!node) node = static_cast<const Hold*>(plan.call("take_part", TakePart<T>{}, piece).ref.hold.get())->node;
  return Delayed<T>(node);
}

}  // namespace weft::detail
