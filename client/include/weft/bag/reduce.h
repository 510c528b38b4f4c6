// Reductions: each partition becomes a partial, partials are merged as a tree of fixed shape, so a result depends on nothing but
// the partitioning. Internal.
//
// A reducer says `state` (while one partition is read), `partial` (what travels), `result`; start, add, partial_of, merge, finish.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <optional>

#include <weft/bag/pipeline.h>
#include <weft/bag/plan.h>

namespace weft::detail {

template <class Reducer>
struct ReduceSink {
  Reducer reducer;
  using result = typename Reducer::partial;
  struct State {
    const Reducer& reducer;
    typename Reducer::state state;
    template <class X>
    void push(X&& x) {
      reducer.add(state, std::forward<X>(x));
    }
    bool full() const { return false; }
    result take() && { return reducer.partial_of(std::move(state)); }
  };
  State begin() const { return {reducer, reducer.start()}; }
};

template <class Reducer>
struct MergePartials {
  typename Reducer::partial operator()(std::vector<typename Reducer::partial> partials, Reducer reducer) const {
    if (partials.empty()) return reducer.partial_of(reducer.start());
    typename Reducer::partial merged = std::move(partials[0]);
    for (std::size_t i = 1; i < partials.size(); ++i) reducer.merge(merged, std::move(partials[i]));
    return merged;
  }
};
template <class Reducer>
struct FinishPartials {
  typename Reducer::result operator()(std::vector<typename Reducer::partial> partials, Reducer reducer) const {
    return reducer.finish(MergePartials<Reducer>{}(std::move(partials), reducer));
  }
};

inline constexpr std::size_t tree_fan_in = 8;   // as Dask's split_every

/// Merge neighbours until at most `fan_in` are left.
template <class T, class Merge>
std::vector<Piece<T>> merge_tree(std::vector<Piece<T>> pieces, std::size_t fan_in, Merge&& merge) {
  while (pieces.size() > fan_in) {
    std::vector<Piece<T>> merged;
    for (std::size_t at = 0; at < pieces.size(); at += fan_in) {
      std::size_t end = std::min(pieces.size(), at + fan_in);
      merged.push_back(merge(std::vector<Piece<T>>(pieces.begin() + at, pieces.begin() + end)));
    }
    pieces = std::move(merged);
  }
  return pieces;
}

template <class Reducer>
Piece<typename Reducer::result> reduce_pieces(Plan& plan, const std::string& name,
                                              const std::vector<Piece<typename Reducer::partial>>& pieces, const Reducer& reducer) {
  auto last = merge_tree(pieces, tree_fan_in, [&](const auto& few) {
    return plan.call(name + "-merge", MergePartials<Reducer>{}, few, reducer);
  });
  return plan.call(name + "-finish", FinishPartials<Reducer>{}, last, reducer);
}

// --- Reducers ---

struct CountReducer {
  using state = std::uint64_t;
  using partial = std::uint64_t;
  using result = std::uint64_t;
  state start() const { return 0; }
  template <class X>
  void add(state& count, X&&) const {
    ++count;
  }
  partial partial_of(state&& count) const { return count; }
  void merge(partial& into, partial&& other) const { into += other; }
  result finish(partial&& count) const { return count; }
};

/// Adds up pairwise while numbers stream by: partial sums of 2^k blocks, one for each bit of the count of blocks.
///
/// Source: pairwise summation, Higham (1993), SIAM J. Sci. Comput. 14(4); the error grows with log n instead of n.
template <class N>
class PairwiseSum {
 public:
  void add(N number) {
    block_ += number;
    if (++in_block_ == 64) carry();
  }
  N total() const {
    N sum = block_;
    for (int level = 0; level < 64; ++level)
      if (blocks_ >> level & 1) sum += levels_[level];
    return sum;
  }

 private:
  void carry() {
    int level = 0;
    for (; blocks_ >> level & 1; ++level) block_ = levels_[level] + block_;
    levels_[level] = block_;
    ++blocks_;
    block_ = 0;
    in_block_ = 0;
  }
  N block_ = 0, levels_[64] = {};
  std::uint64_t blocks_ = 0;
  int in_block_ = 0;
};
/// Exact; wraps beyond 64 bits.
class IntegerSum {
 public:
  void add(std::uint64_t number) { sum_ += number; }
  std::uint64_t total() const { return sum_; }

 private:
  std::uint64_t sum_ = 0;
};
/// What a sum of T is: 64 bits of its signedness, or double (long double stays).
template <class T>
using SumOf = std::conditional_t<std::is_integral_v<T>, std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>,
                                 std::conditional_t<std::is_same_v<T, long double>, long double, double>>;

template <class T>
struct SumReducer {
  using result = SumOf<T>;
  using partial = result;
  using state = std::conditional_t<std::is_integral_v<T>, IntegerSum, PairwiseSum<result>>;
  state start() const { return {}; }
  void add(state& sum, T number) const {
    if constexpr (std::is_integral_v<T>) sum.add(static_cast<std::uint64_t>(number));
    else sum.add(number);
  }
  partial partial_of(state&& sum) const { return static_cast<partial>(sum.total()); }
  void merge(partial& into, partial&& other) const {
    if constexpr (std::is_integral_v<T>) into = static_cast<partial>(static_cast<std::uint64_t>(into) + static_cast<std::uint64_t>(other));
    else into += other;
  }
  result finish(partial&& sum) const { return sum; }
};

/// Keeps the element that comes first in an order; of equal ones, the first.
template <class T, bool Largest>
struct ExtremeReducer {
  using state = std::optional<T>;
  using partial = std::optional<T>;
  using result = T;
  state start() const { return {}; }
  template <class X>
  void add(state& best, X&& x) const {
    if (!best || (Largest ? *best < x : x < *best)) best.emplace(std::forward<X>(x));
  }
  partial partial_of(state&& best) const { return std::move(best); }
  void merge(partial& into, partial&& other) const {
    if (other) add(into, std::move(*other));
  }
  result finish(partial&& best) const {
    if (!best) throw InvalidArgument(Largest ? "max: the bag is empty" : "min: the bag is empty");
    return std::move(*best);
  }
};

/// Count, mean and sum of squared distances from the mean.
struct Moments {
  std::uint64_t count = 0;
  double mean = 0, squares = 0;

