// RAII over the few libzmq calls we use, and the wire form of our frames. Private to zeromq*.cpp.
//
// On the wire a frame is [head] or [head, payload]. An empty first part is the transport's own: alone it is a probe and says
// nothing; followed by a second part it is a goodbye.
#pragma once

#include <zmq.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <weft/buffer.h>

#include "common/result.h"
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace weft::zeromq {

class Context {
 public:
  explicit Context(int io_threads);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  void* handle() const { return handle_; }

 private:
  void* handle_;
};

// ThreadSanitizer does not see how libzmq's threads wait for ours.
#if defined(__SANITIZE_THREAD__)
inline void hand_over(void* bytes) { __tsan_release(bytes); }
inline void take_back(void* bytes) { __tsan_acquire(bytes); }
#else
inline void hand_over(void*) {}
inline void take_back(void*) {}
#endif

/// One part of a message.
class Part {
 public:
  Part() { zmq_msg_init(&raw_); }
  explicit Part(std::span<const std::byte> copied);
  /// Point at bytes that `keep` owns; it is deleted by libzmq when they have left, on any thread.
  template <class T>
  Part(std::span<const std::byte> bytes, std::unique_ptr<T> keep) {
    auto free = [](void*, void* kept) {
      take_back(kept);
      delete static_cast<T*>(kept);
    };
    hand_over(keep.get());
    // libzmq never writes through this pointer.
    int done = zmq_msg_init_data(&raw_, const_cast<std::byte*>(bytes.data()), bytes.size(), free, keep.get());
    WEFT_CHECK(done == 0);
    keep.release();
  }
  Part(Part&& other) noexcept {
    zmq_msg_init(&raw_);
    zmq_msg_move(&raw_, &other.raw_);
  }
  Part& operator=(Part&& other) noexcept {
    zmq_msg_move(&raw_, &other.raw_);
    return *this;
  }
  ~Part() { zmq_msg_close(&raw_); }

  std::span<const std::byte> bytes() { return {static_cast<const std::byte*>(zmq_msg_data(&raw_)), zmq_msg_size(&raw_)}; }
  std::string_view text() { return {static_cast<const char*>(zmq_msg_data(&raw_)), zmq_msg_size(&raw_)}; }
  bool more() const { return zmq_msg_more(&raw_) != 0; }
  zmq_msg_t* raw() { return &raw_; }

 private:
  zmq_msg_t raw_;
};

/// Hand a received part on without a copy. Parts below 8 KiB may share libzmq's read buffer of that size; `kept_long` copies
/// them, so that a small value that lives for hours does not pin it.
Buffer to_buffer(Part part, bool kept_long);

/// Bytes of one peer's queue that libzmq still holds; the parts themselves count down when they have left.
using Waiting = std::shared_ptr<std::atomic<std::size_t>>;

/// Parts of a frame to send: small ones are copied, others carried as they are and counted in `waiting`.
Part outgoing(Bytes bytes, const Waiting& waiting);
Part outgoing(Buffer bytes, const Waiting& waiting);
inline constexpr std::size_t copied_part_max = 512;

class Socket {
 public:
  Socket(const Context& context, int type);
  ~Socket() { close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void set(int option, int value);
  void set(int option, const std::string& value);
  int get(int option) const;
  int descriptor() const { return get(ZMQ_FD); }
  /// True if a part was received.
  bool receive(Part& part) { return zmq_msg_recv(part.raw(), handle_, ZMQ_DONTWAIT) >= 0; }
  /// True if it was queued; otherwise errno says why (EAGAIN: full, EHOSTUNREACH: no such peer).
  bool send(Part& part, bool more) {
    return zmq_msg_send(part.raw(), handle_, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0;
  }
  void close();
  void* handle() const { return handle_; }

 private:
  void* handle_;
};

/// What both kinds of our sockets have in common.
struct SocketLimits {
  std::size_t frame_bytes_max;
  int receive_frames_max;
  int linger_ms;
};
void set_limits(Socket& socket, const SocketLimits& limits);

struct MonitorEvent {
  int event = 0;
  int value = 0;
};

/// News about a socket's connections, in the order in which they happened. Must be closed before the socket.
class Monitor {
 public:
  Monitor(const Context& context, Socket& watched, int events);
  ~Monitor();
  std::optional<MonitorEvent> next();
  int descriptor() const { return pair_.descriptor(); }

 private:
  Socket& watched_;
  Socket pair_;
};

}  // namespace weft::zeromq
