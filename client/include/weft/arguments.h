// The arguments of a task: encoded, hashed, and with the results of other tasks among them as numbered inputs. Internal.
#pragma once

#include <memory>

#include <weft/function.h>
#include <weft/key.h>

namespace weft::detail {

/// Arguments above this travel as values of their own, which many tasks can share, instead of inside the graph.
inline constexpr std::size_t argument_bytes_max = 64 << 10;
inline constexpr std::uint32_t all_parts = 0xffffffff;   // an input whose whole value is wanted

/// An input of a task; `hold` keeps the future behind it wanted.
struct InputRef {
  Key key;
  std::uint32_t part = all_parts;
  std::shared_ptr<void> hold;
};
/// An argument too big for the graph: it must be scattered under the key of `inputs[input]`, which is the hash of its content.
struct BigArgument {
  std::size_t input;
  Value value;
};
/// Where encoded arguments go. Several tasks may follow each other in one.
struct ArgumentSink {
  Bytes bytes;
  std::vector<InputRef> inputs;
  std::vector<BigArgument> big;
};

// --- Arguments that stand for results of other tasks ---

template <class A>
struct Resolve {
  using type = A;
  static constexpr bool has_future = false;
};
template <class A>
  requires FutureTraits<A>::is_future
struct Resolve<A> {
  using type = typename FutureTraits<A>::value_type;
  static constexpr bool has_future = true;
};
template <class C>
concept Allocated = requires { typename C::allocator_type; };
// Compilers differ in whether this one matches a vector too, so it says that it does not.
template <template <class...> class C, class A>
  requires((kind_of<C<A>>() == Kind::sequence || kind_of<C<A>>() == Kind::optional) && !Allocated<C<A>>)
struct Resolve<C<A>> {
  static constexpr bool has_future = Resolve<A>::has_future;
  using type = C<typename Resolve<A>::type>;
};
template <template <class, class> class C, class A>   // with its default allocator
  requires(kind_of<C<A, std::allocator<A>>>() == Kind::sequence && Resolve<A>::has_future)
struct Resolve<C<A, std::allocator<A>>> {
  static constexpr bool has_future = true;
  using type = C<typename Resolve<A>::type, std::allocator<typename Resolve<A>::type>>;
};
template <template <class...> class M, class K, class A, class... More>
  requires(kind_of<M<K, A, More...>>() == Kind::map && Resolve<A>::has_future)
struct Resolve<M<K, A, More...>> {
  static constexpr bool has_future = true;
  template <class... Kept>
  static auto drop_last(TypeList<Kept...>) -> M<K, typename Resolve<A>::type, Kept...>;
  template <class... Kept, class Next, class... Rest>
  static auto keep(TypeList<Kept...>, TypeList<Next, Rest...>) {
    if constexpr (sizeof...(Rest) == 0) return std::type_identity<decltype(drop_last(TypeList<Kept...>{}))>{};
    else return keep(TypeList<Kept..., Next>{}, TypeList<Rest...>{});
  }
  using type = typename decltype(keep(TypeList<>{}, TypeList<More...>{}))::type;   // all but the allocator
};
template <class A, class B>
struct Resolve<std::pair<A, B>> {
  static constexpr bool has_future = Resolve<A>::has_future || Resolve<B>::has_future;
  using type = std::pair<typename Resolve<A>::type, typename Resolve<B>::type>;
};
template <class... A>
struct Resolve<std::tuple<A...>> {
  static constexpr bool has_future = (Resolve<A>::has_future || ...);
  using type = std::tuple<typename Resolve<A>::type...>;
};
template <class A, std::size_t N>
struct Resolve<std::array<A, N>> {
  static constexpr bool has_future = Resolve<A>::has_future;
  using type = std::array<typename Resolve<A>::type, N>;
};
template <class A>
inline constexpr bool has_future = Resolve<A>::has_future;

/// Encodes arguments of one task and hashes them.
class ArgumentWriter {
 public:
  /// `inputs_before`: how many inputs the task has that are not in the sink.
  ArgumentWriter(ArgumentSink& sink, std::size_t inputs_before = 0)
      : sink_(sink), first_(sink.inputs.size()), before_(inputs_before) {}

  /// Append one argument for a parameter that is stored as S; returns the argument's hash.
  template <class S, class A>
  Key add(const A& argument) {
    if constexpr (is_raw<S>() && sizeof(S) < 64 && !has_future<A>) {
      S value = static_cast<S>(argument);
      std::byte bytes[1 + sizeof value] = {};
      std::memcpy(bytes + 1, &value, sizeof value);
      return plain(bytes);
    } else {
      Writer out(Writer::Layout::flat);
      hasher_ = KeyHasher();
      hashed_ = 0;
      if constexpr (has_future<A> || std::is_same_v<A, S>) node(out, argument);
      else node(out, static_cast<S>(argument));
      return finish(out);
    }
  }

 private:
  template <class A>
  void node(Writer& out, const A& argument) {
    if constexpr (FutureTraits<A>::is_future) {
      marker(out, FutureTraits<A>::input(argument));
    } else if constexpr (!has_future<A>) {
      leaf(out, argument);
    } else if (kind_of<A>() == Kind::optional && is_empty(argument)) {
      out.byte(static_cast<unsigned char>(Node::value));
      out.byte(0);
    } else {
      out.byte(static_cast<unsigned char>(Node::elements));
      elements(out, argument);
    }
  }
  template <class A>
  static bool is_empty(const A& argument) {
    if constexpr (kind_of<A>() == Kind::optional) return !argument;
    else return false;
  }
  template <class A>
  void elements(Writer& out, const A& container) {
    constexpr Kind kind = kind_of<A>();
    if constexpr (kind == Kind::tuple) {
      std::apply([&](const auto&... element) { (node(out, element), ...); }, container);
    } else if constexpr (kind == Kind::array) {
      for (const auto& element : container) node(out, element);
    } else if constexpr (kind == Kind::optional) {
      node(out, *container);
    } else if constexpr (kind == Kind::map && Hashed<A>) {
      out.size(container.size());
      visit_sorted(container, [&](const auto& item) { out.put(item.first), node(out, item.second); });
    } else if constexpr (kind == Kind::map) {
      out.size(container.size());
      for (const auto& [key, element] : container) out.put(key), node(out, element);
    } else {
      out.size(container.size());
      for (const auto& element : container) node(out, element);
    }
  }
  template <class A>
  void leaf(Writer& out, const A& argument) {
    Writer writer;
    if constexpr (kind_of<A>() == Kind::parts) {
      Value value = to_value(argument);
      big(out, KeyHasher().add("parts").add(value.block().bytes()).finish(), value);
    } else {
      writer.put(argument);
      if (writer.bytes() > argument_bytes_max) {
        HeapSink place;
        writer.write(type_tag<A>(), place);
        static_cast<void>(&KnownType<A>::entry);
        return big(out, writer.digest(type_tag<A>()), place.take());
      }
      out.byte(static_cast<unsigned char>(Node::value));
      if (writer.has_parts()) out.put(argument);
      else out.raw(writer.stream().data(), writer.stream().size());
    }
  }
  Key plain(std::span<const std::byte> bytes);
  void marker(Writer& out, InputRef input);
  void big(Writer& out, const Key& content, Value value);
  Key finish(const Writer& out);

  ArgumentSink& sink_;
  std::size_t first_, before_;
  KeyHasher hasher_;
  std::size_t hashed_ = 0;   // bytes of the argument's stream that are in the hash
};

}  // namespace weft::detail
