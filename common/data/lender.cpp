#include "common/data/lender.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "common/data/pass_descriptor.h"
#include "common/machine.h"

namespace weft {
namespace {

constexpr int messages_per_turn = 256;
constexpr const char* name_pattern = "memory-%d.%d";  // process, and how many it opened before

// A worker that was killed could not remove its socket.
void remove_dead(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    int owner = 0, number = 0;
    if (std::sscanf(entry.path().filename().c_str(), name_pattern, &owner, &number) != 2 || owner <= 0) continue;
    if (kill(owner, 0) != 0 && errno == ESRCH) std::filesystem::remove(entry.path(), ignored);
  }
}

bool watch(int epoll, int descriptor) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = descriptor}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

}  // namespace

Result<std::unique_ptr<Lender>> Lender::open(const std::string& folder, Find find) {
  static std::atomic<int> opened{0};
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), name_pattern, getpid(), opened++);
  std::string path = folder + '/' + name.data();
  sockaddr_un place{};
  place.sun_family = AF_UNIX;
  if (path.size() >= sizeof place.sun_path)
    return failure(ErrorKind::invalid_argument, "the path " + path + " is too long for a socket (107 bytes): use a shorter local directory");
  std::string host = host_id();
  if (host.empty()) return failure(ErrorKind::io_error, "the kernel does not say which boot this is (/proc is not mounted)");
  remove_dead(folder);
  unlink(path.c_str());
  std::memcpy(place.sun_path, path.data(), path.size());
  int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::unique_ptr<Lender> lender(new Lender(listener, epoll, path, std::move(find)));
  lender->address_ = host + ' ' + path;
  bool stands = listener >= 0 && epoll >= 0 && bind(listener, reinterpret_cast<sockaddr*>(&place), sizeof place) == 0 &&
                listen(listener, 128) == 0 && watch(epoll, listener);
  if (!stands) return failure(ErrorKind::io_error, "cannot listen at " + path + ": " + std::strerror(errno));
  return lender;
}

Lender::Lender(int listener, int epoll, std::string path, Find find)
    : listener_(listener), epoll_(epoll), path_(std::move(path)), find_(std::move(find)) {}

Lender::~Lender() {
  for (const auto& [reader, loans] : readers_) close(reader);
  if (epoll_ >= 0) close(epoll_);
  if (listener_ >= 0) close(listener_);
  unlink(path_.c_str());
}

std::size_t Lender::loans() const {
  std::size_t count = 0;
  for (const auto& [reader, loans] : readers_) count += loans.size();
  return count;
}

void Lender::serve() {
  std::array<epoll_event, 32> events;
  int count = epoll_wait(epoll_, events.data(), int(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    int socket = events[i].data.fd;
    if (socket == listener_) take_in();
    else if (auto at = readers_.find(socket); at != readers_.end() && !answer(socket, at->second)) cut(socket);
  }
}

void Lender::take_in() {
  int reader;
  while ((reader = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
    if (is_ours(reader) && watch(epoll_, reader)) readers_[reader];
    else close(reader);
  }
}

/// False: this reader is gone or makes no sense.
bool Lender::answer(int reader, Loans& loans) {
  std::array<std::byte, 512> note;
  for (int i = 0; i < messages_per_turn; ++i) {
    ssize_t got = recv(reader, note.data(), note.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (got <= 0) return false;
    auto request = decode<LoanRequest>(std::span(note.data(), static_cast<std::size_t>(got)));
    if (!request) return false;
    if (auto* back = std::get_if<Return>(&*request)) loans.erase(back->loan);
    else if (!lend(reader, loans, std::get<Borrow>(*request))) return false;
  }
  return true;
}

bool Lender::lend(int reader, Loans& loans, const Borrow& ask) {
  Lent lent{.loan = ask.loan};
  Offer offer;
  if (loans.size() >= loans_per_reader_max) offer.refusal = "too much is lent to this reader";
  else if (loans.contains(ask.loan)) return false;
  else offer = find_(ask);
  bool given = offer.refusal.empty();
  lent.error = std::move(offer.refusal);
  if (given) {
    lent.segment = offer.range.segment;
    lent.offset = offer.range.offset;
    lent.length = offer.range.length;
    lent.content = offer.content;
    loans.emplace(ask.loan, std::move(offer.bytes));
  }
  return send_descriptor(reader, encode(LoanReply(lent)), given ? offer.range.descriptor : -1);
}

void Lender::recall() {
  Bytes note = encode(LoanReply(Recall{}));
  for (auto at = readers_.begin(); at != readers_.end();) {
    int reader = at->first;
    bool full = !at->second.empty() && !send_descriptor(reader, note, -1);
    ++at;
    if (full) cut(reader);
  }
}

void Lender::cut(int reader) {
  readers_.erase(reader);
  close(reader);
}

}  // namespace weft
