// Bag<T>: many elements in partitions, and MapReduce over them. Lazy: nothing runs before `compute`, `persist`, `take` or
// `to_textfiles`.
//
//   auto words = weft::read_text("/data/*.txt").flat_map(split).frequencies();
//   for (auto& [word, count] : words.topk(10, by_count).compute(client)) ...
//
// Functions are plain functions, lambdas without captures or empty functors. map, filter, flat_map and map_partitions in a row
// are one task per partition, and whatever follows reads their elements without storing them. Two results of one such chain
// run it twice; a variable of type `Bag<T>` (instead of `auto`) or `persist` stores its elements once, for all that follows.
// Bags are immutable and cheap to copy; different threads may use copies. Not part of <weft/weft.h>.
#pragma once

#include <span>

#include <weft/bag/bag_tasks.h>

namespace weft {

struct TextOptions {
  /// Bytes of text in a partition: larger files are cut, smaller ones share. Default 16 MiB.
  std::uint64_t blocksize = 16 << 20;
};

template <class T, class Pipe = detail::Pipe<detail::StoredSource<T>>>
class Bag {
  using Source = typename Pipe::source;
  using Argument = typename Source::argument;
  using Stages = typename Pipe::stages;
  using X = typename Pipe::pushed;
  /// Stored elements come as pieces; other sources are arguments.
  using Partition = typename detail::PartitionOf<Source>::type;

 public:
  using value_type = T;
  using result_type = std::vector<T>;

  Bag(detail::Stage<Partition> source, Stages stages = {}) : source_(std::move(source)), stages_(std::move(stages)) {}
  /// Store the elements of a chain, so that all that follows shares them.
  template <class Other>
    requires(!std::is_same_v<Other, Pipe> && std::is_same_v<Pipe, detail::Pipe<detail::StoredSource<T>>>)
  Bag(const Bag<T, Other>& chain) : source_(chain.stored()) {}

  // --- Element by element ---

  /// f(element) for each.
  template <class F>
  auto map(F f) const {
    return then(detail::MapStage<F>{f});
  }
  /// All elements of the ranges f(element); or what f(element, emit) emits, if f's second parameter is a weft::Emit.
  template <class F>
  auto flat_map(F f) const {
    return then(detail::FlatMapStage<F>{f});
  }
  /// The elements of a bag of ranges.
  auto flatten() const { return flat_map(detail::Identity<T>{}); }
  /// Those for which f(element) is true.
  template <class F>
  auto filter(F f) const {
    return then(detail::FilterStage<F>{f});
  }
  /// The elements of f(all elements of a partition); f takes a std::vector and returns a range.
  template <class F>
  auto map_partitions(F f) const {
    return then(detail::MapPartitionsStage<F>{f});
  }

  // --- To one value: partials per partition, merged as a tree of fan-in 8 ---

  Item<std::uint64_t> count() const { return reduce("count", detail::CountReducer{}); }
  /// Integers add up to 64 bits (wrapping), other numbers pairwise to double. 0 for no elements.
  auto sum() const {
    static_assert(std::is_arithmetic_v<T>, "weft: sum adds numbers; use fold for other types");
    return reduce("sum", detail::SumReducer<T>{});
  }
  /// Errors: the task throws InvalidArgument for no elements.
  Item<T> min() const { return reduce("min", detail::ExtremeReducer<T, false>{}); }
  Item<T> max() const { return reduce("max", detail::ExtremeReducer<T, true>{}); }
  /// NaN for no elements.
  Item<double> mean() const { return moment("mean", {detail::Moment::mean}); }
  /// Variance with divisor n - ddof; NaN where that is not positive.
  Item<double> var(std::uint64_t ddof = 0) const { return moment("var", {detail::Moment::variance, ddof}); }
  Item<double> std(std::uint64_t ddof = 0) const { return moment("std", {detail::Moment::deviation, ddof}); }

