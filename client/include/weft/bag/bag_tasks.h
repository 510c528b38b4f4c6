// Stages of bags as a whole: how two bags come together, partitions are recut, and results are gathered. Internal, but for Item.
#pragma once

#include <algorithm>
#include <initializer_list>

#include <weft/bag/by_key.h>

namespace weft {

template <class T, class Pipe>
class Bag;

/// One lazy value: what a bag is reduced to.
template <class T>
class Item {
 public:
  using result_type = T;
  Item(detail::PieceStage<T> stage) : stage_(std::move(stage)) {}

  /// Run what it needs and wait for it. `options` hold for every task (`key` is ignored).
  T compute(Client& client, const Options& options = {}) const { return persist(client, options).result(); }
  /// Start it and return the future.
  Future<T> persist(Client& client, const Options& options = {}) const {
    detail::Plan plan(client.core(), options);
    return Future<T>(start(plan)[0]);
  }
  /// As a lazy value, to go on with <weft/delayed.h>.
  Delayed<T> to_delayed(Client& client, const Options& options = {}) const {
    detail::Plan plan(client.core(), options);
    return detail::to_delayed(plan, plan.of(stage_)[0]);
  }

  std::vector<detail::FutureHandle> start(detail::Plan& plan) const { return plan.start({plan.of(stage_)[0].ref}); }
  static T gather(const std::vector<detail::FutureHandle>& futures) { return Future<T>(futures[0]).result(); }

