// From `f, args...` to a task: the thunk that will call f, the encoded arguments, the inputs among them and the key. Internal;
// Client::submit and Client::map are built on it.
//
// An element of map(f, xs, constant) has the key of submit(f, x, constant): both hash the function's place in the program and,
// argument by argument, the encoded bytes with each input replaced by the input's key.
#pragma once

#include <string_view>

#include <weft/arguments.h>
#include <weft/function.h>
#include <weft/key.h>

namespace weft::detail {

/// What all calls of one function with one set of argument types share.
struct CallShape {
  Thunk thunk = nullptr;
  void (*target)() = nullptr;
  std::string_view label;     // lives as long as the process
  Key identity;               // the function's place in its image
  TypeTag result_type = 0;
};
struct PreparedCall : CallShape, ArgumentSink {
  Key key;                    // for pure calls
};

/// A function's name for keys and for people. Throws InvalidArgument if the address is in no image of this process.
struct CodeName {
  Key identity;
  std::string_view label;
};
CodeName name_code(void (*code)(), std::string_view functor);

// --- What may be called, with which arguments ---

/// Stops the compiler with a sentence if an F cannot be sent.
template <class F>
constexpr bool must_be_function() {
  constexpr bool plain = std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>;
  constexpr bool made = std::is_empty_v<F> && std::is_default_constructible_v<F>;
  static_assert(!std::is_member_pointer_v<F>,
                "weft: a pointer to a member cannot be submitted; write a lambda that calls it: "
                "[](const T& object) { return object.member(); }");
  static_assert(!requires(const F& f) { f.target_type(); },
                "weft: a std::function cannot travel; pass the function itself, a lambda without captures or an empty functor");
  static_assert(plain || std::is_class_v<F> || std::is_member_pointer_v<F>,
                "weft: the first argument must be a function, a lambda without captures or an empty functor");
  static_assert(!std::is_class_v<F> || std::is_empty_v<F> || requires(const F& f) { f.target_type(); },
                "weft: captures and members do not travel; pass them as arguments: submit([](int a, int b) { ... }, a, b)");
  static_assert(!std::is_class_v<F> || !std::is_empty_v<F> || made,
                "weft: this lambda or functor cannot be made on another machine; write [] instead of [=] or [&], or give the "
                "functor a default constructor");
  return plain || made;
}

/// What an argument A for parameter P is stored as.
template <class P, class A>
using Stored = std::conditional_t<has_future<A>, typename Resolve<A>::type, std::remove_cvref_t<P>>;

template <std::size_t I, class P, class A>
constexpr bool must_fit() {
  using T = std::remove_cvref_t<P>;
  constexpr bool by_value = !std::is_lvalue_reference_v<P> || std::is_const_v<std::remove_reference_t<P>>;
  static_assert(by_value,
                "weft: a task cannot change its caller's variable, but this function takes a non-const reference; take the "
                "argument by value and return the new one");
  if constexpr (!by_value) return false;
  else if constexpr (!must_travel<T>()) return false;
  else {
    constexpr bool fits = has_future<A> ? std::is_convertible_v<Stored<P, A>, T> : std::is_same_v<A, T> || std::is_convertible_v<const A&, T>;
    static_assert(fits || I != 0, "weft: argument 1 (after the function) cannot be converted to the function's parameter");
    static_assert(fits || I != 1, "weft: argument 2 (after the function) cannot be converted to the function's parameter");
    static_assert(fits || I != 2, "weft: argument 3 (after the function) cannot be converted to the function's parameter");
    static_assert(fits || I != 3, "weft: argument 4 (after the function) cannot be converted to the function's parameter");
    static_assert(fits || I != 4, "weft: argument 5 (after the function) cannot be converted to the function's parameter");
    static_assert(fits || I != 5, "weft: argument 6 (after the function) cannot be converted to the function's parameter");
    static_assert(fits || I < 6, "weft: an argument after the sixth cannot be converted to the function's parameter");
    return fits;
  }
}

/// How F is called with arguments A (decayed, futures and all). `result` is void as long as something does not fit.
template <class F, class... A>
struct CallPlan {
  using result = void;
  static constexpr bool check() { return false; }
};
template <class F, class Parameters, class... A>
struct KnownPlan;
template <class F, class... P, class... A>
  requires(sizeof...(P) == sizeof...(A))
struct KnownPlan<F, TypeList<P...>, A...> {
  using result = std::remove_cvref_t<typename Signature<F>::result>;
  using identity = Caller<F, TypeList<P...>, std::remove_cvref_t<P>...>;
  using caller = Caller<F, TypeList<P...>, Stored<P, A>...>;
  using stored = std::tuple<Stored<P, A>...>;
  template <std::size_t... I>
  static constexpr bool check(std::index_sequence<I...>) {
    return (must_fit<I, P, A>() && ...);
  }
  static constexpr bool check() {
    if constexpr (!check(std::index_sequence_for<P...>{})) return false;
    else return must_travel<ValueOf<result>>();
  }
};
/// A function without parameters, after a void task.
template <class... A>
concept RunsAfter = sizeof...(A) == 1 && (... && (has_future<A> && std::is_same_v<typename Resolve<A>::type, std::monostate>));
template <class F, class A>
  requires RunsAfter<A>
struct KnownPlan<F, TypeList<>, A> {
  using result = std::remove_cvref_t<typename Signature<F>::result>;
  using caller = Caller<F, TypeList<>, std::monostate>;
  using identity = caller;
  using stored = std::tuple<std::monostate>;
  static constexpr bool check() { return must_travel<ValueOf<result>>(); }
};
template <class F, class... P, class... A>
  requires(sizeof...(P) != sizeof...(A) && !(sizeof...(P) == 0 && RunsAfter<A...>))
struct KnownPlan<F, TypeList<P...>, A...> {
  using result = std::remove_cvref_t<typename Signature<F>::result>;
  static constexpr bool check() {
    static_assert(sizeof...(A) >= sizeof...(P),
                  "weft: too few arguments for the function; give one for each parameter (defaults do not travel)");
    static_assert(sizeof...(A) <= sizeof...(P), "weft: too many arguments for the function");
    return false;
  }
};
template <class F, class... A>
  requires Signature<F>::known
struct CallPlan<F, A...> : KnownPlan<F, typename Signature<F>::parameters, A...> {};
/// A generic lambda or functor: its parameters are the arguments' own types.
template <class F, class... A>
  requires(!Signature<F>::known && std::is_class_v<F> && std::is_invocable_v<F, typename Resolve<std::decay_t<A>>::type...>)
struct CallPlan<F, A...> {
  using result = std::remove_cvref_t<std::invoke_result_t<F, typename Resolve<std::decay_t<A>>::type...>>;
  using caller = Caller<F, TypeList<typename Resolve<std::decay_t<A>>::type...>, typename Resolve<std::decay_t<A>>::type...>;
  using identity = caller;
  using stored = std::tuple<typename Resolve<std::decay_t<A>>::type...>;
  static constexpr bool check() {
    if constexpr (!(must_travel<typename Resolve<std::decay_t<A>>::type>() && ...)) return false;
    else return must_travel<ValueOf<result>>();
  }
};

/// The result of f(args...) on a worker; void while the call does not fit (the call itself then explains).
template <class F, class... A>
using CallResult = typename CallPlan<std::decay_t<F>, std::remove_cvref_t<A>...>::result;

/// Stops the compiler with a sentence if the call cannot be made on a worker.
template <class F, class... A>
constexpr bool must_be_callable() {
  if constexpr (!must_be_function<F>()) return false;
  else if constexpr (sizeof...(A) > 64) {
    static_assert(sizeof...(A) <= 64, "weft: a call has at most 64 arguments");
    return false;
  } else {
    constexpr bool known = requires { typename CallPlan<F, A...>::caller; } || Signature<F>::known;
    static_assert(known, "weft: the function cannot be called with these arguments (futures count as their results)");
    return CallPlan<F, A...>::check();
  }
}

/// The default for a template parameter F that could not be deduced: then the function's name was overloaded or a template.
template <int Lazy>
struct OverloadedName {
  static_assert(Lazy != 0,
                "weft: this name has several overloads; choose one: static_cast<int (*)(int)>(name), or wrap it in a lambda: "
                "[](int x) { return name(x); }");
  using type = void (*)();
};

void no_function();

template <class F, class... A>
CallShape shape_of(F f) {
  using Plan = CallPlan<F, A...>;
  CallShape shape;
  shape.thunk = &Plan::caller::call;
  shape.result_type = type_tag<typename Plan::result>();
  static_cast<void>(&Plan::caller::entry);
  static_cast<void>(&Plan::identity::entry);
  if constexpr (std::is_pointer_v<F>) {
    if (f == nullptr) no_function();
    shape.target = reinterpret_cast<void (*)()>(f);
  }
  auto name = name_code(std::is_pointer_v<F> ? shape.target : reinterpret_cast<void (*)()>(&Plan::identity::call),
                        std::is_pointer_v<F> ? std::string_view() : type_name<F>());
  shape.identity = name.identity;
  shape.label = name.label;
  return shape;
}

/// Prepare one call.
template <int Lazy = 0, class F = typename OverloadedName<Lazy>::type, class... A>
PreparedCall prepare(F&& f, const A&... arguments) {
  PreparedCall call;
  if constexpr (must_be_callable<std::decay_t<F>, A...>()) {
    static_cast<CallShape&>(call) = shape_of<std::decay_t<F>, A...>(f);
    ArgumentWriter writer(call);
    KeyHasher hasher;
    hasher.add(call.identity);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      using Plan = CallPlan<std::decay_t<F>, A...>;
      (hasher.add(writer.add<std::tuple_element_t<I, typename Plan::stored>>(arguments)), ...);
    }(std::index_sequence_for<A...>{});
    call.key = hasher.finish();
  }
  return call;
}

