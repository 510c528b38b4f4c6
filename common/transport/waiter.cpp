#include "common/transport/waiter.h"

#include <cerrno>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>

#include "common/check.h"

namespace weft {
namespace {

constexpr std::uint64_t wake_number = ~std::uint64_t(0);
constexpr std::uint64_t watched_bit = std::uint64_t(1) << 63;

void change(int epoll, int operation, int descriptor, std::uint64_t number) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = number;
  // Watching twice, or forgetting what is already closed, is harmless; anything else is a bug in the owner's loop.
  bool done = epoll_ctl(epoll, operation, descriptor, &event) == 0;
  WEFT_CHECK(done || errno == EEXIST || errno == ENOENT || (operation == EPOLL_CTL_DEL && errno == EBADF));
}

/// Whole milliseconds, rounded up, so that a deadline is never met early by spinning through its last fraction.
int milliseconds_until(Time deadline) {
  if (deadline == Time::never()) return -1;
  std::int64_t left = (deadline - monotonic_now()).count();
  if (left <= 0) return 0;
  return int(std::min<std::int64_t>((left - 1) / 1'000'000 + 1, INT_MAX));
}

}  // namespace

Waiter::Waiter() : epoll_(epoll_create1(EPOLL_CLOEXEC)), event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  WEFT_CHECK(epoll_ >= 0 && event_ >= 0);
  change(epoll_, EPOLL_CTL_ADD, event_, wake_number);
}

Waiter::~Waiter() {
  ::close(event_);
  ::close(epoll_);
}

void Waiter::watch(int descriptor) {
  watched_.insert(descriptor);
  change(epoll_, EPOLL_CTL_ADD, descriptor, watched_bit | std::uint64_t(descriptor));
}

void Waiter::unwatch(int descriptor) {
  if (watched_.erase(descriptor)) change(epoll_, EPOLL_CTL_DEL, descriptor, 0);
}

void Waiter::add(int descriptor, std::uint64_t number) { change(epoll_, EPOLL_CTL_ADD, descriptor, number); }

void Waiter::remove(int descriptor) { change(epoll_, EPOLL_CTL_DEL, descriptor, 0); }

Ready Waiter::wait(Time deadline) {
  std::array<epoll_event, 128> events;
  int count = epoll_wait(epoll_, events.data(), int(events.size()), milliseconds_until(deadline));
  WEFT_CHECK(count >= 0 || errno == EINTR);
  Ready ready;
  for (int i = 0; i < count; ++i) {
    std::uint64_t number = events[i].data.u64;
    if (number == wake_number) {
      std::uint64_t ignored;
      if (::read(event_, &ignored, sizeof ignored) == sizeof ignored) ready.woken = true;
    } else if (number & watched_bit) {
      ready.watched.push_back(int(number & ~watched_bit));
    } else {
      ready.added.push_back(number);
    }
  }
  return ready;
}

void Waiter::wake() {
  std::uint64_t one = 1;
  // Full means that the wake is already pending.
  if (::write(event_, &one, sizeof one) != sizeof one) WEFT_CHECK(errno == EAGAIN);
}

}  // namespace weft