  /// Fold each partition from `initial` (which must be neutral) by a = binop(a, element), then the partitions by combine(a, a).
  template <class Binop, class Combine, class A>
  Item<A> fold(Binop binop, Combine combine, A initial) const {
    return reduce("fold", detail::FoldReducer<A, Binop, Combine>{binop, combine, std::move(initial)});
  }
  template <class Binop, class A>
  Item<A> fold(Binop binop, A initial) const {
    return fold(binop, binop, std::move(initial));
  }
  /// The k largest, or those with the largest key(element), largest first; of equal ones the smaller elements.
  template <class KeyOf = detail::Identity<T>>
  Item<std::vector<T>> topk(std::size_t k, KeyOf key = {}) const {
    return reduce("topk", detail::TopReducer<T, KeyOf>{k, key});
  }

  // --- By key: combined per partition, then exchanged by hash. The order of the result is not specified ---

  /// Of pairs: values of equal keys become one by v = f(v, v).
  template <class F>
  auto reduce_by_key(F f, ByKey options = {}) const {
    using Aggregator = detail::ReduceAggregator<typename T::first_type, typename T::second_type, F>;
    return by_key("reduce_by_key", options, Aggregator{f});
  }
  /// Pairs (key(element), elements of that key folded by a = binop(a, element) from `initial`, then a = combine(a, a)).
  template <class KeyOf, class Binop, class A, class Combine = Binop>
  auto foldby(KeyOf key, Binop binop, A initial, Combine combine, ByKey options = {}) const {
    using Aggregator = detail::FoldAggregator<T, KeyOf, A, Binop, Combine>;
    return by_key("foldby", options, Aggregator{key, {binop, combine, std::move(initial)}});
  }
  template <class KeyOf, class Binop, class A>
  auto foldby(KeyOf key, Binop binop, A initial) const {
    return foldby(key, binop, std::move(initial), binop);
  }
  /// Pairs (element, how often it occurs).
  auto frequencies(ByKey options = {}) const { return by_key("frequencies", options, detail::FrequencyAggregator<T>{}); }
  /// Each element once.
  auto distinct(ByKey options = {}) const { return by_key("distinct", options, detail::DistinctAggregator<T>{}); }
  /// The first element of each key(element).
  template <class KeyOf>
    requires(!std::is_same_v<KeyOf, ByKey>)
  auto distinct(KeyOf key, ByKey options = {}) const {
    return by_key("distinct", options, detail::FirstAggregator<T, KeyOf>{key});
  }
  /// Pairs (key, elements of that key in order). Moves all elements; prefer foldby where it can do the work.
  template <class KeyOf>
  auto groupby(KeyOf key, ByKey options = {}) const {
    return by_key("groupby", options, detail::GroupAggregator<T, KeyOf>{key});
  }
  /// Pairs (element, other element) of equal keys.
  template <class U, class P, class KeyOf, class OtherKey>
  Bag<std::pair<T, U>> join(const Bag<U, P>& other, KeyOf key, OtherKey other_key, ByKey options = {}) const {
    return detail::join_stage(*this, other, detail::Fn<KeyOf>(key), detail::Fn<OtherKey>(other_key), options);
  }
  template <class U, class P, class KeyOf>
  auto join(const Bag<U, P>& other, KeyOf key) const {
    return join(other, key, key);
  }

  // --- Bags together, and order ---

  /// All pairs: n * m partitions.
  template <class U, class P>
  Bag<std::pair<T, U>> product(const Bag<U, P>& other) const {
    return detail::product_stage<T, U>(stored(), other.stored());
  }
  /// Pairs of the elements at equal places. Errors: the tasks throw InvalidArgument, which arrives as TaskError, if the
  /// partitions differ in number or size.
  template <class U, class P>
  Bag<std::pair<T, U>> zip(const Bag<U, P>& other) const {
    return detail::zip_stage<T, U>(stored(), other.stored());
  }
  /// These elements, then the other's.
  template <class P>
  Bag<T> concat(const Bag<T, P>& other) const {
    return detail::concat_stage<T>(stored(), other.stored());
  }
  /// The running value after each element: a = binop(a, element) from `initial`. Partitions follow each other.
  template <class Binop, class A>
  Bag<A> accumulate(Binop binop, A initial) const {
    return detail::accumulate_stage<T>(stored(), detail::Fn<Binop>(binop), std::move(initial));
  }
  /// The same elements in the same order in n partitions: neighbours joined, or cut evenly.
  Bag<T> repartition(std::size_t partitions) const { return detail::repartition_stage(*this, partitions); }

