// Core files of executors: the kernel writes them where /proc/sys/kernel/core_pattern says; we keep them where users look.
#pragma once

#include <string>

namespace weft::worker {

/// Move the core file of a process that died, and ran in `folder`, into `kept`. Says where it is, or why there is none, as the end
/// of a sentence.
std::string keep_core(int pid, const std::string& folder, const std::string& kept, bool dumped);

}  // namespace weft::worker
