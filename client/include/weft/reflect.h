// Fields of an aggregate without a macro: how many there are, and references to all of them. Internal.
//
// Every field is counted by an empty pair of braces, which also counts a C array as one field.
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

namespace weft::detail {

inline constexpr int fields_max = 32;

// clang-format off
/// How many fields the aggregate has; more than `fields_max` if they are too many. `T{}` must be possible.
template <class T>
constexpr int count_fields() {
  if constexpr (!requires { T{{}}; }) return 0;
  else if constexpr (!requires { T{{}, {}}; }) return 1;
  else if constexpr (!requires { T{{}, {}, {}}; }) return 2;
  else if constexpr (!requires { T{{}, {}, {}, {}}; }) return 3;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}}; }) return 4;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}}; }) return 5;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}}; }) return 6;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}}; }) return 7;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 8;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 9;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 10;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 11;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 12;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 13;
  else if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 14;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 15;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 16;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 17;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 18;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 19;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 20;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 21;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 22;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 23;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 24;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 25;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 26;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 27;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 28;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 29;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 30;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 31;
  else if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 32;
  else return fields_max + 1;
}

/// References to all fields, in order.
template <class T>
constexpr auto tie_fields(T& value) {
  constexpr int count = count_fields<std::remove_const_t<T>>();
  if constexpr (count == 0) return std::tuple<>();
  else if constexpr (count == 1) { auto& [a1] = value; return std::tie(a1); }
  else if constexpr (count == 2) { auto& [a1,a2] = value; return std::tie(a1,a2); }
  else if constexpr (count == 3) { auto& [a1,a2,a3] = value; return std::tie(a1,a2,a3); }
  else if constexpr (count == 4) { auto& [a1,a2,a3,a4] = value; return std::tie(a1,a2,a3,a4); }
  else if constexpr (count == 5) { auto& [a1,a2,a3,a4,a5] = value; return std::tie(a1,a2,a3,a4,a5); }
  else if constexpr (count == 6) { auto& [a1,a2,a3,a4,a5,a6] = value; return std::tie(a1,a2,a3,a4,a5,a6); }
  else if constexpr (count == 7) { auto& [a1,a2,a3,a4,a5,a6,a7] = value; return std::tie(a1,a2,a3,a4,a5,a6,a7); }
  else if constexpr (count == 8) { auto& [a1,a2,a3,a4,a5,a6,a7,a8] = value; return std::tie(a1,a2,a3,a4,a5,a6,a7,a8); }
  else if constexpr (count == 9) { auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9] = value; return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9); }
  else if constexpr (count == 10) { auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10] = value; return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10); }
  else if constexpr (count == 11) { auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11] = value; return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11); }
  else if constexpr (count == 12) { auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12] = value; return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12); }
  else if constexpr (count == 13) { auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13] = value; return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13); }
  else if constexpr (count == 14) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14);
  }
  else if constexpr (count == 15) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15);
  }
  else if constexpr (count == 16) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16);
  }
  else if constexpr (count == 17) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17);
  }
  else if constexpr (count == 18) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18);
  }
  else if constexpr (count == 19) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19);
  }
  else if constexpr (count == 20) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20);
  }
  else if constexpr (count == 21) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21);
  }
  else if constexpr (count == 22) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22);
  }
  else if constexpr (count == 23) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23);
  }
  else if constexpr (count == 24) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24);
  }
  else if constexpr (count == 25) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25);
  }
  else if constexpr (count == 26) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26);
  }
  else if constexpr (count == 27) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27);
  }
  else if constexpr (count == 28) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27,a28] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27,a28);
  }
  else if constexpr (count == 29) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27,a28,a29] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27,a28,a29);
  }
  else if constexpr (count == 30) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27,a28,a29,a30] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27,a28,a29,a30);
  }
  else if constexpr (count == 31) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27,a28,a29,a30,a31] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27,a28,a29,a30,a31);
  }
  else if constexpr (count == 32) {
    auto& [a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27,a28,a29,a30,a31,a32] = value;
    return std::tie(a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27,a28,a29,a30,a31,a32);
  }
}
// clang-format on

template <class T>
struct AnyBaseOf {
  template <class Base>
    requires(std::is_base_of_v<Base, T> && !std::is_same_v<Base, T>)
  constexpr operator Base() const noexcept;
};

/// Whether an aggregate has a base class: then its fields cannot be bound to names.
template <class T>
concept HasBase = requires { T{AnyBaseOf<T>{}}; };

template <class T>
using FieldsOf = decltype(tie_fields(std::declval<T&>()));

}  // namespace weft::detail
