// What an executor finds around it: its environment and its folder.
#pragma once

#include <string>
#include <vector>

#include "worker/process_executors.h"

namespace weft::worker {

/// NAME=value for each variable: what the daemon passes on, above it what the worker's options set, above it the client's. `folder`: of
/// the process's own; empty: it has none.
std::vector<std::string> executor_environment(const ProgramSpec& spec, const ProcessOptions& options, const std::string& folder);

/// Make the folder of one process, with the attached files in it as links: other processes share them.
Result<void> make_executor_folder(const std::string& folder, const ProgramSpec& spec);

/// Where the processes of one worker have their folders. Locked while we live; what dead workers left beside it is removed.
class ScratchFolder {
 public:
  /// `path` ends in a name that begins with "executors-". Trouble shows when the first process gets its folder.
  explicit ScratchFolder(std::string path);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;

 private:
  const std::string path_;
  int lock_ = -1;
};

}  // namespace weft::worker
