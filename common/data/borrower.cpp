#include "common/data/borrower.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>

#include "common/data/pass_descriptor.h"
#include "common/machine.h"

namespace weft {

/// The socket to one owner; lives as long as something borrowed there does.
class LoanLine {
 public:
  explicit LoanLine(int socket) : socket_(socket) {}
  ~LoanLine() { close(socket_); }
  LoanLine(const LoanLine&) = delete;
  LoanLine& operator=(const LoanLine&) = delete;
  int socket() const { return socket_; }

  bool send(const LoanRequest& request) { return send_descriptor(socket_, encode(request), -1); }
  /// From any thread. What does not go out now goes with the next `flush`.
  void give_back(std::uint64_t loan) {
    std::lock_guard lock(mutex_);
    if (late_.empty() && send(Return{loan})) return;
    if (errno == EAGAIN || !late_.empty()) late_.push_back(loan);
  }
  void flush() {
    std::lock_guard lock(mutex_);
    while (!late_.empty() && send(Return{late_.front()})) late_.pop_front();
  }

 private:
  int socket_;
  std::mutex mutex_;
  std::deque<std::uint64_t> late_;
};

/// The same segment under a number of our own, for those to whom it is lent on.
struct BorrowedSegment {
  std::shared_ptr<const SegmentMapping> mapping;
  std::uint64_t number = new_segment_id();
};

namespace {

struct Loan {
  Loan(std::shared_ptr<LoanLine> line, std::shared_ptr<const BorrowedSegment> segment, std::uint64_t number)
      : line(std::move(line)), segment(std::move(segment)), number(number) {}
  ~Loan() { line->give_back(number); }
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;
  std::shared_ptr<LoanLine> line;
  std::shared_ptr<const BorrowedSegment> segment;
  std::uint64_t number;
};

}  // namespace

struct Borrower::Lending {
  std::uint64_t lender = 0;
  std::shared_ptr<LoanLine> line;
  std::map<std::uint64_t, Done> asked;       // by loan
  std::deque<std::pair<Borrow, Done>> waiting;
  std::map<std::uint64_t, std::weak_ptr<const BorrowedSegment>> segments;  // by the owner's number
  Time heard;                                // or first asked
};

Borrower::Borrower() : epoll_(epoll_create1(EPOLL_CLOEXEC)), host_(host_id()) { WEFT_CHECK(epoll_ >= 0); }
Borrower::~Borrower() { close(epoll_); }

bool Borrower::borrow(const Location& location, const Key& key, std::uint32_t part, Done done, Time now) {
  if (host_.empty() || !location.memory.starts_with(host_ + ' ')) return false;
  Lending* lending = connect(location.memory);
  if (!lending) return false;
  if (lending->asked.empty()) lending->heard = now;
  lending->waiting.emplace_back(Borrow{++last_loan_, key, part, location.token}, std::move(done));
  ask(*lending);  // if it is broken, the next `serve` reads so
  return true;
}

Borrower::Lending* Borrower::connect(const std::string& address) {
  if (auto at = lendings_.find(address); at != lendings_.end()) return &at->second;
  std::string path = address.substr(host_.size() + 1);
  sockaddr_un place{};
  place.sun_family = AF_UNIX;
  if (path.size() >= sizeof place.sun_path) return nullptr;
  std::memcpy(place.sun_path, path.data(), path.size());
  int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (made < 0) return nullptr;
  auto line = std::make_shared<LoanLine>(made);
  if (::connect(made, reinterpret_cast<sockaddr*>(&place), sizeof place) != 0 || !is_ours(made)) return nullptr;
  epoll_event event{.events = EPOLLIN, .data = {.fd = made}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, made, &event) != 0) return nullptr;
  Lending& lending = lendings_[address];
  lending.lender = ++last_lender_;
  lending.line = std::move(line);
  return &lending;
}

/// Send what waits, as far as the bound allows; false: the line takes no more.
bool Borrower::ask(Lending& lending) {
  while (!lending.waiting.empty() && lending.asked.size() < asked_max) {
    auto& [request, done] = lending.waiting.front();
    if (!lending.line->send(request)) return errno == EAGAIN;
    lending.asked.emplace(request.loan, std::move(done));
    lending.waiting.pop_front();
  }
  return true;
}

