// Stages fused into one task per partition: a source pushes each element through a chain of function objects into a sink. The
// chain is put together by the compiler, so a word on its way from a file into a count is never stored. Internal.
#pragma once

#include <memory>
#include <tuple>

#include <weft/bag/function.h>
#include <weft/bag/text.h>

namespace weft {

/// Hand on one of several results: `void words(std::string_view line, weft::Emit<std::string_view> emit)` is a function for
/// flat_map that needs no container. What is emitted is used up when the call returns.
template <class T>
class Emit {
 public:
  template <class Target>
  explicit Emit(Target& target)
      : target_(&target), push_([](void* to, T&& value) { static_cast<Target*>(to)->push(std::move(value)); }) {}
  void operator()(T value) const { push_(target_, std::move(value)); }

 private:
  void* target_;
  void (*push_)(void*, T&&);
};

namespace detail {

// --- Sources: what a partition is made of, and how its elements are pushed ---

/// Elements that an earlier task stored, or that travel in the graph.
template <class T>
struct StoredSource {
  using argument = std::vector<T>;
  using pushed = T&&;
  template <class Chain>
  static void feed(std::vector<T> elements, Chain& chain) {
    for (auto&& element : elements) {
      if (chain.full()) return;
      chain.push(static_cast<T&&>(element));
    }
  }
  static std::string name() { return {}; }
};
template <>
struct StoredSource<bool> {   // a vector<bool> has no elements to refer to
  using argument = std::vector<bool>;
  using pushed = bool;
  template <class Chain>
  static void feed(const std::vector<bool>& elements, Chain& chain) {
    for (bool element : elements) {
      if (chain.full()) return;
      chain.push(bool(element));
    }
  }
  static std::string name() { return {}; }
};

struct TextSource {
  using argument = TextPartition;
  using pushed = std::string_view;
  template <class Chain>
  static void feed(const TextPartition& slices, Chain& chain) {
    for (const TextSlice& slice : slices) {
      LineReader reader(slice);
      std::string_view lines;
      while (!chain.full() && reader.next(lines))
        each_line(lines, [&](std::string_view line) { chain.push(std::string_view(line)); }, [&] { return chain.full(); });
    }
  }
  static std::string name() { return "read_text"; }
};

struct RangeSlice {
  std::int64_t first = 0, step = 1, count = 0;
};
struct RangeSource {
  using argument = RangeSlice;
  using pushed = std::int64_t;
  template <class Chain>
  static void feed(const RangeSlice& slice, Chain& chain) {
    for (std::int64_t i = 0; i < slice.count && !chain.full(); ++i) chain.push(slice.first + i * slice.step);
  }
  static std::string name() { return "range"; }
};

// --- Stages. `out<X>` is what is pushed on when X comes in; `onto` puts the running stage in front of the next ---

template <class F, class X>
constexpr bool must_take() {
  constexpr bool fits = std::is_invocable_v<const Fn<F>&, Taken<F, X>>;
  static_assert(fits, "weft: this function cannot be called with an element of the bag");
  return fits;
}

template <class F>
struct MapStage {
  Fn<F> f;
  template <class X>
  using out = std::conditional_t<must_take<F, X>(), std::invoke_result_t<const Fn<F>&, Taken<F, X>>, void>;
  template <class X, class Next>
  struct Run {
    const Fn<F>& f;
    Next next;
    [[no_unique_address]] Scratch<X> scratch = {};
    void push(X&& x) { next.push(f(take_as<F, X>(scratch, std::forward<X>(x)))); }
    bool full() const { return next.full(); }
    void finish() { next.finish(); }
  };
  static std::string name() { return "map"; }
};

template <class F>
struct FilterStage {
  Fn<F> f;
  template <class X>
  using out = X;
  template <class X, class Next>
  struct Run {
    static_assert(std::is_invocable_r_v<bool, const Fn<F>&, std::conditional_t<takes_as_is<F, X>, const std::remove_cvref_t<X>&, Taken<F, X>>>,
                  "weft: filter's function must take an element of the bag and return bool");
    const Fn<F>& f;
    Next next;
    [[no_unique_address]] Scratch<X> scratch = {};
    void push(X&& x) {
      if (keeps(x)) next.push(std::forward<X>(x));
    }
    bool keeps(const std::remove_cvref_t<X>& x) {
      if constexpr (takes_as_is<F, X>) {
        return f(x);
      } else {
        return f(take_as<F, X>(scratch, X(x)));
      }
    }
    bool full() const { return next.full(); }
    void finish() { next.finish(); }
  };
  static std::string name() { return "filter"; }
};

/// Push the elements of a range that is ours alone, or that somebody else owns.
template <class Range, class Next>
void push_all(Range&& range, Next& next) {
  for (auto&& element : range) {
    if (next.full()) return;
    using Element = decltype(element);
    if constexpr (!std::is_lvalue_reference_v<Range> && SequenceType<std::remove_cvref_t<Range>> && std::is_lvalue_reference_v<Element>)
      next.push(std::move(element));
    else next.push(std::forward<Element>(element));
  }
}
template <class Range>
struct PushedOf {
  using reference = decltype(*std::begin(std::declval<std::remove_reference_t<Range>&>()));
  static constexpr bool own = !std::is_lvalue_reference_v<Range> && SequenceType<std::remove_cvref_t<Range>>;
  using type = std::conditional_t<own && std::is_lvalue_reference_v<reference>, std::remove_reference_t<reference>&&, reference>;
};
template <class P>
struct Emitted {
  static constexpr bool known = false;
};
template <class T>
struct Emitted<Emit<T>> {
  static constexpr bool known = true;
  using type = T;
};

template <class F>
struct FlatMapStage {
  Fn<F> f;
  static constexpr bool emits = Emitted<Parameter<F, 1>>::known;
  template <class X>
  static auto out_of() {
    if constexpr (emits) return std::type_identity<typename Emitted<Parameter<F, 1>>::type&&>{};
    else if constexpr (must_take<F, X>())
      return std::type_identity<typename PushedOf<std::invoke_result_t<const Fn<F>&, Taken<F, X>>>::type>{};
  }
  template <class X>
  using out = typename decltype(out_of<X>())::type;
  template <class X, class Next>
  struct Run {
    const Fn<F>& f;
    Next next;
    [[no_unique_address]] Scratch<X> scratch = {};
    void push(X&& x) {
      if constexpr (emits) {
        f(take_as<F, X>(scratch, std::forward<X>(x)), Parameter<F, 1>(next));
      } else {
        push_all(f(take_as<F, X>(scratch, std::forward<X>(x))), next);
      }
    }
    bool full() const { return next.full(); }
    void finish() { next.finish(); }
  };
  static std::string name() { return "flat_map"; }
};

template <class F>
struct MapPartitionsStage {
  Fn<F> f;
  template <class X>
  using argument = std::vector<stored_element<X>>;
  template <class X>
  static auto out_of() {
    constexpr bool fits = std::is_invocable_v<const Fn<F>&, argument<X>&&>;
    static_assert(fits, "weft: map_partitions' function must take a std::vector of the bag's elements");
    if constexpr (fits) return std::type_identity<typename PushedOf<std::invoke_result_t<const Fn<F>&, argument<X>&&>>::type>{};
  }
  template <class X>
  using out = typename decltype(out_of<X>())::type;
  template <class X, class Next>
  struct Run {
    const Fn<F>& f;
    Next next;
    argument<X> elements = {};
    void push(X&& x) { elements.emplace_back(std::forward<X>(x)); }
    bool full() const { return false; }
    void finish() {
      push_all(f(std::move(elements)), next);
      next.finish();
    }
  };
  static std::string name() { return "map_partitions"; }
};

// --- The task ---

/// What a chain of stages hands on, given what its source pushes.
template <class X, class... Stages>
struct ChainOut {
  using type = X;
};
template <class X, class First, class... Rest>
struct ChainOut<X, First, Rest...> : ChainOut<typename First::template out<X>, Rest...> {};

/// The end of a running chain.
template <class State>
struct IntoSink {
  State& state;
  template <class X>
  void push(X&& x) {
    state.push(std::forward<X>(x));
  }
  bool full() const { return state.full(); }
  void finish() {}
};

template <class X, std::size_t I, class Stages, class End>
auto connect(const Stages& stages, End end) {
  if constexpr (I == std::tuple_size_v<Stages>) {
    return end;
  } else {
    using At = std::tuple_element_t<I, Stages>;
    auto next = connect<typename At::template out<X>, I + 1>(stages, end);
    return typename At::template Run<X, decltype(next)>{std::get<I>(stages).f, std::move(next)};
  }
}

/// One task: the source's partition through the stages into the sink. A sink says `result`, and `begin(sink)` starts its state:
/// `push(x)` for each element, `full()` when it wants no more, `take()` for the result.
template <class Source, class Stages, class Sink>
struct RunPipe {
  typename Sink::result operator()(typename Source::argument partition, Stages stages, Sink sink) const {
    auto state = sink.begin();
    auto chain = connect<typename Source::pushed, 0>(stages, IntoSink<decltype(state)>{state});
    Source::feed(std::move(partition), chain);
    chain.finish();
    return std::move(state).take();
  }
};

template <class Source, class... Stages>
struct Pipe {
  using source = Source;
  using stages = std::tuple<Stages...>;
  using pushed = typename ChainOut<typename Source::pushed, Stages...>::type;
  template <class Next>
  using then = Pipe<Source, Stages..., Next>;
  static constexpr bool empty = sizeof...(Stages) == 0;
  /// Readable name of the fused task: "read_text-flat_map-count".
  static std::string label(const std::string& last) {
    std::string text = Source::name();
    auto append = [&](const std::string& name) { text += (text.empty() || name.empty() ? "" : "-") + name; };
    (append(Stages::name()), ...);
    append(last);
    return text;
  }
};

// --- Sinks that keep elements ---

template <class T>
struct CollectSink {
  using result = std::vector<T>;
  struct State {
    std::vector<T> elements = {};
    template <class X>
    void push(X&& x) {
      elements.emplace_back(std::forward<X>(x));
    }
    bool full() const { return false; }
    result take() && { return std::move(elements); }
  };
  State begin() const { return {}; }
};

template <class T>
struct TakeSink {
  std::uint64_t count = 0;
  using result = std::vector<T>;
  struct State {
    std::uint64_t count;
    std::vector<T> elements = {};
    template <class X>
    void push(X&& x) {
      if (!full()) elements.emplace_back(std::forward<X>(x));
    }
    bool full() const { return elements.size() >= count; }
    result take() && { return std::move(elements); }
  };
  State begin() const { return {count}; }
};

/// Cuts a partition into even parts, in order.
template <class T>
struct SplitSink {
  std::uint64_t parts = 1;
  using result = Parts<std::vector<T>>;
  struct State {
    std::uint64_t parts;
    std::vector<T> elements = {};
    template <class X>
    void push(X&& x) {
      elements.emplace_back(std::forward<X>(x));
    }
    bool full() const { return false; }
    result take() && {
      result cut(parts);
      for (std::size_t i = 0; i < parts; ++i)
        cut[i].assign(std::make_move_iterator(elements.begin() + elements.size() * i / parts),
                      std::make_move_iterator(elements.begin() + elements.size() * (i + 1) / parts));
      return cut;
    }
  };
  State begin() const { return {parts}; }
};

/// Writes elements as lines; the result is the file's path.
struct WriteSink {
  std::string path;
  using result = std::string;
  struct State {
    LineWriter writer;
    void push(std::string_view line) { writer.line(line); }
    bool full() const { return false; }
    result take() && { return writer.finish(); }
  };
  State begin() const { return {LineWriter(path)}; }
};

}  // namespace detail
}  // namespace weft