/// A parameter of a map that has an element of type A in each task.
template <class A>
struct Each {
  using type = A;
  static constexpr bool varies = true;
};
/// A parameter of a map that is equal in all tasks.
template <class A>
struct Same {
  using type = A;
  static constexpr bool varies = false;
  const A& value;
};

/// Prepares many calls of one function: what is equal is encoded and hashed once.
template <class F, class... Slots>
class MapCall {
  using Plan = CallPlan<F, typename Slots::type...>;
  static constexpr bool fits = must_be_callable<F, typename Slots::type...>();

 public:
  explicit MapCall(F f, const Slots&... slots) {
    if constexpr (fits) {
      shape_ = shape_of<F, typename Slots::type...>(f);
      start_.add(shape_.identity);
      std::uint64_t mask = 0;
      unsigned index = 0;
      ((Slots::varies ? void() : void(mask |= std::uint64_t(1) << index), ++index), ...);
      if (mask != 0) {
        Writer head(Writer::Layout::flat);
        head.size(mask);
        shared_.bytes.assign(head.stream().begin(), head.stream().end());
      }
      ArgumentWriter writer(shared_);
      [&]<std::size_t... I>(std::index_sequence<I...>) { (share<I>(writer, slots), ...); }(std::index_sequence_for<Slots...>{});
    }
  }

