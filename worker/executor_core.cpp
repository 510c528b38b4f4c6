#include "worker/executor_core.h"

#include <filesystem>
#include <fstream>

namespace weft::worker {

namespace fs = std::filesystem;

std::string keep_core(int pid, const std::string& folder, const std::string& kept, bool dumped) {
  std::string pattern;
  std::ifstream in("/proc/sys/kernel/core_pattern");
  std::getline(in, pattern);
  if (!dumped) return "no core file was written (a limit of the system forbids it, or the disk is full)";
  if (pattern.starts_with('|'))
    return "its core went to '" + pattern.substr(1) + "', as /proc/sys/kernel/core_pattern says";
  if (pattern.starts_with('/')) return "its core file is " + pattern + ", as /proc/sys/kernel/core_pattern says";
  // A relative pattern: the working folder is the process's own, so that whatever is called core there is its core.
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    std::string name = entry.path().filename();
    if (!entry.is_regular_file(error) || entry.is_symlink() || name.find("core") == name.npos) continue;
    std::string target = kept + "/core." + std::to_string(pid);
    fs::create_directories(kept, error);
    fs::rename(entry.path(), target, error);
    if (error) fs::copy_file(entry.path(), target, fs::copy_options::overwrite_existing, error);  // another disk
    if (error) return "its core file cannot be kept as " + target + ": " + error.message();
    return "its core file is " + target;
  }
  return "its core file is not in its folder; /proc/sys/kernel/core_pattern is '" + pattern + "'";
}

}  // namespace weft::worker
