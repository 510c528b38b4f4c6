#include "common/transport/zeromq_socket.h"

#include <cerrno>
#include <cstdlib>

namespace weft::zeromq {
namespace {

constexpr std::size_t shared_read_buffer = 8192;  // libzmq's in_batch_size

/// libzmq receives a big frame into fresh memory of malloc, and glibc hands freed memory back to the system above a limit of
/// at first 128 KiB: then every page of every frame is faulted in anew, 14,048 page faults for a fetch of
/// 100 MB instead of 6 (measured with transfer_bench). glibc raises the limit to twice the largest mapped block that was ever freed, so
/// one is freed here. Whoever set the limits himself (mallopt, MALLOC_TRIM_THRESHOLD_) keeps them.
void keep_memory_of_frames() {
  constexpr std::size_t half_of_what_is_kept = 16u << 20;   // all that transfers have on their way (TransferOptions)
  static const bool once = [] {
    void* volatile block = std::malloc(half_of_what_is_kept);  // volatile: a compiler may leave out the pair
    std::free(block);
    return true;
  }();
  static_cast<void>(once);
}

/// Bytes on their way out, counted while they are.
template <class T>
struct Outgoing {
  T bytes;
  std::size_t size;
  Waiting waiting;
  Outgoing(T taken, std::size_t counted, Waiting counter)
      : bytes(std::move(taken)), size(counted), waiting(std::move(counter)) {
    waiting->fetch_add(size, std::memory_order_relaxed);
  }
  ~Outgoing() { waiting->fetch_sub(size, std::memory_order_relaxed); }
};

template <class T>
Part carry(T bytes, const Waiting& waiting) {
  if (bytes.size() <= copied_part_max) return Part(std::span<const std::byte>(bytes.data(), bytes.size()));
  std::span<const std::byte> view(bytes.data(), bytes.size());
  return Part(view, std::make_unique<Outgoing<T>>(std::move(bytes), view.size(), waiting));
}

}  // namespace

Context::Context(int io_threads) : handle_(zmq_ctx_new()) {
  WEFT_CHECK(handle_ != nullptr);
  keep_memory_of_frames();
  zmq_ctx_set(handle_, ZMQ_IO_THREADS, io_threads);
  // A connection we open takes three sockets; the default of 1023 would end at 341 of them.
  zmq_ctx_set(handle_, ZMQ_MAX_SOCKETS, zmq_ctx_get(handle_, ZMQ_SOCKET_LIMIT));
}

Context::~Context() {
  while (zmq_ctx_term(handle_) != 0) WEFT_CHECK(errno == EINTR);
}

Part::Part(std::span<const std::byte> copied) {
  if (zmq_msg_init_size(&raw_, copied.size()) != 0) throw std::bad_alloc();
  if (!copied.empty()) std::memcpy(zmq_msg_data(&raw_), copied.data(), copied.size());
}

Buffer to_buffer(Part part, bool kept_long) {
  if (kept_long && part.bytes().size() < shared_read_buffer) return Buffer::copy(part.bytes());
  auto owner = std::make_shared<Part>(std::move(part));
  auto bytes = owner->bytes();
  return Buffer(std::move(owner), bytes);
}

Part outgoing(Bytes bytes, const Waiting& waiting) { return carry(std::move(bytes), waiting); }
Part outgoing(Buffer bytes, const Waiting& waiting) { return carry(std::move(bytes), waiting); }

Socket::Socket(const Context& context, int type) : handle_(zmq_socket(context.handle(), type)) {
  if (!handle_)
    throw_failure(failure(ErrorKind::io_error, std::string("cannot make a socket: ") + zmq_strerror(errno)));
}

void Socket::set(int option, int value) { WEFT_CHECK(zmq_setsockopt(handle_, option, &value, sizeof value) == 0); }

void Socket::set(int option, const std::string& value) {
  WEFT_CHECK(zmq_setsockopt(handle_, option, value.data(), value.size()) == 0);
}

int Socket::get(int option) const {
  int value = 0;
  std::size_t size = sizeof value;
  while (zmq_getsockopt(handle_, option, &value, &size) != 0) WEFT_CHECK(errno == EINTR);
  return value;
}

void Socket::close() {
  if (handle_) zmq_close(handle_);
  handle_ = nullptr;
}

void set_limits(Socket& socket, const SocketLimits& limits) {
  std::int64_t frame_max = std::int64_t(limits.frame_bytes_max);
  WEFT_CHECK(zmq_setsockopt(socket.handle(), ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max) == 0);
  socket.set(ZMQ_SNDHWM, 65536);
  socket.set(ZMQ_RCVHWM, limits.receive_frames_max);
  socket.set(ZMQ_LINGER, limits.linger_ms);
  socket.set(ZMQ_HANDSHAKE_IVL, 5000);
  // The kernel finds hosts that vanished without a word; a process that is stuck is found by leases above us. libzmq's own heartbeats
  // must stay off: their timer aborts the whole process when a peer is gone whose last frames still wait for room (out_event asserts
  // !_io_error; seen with 4.3.4).
  socket.set(ZMQ_TCP_KEEPALIVE, 1);
  socket.set(ZMQ_TCP_KEEPALIVE_IDLE, 2);
  socket.set(ZMQ_TCP_KEEPALIVE_INTVL, 2);
  socket.set(ZMQ_TCP_KEEPALIVE_CNT, 2);
  socket.set(ZMQ_TCP_MAXRT, 6000);
}

Monitor::Monitor(const Context& context, Socket& watched, int events) : watched_(watched), pair_(context, ZMQ_PAIR) {
  static std::atomic<std::uint64_t> count{0};
  std::string address = "inproc://weft-monitor-" + std::to_string(count.fetch_add(1));
  if (zmq_socket_monitor(watched.handle(), address.c_str(), events) != 0)
    throw_failure(failure(ErrorKind::io_error, std::string("cannot watch a socket: ") + zmq_strerror(errno)));
  // Unbounded: libzmq's thread would block on a full monitor, and with it every connection.
  pair_.set(ZMQ_RCVHWM, 0);
  pair_.set(ZMQ_LINGER, 0);
  WEFT_CHECK(zmq_connect(pair_.handle(), address.c_str()) == 0);
  // A pipe signals what is written only to a reader that has once found it empty.
  Part nothing;
  WEFT_CHECK(!pair_.receive(nothing));
}

Monitor::~Monitor() { zmq_socket_monitor(watched_.handle(), nullptr, 0); }

std::optional<MonitorEvent> Monitor::next() {
  Part event, address;
  if (!pair_.receive(event)) return {};
  while (event.more() && pair_.receive(address) && address.more()) {
  }
  WEFT_CHECK(event.bytes().size() == 6);
  std::uint16_t number;
  std::int32_t value;
  std::memcpy(&number, event.bytes().data(), sizeof number);
  std::memcpy(&value, event.bytes().data() + sizeof number, sizeof value);
  return MonitorEvent{number, value};
}

}  // namespace weft::zeromq
