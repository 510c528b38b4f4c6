// Lazy graphs: `weft::delayed(f)(args...)` records a call; nothing runs before `compute`.
//
// Delayed values are immutable and cheap to copy; different threads may use copies. Equal sub-expressions are one task.
#pragma once

#include <weft/client.h>

namespace weft {

namespace detail {

/// One recorded call. Arguments that are delayed or futures are kept by the holds of `call.inputs`.
struct DelayedNode {
  PreparedCall call;
  Options options;
  Key content;  // of the call, whatever key it was given
  DelayedNode() = default;
  DelayedNode(const DelayedNode&) = delete;
  ~DelayedNode();  // without recursion: a chain of a million is safe
};
using DelayedPointer = std::shared_ptr<const DelayedNode>;

DelayedPointer record(PreparedCall call, const Options& options);
std::vector<FutureHandle> submit_graph(const ClientPointer& client, const std::vector<DelayedPointer>& roots);
std::string dot_of(const std::vector<DelayedPointer>& roots);
void write_graph(const std::string& path, const std::string& dot);

}  // namespace detail

template <class T>
class Delayed {
 public:
  using value_type = T;
  explicit Delayed(detail::DelayedPointer node) : node_(std::move(node)) {}
  Key key() const { return node_->call.key; }

  /// Run what it needs and wait for the result.
  T compute(Client& client) const { return persist(client).result(); }
  /// Start it and return the future.
  Future<T> persist(Client& client) const { return Future<T>(detail::submit_graph(client.core(), {node_})[0]); }
  /// Write the graph: DOT text, or a picture (.svg, .png, .pdf) if Graphviz is installed.
  void visualize(const std::string& path) const { detail::write_graph(path, detail::dot_of({node_})); }

  const detail::DelayedPointer& node() const { return node_; }

 private:
  detail::DelayedPointer node_;
};

namespace detail {
template <class T>
struct FutureTraits<Delayed<T>> {
  static constexpr bool is_future = true;
  using value_type = ValueOf<T>;
  static InputRef input(const Delayed<T>& delayed) {
    return {.key = delayed.key(), .hold = hold(delayed.node())};
  }
};

template <class F>
struct DelayedFunction {
  F f;
  Options options;
  template <class... A>
  auto operator()(const A&... args) const {
    return Delayed<CallResult<F, A...>>(record(prepare(f, args...), options));
  }
};
}  // namespace detail

/// Make a function lazy: calling the answer records the call.
template <class F>
auto delayed(F f, Options options = {}) {
  return detail::DelayedFunction<F>{f, std::move(options)};
}

/// Start several at once; what they share runs once.
template <class... T>
std::tuple<Future<T>...> persist(Client& client, const Delayed<T>&... values) {
  auto handles = detail::submit_graph(client.core(), {values.node()...});
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::tuple<Future<T>...>{Future<T>(handles[I])...};
  }(std::index_sequence_for<T...>{});
}
/// Run several at once and wait for all results (std::monostate for those without).
template <class... T>
std::tuple<ValueOf<T>...> compute(Client& client, const Delayed<T>&... values) {
  return gather(persist(client, values...));
}

}  // namespace weft
