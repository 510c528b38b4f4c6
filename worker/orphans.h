// Processes that tasks left behind: a child that made itself a session of its own, or forked twice, outlives its executor. The
// kernel hands such orphans to the worker daemon if it asked for them; this finds and ends them, also when the daemon is killed.
//
// Each executor has a brand: a number that it and all that it ever starts carry and cannot take off. It is the hard limit of
// RLIMIT_RSS, which Linux shows and does not enforce; who is not root can only lower it, and the system call filter forbids that.
#pragma once

#include <cstdint>
#include <vector>

namespace weft::worker {

/// Ask the kernel for all orphans below this process. For programs that start nothing but executors.
void adopt_orphans();

/// Whether it was asked.
bool adopts_orphans();

/// The brand of a new executor of this process.
std::uint64_t new_brand();

/// Kill orphans of the executor with this brand, and what becomes an orphan by that. 0: every child of this process.
void kill_orphans(std::uint64_t brand);

/// Let children go that have ended by themselves, but for these: how an executor died is its owner's to ask.
void reap_orphans(const std::vector<int>& executors);

/// Start a process that waits for the end of this one, however it comes, and then kills whatever carries a brand of ours. Before
/// there is a second thread.
void start_keeper();

}  // namespace weft::worker
