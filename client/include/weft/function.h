// How a user's function is called in another process: a thunk for each function type decodes the arguments, calls and encodes
// the result. It is named by its place in the program, and only thunks that registered themselves are ever called.
//
// Arguments are a row of nodes: 0 and the encoded value | 1 and the number of the input that is the value | 2 and the nodes of
// a container's elements. Parameters that all tasks of a template share stand in `shared_arguments` behind a bit mask.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/serialize.h>
#include <weft/value.h>

namespace weft::detail {

/// One call of user code, as an executor sees it.
struct Call {
  std::span<const std::byte> shared_arguments;
  std::span<const std::byte> arguments;
  std::span<const Value> inputs;
  void (*target)() = nullptr;   // plain functions: their address in this process
  ResultSink* result = nullptr;
};

/// Decodes the arguments, calls the function, encodes the result. Lets the function's exceptions through.
using Thunk = void (*)(Call&);

/// A thunk enters itself when its image is mapped and leaves when the image is closed.
struct ThunkEntry {
  explicit ThunkEntry(Thunk thunk);
  ~ThunkEntry();
  ThunkEntry(const ThunkEntry&) = delete;
  Thunk thunk;
  ThunkEntry* next = nullptr;
};
/// All registered thunks of the process. Inline and exported, so that two static copies of the library share one; constant
/// from the start, so that any image's initialisers may use it.
struct ThunkRegistry {
  std::atomic_flag busy;
  ThunkEntry* first = nullptr;
  std::atomic<std::uint64_t> changes = 0;
};
[[gnu::visibility("default")]] inline constinit ThunkRegistry thunk_registry;

enum class Node : unsigned char { value = 0, input = 1, elements = 2 };

inline const Value& input_at(std::span<const Value> inputs, std::uint64_t number) {
  if (number >= inputs.size()) damaged("it names an input that is not there");
  return inputs[number];
}

template <class T>
T read_node(Reader& in, std::span<const Value> inputs);

/// The elements of a container that holds inputs somewhere inside.
template <class T>
T read_elements(Reader& in, std::span<const Value> inputs) {
  constexpr Kind kind = kind_of<T>();
  if constexpr (kind == Kind::tuple) {
    return [&]<class... E>(TypeList<E...>) { return T{read_node<E>(in, inputs)...}; }(Children<T>{});
  } else if constexpr (kind == Kind::array) {
    T result{};
    for (auto& element : result) element = read_node<std::remove_reference_t<decltype(element)>>(in, inputs);
    return result;
  } else if constexpr (kind == Kind::optional) {
    return T(read_node<typename T::value_type>(in, inputs));
  } else if constexpr (kind == Kind::sequence || kind == Kind::map) {
    T result;
    std::size_t count = in.count();
    for (std::size_t i = 0; i < count; ++i) {
      if constexpr (kind == Kind::map) {
        typename T::key_type key{};
        in.get(key);
        result.emplace(std::move(key), read_node<typename T::mapped_type>(in, inputs));
      } else {
        result.push_back(read_node<typename T::value_type>(in, inputs));
      }
    }
    return result;
  } else {
    damaged("a value that is no container has elements");
  }
}

template <class T>
T read_node(Reader& in, std::span<const Value> inputs) {
  switch (static_cast<Node>(in.byte())) {
    case Node::value:
      if constexpr (kind_of<T>() != Kind::parts) {
        T result{};
        in.get(result);
        return result;
      }
      break;
    case Node::input: return from_value<T>(input_at(inputs, in.size()));
    case Node::elements: return read_elements<T>(in, inputs);
  }
  damaged("an argument is of no known form");
}

/// Reads parameters in order, each from where its template put it.
class ArgumentReader {
 public:
  explicit ArgumentReader(const Call& call) : shared_(call.shared_arguments), own_(call.arguments), inputs_(call.inputs) {
    if (shared_.left() != 0) mask_ = shared_.size();
  }
  template <class T>
  T next() {
    bool from_shared = (mask_ >> index_++ & 1) != 0;
    return read_node<T>(from_shared ? shared_ : own_, inputs_);
  }
  void finish() const {
    shared_.finish();
    own_.finish();
  }

 private:
  Reader shared_, own_;
  std::span<const Value> inputs_;
  std::uint64_t mask_ = 0;
  unsigned index_ = 0;
};

/// The parameters and result of a function: `Signature<R(P...)>`.
template <class F>
struct Signature {
  static constexpr bool known = false;
};
template <class R, class... P>
struct SignatureOf {
  static constexpr bool known = true;
  using result = R;
  using parameters = TypeList<P...>;
};
#define WEFT_SIGNATURE(qualifiers)                                                                 \
  template <class R, class C, class... P>                                                          \
  struct Signature<R (C::*)(P...) qualifiers> : SignatureOf<R, P...> {};                           \
  template <class R, class C, class... P>                                                          \
  struct Signature<R (C::*)(P...) qualifiers noexcept> : SignatureOf<R, P...> {};
WEFT_SIGNATURE()
WEFT_SIGNATURE(const)
WEFT_SIGNATURE(&)
WEFT_SIGNATURE(const&)
#undef WEFT_SIGNATURE
template <class R, class... P>
struct Signature<R (*)(P...)> : SignatureOf<R, P...> {};
template <class R, class... P>
struct Signature<R (*)(P...) noexcept> : SignatureOf<R, P...> {};
template <class F>
  requires requires { &F::operator(); }
struct Signature<F> : Signature<decltype(&F::operator())> {};

/// An argument on its way into parameter P: moved, or converted when the task's input has another type.
template <class P, class S>
decltype(auto) pass(S& source) {
  if constexpr (std::is_same_v<std::remove_cvref_t<P>, S>) return std::move(source);
  else return static_cast<std::remove_cvref_t<P>>(std::move(source));
}

/// Calls an F whose parameters are P with arguments that were stored as S. An F without parameters may have one that is not passed.
template <class F, class Parameters, class... S>
struct Caller;
template <class F, class... P, class... S>
struct Caller<F, TypeList<P...>, S...> {
  static auto invoke(const Call& call, std::tuple<S...>& stored) {
    return std::apply(
        [&](S&... source) -> decltype(auto) {
          constexpr bool after = sizeof...(P) < sizeof...(S);  // of a void task's end only
          if constexpr (std::is_pointer_v<F> && after) return reinterpret_cast<F>(call.target)();
          else if constexpr (after) return F{}();
          else if constexpr (std::is_pointer_v<F>) return reinterpret_cast<F>(call.target)(pass<P>(source)...);
          else return F{}(pass<P>(source)...);
        },
        stored);
  }
  static void call(Call& call) {
    ArgumentReader reader(call);
    std::tuple<S...> stored{reader.template next<S>()...};   // braces: in order
    reader.finish();
    if constexpr (std::is_void_v<decltype(invoke(call, stored))>) {
      invoke(call, stored);
      encode_into(*call.result, std::monostate{});
    } else {
      encode_into(*call.result, invoke(call, stored));
    }
  }
  static inline ThunkEntry entry{&call};
};

}  // namespace weft::detail
