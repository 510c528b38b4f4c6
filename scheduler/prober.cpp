#include "scheduler/prober.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "common/address.h"
#include "common/time.h"

namespace weft::scheduler {

namespace {

constexpr std::size_t at_once = 128;            // connections
constexpr Duration patience = 500ms;            // for one lot of them; who has not answered by then has not answered

enum class Verdict { unknown, pending, gone };

/// A connection that is being made.
struct Attempt {
  WorkerId worker;
  int socket = -1;
  Verdict verdict = Verdict::unknown;
};

// A missing ipc:// path is no proof: it may be another machine's, or another container's.
bool means_gone(int error) { return error == ECONNREFUSED || error == ECONNRESET; }

void begin(Attempt& attempt, const sockaddr* address, socklen_t size) {
  attempt.socket = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (attempt.socket < 0) return;
  if (connect(attempt.socket, address, size) == 0 || errno == EINPROGRESS) attempt.verdict = Verdict::pending;
  else if (means_gone(errno)) attempt.verdict = Verdict::gone;
}

Attempt begin(WorkerId worker, const std::string& endpoint) {
  Attempt attempt{worker};
  Result<Address> address = read_contact_address(endpoint);
  if (!address) return attempt;
  if (const auto* ipc = std::get_if<IpcAddress>(&*address)) {
    sockaddr_un place{.sun_family = AF_UNIX, .sun_path = {}};
    if (ipc->path.size() >= sizeof place.sun_path) return attempt;
    std::memcpy(place.sun_path, ipc->path.c_str(), ipc->path.size() + 1);
    begin(attempt, reinterpret_cast<const sockaddr*>(&place), sizeof place);
  } else if (const auto* tcp = std::get_if<TcpAddress>(&*address)) {
    addrinfo wishes{}, *found = nullptr;
    wishes.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(tcp->host.c_str(), std::to_string(tcp->ports.first).c_str(), &wishes, &found) != 0 || !found) return attempt;
    // Of a name with several addresses one may refuse while the process listens on another.
    if (!found->ai_next) begin(attempt, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
  }
  return attempt;
}

/// Who lives greets whoever connects; a process that is just dying takes the connection and drops it.
Verdict look(const Attempt& attempt) {
  char byte;
  ssize_t got = recv(attempt.socket, &byte, 1, MSG_DONTWAIT);
  if (got > 0) return Verdict::unknown;
  if (got == 0 || means_gone(errno)) return Verdict::gone;
  return errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? Verdict::pending : Verdict::unknown;
}

}  // namespace

Prober::Prober(std::function<void(WorkerId)> gone) : gone_(std::move(gone)), thread_([this] { run(); }) {}

Prober::~Prober() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Prober::ask(WorkerId worker, std::string endpoint) {
  {
    std::lock_guard lock(mutex_);
    questions_.push_back({worker, std::move(endpoint)});
  }
  changed_.notify_one();
}

void Prober::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !questions_.empty(); });
    if (ending_) return;
    auto end = questions_.begin() + static_cast<std::ptrdiff_t>(std::min(at_once, questions_.size()));
    std::vector<Question> now(std::make_move_iterator(questions_.begin()), std::make_move_iterator(end));
    questions_.erase(questions_.begin(), end);
    lock.unlock();
    probe(std::move(now));
    lock.lock();
  }
}

void Prober::probe(std::vector<Question> questions) {
  std::vector<Attempt> attempts;
  for (const Question& question : questions) attempts.push_back(begin(question.worker, question.endpoint));
  for (Time end = monotonic_now() + patience;;) {
    std::vector<pollfd> looks;
    for (Attempt& attempt : attempts) {
      if (attempt.verdict == Verdict::gone) gone_(attempt.worker), attempt.verdict = Verdict::unknown;
      if (attempt.verdict == Verdict::pending) looks.push_back({attempt.socket, POLLIN, 0});
    }
    auto left = std::chrono::ceil<std::chrono::milliseconds>(end - monotonic_now());
    if (looks.empty() || left <= 0ms || poll(looks.data(), looks.size(), static_cast<int>(left.count())) <= 0) break;
    for (const pollfd& ready : looks)
      for (Attempt& attempt : attempts)
        if (attempt.socket == ready.fd && ready.revents != 0) attempt.verdict = look(attempt);
  }
  for (const Attempt& attempt : attempts)
    if (attempt.socket >= 0) close(attempt.socket);
}

}  // namespace weft::scheduler
