// By-key operations: each partition combines its elements by key in a table and stores one value of R parts; reducer i takes part
// i of each, in order, so what a key becomes depends neither on R nor on which task was quick. Internal.
//
// An aggregator says `key`, `state`, `element`; key_of(x), first(x), add(state, x), merge(state, state), make(key, state).
#pragma once

#include <algorithm>
#include <variant>

#include <weft/bag/reduce.h>
#include <weft/bag/table.h>

namespace weft {

/// How by-key operations are cut.
struct ByKey {
  /// Partitions of the result. Default 0: as many as the bag has, at most 64.
  std::size_t split_out = 0;
  /// How many partials one task merges. Default 0: 8 when `split_out` is 1 (a tree), else 1024.
  std::size_t split_every = 0;
};

namespace detail {

template <class Aggregator>
using TableOf = Table<typename Aggregator::key, typename Aggregator::state>;
template <class Aggregator>
using BatchOf = Batch<typename Aggregator::key, typename Aggregator::state>;

template <class Aggregator>
struct ShuffleSink {
  Aggregator aggregator;
  std::uint64_t parts = 1;
  using result = Parts<BatchOf<Aggregator>>;
  struct State {
    const Aggregator& aggregator;
    std::uint64_t parts;
    TableOf<Aggregator> table = {};
    template <class X>
    void push(X&& x) {
      table.put(aggregator.key_of(x), [&] { return aggregator.first(std::forward<X>(x)); },
                [&](auto& state) { aggregator.add(state, std::forward<X>(x)); });
    }
    bool full() const { return false; }
    result take() && {
      result batches(parts);
      table.drain([&](std::uint64_t hash, auto&& key, auto&& state) {
        batches[part_of(hash, parts)].add(std::forward<decltype(key)>(key), std::move(state));
      });
      return batches;
    }
  };
  State begin() const { return {aggregator, parts}; }
};

template <class Aggregator>
TableOf<Aggregator> merge_batches(std::vector<BatchOf<Aggregator>> batches, const Aggregator& aggregator) {
  TableOf<Aggregator> table;
  for (auto& batch : batches)
    batch.drain([&](auto&& key, auto&& state) {
      table.put(std::forward<decltype(key)>(key), [&] { return std::move(state); },
                [&](auto& into) { aggregator.merge(into, std::move(state)); });
    });
  return table;
}
template <class Aggregator>
struct MergeBatches {
  BatchOf<Aggregator> operator()(std::vector<BatchOf<Aggregator>> batches, Aggregator aggregator) const {
    BatchOf<Aggregator> merged;
    merge_batches(std::move(batches), aggregator).drain([&](std::uint64_t, auto&& key, auto&& state) {
      merged.add(std::forward<decltype(key)>(key), std::move(state));
    });
    return merged;
  }
};
template <class Aggregator>
struct FinishBatches {
  using element = typename Aggregator::element;
  std::vector<element> operator()(std::vector<BatchOf<Aggregator>> batches, Aggregator aggregator) const {
    std::vector<element> elements;
    auto table = merge_batches(std::move(batches), aggregator);
    elements.reserve(table.size());
    table.drain([&](std::uint64_t, auto&& key, auto&& state) {
      elements.push_back(aggregator.make(std::forward<decltype(key)>(key), std::move(state)));
    });
    return elements;
  }
};

inline std::size_t reducers_of(const ByKey& options, std::size_t partitions) {
  if (options.split_out != 0) return options.split_out;
  return std::clamp<std::size_t>(partitions, 1, 64);
}

/// Part i of every result.
template <class T>
std::vector<Piece<T>> part_pieces(const std::vector<Piece<Parts<T>>>& results, std::size_t part) {
  std::vector<Piece<T>> pieces;
  for (const auto& result : results) {
    pieces.push_back({result.ref});
    pieces.back().ref.part = static_cast<std::uint32_t>(part);
  }
  return pieces;
}

template <class Aggregator>
std::vector<Piece<std::vector<typename Aggregator::element>>> exchange(Plan& plan, const std::string& name, const ByKey& options,
                                                                       std::size_t reducers,
                                                                       const std::vector<Piece<Parts<BatchOf<Aggregator>>>>& results,
                                                                       const Aggregator& aggregator) {
  std::size_t fan_in = options.split_every != 0 ? std::max<std::size_t>(2, options.split_every) : reducers == 1 ? tree_fan_in : 1024;
  std::vector<Piece<std::vector<typename Aggregator::element>>> made;
  for (std::size_t i = 0; i < reducers; ++i) {
    auto last = merge_tree(part_pieces(results, i), fan_in, [&](const auto& few) {
      return plan.call(name + "-merge", MergeBatches<Aggregator>{}, few, aggregator);
    });
    made.push_back(plan.call(name + "-reduce", FinishBatches<Aggregator>{}, last, aggregator));
  }
  return made;
}

// --- Aggregators ---

/// Keys are what was pushed, even if it is a view.
template <class T>
struct FrequencyAggregator {
  using key = T;
  using state = std::uint64_t;
  using element = std::pair<T, std::uint64_t>;
  template <class X>
  const X& key_of(const X& x) const {
    return x;
  }
  template <class X>
  state first(X&&) const {
    return 1;
  }
  template <class X>
  void add(state& count, X&&) const {
    ++count;
  }
  void merge(state& into, state&& other) const { into += other; }
  template <class Q>
  element make(Q&& key, state&& count) const {
    return element(std::forward<Q>(key), count);
  }
};

template <class T>
struct DistinctAggregator {
  using key = T;
  using state = std::monostate;
  using element = T;
  template <class X>
  const X& key_of(const X& x) const {
    return x;
  }
  template <class X>
  state first(X&&) const {
    return {};
  }
  template <class X>
  void add(state&, X&&) const {}
  void merge(state&, state&&) const {}
  template <class Q>
  element make(Q&& key, state&&) const {
    return element(std::forward<Q>(key));
  }
};

template <class K, class V, class F>
struct ReduceAggregator {
  Fn<F> f;
  using key = K;
  using state = V;
  using element = std::pair<K, V>;
  template <class X>
  const auto& key_of(const X& x) const {
    return x.first;
  }
  template <class X>
  state first(X&& x) const {
    return V(std::forward<X>(x).second);
  }
  template <class X>
  void add(state& into, X&& x) const {
    into = f(std::move(into), V(std::forward<X>(x).second));
  }
  void merge(state& into, state&& other) const { into = f(std::move(into), std::move(other)); }
  template <class Q>
  element make(Q&& key, state&& value) const {
    return element(std::forward<Q>(key), std::move(value));
  }
};

/// What a key function makes of an element; a view of text stays one only for this call.
template <class KeyOf, class T>
using KeyFrom = stored_element<std::invoke_result_t<const Fn<KeyOf>&, const T&>>;

template <class T, class KeyOf, class A, class Add, class Combine>
struct FoldAggregator {
  Fn<KeyOf> key_function;
  FoldReducer<A, Add, Combine> fold;
  using key = KeyFrom<KeyOf, T>;
  using state = A;
  using element = std::pair<key, A>;
  decltype(auto) key_of(const T& x) const { return key_function(x); }
  state first(const T& x) const { return fold.binop(A(fold.initial), x); }
  void add(state& into, const T& x) const { into = fold.binop(std::move(into), x); }
  void merge(state& into, state&& other) const { fold.merge(into, std::move(other)); }
  template <class Q>
  element make(Q&& key, state&& value) const {
    return element(std::forward<Q>(key), std::move(value));
  }
};

template <class T, class KeyOf>
struct GroupAggregator {
  Fn<KeyOf> key_function;
  using key = KeyFrom<KeyOf, T>;
  using state = std::vector<T>;
  using element = std::pair<key, std::vector<T>>;
  decltype(auto) key_of(const T& x) const { return key_function(x); }
  template <class X>
  state first(X&& x) const {
    state group;
    group.emplace_back(std::forward<X>(x));
    return group;
  }
  template <class X>
  void add(state& group, X&& x) const {
    group.emplace_back(std::forward<X>(x));
  }
  void merge(state& into, state&& other) const {
    into.insert(into.end(), std::make_move_iterator(other.begin()), std::make_move_iterator(other.end()));
  }
  template <class Q>
  element make(Q&& key, state&& group) const {
    return element(std::forward<Q>(key), std::move(group));
  }
};

/// Keeps the first element of each key.
template <class T, class KeyOf>
struct FirstAggregator {
  Fn<KeyOf> key_function;
  using key = KeyFrom<KeyOf, T>;
  using state = T;
  using element = T;
  decltype(auto) key_of(const T& x) const { return key_function(x); }
  template <class X>
  state first(X&& x) const {
    return T(std::forward<X>(x));
  }
  template <class X>
  void add(state&, X&&) const {}
  void merge(state&, state&&) const {}
  template <class Q>
  element make(Q&&, state&& x) const {
    return std::move(x);
  }
};

// --- Join: both sides are dealt out by key, then reducer i joins its parts ---

template <class T, class KeyOf>
struct DealSink {
  Fn<KeyOf> key_function;
  std::uint64_t parts = 1;
  using result = Parts<std::vector<T>>;
  struct State {
    const Fn<KeyOf>& key_function;
    result dealt;
    template <class X>
    void push(X&& x) {
      if constexpr (!std::is_same_v<std::remove_cvref_t<X>, T>) {
        push(T(std::forward<X>(x)));
      } else {
        std::uint64_t hash = hash_key(static_cast<const KeyFrom<KeyOf, T>&>(KeyFrom<KeyOf, T>(key_function(std::as_const(x)))));
        dealt[part_of(hash, dealt.size())].push_back(std::forward<X>(x));
      }
    }
    bool full() const { return false; }
    result take() && { return std::move(dealt); }
  };
  State begin() const { return {key_function, result(parts)}; }
};

template <class T, class U, class LeftKey, class RightKey>
struct JoinParts {
  using element = std::pair<T, U>;
  std::vector<element> operator()(std::vector<std::vector<T>> left, std::vector<std::vector<U>> right, Fn<LeftKey> left_key,
                                  Fn<RightKey> right_key) const {
    Table<KeyFrom<RightKey, U>, std::vector<const U*>> table;
    for (const auto& rights : right)
      for (const U& x : rights)
        table.put(right_key(x), [&] { return std::vector<const U*>{&x}; }, [&](auto& matches) { matches.push_back(&x); });
    std::vector<element> joined;
    for (const auto& lefts : left)
      for (const T& x : lefts)
        if (auto* matches = table.find(left_key(x)))
          for (const U* match : *matches) joined.emplace_back(x, *match);
    return joined;
  }
};

}  // namespace detail
}  // namespace weft
