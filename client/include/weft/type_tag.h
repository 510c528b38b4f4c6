// How types are named in stored values: a hash of what they are made of, equal for equal standard types in every program.
#pragma once

#include <string_view>

#include <weft/travels.h>

namespace weft {
namespace detail {

template <class T>
constexpr auto raw_type_name() {
  return std::string_view(__PRETTY_FUNCTION__);
}
/// The type as the compiler spells it.
template <class T>
constexpr std::string_view type_name() {
  std::string_view text = raw_type_name<T>();
  text.remove_prefix(text.find("T = ") + 4);
  text.remove_suffix(1);
  return text;
}

// FNV-1a over 64 bits, with a final mix so that joined tags spread.
constexpr TypeTag tag_of(std::string_view text, TypeTag seed = 0xcbf29ce484222325) {
  for (char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return seed;
}
constexpr TypeTag tag_join(TypeTag a, TypeTag b) {
  a = (a ^ (b >> 29) ^ b) * 0xbf58476d1ce4e5b9;
  return a ^ (a >> 32);
}

template <class... Seen, class... Child>
constexpr TypeTag tag_children(TypeTag tag, TypeList<Child...>);

/// What the type is called in its tag, without its children. Types of one encoding share a name (a vector is read as a list).
template <class T>
constexpr TypeTag tag_name() {
  constexpr Kind kind = kind_of<T>();
  if constexpr (std::is_enum_v<T>) return tag_join(tag_of(type_name<T>()), sizeof(T));
  else if constexpr (std::is_same_v<T, bool>) return tag_of("bool");
  else if constexpr (std::is_floating_point_v<T>) return tag_join(tag_of("real"), sizeof(T));
  else if constexpr (kind == Kind::scalar) return tag_join(tag_of(std::is_signed_v<T> ? "signed" : "unsigned"), sizeof(T));
  else if constexpr (kind == Kind::duration)
    return tag_join(tag_join(tag_join(tag_of("duration"), tag_name<typename T::rep>()), T::period::num), T::period::den);
  else if constexpr (kind == Kind::time_point)
    return tag_join(tag_join(tag_of("time"), tag_name<typename T::duration>()), tag_of(type_name<typename T::clock>()));
  else if constexpr (kind == Kind::complex) return tag_join(tag_of("complex"), tag_name<typename T::value_type>());
  else if constexpr (kind == Kind::array)
    return []<class C>(TypeList<C>) { return tag_join(tag_of("array"), sizeof(T) / sizeof(C)); }(Children<T>{});
  else if constexpr (kind == Kind::sequence) return tag_of(TextType<T> ? "text" : "sequence");
  else if constexpr (kind == Kind::set) return tag_of(Multi<T> ? "multiset" : "set");
  else if constexpr (kind == Kind::map) return tag_of(Multi<T> ? "multimap" : "map");
  else if constexpr (kind == Kind::tuple) return tag_of("tuple");
  else if constexpr (kind == Kind::optional) return tag_of("optional");
  else if constexpr (kind == Kind::variant) return tag_of("variant");
  else if constexpr (kind == Kind::buffer) return tag_of("buffer");
  else if constexpr (kind == Kind::nothing) return tag_of("nothing");
  else if constexpr (kind == Kind::parts) return tag_of("parts");
  else return tag_join(tag_of(type_name<T>()), kind == Kind::opaque ? sizeof(T) : 0);
}
template <class T, class... Seen>
constexpr TypeTag tag_inside() {
  if constexpr ((std::is_same_v<T, Seen> || ...)) return tag_join(tag_of("self"), tag_name<T>());
  else if constexpr (kind_of<T>() == Kind::aggregate) return tag_children<T, Seen...>(tag_name<T>(), Children<T>{});
  else return tag_children<Seen...>(tag_name<T>(), Children<T>{});
}
template <class... Seen, class... Child>
constexpr TypeTag tag_children(TypeTag tag, TypeList<Child...>) {
  ((tag = tag_join(tag, tag_inside<Child, Seen...>())), ...);
  return tag_join(tag, sizeof...(Child));
}

}  // namespace detail

/// The type's name in stored values: equal for equal standard types whatever the compiler; never 0.
template <class T>
constexpr TypeTag type_tag() {
  if constexpr (std::is_void_v<T>) return type_tag<std::monostate>();
  else return detail::tag_inside<T>() | 1;
}

}  // namespace weft