  const CallShape& shape() const { return shape_; }
  /// The constants: their bytes are the template's shared arguments, and their inputs come first in every task.
  const ArgumentSink& shared() const { return shared_; }

  /// Append the arguments of one task, an element for each varying parameter in order; returns the task's key.
  template <class... E>
  Key add(ArgumentSink& sink, const E&... elements) const {
    KeyHasher hasher = start_;
    if constexpr (fits) {
      ArgumentWriter writer(sink, shared_.inputs.size());
      std::tuple<const E&...> row(elements...);
      [&]<std::size_t... I>(std::index_sequence<I...>) { (one<I>(writer, hasher, row), ...); }(std::index_sequence_for<Slots...>{});
    }
    return hasher.finish();
  }

 private:
  template <std::size_t I, class P = Plan>   // dependent, so that a call that does not fit is explained by a sentence first
  using StoredAt = std::tuple_element_t<I, typename P::stored>;
  template <std::size_t I>
  using SlotAt = std::tuple_element_t<I, std::tuple<Slots...>>;
  template <std::size_t I>
  static constexpr std::size_t column() {
    constexpr bool varies[] = {Slots::varies...};
    std::size_t count = 0;
    for (std::size_t i = 0; i < I; ++i) count += varies[i];
    return count;
  }
  template <std::size_t I, class Slot>
  void share(ArgumentWriter& writer, const Slot& slot) {
    if constexpr (!Slot::varies) digests_[I] = writer.add<StoredAt<I>>(slot.value);
  }
  template <std::size_t I, class Row>
  void one(ArgumentWriter& writer, KeyHasher& hasher, const Row& row) const {
    if constexpr (SlotAt<I>::varies) hasher.add(writer.add<StoredAt<I>>(std::get<column<I>()>(row)));
    else hasher.add(digests_[I]);
  }

  CallShape shape_;
  ArgumentSink shared_;
  KeyHasher start_;
  Key digests_[sizeof...(Slots) + 1];
};

}  // namespace weft::detail
