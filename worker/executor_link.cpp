#include "worker/executor_link.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weft::worker {
namespace {

struct PassNote {
  std::uint64_t memory = 0;
  std::uint64_t writable = 0;
};
constexpr std::uint64_t box_memory = 1ull << 62;
constexpr std::size_t box_bytes_max = 1ull << 32;
constexpr std::size_t passed_max = 4096;  // descriptors that came and were not asked for: more is an attack

}  // namespace

ExecutorLink::~ExecutorLink() {
  for (auto& [name, descriptor] : passed_) close(descriptor);
  if (socket_ >= 0) close(socket_);
}

ExecutorLink::Sent ExecutorLink::pass(std::uint64_t memory, bool writable, int descriptor) {
  PassNote note{memory, writable};
  if (send_descriptor(socket_, std::as_bytes(std::span(&note, 1)), descriptor)) return Sent::done;
  // ETOOMANYREFS: too many descriptors are on their way; they arrive when the other side reads.
  if (errno == EAGAIN || errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM) return Sent::full;
  broken_ = true;
  return Sent::broken;
}

int ExecutorLink::take(std::uint64_t memory, bool writable) {
  for (;;) {
    if (auto found = passed_.find({memory, writable}); found != passed_.end()) {
      int descriptor = found->second;
      passed_.erase(found);
      return descriptor;
    }
    PassNote note;
    int descriptor = -1;
    ssize_t got = receive_descriptor(socket_, std::as_writable_bytes(std::span(&note, 1)), descriptor, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return -1;
    if (got != sizeof note || descriptor < 0 || passed_.size() >= passed_max) {
      if (descriptor >= 0) close(descriptor);
      broken_ = true;
      return -1;
    }
    auto [place, is_new] = passed_.try_emplace({note.memory, note.writable != 0}, descriptor);
    if (!is_new) close(std::exchange(place->second, descriptor));
  }
}

ExecutorLink::Sent ExecutorLink::send(Ring& ring, std::span<const std::byte> frame) {
  bool boxed = frame.size() > ring.frame_max();
  std::uint64_t box = 0;
  if (boxed) {
    if (!ring.has_room(sizeof box)) return ring.broken() ? Sent::broken : Sent::full;
    box = box_memory | ++boxes_;
    int memory = make_memory("weft-frame", frame);
    if (memory < 0) return Sent::full;
    Sent passed = pass(box, false, memory);
    close(memory);
    if (passed != Sent::done) return passed;
    frame = std::as_bytes(std::span(&box, 1));
  }
  if (ring.write(frame, boxed)) return Sent::done;
  return ring.broken() ? Sent::broken : Sent::full;
}

bool ExecutorLink::receive(Ring& ring, Bytes& frame) {
  bool boxed = false;
  if (broken_ || !ring.read(frame, boxed)) return false;
  if (!boxed) return true;
  std::uint64_t box = 0;
  if (frame.size() == sizeof box) std::memcpy(&box, frame.data(), sizeof box);
  int memory = take(box, false);
  struct stat about {};
  bool good = memory >= 0 && fstat(memory, &about) == 0 && static_cast<std::uint64_t>(about.st_size) <= box_bytes_max;
  if (good) {
    frame.resize(static_cast<std::size_t>(about.st_size));
    // Copied, not mapped: the other side could shrink it under us.
    for (std::size_t at = 0; good && at < frame.size();) {
      ssize_t got = pread(memory, frame.data() + at, frame.size() - at, static_cast<off_t>(at));
      good = got > 0;
      at += good ? static_cast<std::size_t>(got) : 0;
    }
  }
  if (memory >= 0) close(memory);
  broken_ = broken_ || !good;
  return good;
}

}  // namespace weft::worker
