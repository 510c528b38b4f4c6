// The state behind futures. Cores come in blocks (one for a submit, n for a map), 80 bytes each; a client's loop completes
// them, any thread waits for them. Several cores of one client may have the same key; the session counts them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <weft/detail/handle.h>

#include "client/session_state.h"

namespace weft::client {

class ClientCore;
struct FutureCore;

/// Someone who waits for a core. Linked into the core's list until it fires or is taken out; both under the core's lock.
struct Waiter {
  Waiter* next = nullptr;
  void (*fire)(Waiter&) = nullptr;  // called once, unlinked already, with the core's lock held: must not block
  bool with_value = false;          // the end is not enough: wait for the bytes, or for a failure
};

struct FutureBlock {
  std::shared_ptr<ClientCore> client;
  std::unique_ptr<FutureCore[]> cores;
  std::atomic<std::uint32_t> alive{0};      // cores not finally released
  std::vector<detail::FutureHandle> holds;  // what these futures need alive, such as scattered arguments
};

struct FutureCore {
  enum class Phase : std::uint8_t { pending, elsewhere, here, failed };

  Key key;
  FutureBlock* block = nullptr;
  std::shared_ptr<const Outcome> outcome;  // under lock()
  Waiter* waiters = nullptr;               // under lock()
  FutureCore* next_of_key = nullptr;       // the client loop's own
  FutureCore* previous_of_key = nullptr;   // the client loop's own
  std::uint32_t slot = KeyIndex::none;     // the client loop's own; none: not linked
  std::atomic<std::uint32_t> references{1};
  std::atomic<Phase> phase{Phase::pending};

  /// Cores share a fixed set of locks: a million futures do not need a million mutexes.
  std::mutex& lock() const;

  bool ended() const { return phase.load(std::memory_order_acquire) != Phase::pending; }
  /// Under lock(): is a waiter of this kind served by the present phase?
  bool serves(bool with_value) const;

  /// Set the outcome (null: pending again) and fire whom it serves. True: somebody still waits for the bytes.
  bool complete(std::shared_ptr<const Outcome> news);
  /// Link the waiter, unless the core serves it already (false).
  bool add(Waiter& waiter);
  /// Take a waiter out if it has not fired.
  void remove(Waiter& waiter);
};

/// When a wait of this length ends; nothing: never. Lengths beyond the clock's range count as never.
Time deadline_of(detail::Limit limit);

/// Make `keys.size()` cores with one reference each; the client must then count each key once.
FutureBlock* make_block(std::shared_ptr<ClientCore> client, std::span<const Key> keys);
/// The core is unlinked everywhere: free what it holds, and its block with the last.
void free_core(FutureCore& core);

}  // namespace weft::client
