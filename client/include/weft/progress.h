// Watching work on the terminal: one bar for each label of tasks.
#pragma once

#include <iterator>
#include <vector>

#include <weft/future.h>

namespace weft {

namespace detail {

/// Wait until they end; show bars meanwhile.
void show_progress(const std::vector<FutureHandle>& futures);

template <class T>
void add_handles(std::vector<FutureHandle>& handles, const Future<T>& future) {
  handles.push_back(future.handle());
}
template <class Futures>
  requires requires(const Futures& futures) { std::begin(futures); }
void add_handles(std::vector<FutureHandle>& handles, const Futures& futures) {
  for (const auto& future : futures) add_handles(handles, future);
}

}  // namespace detail

/// Wait until futures (and ranges of futures) end, and show what the cluster does meanwhile: one bar for each label of tasks, with
/// rate, time left, bytes and failures, counted from this call on. Tasks of other clients count, too.
///
/// On a terminal the bars are on stderr, below the cursor, and erase themselves; what others write keeps its place. Elsewhere
/// stderr gets one line each 10 s. Throws nothing for failed futures.
/// Cost: one small question to the scheduler each 100 ms.
template <class... Futures>
void progress(const Futures&... futures) {
  std::vector<detail::FutureHandle> handles;
  (detail::add_handles(handles, futures), ...);
  detail::show_progress(handles);
}

}  // namespace weft
