// What the holders and readers of values say to each other, on sockets of their own (design 11).
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/message_parts.h"

namespace weft {

// ---------------------------------------------------------------------------------------------- value plane

/// Any holder of a token -> worker: send this range of this value. Answered by ValueRange (payload in the next frame).
struct GetRange {
  std::uint64_t request = 0;             // the asker's own number
  Key key;
  std::uint32_t part = whole_value;
  std::uint64_t offset = 0;              // inside the value or the part
  std::uint64_t length = 0;
  Token token;
  template <class A>
  void fields(A& a) {
    a(request, key, part, offset, length, token);
  }
};
struct ValueRange {
  std::uint64_t request = 0;
  std::uint64_t offset = 0;
  std::uint64_t total = 0;               // bytes of the whole value or part
  std::uint64_t content = 0;             // drawn when the value was made, carried by its copies: equal numbers, equal bytes
  std::string error;                     // empty: the payload follows
  template <class A>
  void fields(A& a) {
    a(request, offset, total, content, error);
  }
};
/// Client -> worker: bytes of a scattered value; ranges in order, payload in the next frame. Each is answered by PutDone.
struct PutRange {
  Key key;
  std::uint64_t offset = 0;
  std::uint64_t total = 0;
  Token token;
  template <class A>
  void fields(A& a) {
    a(key, offset, total, token);
  }
};
struct PutDone {
  Key key;
  std::uint64_t received = 0;            // bytes so far; equal to the total when all is stored
  std::string error;
  template <class A>
  void fields(A& a) {
    a(key, received, error);
  }
};

using ValueRequest = std::variant<GetRange, PutRange>;
using ValueReply = std::variant<ValueRange, PutDone>;

}  // namespace weft
