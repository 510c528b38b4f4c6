// What is said to one peer of the value plane, in as few frames as may be: a frame is a list of messages, and the bytes of its
// ranges one after another. Small bytes are copied together, since a frame costs more than they do; big ones leave as they lie.
#pragma once

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include <weft/buffer.h>

#include "common/messages.h"

namespace weft {

/// Bytes above this are never copied to join others. An estimate, not measured: a frame more costs about what copying this much does.
inline constexpr std::size_t joined_range_max = 64u << 10;
/// Of joined bytes in one frame: they stay in the cache between the copy in, the copy out and the kernel's.
inline constexpr std::size_t joined_frame_max = 256u << 10;
inline constexpr std::size_t messages_per_frame_max = 1024;

template <class Message>
struct ValueFrame {
  std::vector<Message> messages;
  Buffer payload;
};

template <class Message>
class ValueFrames {
 public:
  /// `bytes`: those of the message's range.
  void add(Message message, Buffer bytes = {}) {
    bool joins = bytes.size() <= joined_range_max && size_ + bytes.size() <= joined_frame_max;
    if (messages_.size() == messages_per_frame_max || (size_ > 0 && !bytes.empty() && !joins)) close();
    messages_.push_back(std::move(message));
    size_ += bytes.size();
    if (!bytes.empty()) ranges_.push_back(std::move(bytes));
  }
  bool empty() const { return messages_.empty() && closed_.empty(); }
  std::vector<ValueFrame<Message>> take() {
    if (!messages_.empty()) close();
    return std::exchange(closed_, {});
  }

 private:
  void close() {
    Buffer payload;
    if (ranges_.size() == 1) {
      payload = std::move(ranges_.front());
    } else if (!ranges_.empty()) {
      Bytes joined;
      joined.reserve(size_);
      for (const Buffer& range : ranges_) joined.insert(joined.end(), range.bytes().begin(), range.bytes().end());
      payload = Buffer::own(std::move(joined));
    }
    closed_.push_back({std::exchange(messages_, {}), std::move(payload)});
    ranges_.clear();
    size_ = 0;
  }

  std::vector<Message> messages_;      // of the open frame
  std::vector<Buffer> ranges_;
  std::size_t size_ = 0;
  std::vector<ValueFrame<Message>> closed_;
};

/// How many of a frame's bytes belong to this message.
template <class... Messages>
std::uint64_t bytes_of(const std::variant<Messages...>& message) {
  return std::visit([]<class M>(const M& m) -> std::uint64_t {
    if constexpr (requires { m.bytes; }) return m.bytes;
    else return 0;
  }, message);
}

/// Hand each message of a received frame to `take(message, bytes)` until it says false; false also if the bytes do not fit.
template <class Message, class Take>
bool for_each_message(const std::vector<Message>& messages, const Buffer& payload, Take take) {
  std::size_t at = 0;
  for (const Message& message : messages) {
    std::uint64_t bytes = bytes_of(message);
    if (bytes > payload.size() - at) return false;
    if (!take(message, payload.slice(at, bytes))) return false;
    at += bytes;
  }
  return at == payload.size();
}

}  // namespace weft