void Borrower::serve(Time now) {
  for (auto at = lendings_.begin(); at != lendings_.end();) {
    auto here = at++;
    Lending& lending = here->second;
    lending.line->flush();
    bool owes = !lending.asked.empty() || !lending.waiting.empty();
    if (!read(lending, now) || !ask(lending) || (owes && now - lending.heard >= patience)) lose(here);
  }
}

/// Take all that is there; false: the owner is gone or makes no sense.
bool Borrower::read(Lending& lending, Time now) {
  std::array<std::byte, 1024> note;
  for (;;) {
    int descriptor = -1;
    ssize_t got = receive_descriptor(lending.line->socket(), note, descriptor, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return true;
    auto reply = got > 0 ? decode<LoanReply>(std::span(note.data(), static_cast<std::size_t>(got)))
                         : Result<LoanReply>(failure(ErrorKind::connection_failed, "the owner is gone"));
    bool good = static_cast<bool>(reply);
    if (good && std::holds_alternative<Recall>(*reply)) unsure_.push_back(lending.lender);
    else if (good) good = accept(lending, std::get<Lent>(*reply), std::exchange(descriptor, -1));
    if (descriptor >= 0) close(descriptor);
    if (!good) return false;
    lending.heard = now;
  }
}

/// Takes the descriptor over.
bool Borrower::accept(Lending& lending, const Lent& lent, int descriptor) {
  auto asked = lending.asked.extract(lent.loan);
  if (asked.empty() || (descriptor < 0) == lent.error.empty()) {
    if (descriptor >= 0) close(descriptor);
    if (!asked.empty()) asked.mapped()(std::nullopt);
    return false;
  }
  if (descriptor < 0) return asked.mapped()(std::nullopt), true;
  auto segment = segment_of(lending, lent.segment, descriptor);
  auto loan = std::make_shared<const Loan>(lending.line, segment, lent.loan);
  auto bytes = segment ? segment->mapping->range(lent.offset, lent.length) : std::nullopt;
  if (!bytes) return asked.mapped()(std::nullopt), true;
  asked.mapped()(Borrowed{Buffer(std::move(loan), *bytes), lent.content, lending.lender});
  return true;
}

/// A segment is mapped once however many values are borrowed from it, and as long as any is.
std::shared_ptr<const BorrowedSegment> Borrower::segment_of(Lending& lending, std::uint64_t number, int descriptor) {
  if (auto known = lending.segments[number].lock()) {
    close(descriptor);
    return known;
  }
  std::erase_if(segments_, [](const auto& entry) { return entry.second.expired(); });
  std::erase_if(lending.segments, [](const auto& entry) { return entry.second.expired(); });
  auto mapping = SegmentMapping::map(descriptor);
  if (!mapping) return nullptr;
  auto segment = std::make_shared<const BorrowedSegment>(BorrowedSegment{*mapping});
  lending.segments[number] = segment;
  segments_[(*mapping)->bytes().data()] = segment;
  return segment;
}

void Borrower::lose(Lendings::iterator at) {
  auto gone = lendings_.extract(at);
  Lending& lending = gone.mapped();
  epoll_ctl(epoll_, EPOLL_CTL_DEL, lending.line->socket(), nullptr);
  unsure_.push_back(lending.lender);
  for (auto& [loan, done] : lending.asked) done(std::nullopt);
  for (auto& [request, done] : lending.waiting) done(std::nullopt);
}

Time Borrower::wake_at() const {
  Time at = Time::never();
  for (const auto& [address, lending] : lendings_)
    if (!lending.asked.empty() || !lending.waiting.empty()) at = std::min(at, lending.heard + patience);
  return at;
}

SegmentRange Borrower::range_of(std::span<const std::byte> bytes) const {
  auto after = segments_.upper_bound(bytes.data());
  if (after == segments_.begin()) return {};
  auto segment = std::prev(after)->second.lock();
  if (!segment) return {};
  const SegmentMapping& mapping = *segment->mapping;
  auto offset = static_cast<std::uint64_t>(bytes.data() - mapping.bytes().data());
  if (!mapping.range(offset, bytes.size())) return {};
  return {.descriptor = mapping.descriptor(), .segment = segment->number, .offset = offset, .length = bytes.size()};
}

}  // namespace weft