  /// Source: Chan, Golub, LeVeque (1979), updating formulae for sample variances.
  void merge(const Moments& other) {
    if (other.count == 0) return;
    if (count == 0) {
      *this = other;
      return;
    }
    double all = static_cast<double>(count + other.count), delta = other.mean - mean;
    mean += delta * (static_cast<double>(other.count) / all);
    squares += other.squares + delta * delta * (static_cast<double>(count) * static_cast<double>(other.count) / all);
    count += other.count;
  }
};
/// Two passes over small blocks, merged: as exact as two passes over all.
class MomentsState {
 public:
  void add(double number) {
    block_[filled_++] = number;
    if (filled_ == std::size(block_)) flush();
  }
  Moments take() {
    flush();
    return all_;
  }

 private:
  void flush() {
    if (filled_ == 0) return;
    Moments block{filled_, 0, 0};
    double sum = 0;
    for (std::size_t i = 0; i < filled_; ++i) sum += block_[i];
    block.mean = sum / static_cast<double>(filled_);
    for (std::size_t i = 0; i < filled_; ++i) block.squares += (block_[i] - block.mean) * (block_[i] - block.mean);
    all_.merge(block);
    filled_ = 0;
  }
  Moments all_;
  std::size_t filled_ = 0;
  double block_[128];
};

enum class Moment : std::uint8_t { mean, variance, deviation };
struct MomentsReducer {
  Moment wanted = Moment::mean;
  std::uint64_t ddof = 0;
  using state = MomentsState;
  using partial = Moments;
  using result = double;
  state start() const { return {}; }
  void add(state& moments, double number) const { moments.add(number); }
  partial partial_of(state&& moments) const { return moments.take(); }
  void merge(partial& into, partial&& other) const { into.merge(other); }
  result finish(partial&& moments) const {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    if (wanted == Moment::mean) return moments.count == 0 ? none : moments.mean;
    double variance = moments.count <= ddof ? none : moments.squares / static_cast<double>(moments.count - ddof);
    return wanted == Moment::variance ? variance : std::sqrt(variance);
  }
};

/// Elements folded one by one from `initial`, partials by another function.
template <class A, class Add, class Combine>
struct FoldReducer {
  Fn<Add> binop;
  Fn<Combine> combine;
  A initial{};
  using state = A;
  using partial = A;
  using result = A;
  state start() const { return initial; }
  template <class X>
  void add(state& folded, X&& x) const {
    Scratch<X> scratch;
    folded = binop(std::move(folded), take_as<Add, X, 1>(scratch, std::forward<X>(x)));
  }
  partial partial_of(state&& folded) const { return std::move(folded); }
  void merge(partial& into, partial&& other) const { into = combine(std::move(into), std::move(other)); }
  result finish(partial&& folded) const { return std::move(folded); }
};

/// The k largest by a key, largest first. Of equal keys the smaller elements, where elements compare; else the earlier ones.
template <class T, class KeyOf>
struct TopReducer {
  std::uint64_t count = 0;
  Fn<KeyOf> key_of;
  using partial = std::vector<T>;
  using result = std::vector<T>;
  struct state {
    std::vector<T> elements = {};
    std::size_t sorted = 0;   // so many in front are the best so far, in order
  };
  state start() const { return {}; }
  template <class X>
  void add(state& top, X&& x) const {
    if constexpr (!std::is_same_v<std::remove_cvref_t<X>, T>) {
      add(top, T(std::forward<X>(x)));
    } else {
      // Most elements lose against the k-th at once.
      if (count == 0 || (top.sorted == count && !before(x, top.elements[count - 1]))) return;
      top.elements.emplace_back(std::forward<X>(x));
      if (top.elements.size() / 2 >= count) cut(top);
    }
  }
  partial partial_of(state&& top) const {
    cut(top);
    return std::move(top.elements);
  }
  void merge(partial& into, partial&& other) const {
    state both{std::move(into)};
    for (T& x : other) both.elements.push_back(std::move(x));
    into = partial_of(std::move(both));
  }
  result finish(partial&& top) const { return std::move(top); }

 private:
  bool before(const T& a, const T& b) const {
    const auto& key_a = key_of(a);
    const auto& key_b = key_of(b);
    if (key_b < key_a) return true;
    if (key_a < key_b) return false;
    if constexpr (requires { { a < b } -> std::convertible_to<bool>; }) return a < b;
    else return false;
  }
  void cut(state& top) const {
    auto& elements = top.elements;
    std::stable_sort(elements.begin(), elements.end(), [this](const T& a, const T& b) { return before(a, b); });
    if (elements.size() > count) elements.erase(elements.begin() + count, elements.end());
    top.sorted = elements.size();
  }
};

}  // namespace weft::detail
