// Functions inside a stage: they travel as part of the task's arguments. A lambda or functor is its type and takes no bytes; a
// plain function is named by its place in the program and found again where the task runs. Internal.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include <weft/call.h>

namespace weft::detail {

/// A plain function's place in the program. The marker says which type it has, so it is never called as another.
struct FunctionPlace {
  Key marker_image, image;
  std::uint64_t marker_offset = 0, offset = 0;
};
FunctionPlace place_of(Thunk marker, void (*function)());
/// Throws ProgramError or ProtocolError if no such function is in this process.
void (*find_function(Thunk marker, const FunctionPlace& place))();

/// A function that travels.
template <class F>
class Fn {
  static_assert(must_be_function<F>());

 public:
  Fn() = default;
  Fn(F) {}
  template <class... A>
  decltype(auto) operator()(A&&... arguments) const {
    return F{}(std::forward<A>(arguments)...);
  }
  template <class Archive>
  void archive(Archive&) {}
};
template <class F>
  requires std::is_pointer_v<F>
class Fn<F> {
 public:
  Fn() = default;
  Fn(F function) : function_(function) {
    if (function == nullptr) no_function();
  }
  template <class... A>
  decltype(auto) operator()(A&&... arguments) const {
    return function_(std::forward<A>(arguments)...);
  }
  template <class Archive>
  void archive(Archive& archive) {
    static_cast<void>(&entry_);
    FunctionPlace place;
    if constexpr (std::is_same_v<Archive, Writer>) place = place_of(&marker, reinterpret_cast<void (*)()>(function_));
    archive(place.marker_image, place.image, place.marker_offset, place.offset);
    if constexpr (std::is_same_v<Archive, Reader>) function_ = reinterpret_cast<F>(find_function(&marker, place));
  }

 private:
  static void marker(Call&) { damaged("a stage's function was called as a task"); }
  static inline ThunkEntry entry_{&marker};
  F function_ = nullptr;
};

// --- Elements on their way through a stage ---

/// What is stored for an element that stages hand on: text is handed on as a view of where it was read.
template <class X>
struct StoredElement {
  using type = X;
};
template <>
struct StoredElement<std::string_view> {
  using type = std::string;
};
template <class A, class B>
struct StoredElement<std::pair<A, B>> {
  using type = std::pair<typename StoredElement<A>::type, typename StoredElement<B>::type>;
};
template <class... A>
struct StoredElement<std::tuple<A...>> {
  using type = std::tuple<typename StoredElement<A>::type...>;
};
template <class X>
using stored_element = typename StoredElement<std::remove_cvref_t<X>>::type;
template <class X>
inline constexpr bool is_view_element = !std::is_same_v<stored_element<X>, std::remove_cvref_t<X>>;

template <class F, std::size_t I>
struct ParameterAt {
  using type = void;
};
template <class F, std::size_t I>
  requires(Signature<F>::known)
struct ParameterAt<F, I> {
  template <class... P>
  static auto pick(TypeList<P...>) {
    if constexpr (I < sizeof...(P)) return std::type_identity<std::remove_cvref_t<std::tuple_element_t<I, std::tuple<P...>>>>{};
    else return std::type_identity<void>{};
  }
  using type = typename decltype(pick(typename Signature<F>::parameters{}))::type;
};
/// The type of parameter I without references; void if the function has none, or is generic.
template <class F, std::size_t I>
using Parameter = typename ParameterAt<F, I>::type;

/// How an F takes an element that is handed on as X: as it is, or (a view where F wants the real thing) made into what is stored.
/// A generic function gets the real thing, so that what it returns cannot dangle by accident.
template <class F, class X, std::size_t I = 0>
inline constexpr bool takes_as_is = !is_view_element<X> || std::is_same_v<Parameter<F, I>, std::remove_cvref_t<X>>;
template <class F, class X, std::size_t I = 0>
using Taken = std::conditional_t<takes_as_is<F, X, I>, X, const stored_element<X>&>;

/// Where views become real elements; one for each place that calls a function, so that text needs no allocation per element.
template <class X>
struct Scratch {
  stored_element<X> element;
};
template <class X>
  requires(!is_view_element<X>)
struct Scratch<X> {};

template <class F, class X, std::size_t I = 0>
decltype(auto) take_as(Scratch<X>& scratch, X&& x) {
  if constexpr (takes_as_is<F, X, I>) {
    return std::forward<X>(x);
  } else {
    if constexpr (std::is_same_v<stored_element<X>, std::string>) scratch.element.assign(x);
    else scratch.element = stored_element<X>(x);
    return static_cast<const stored_element<X>&>(scratch.element);
  }
}

}  // namespace weft::detail
