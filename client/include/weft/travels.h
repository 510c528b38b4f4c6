// Which types travel between processes, why the others do not, and how a type is named in stored values.
//
// A type travels if it is made of numbers, enums, strings, standard containers, optional, variant, tuple, weft::Buffer and
// aggregates of such, or if it has `template <class A> void archive(A& ar) { ar(first, second); }` (member, or a free
// function found beside the type). Containers are recognised by their members, so no container's header is needed here.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <weft/reflect.h>
#include <weft/value.h>

namespace weft {

/// A result whose element i is stored as part i, a whole value by itself, so that a reader can take part i alone: what a
/// hash-partitioned map task returns. Only as a whole result or argument, not inside another type.
template <class T>
struct Parts : std::vector<T> {
  using std::vector<T>::vector;
};

/// What stands for a T where a value is needed: std::monostate for void.
template <class T>
using ValueOf = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

namespace detail {

static_assert(std::endian::native == std::endian::little, "weft stores numbers as little-endian machines have them");

/// Filled in by <weft/msgpack.h>.
template <class T>
struct MsgpackCodec;

/// How a type travels; from `pointer` on, why it does not.
enum class Kind {
  scalar, archive, msgpack, buffer, parts, array, tuple, optional, variant, nothing, duration, time_point, complex, sequence, set,
  map, aggregate, opaque,
  pointer, reference, constant, view, smart_pointer, function, union_type, has_base, needs_default, too_many_fields, needs_header,
  parts_inside, future, unknown
};
constexpr bool refused(Kind kind) { return kind >= Kind::pointer; }

struct ArchiveProbe {
  template <class... T>
  void operator()(T&&...) {}
};
template <class T>
concept MemberArchive = requires(T& value, ArchiveProbe& probe) { value.archive(probe); };
template <class T>
concept FreeArchive = requires(T& value, ArchiveProbe& probe) { archive(probe, value); };
template <class T>
concept MsgpackType = requires(const T& value, ArchiveProbe& probe) { value.msgpack_pack(probe); };

template <class T>
concept Sized = requires(const T& range) {
  typename T::value_type;
  range.begin();
  range.end();
  range.size();
};
template <class T>
concept SequenceType = Sized<T> && requires(T& range) { range.clear(), range.push_back(std::declval<typename T::value_type>()); };
template <class T>
concept SetType = Sized<T> && requires(T& set) { typename T::key_type; set.clear(); };
template <class T>
concept MapType = SetType<T> && requires { typename T::mapped_type; };
template <class T>
concept Hashed = requires { typename T::hasher; };
/// A set or map that may hold a key more than once: insert returns only the place.
template <class T>
concept Multi = std::is_same_v<decltype(std::declval<T&>().insert(std::declval<typename T::value_type>())), typename T::iterator>;
template <class T>
concept TextType = SequenceType<T> && requires { typename T::traits_type; };
template <class T>
concept Contiguous = SequenceType<T> && requires(T& range) { range.data() + range.size(), range.resize(1); };
template <class T>
concept DurationType = requires(const T& value) { typename T::rep; typename T::period; value.count(); };
template <class T>
concept TimePointType = requires(const T& value) { typename T::clock; typename T::duration; value.time_since_epoch(); };
template <class T>
concept ComplexType = requires(const T& value) { typename T::value_type; value.real(); value.imag(); } &&
                      std::is_arithmetic_v<typename T::value_type> && sizeof(T) == 2 * sizeof(typename T::value_type);
template <class T>
concept PointerLike = requires(const T& value) { value.operator->(); } ||
                      requires(const T& value) { typename T::element_type; value.get(); } ||
                      requires(const T& value) { typename T::type; static_cast<typename T::type&>(value.get()); };
template <class T>
concept CallObject = requires { &T::operator(); } || requires(const T& value) { typename T::result_type; value.target_type(); };

template <class T>
struct KindOf {
  static constexpr Kind kind = Kind::unknown;
};
template <class T>
struct KindOf<Parts<T>> {
  static constexpr Kind kind = Kind::parts;
};
template <class T, std::size_t N>
struct KindOf<T[N]> {
  static constexpr Kind kind = Kind::array;
};
template <class T, std::size_t N>
struct KindOf<std::array<T, N>> {
  static constexpr Kind kind = Kind::array;
};
template <class A, class B>
struct KindOf<std::pair<A, B>> {
  static constexpr Kind kind = Kind::tuple;
};
template <class... T>
struct KindOf<std::tuple<T...>> {
  static constexpr Kind kind = Kind::tuple;
};
template <class T>
struct KindOf<std::optional<T>> {
  static constexpr Kind kind = Kind::optional;
};
template <class... T>
struct KindOf<std::variant<T...>> {
  static constexpr Kind kind = Kind::variant;
};

/// Specialised by Future and Delayed: types that stand for a value that a task will have made.
template <class T>
struct FutureTraits {
  static constexpr bool is_future = false;
};

/// Zeroes what lies between the fields of a type that we cannot see into.
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define WEFT_CLEAR_PADDING(pointer) __builtin_clear_padding(pointer)
#endif
#endif
#ifdef WEFT_CLEAR_PADDING
template <class T>
inline constexpr bool padding_is_known = true;
#else
#define WEFT_CLEAR_PADDING(pointer) static_cast<void>(pointer)
template <class T>
inline constexpr bool padding_is_known = std::has_unique_object_representations_v<T>;
#endif

template <class T>
constexpr Kind kind_of_aggregate() {
  if constexpr (!requires { T{}; }) return Kind::needs_default;
  else if constexpr (HasBase<T>) return Kind::has_base;
  else if constexpr (count_fields<T>() > fields_max) return Kind::too_many_fields;
  else return Kind::aggregate;
}

template <class T>
constexpr Kind kind_of_class() {
  if constexpr (MemberArchive<T> || FreeArchive<T>) return std::is_default_constructible_v<T> ? Kind::archive : Kind::needs_default;
  else if constexpr (MsgpackType<T>) return requires { sizeof(MsgpackCodec<T>); } ? Kind::msgpack : Kind::needs_header;
  else if constexpr (SequenceType<T>) return Kind::sequence;
  else if constexpr (MapType<T>) return Kind::map;
  else if constexpr (SetType<T>) return Kind::set;
  else if constexpr (Sized<T>) return Kind::view;
  else if constexpr (std::is_union_v<T>) return Kind::union_type;
  else if constexpr (DurationType<T>) return Kind::duration;
  else if constexpr (TimePointType<T>) return Kind::time_point;
  else if constexpr (ComplexType<T>) return Kind::complex;
  else if constexpr (PointerLike<T>) return Kind::smart_pointer;
  else if constexpr (CallObject<T>) return Kind::function;
  else if constexpr (std::is_aggregate_v<T>) return kind_of_aggregate<T>();
  else if constexpr (std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T> && padding_is_known<T>)
    return Kind::opaque;
  else return Kind::unknown;
}

template <class T>
constexpr Kind kind_of() {
  if constexpr (std::is_reference_v<T>) return Kind::reference;
  else if constexpr (std::is_const_v<T> || std::is_volatile_v<T>) return Kind::constant;
  else if constexpr (std::is_pointer_v<T> || std::is_null_pointer_v<T>) return Kind::pointer;
  else if constexpr (std::is_member_pointer_v<T> || std::is_function_v<T>) return Kind::function;
  else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) return Kind::scalar;
  else if constexpr (std::is_same_v<T, Buffer>) return Kind::buffer;
  else if constexpr (std::is_same_v<T, std::monostate>) return Kind::nothing;
  else if constexpr (KindOf<T>::kind != Kind::unknown) return KindOf<T>::kind;
  else if constexpr (FutureTraits<T>::is_future) return Kind::future;
  else if constexpr (std::is_class_v<T> || std::is_union_v<T>) return kind_of_class<T>();
  else return Kind::unknown;
}

template <class... T>
struct TypeList {};
template <class T, Kind kind>
struct ChildrenOf {
  using type = TypeList<>;
};
template <class T>
struct ChildrenOf<Parts<T>, Kind::parts> {
  using type = TypeList<T>;
};
template <class T, std::size_t N>
struct ChildrenOf<T[N], Kind::array> {
  using type = TypeList<T>;
};
template <class T, std::size_t N>
struct ChildrenOf<std::array<T, N>, Kind::array> {
  using type = TypeList<T>;
};
template <class A, class B>
struct ChildrenOf<std::pair<A, B>, Kind::tuple> {
  using type = TypeList<A, B>;
};
template <class... T>
struct ChildrenOf<std::tuple<T...>, Kind::tuple> {
  using type = TypeList<T...>;
};
template <class T>
struct ChildrenOf<std::optional<T>, Kind::optional> {
  using type = TypeList<T>;
};
template <class... T>
struct ChildrenOf<std::variant<T...>, Kind::variant> {
  using type = TypeList<T...>;
};
template <class T>
struct ChildrenOf<T, Kind::sequence> {
  using type = TypeList<typename T::value_type>;
};
template <class T>
struct ChildrenOf<T, Kind::set> {
  using type = TypeList<typename T::key_type>;
};
template <class T>
struct ChildrenOf<T, Kind::map> {
  using type = TypeList<typename T::key_type, typename T::mapped_type>;
};
template <class Tuple>
struct UntiedFields;
template <class... T>
struct UntiedFields<std::tuple<T&...>> {
  using type = TypeList<T...>;
};
template <class T>
struct ChildrenOf<T, Kind::aggregate> {
  using type = typename UntiedFields<FieldsOf<T>>::type;
};
template <class T>
using Children = typename ChildrenOf<T, kind_of<T>()>::type;

template <class... Seen, class... Child>
constexpr Kind first_refused(TypeList<Child...>);

/// How the type travels, or the first reason inside it why it does not. A type inside itself is looked at once.
template <class T, class... Seen>
constexpr Kind verdict() {
  constexpr Kind kind = kind_of<T>();
  if constexpr ((std::is_same_v<T, Seen> || ...)) return Kind::nothing;
  else if constexpr (refused(kind)) return kind;
  else if constexpr (kind == Kind::parts && sizeof...(Seen) > 0) return Kind::parts_inside;
  else {
    constexpr Kind inside = first_refused<T, Seen...>(Children<T>{});
    return refused(inside) ? inside : kind;
  }
}
template <class... Seen, class... Child>
constexpr Kind first_refused(TypeList<Child...>) {
  Kind found = Kind::nothing;
  static_cast<void>(((refused(found = verdict<Child, Seen...>())) || ...));
  return found;
}

/// Stop the compiler with a sentence if T does not travel; says how it travels otherwise.
template <class T>
constexpr bool must_travel() {
  constexpr Kind kind = verdict<T>();
  static_assert(kind != Kind::pointer,
                "weft: a pointer cannot travel to another process; pass the value itself, or a std::vector / weft::Buffer of the "
                "data (std::string for text)");
  static_assert(kind != Kind::reference, "weft: a reference cannot travel to another process; hold the value itself");
  static_assert(kind != Kind::constant, "weft: a const or volatile member cannot be filled in on arrival; remove the const");
  static_assert(kind != Kind::view,
                "weft: a view (std::string_view, std::span, a range) cannot travel, it only points at data; use std::string, "
                "std::vector or weft::Buffer");
  static_assert(kind != Kind::smart_pointer,
                "weft: a smart pointer, iterator or reference wrapper cannot travel; pass the value itself, or std::optional of it");
  static_assert(kind != Kind::function,
                "weft: a function or function object cannot travel as a value; pass the data and call the function in the task");
  static_assert(kind != Kind::union_type, "weft: a union cannot travel; use std::variant");
  static_assert(kind != Kind::has_base,
                "weft: an aggregate with a base class needs a member to travel: "
                "template <class A> void archive(A& ar) { ar(first, second); }");
  static_assert(kind != Kind::needs_default,
                "weft: a type that travels must be makeable as T{}; this one holds a reference (which cannot travel) or a member "
                "without default constructor: add a default constructor");
  static_assert(kind != Kind::too_many_fields,
                "weft: an aggregate with more than 32 fields needs a member to travel: "
                "template <class A> void archive(A& ar) { ar(first, second); }");
  static_assert(kind != Kind::needs_header, "weft: a MSGPACK_DEFINE type travels after #include <weft/msgpack.h>");
  static_assert(kind != Kind::parts_inside, "weft: weft::Parts must be the whole result, not inside another type; use std::vector");
  static_assert(kind != Kind::future,
                "weft: a future travels only as an argument, alone or inside vectors, tuples, pairs, maps, optionals and arrays");
  static_assert(kind != Kind::unknown,
                "weft: this type does not say what is in it; to travel it needs a default constructor and a member "
                "template <class A> void archive(A& ar) { ar(first, second); }");
  return !refused(kind);
}

/// Whether a T in memory is exactly its encoding: no padding, no bool (a damaged one would be undefined), no pointers.
template <class T>
constexpr bool is_raw();

template <class... Child>
constexpr bool all_raw(TypeList<Child...>, std::size_t size) {
  return (is_raw<Child>() && ...) && (0 + ... + sizeof(Child)) == size;
}
template <class T>
constexpr bool is_raw() {
  constexpr Kind kind = kind_of<T>();
  if constexpr (kind == Kind::scalar) return !std::is_same_v<T, bool> && !std::is_same_v<T, long double>;
  else if constexpr (kind == Kind::complex) return is_raw<typename T::value_type>();
  else if constexpr (kind == Kind::duration) return is_raw<typename T::rep>() && sizeof(T) == sizeof(typename T::rep);
  else if constexpr (kind == Kind::array && std::is_trivially_copyable_v<T>)
    return []<class C>(TypeList<C>) { return is_raw<C>() && sizeof(T) > 0 && sizeof(T) % sizeof(C) == 0; }(Children<T>{});
  else if constexpr (kind == Kind::aggregate && std::is_trivially_copyable_v<T>) return all_raw(Children<T>{}, sizeof(T));
  else return false;
}

}  // namespace detail

/// Whether values of the type can be arguments and results of tasks.
template <class T>
concept Travels = !detail::refused(detail::verdict<T>());

}  // namespace weft
