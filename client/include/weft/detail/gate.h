// Waiting for many futures at once. Internal; wait, gather and as_completed are built on it.
#pragma once

#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include <weft/detail/handle.h>

namespace weft::detail {

/// Counts futures down as they end. One thread waits; futures may be added at any time by that thread.
class Gate {
 public:
  /// `with_value`: a future counts when its bytes are here (they are fetched) or it failed; otherwise when it ended.
  explicit Gate(bool with_value = false);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void add(const FutureHandle& future);
  /// How many were added.
  std::size_t size() const;
  /// Wait until `count` of them ended, the limit passed or `stop` was asked for. True: they ended.
  bool wait(std::size_t count, Limit limit, std::stop_token stop = {});
  /// Numbers (in the order of `add`) of futures that ended since the last call, in the order in which they ended.
  std::vector<std::size_t> take();
  std::size_t ended() const;

 private:
  bool serve(client::ClientCore& driven, std::size_t count, Limit limit, const std::stop_token& stop);
  struct Part;
  std::unique_ptr<Part> part_;
};

}  // namespace weft::detail
