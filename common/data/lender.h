// Values on one host without copies, the owner's side. A reader that can open the worker's Unix socket (in its 0700 folder, same
// user) shows the one-time token and gets the segment's descriptor, which cannot be mapped writable, and where the value lies. The
// range stays leased until the reader returns it or its connection closes, so no reader ever sees it reused.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/data/segments.h"
#include "common/messages.h"

namespace weft {

class Lender {
 public:
  struct Offer {
    Buffer bytes;                      // kept until they are returned
    SegmentRange range;                // where they lie
    std::uint64_t content = 0;
    std::string refusal;               // not empty: nothing is lent, and why
  };
  using Find = std::function<Offer(const Borrow&)>;
  static constexpr std::size_t loans_per_reader_max = 65'536;

  /// Listen in this private folder; sockets of processes that are gone are removed from it.
  static Result<std::unique_ptr<Lender>> open(const std::string& folder, Find find);
  ~Lender();
  Lender(const Lender&) = delete;
  Lender& operator=(const Lender&) = delete;

  /// What travels as Location::memory.
  const std::string& address() const { return address_; }
  /// Readable when `serve` has something to do.
  int descriptor() const { return epoll_; }
  /// Take in readers, answer them, take back what they return. Never blocks; a reader that does not read its answers is cut.
  void serve();
  /// Ask all readers to make copies and return what they can.
  void recall();
  std::size_t loans() const;

 private:
  using Loans = std::map<std::uint64_t, Buffer>;

  Lender(int listener, int epoll, std::string path, Find find);
  void take_in();
  bool answer(int reader, Loans& loans);
  bool lend(int reader, Loans& loans, const Borrow& ask);
  void cut(int reader);

  int listener_, epoll_;
  std::string path_, address_;
  Find find_;
  std::map<int, Loans> readers_;       // by socket
};

}  // namespace weft
