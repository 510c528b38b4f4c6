// Processes that tasks left behind: a child that made itself a session of its own, or forked twice, outlives its executor. The
// kernel hands such orphans to the worker daemon if it asked for them; this finds and ends them.
//
// An executor's descendants carry its mark in their environment. One that changed its environment is found when the worker ends.
#pragma once

#include <string>
#include <vector>

namespace weft::worker {

/// Ask the kernel for all orphans below this process. For programs that start nothing but executors.
void adopt_orphans();

/// Whether it was asked.
bool adopts_orphans();

/// Kill orphans of the executor with this mark, and what becomes an orphan by that. An empty mark: every child of this process.
void kill_orphans(const std::string& mark);

/// Let children go that have ended by themselves, but for these: how an executor died is its owner's to ask.
void reap_orphans(const std::vector<int>& executors);

}  // namespace weft::worker