  // --- Run ---

  /// All elements. `options` hold for every task (`key` is ignored).
  std::vector<T> compute(Client& client, const Options& options = {}) const {
    detail::Plan plan(client.core(), options);
    return gather(start(plan));
  }
  /// Start it; the answer's elements stay on the workers as long as it lives.
  Bag<T> persist(Client& client, const Options& options = {}) const {
    detail::Plan plan(client.core(), options);
    return detail::future_stage<std::vector<T>>(start(plan));
  }
  /// The first n elements: looks at the first partition, then at more and more of the others until they are enough.
  std::vector<T> take(Client& client, std::size_t n, const Options& options = {}) const {
    return detail::take_first(*this, client, n, options);
  }
  /// Write one line per element into one file per partition, on the workers; answers the paths. '*' in the pattern becomes the
  /// partition's number, a pattern without is a folder; ".gz" compresses. Files appear complete or not at all.
  std::vector<std::string> to_textfiles(Client& client, const std::string& pattern, const Options& options = {}) const {
    static_assert(std::is_convertible_v<const T&, std::string_view>, "weft: to_textfiles writes text; map the elements to std::string");
    return detail::write_files(*this, client, pattern, options);
  }
  /// One lazy vector per partition, to go on with <weft/delayed.h>.
  std::vector<Delayed<std::vector<T>>> to_delayed(Client& client, const Options& options = {}) const {
    detail::Plan plan(client.core(), options);
    std::vector<Delayed<std::vector<T>>> lazy;
    auto all = stored();
    for (const auto& piece : plan.of(all)) lazy.push_back(detail::to_delayed(plan, piece));
    return lazy;
  }
  /// How many partitions it has. Reading text, this looks for the files.
  std::size_t partitions(Client& client) const {
    detail::Plan plan(client.core(), {});
    return plan.of(source_).size();
  }

  // --- For the library ---

  std::vector<detail::FutureHandle> start(detail::Plan& plan) const {
    auto all = stored();
    return plan.start(detail::whole_pieces(plan, plan.of(all)));
  }
  static std::vector<T> gather(const std::vector<detail::FutureHandle>& futures) { return detail::gather_bag<T>(futures); }
  /// Each partition as a stored vector.
  detail::PieceStage<std::vector<T>> stored() const {
    if constexpr (std::is_same_v<Pipe, detail::Pipe<detail::StoredSource<T>>>) return source_;
    else return run([](std::size_t, std::size_t) { return detail::CollectSink<T>{}; }, std::string());
  }
  const detail::Stage<Partition>& source() const { return source_; }
  /// One task per partition into sink_of(number, partitions).
  template <class SinkOf>
  auto run(SinkOf sink_of, std::string name) const {
    using Sink = std::invoke_result_t<SinkOf, std::size_t, std::size_t>;
    return detail::make_stage<detail::Piece<typename Sink::result>>(
        {source_}, [source = source_, stages = stages_, sink_of, label = Pipe::label(name)](detail::Plan& plan) {
          const auto& partitions = plan.of(source);
          std::vector<detail::Piece<typename Sink::result>> pieces;
          for (std::size_t i = 0; i < partitions.size(); ++i)
            pieces.push_back(plan.call(label, detail::RunPipe<Source, Stages, Sink>{}, partitions[i], stages,
                                       sink_of(i, partitions.size())));
          return pieces;
        });
  }

