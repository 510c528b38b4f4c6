// What the holders and readers of values say to each other, on sockets of their own (design 11).
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/message_parts.h"

namespace weft {

// ---------------------------------------------------------------------------------------------- value plane

// A frame is a list of requests or of replies; its payload has the bytes of its ranges, one after another (data/value_frames).

/// Any holder of a token -> worker: send this range of this value. Answered by ValueRange.
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
  std::uint64_t bytes = 0;               // of the payload that are this range
  std::string error;                     // empty: here it is
  template <class A>
  void fields(A& a) {
    a(request, offset, total, content, bytes, error);
  }
};
/// Client -> worker: bytes of a scattered value; ranges in order. Each is answered by PutDone.
struct PutRange {
  Key key;
  std::uint64_t offset = 0;
  std::uint64_t total = 0;
  std::uint64_t bytes = 0;               // of the payload that are this range
  Token token;
  template <class A>
  void fields(A& a) {
    a(key, offset, total, bytes, token);
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

// ---------------------------------------------------------------------------------------------- on one host

/// Reader -> worker on the same host, over its memory socket: let me map this value. Answered by Lent.
struct Borrow {
  std::uint64_t loan = 0;                // the reader's own number
  Key key;
  std::uint32_t part = whole_value;
  Token token;
  template <class A>
  void fields(A& a) {
    a(loan, key, part, token);
  }
};
/// The reader's last view of it is gone.
struct Return {
  std::uint64_t loan = 0;
  template <class A>
  void fields(A& a) {
    a(loan);
  }
};
/// Where the value lies in a segment whose descriptor comes with this message, unless there is an error.
struct Lent {
  std::uint64_t loan = 0;
  std::uint64_t segment = 0;             // the worker's own number of it
  std::uint64_t offset = 0, length = 0;
  std::uint64_t content = 0;             // as in ValueRange
  std::string error;                     // not empty: fetch it by the value socket, with the same token
  template <class A>
  void fields(A& a) {
    a(loan, segment, offset, length, content, error);
  }
};
/// Worker -> reader: I am short of memory; make copies of what you can, and return it.
struct Recall {
  template <class A>
  void fields(A& a) {
    a();
  }
};

using LoanRequest = std::variant<Borrow, Return>;
using LoanReply = std::variant<Lent, Recall>;
using ValueRequest = std::variant<GetRange, PutRange>;
using ValueReply = std::variant<ValueRange, PutDone>;

}  // namespace weft