 private:
  detail::PieceStage<T> stage_;
};

namespace detail {

template <class L>
concept LazyResult = requires(const L& lazy, Plan& plan) {
  typename L::result_type;
  { lazy.start(plan) } -> std::same_as<std::vector<FutureHandle>>;
};

template <class T>
struct Identity {
  const T& operator()(const T& x) const { return x; }
};

/// Elements that travel with the graph.
template <class T>
struct GivenSource : StoredSource<T> {
  static std::string name() { return "from_sequence"; }
};
/// What the partitions of a source are while the graph is built.
template <class Source>
struct PartitionOf {
  using type = typename Source::argument;
};
template <class T>
struct PartitionOf<StoredSource<T>> {
  using type = Piece<std::vector<T>>;
};

/// How many partitions `size` elements get.
inline std::size_t partitions_for(std::size_t size, std::size_t wanted) {
  if (wanted != 0) return wanted;
  return std::clamp<std::size_t>(size, 1, 100);
}

template <class T>
std::vector<InputRef> whole_pieces(Plan& plan, const std::vector<Piece<T>>& pieces) {
  std::vector<InputRef> refs;
  for (const auto& piece : pieces) refs.push_back(whole(plan, piece));
  return refs;
}

/// The values of futures, fetched side by side.
template <class T>
std::vector<T> results_of(const std::vector<FutureHandle>& handles) {
  return gather(std::vector<Future<T>>(handles.begin(), handles.end()));
}
template <class T>
std::vector<T> gather_bag(const std::vector<FutureHandle>& handles) {
  auto partitions = results_of<std::vector<T>>(handles);
  if (partitions.size() == 1) return std::move(partitions[0]);
  std::vector<T> all;
  std::size_t size = 0;
  for (const auto& partition : partitions) size += partition.size();
  all.reserve(size);
  for (auto& partition : partitions)
    all.insert(all.end(), std::make_move_iterator(partition.begin()), std::make_move_iterator(partition.end()));
  return all;
}

/// Pieces that are futures, or lazy values.
template <class T, class Sources>
PieceStage<T> input_stage(const Sources& sources) {
  std::vector<Piece<T>> pieces;
  for (const auto& source : sources) pieces.push_back({FutureTraits<typename Sources::value_type>::input(source)});
  return known_stage(std::move(pieces));
}
template <class T>
PieceStage<T> future_stage(const std::vector<FutureHandle>& handles) {
  std::vector<Piece<T>> pieces;
  for (const FutureHandle& handle : handles)
    pieces.push_back({InputRef{.key = handle.key(), .hold = hold(handle)}});
  return known_stage(std::move(pieces));
}

template <class B, class Aggregator>
PieceStage<std::vector<typename Aggregator::element>> by_key_stage(const B& bag, const std::string& name, ByKey options,
                                                                   Aggregator aggregator) {
  using Element = typename Aggregator::element;
  return make_stage<Piece<std::vector<Element>>>({bag.source()}, [bag, name, options, aggregator](Plan& plan) {
    std::size_t reducers = reducers_of(options, plan.of(bag.source()).size());
    auto parts = bag.run([&](std::size_t, std::size_t) { return ShuffleSink<Aggregator>{aggregator, reducers}; }, name);
    return exchange(plan, name, options, reducers, plan.of(parts), aggregator);
  });
}

template <class A, class B, class LeftKey, class RightKey>
auto join_stage(const A& left, const B& right, Fn<LeftKey> left_key, Fn<RightKey> right_key, ByKey options) {
  using T = typename A::value_type;
  using U = typename B::value_type;
  static_assert(std::is_same_v<KeyFrom<LeftKey, T>, KeyFrom<RightKey, U>>, "weft: join's two keys must be of one type");
  return make_stage<Piece<std::vector<std::pair<T, U>>>>({left.source(), right.source()}, [=](Plan& plan) {
    std::size_t reducers = reducers_of(options, std::max(plan.of(left.source()).size(), plan.of(right.source()).size()));
    auto lefts = left.run([&](std::size_t, std::size_t) { return DealSink<T, LeftKey>{left_key, reducers}; }, "join-left");
    auto rights = right.run([&](std::size_t, std::size_t) { return DealSink<U, RightKey>{right_key, reducers}; }, "join-right");
    std::vector<Piece<std::vector<std::pair<T, U>>>> joined;
    for (std::size_t i = 0; i < reducers; ++i)
      joined.push_back(plan.call("join", JoinParts<T, U, LeftKey, RightKey>{}, part_pieces(plan.of(lefts), i),
                                 part_pieces(plan.of(rights), i), left_key, right_key));
    return joined;
  });
}

template <class T, class U>
struct ProductOf {
  std::vector<std::pair<T, U>> operator()(std::vector<T> left, std::vector<U> right) const {
    std::vector<std::pair<T, U>> pairs;
    pairs.reserve(left.size() * right.size());
    for (const T& x : left)
      for (const U& y : right) pairs.emplace_back(x, y);
    return pairs;
  }
};
template <class T, class U>
PieceStage<std::vector<std::pair<T, U>>> product_stage(PieceStage<std::vector<T>> left, PieceStage<std::vector<U>> right) {
  return make_stage<Piece<std::vector<std::pair<T, U>>>>({left, right}, [left, right](Plan& plan) {
    std::vector<Piece<std::vector<std::pair<T, U>>>> pieces;
    for (const auto& x : plan.of(left))
      for (const auto& y : plan.of(right)) pieces.push_back(plan.call("product", ProductOf<T, U>{}, x, y));
    return pieces;
  });
}

template <class T, class U>
struct ZipOf {
  std::vector<std::pair<T, U>> operator()(std::vector<T> left, std::vector<U> right) const {
    if (left.size() != right.size())
      throw InvalidArgument("zip: a partition has " + std::to_string(left.size()) + " elements in one bag and " +
                            std::to_string(right.size()) + " in the other; zip needs bags that are cut alike");
    std::vector<std::pair<T, U>> pairs;
    pairs.reserve(left.size());
    for (std::size_t i = 0; i < left.size(); ++i) pairs.emplace_back(std::move(left[i]), std::move(right[i]));
    return pairs;
  }
};
template <class T, class U>
PieceStage<std::vector<std::pair<T, U>>> zip_stage(PieceStage<std::vector<T>> left, PieceStage<std::vector<U>> right) {
  return make_stage<Piece<std::vector<std::pair<T, U>>>>({left, right}, [left, right](Plan& plan) {
    const auto& xs = plan.of(left);
    const auto& ys = plan.of(right);
    if (xs.size() != ys.size())
      throw InvalidArgument("zip: one bag has " + std::to_string(xs.size()) + " partitions, the other " + std::to_string(ys.size()) +
                            "; zip needs bags that are cut alike");
    std::vector<Piece<std::vector<std::pair<T, U>>>> pieces;
    for (std::size_t i = 0; i < xs.size(); ++i) pieces.push_back(plan.call("zip", ZipOf<T, U>{}, xs[i], ys[i]));
    return pieces;
  });
}

template <class T>
PieceStage<std::vector<T>> concat_stage(PieceStage<std::vector<T>> first, PieceStage<std::vector<T>> second) {
  return make_stage<Piece<std::vector<T>>>({first, second}, [first, second](Plan& plan) {
    std::vector<Piece<std::vector<T>>> pieces = plan.of(first);
    const auto& more = plan.of(second);
    pieces.insert(pieces.end(), more.begin(), more.end());
    return pieces;
  });
}

/// Running values of one partition; part 1 holds the last one, so that the next partition takes it alone.
template <class T, class A, class F>
struct AccumulatePartition {
  Parts<std::vector<A>> operator()(std::vector<T> elements, std::vector<A> before, Fn<F> binop) const {
    Parts<std::vector<A>> parts(2);
    parts[0].reserve(elements.size());
    A value = std::move(before.at(0));
    for (auto&& x : elements) parts[0].push_back(value = binop(std::move(value), T(std::move(x))));
    parts[1].push_back(std::move(value));
    return parts;
  }
};
template <class T, class F, class A>
PieceStage<std::vector<A>> accumulate_stage(PieceStage<std::vector<T>> elements, Fn<F> binop, A initial) {
  return make_stage<Piece<std::vector<A>>>({elements}, [=](Plan& plan) {
    std::vector<Piece<std::vector<A>>> pieces;
    Piece<std::vector<A>> last;
    for (const auto& partition : plan.of(elements)) {
      AccumulatePartition<T, A, F> f;
      auto parts = pieces.empty() ? plan.call("accumulate", f, partition, std::vector<A>{initial}, binop)
                                  : plan.call("accumulate", f, partition, last, binop);
      pieces.push_back(part_pieces(std::vector{parts}, 0)[0]);
      last = part_pieces(std::vector{parts}, 1)[0];
    }
    return pieces;
  });
}

template <class T>
struct JoinPartitions {
  std::vector<T> operator()(std::vector<std::vector<T>> partitions) const {
    std::vector<T> all;
    for (auto& partition : partitions)
      all.insert(all.end(), std::make_move_iterator(partition.begin()), std::make_move_iterator(partition.end()));
    return all;
  }
};
template <class B>
auto repartition_stage(const B& bag, std::size_t wanted) {
  using T = typename B::value_type;
  if (wanted == 0) throw InvalidArgument("a bag has at least 1 partition");
  return make_stage<Piece<std::vector<T>>>({bag.source()}, [bag, wanted](Plan& plan) {
    std::size_t have = plan.of(bag.source()).size();
    std::vector<Piece<std::vector<T>>> pieces;
    auto share = [](std::size_t number, std::size_t of, std::size_t among) { return of * number / among; };
    if (wanted >= have) {
      if (have == 0) return pieces;
      auto cut = bag.run([&](std::size_t i, std::size_t n) { return SplitSink<T>{share(i + 1, wanted, n) - share(i, wanted, n)}; },
                         "repartition");
      for (std::size_t i = 0; i < have; ++i)
        for (std::size_t part = 0; part < share(i + 1, wanted, have) - share(i, wanted, have); ++part)
          pieces.push_back(part_pieces(std::vector{plan.of(cut)[i]}, part)[0]);
    } else {
      const auto stored = bag.stored();
      const auto& all = plan.of(stored);
      for (std::size_t i = 0; i < wanted; ++i)
        pieces.push_back(plan.call("repartition", JoinPartitions<T>{},
                                   std::vector(all.begin() + share(i, have, wanted), all.begin() + share(i + 1, have, wanted))));
    }
    return pieces;
  });
}

template <class B>
auto take_first(const B& bag, Client& client, std::size_t n, const Options& options) {
  using T = typename B::value_type;
  Plan plan(client.core(), options);
  std::size_t have = plan.of(bag.source()).size();
  std::vector<T> taken;
  for (std::size_t begin = 0, batch = 1; begin < have && taken.size() < n; begin += batch, batch *= 4) {
    std::size_t end = std::min(have, begin + batch);
    auto firsts = bag.run([&](std::size_t, std::size_t) { return TakeSink<T>{n - taken.size()}; }, "take");
    const auto& pieces = plan.of(firsts);
    std::vector<InputRef> looked;
    for (std::size_t i = begin; i < end; ++i) looked.push_back(pieces[i].ref);
    for (auto&& x : gather_bag<T>(plan.start(looked)))
      if (taken.size() < n) taken.push_back(std::move(x));
  }
  return taken;
}

template <class B>
std::vector<std::string> write_files(const B& bag, Client& client, const std::string& pattern, const Options& options) {
  if (pattern.empty()) throw InvalidArgument("to_textfiles needs a path: a folder, or a pattern such as \"out/part-*.txt\"");
  // Equal writes are not done once: somebody may have removed the files.
  Options every = options;
  every.pure = false;
  std::string path = absolute_path(pattern);
  Plan plan(client.core(), every);
  auto written = bag.run([&](std::size_t i, std::size_t n) { return WriteSink{numbered_path(path, i, n)}; }, "to_textfiles");
  return results_of<std::string>(plan.start(whole_pieces(plan, plan.of(written))));
}

}  // namespace detail
}  // namespace weft