 private:
  template <class Next>
  auto then(Next next) const {
    using Longer = typename Pipe::template then<Next>;
    return Bag<detail::stored_element<typename Longer::pushed>, Longer>(source_, std::tuple_cat(stages_, std::tuple<Next>(next)));
  }
  template <class Reducer>
  Item<typename Reducer::result> reduce(const std::string& name, Reducer reducer) const {
    auto partials = run([reducer](std::size_t, std::size_t) { return detail::ReduceSink<Reducer>{reducer}; }, name);
    return detail::make_stage<detail::Piece<typename Reducer::result>>({partials}, [partials, reducer, name](detail::Plan& plan) {
      return std::vector{detail::reduce_pieces(plan, name, plan.of(partials), reducer)};
    });
  }
  Item<double> moment(const std::string& name, detail::MomentsReducer reducer) const {
    static_assert(std::is_arithmetic_v<T>, "weft: mean, var and std need numbers");
    return reduce(name, reducer);
  }
  template <class Aggregator>
  Bag<typename Aggregator::element> by_key(const std::string& name, ByKey options, Aggregator aggregator) const {
    return detail::by_key_stage(*this, name, options, std::move(aggregator));
  }

  detail::Stage<Partition> source_;
  Stages stages_;
};

// --- Sources ---

using TextBag = Bag<std::string, detail::Pipe<detail::TextSource>>;

/// The lines of text files, without their ends ("\n" or "\r\n"). Files ending in ".gz" are decompressed.
///
/// Patterns are those of the shell (*, ?, [a-z], {a,b}); a task looks for the files, so they need to exist only where the workers
/// are; relative ones mean the client's folder. A file that is edited is read again by the next `compute`.
/// Functions that take a std::string_view get the line where it was read; it is gone when they return.
/// Errors: the tasks throw IoError, which arrives as TaskError, if nothing matches, a file cannot be read, or changed between planning
/// and reading.
TextBag read_text(std::vector<std::string> patterns, const TextOptions& options = {});
inline TextBag read_text(const std::string& pattern, const TextOptions& options = {}) {
  return read_text(std::vector<std::string>{pattern}, options);
}

/// The numbers 0 … n-1, made by the tasks.
Bag<std::int64_t, detail::Pipe<detail::RangeSource>> range(std::int64_t n, std::size_t partitions = 0);

/// The elements of a range, sent with the graph. `partitions`: default 0 is about 100.
template <class Range>
auto from_sequence(const Range& elements, std::size_t partitions = 0) {
  using T = std::remove_cvref_t<decltype(*std::begin(elements))>;
  std::vector<T> all(std::begin(elements), std::end(elements));
  std::size_t count = detail::partitions_for(all.size(), partitions);
  std::vector<std::vector<T>> cut(count);
  for (std::size_t i = 0; i < count; ++i)
    cut[i].assign(all.begin() + all.size() * i / count, all.begin() + all.size() * (i + 1) / count);
  return Bag<T, detail::Pipe<detail::GivenSource<T>>>(detail::known_stage(std::move(cut)));
}
template <class T>
auto from_sequence(std::initializer_list<T> elements, std::size_t partitions = 0) {
  return from_sequence(std::vector<T>(elements), partitions);
}

/// A bag whose partitions are lazy values, or futures.
template <class T>
Bag<T> from_delayed(const std::vector<Delayed<std::vector<T>>>& partitions) {
  return Bag<T>(detail::input_stage<std::vector<T>>(partitions));
}
template <class T>
Bag<T> from_futures(const std::vector<Future<std::vector<T>>>& partitions) {
  return Bag<T>(detail::input_stage<std::vector<T>>(partitions));
}

/// Compute several lazy results (items, bags) at once; what they share runs once.
template <detail::LazyResult... L>
auto compute(Client& client, const L&... lazy) {
  detail::Plan plan(client.core(), {});
  auto started = std::tuple(lazy.start(plan)...);
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::tuple<typename L::result_type...>{L::gather(std::get<I>(started))...};
  }(std::index_sequence_for<L...>{});
}

}  // namespace weft
