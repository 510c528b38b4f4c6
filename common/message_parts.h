// What several messages carry: failures, rights to fetch, places of values, and the sizes above which things travel by themselves.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include <weft/error.h>

#include "common/codec.h"
#include "common/graph.h"
#include "common/ids.h"

namespace weft {

/// How a Failure travels.
struct WireFailure {
  Failure failure;
  template <class A>
  void fields(A& a) {
    auto& f = failure;
    a(f.kind, f.message, f.type, f.frames, f.traceback, f.output, f.label, f.key, f.worker, f.attempt, f.signal, f.exit_code, f.address);
  }
};

/// The right to fetch one value from one worker once. Made by the scheduler from the holder's secret, checked by the holder.
struct Token {
  std::uint64_t nonce = 0;
  std::uint64_t seal = 0;
  template <class A>
  void fields(A& a) {
    a(nonce, seal);
  }
};

/// Where a value can be fetched.
struct Location {
  WorkerId worker;
  std::string endpoint;    // of the worker's value socket
  Bytes public_key;        // CURVE key of that socket; empty when values are in clear
  Token token;
  std::string memory;      // where readers on its host borrow values from it (common/data/loans); empty: nowhere
  template <class A>
  void fields(A& a) {
    a(worker, endpoint, public_key, token, memory);
  }
};

/// A value's key and how large it is.
struct Held {
  Key key;
  std::uint64_t bytes = 0;
  template <class A>
  void fields(A& a) {
    a(key, bytes);
  }
};

/// Results up to this size ride on AttemptFinished and TaskStored.
inline constexpr std::size_t small_value_max = 4096;
/// Arguments up to this size ride in the graph; bigger ones are scattered.
inline constexpr std::size_t inline_argument_max = 64 * 1024;
/// One range of a value on the wire.
inline constexpr std::size_t value_range_max = 1u << 20;

}  // namespace weft
