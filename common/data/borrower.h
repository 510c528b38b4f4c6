// Values on one host without copies, the reader's side: asks the owner (Lender) for a value and views it where it lies. A view
// may be dropped on any thread, also after the Borrower is gone; its last copy returns the loan. The mapping stays valid whatever
// happens to the owner. Everything that is missing (another user, no common file system, a silent owner) ends in "not borrowed",
// and the reader fetches the value by its socket.
//
// Thread: one loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/data/segments.h"
#include "common/messages.h"
#include "common/time.h"

namespace weft {

class LoanLine;
class BorrowedSegment;

struct Borrowed {
  Buffer bytes;
  std::uint64_t content = 0;
  std::uint64_t lender = 0;              // the connection, for `take_unsure`
};

class Borrower {
 public:
  using Done = std::function<void(std::optional<Borrowed>)>;
  static constexpr std::size_t asked_max = 128;  // of one owner at once; the others wait here
  static constexpr Duration patience = 5s;       // with an owner that does not answer

  Borrower();
  ~Borrower();
  Borrower(const Borrower&) = delete;
  Borrower& operator=(const Borrower&) = delete;

  /// Ask for a value or a part; `done` is called by a later `serve`. False: it cannot be borrowed from there.
  bool borrow(const Location& location, const Key& key, std::uint32_t part, Done done, Time now);
  /// Readable when `serve` has something to do.
  int descriptor() const { return epoll_; }
  void serve(Time now);
  Time wake_at() const;
  /// Owners that want their memory back, or are gone, since the last call: what was borrowed there should be copied.
  std::vector<std::uint64_t> take_unsure() { return std::exchange(unsure_, {}); }
  /// Where borrowed bytes lie, for executors and other readers; empty if they are not ours.
  SegmentRange range_of(std::span<const std::byte> bytes) const;

 private:
  struct Lending;
  using Lendings = std::map<std::string, Lending>;
  Lending* connect(const std::string& address);
  bool read(Lending& lending, Time now);
  bool accept(Lending& lending, const Lent& lent, int descriptor);
  std::shared_ptr<const BorrowedSegment> segment_of(Lending& lending, std::uint64_t number, int descriptor);
  bool ask(Lending& lending);
  void lose(Lendings::iterator at);

  int epoll_;
  std::string host_;
  Lendings lendings_;                    // by Location::memory
  std::map<const std::byte*, std::weak_ptr<const BorrowedSegment>> segments_;  // by address
  std::vector<std::uint64_t> unsure_;
  std::uint64_t last_lender_ = 0, last_loan_ = 0;
};

}  // namespace weft
