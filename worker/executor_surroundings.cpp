#include "worker/executor_surroundings.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "worker/executor_link.h"
#include "worker/stack_sampler.h"

namespace weft::worker {
namespace {

bool is_allowed(std::string_view name, const ProcessOptions& options) {
  return options.inherit_environment || std::ranges::any_of(options.allowed_environment, [&](std::string_view pattern) {
    return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1)) : name == pattern;
  });
}

}  // namespace

std::vector<std::string> executor_environment(const ProgramSpec& spec, const ProcessOptions& options, const std::string& folder) {
  std::map<std::string, std::string> all;
  for (char** entry = environ; *entry; ++entry) {
    std::string_view text(*entry);
    std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || !is_allowed(text.substr(0, equals), options)) continue;
    all[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  // The one place for temporary files that it can write.
  if (options.containment.files == Files::own && !folder.empty()) all["TMPDIR"] = folder;
  for (const auto* more : {&options.environment, &spec.environment})
    for (const auto& [name, value] : *more) all[name] = value;
  if (std::string& path = all["LD_LIBRARY_PATH"]; !spec.libraries.empty()) path = spec.libraries + (path.empty() ? "" : ":" + path);
  if (all["LD_LIBRARY_PATH"].empty()) all.erase("LD_LIBRARY_PATH");
  if (!spec.attached.empty()) all[files_variable] = folder;
  all.erase(libraries_variable);
  for (const std::string& library : spec.own_libraries) all[libraries_variable] += library + '\n';
  all[executor_variable] = "3";
  all[worker_variable] = options.worker;
  all.erase(profile_variable);
  if (options.profile_period > Duration{}) all[profile_variable] = std::to_string(options.profile_period / 1us);
  std::vector<std::string> words;
  for (const auto& [name, value] : all) words.push_back(name + "=" + value);
  return words;
}

Result<void> make_executor_folder(const std::string& folder, const ProgramSpec& spec) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::remove_all(folder, error);
  fs::create_directories(folder, error);
  for (const std::string& file : spec.attached)
    if (!error) fs::create_symlink(file, folder + file.substr(file.rfind('/')), error);
  if (error) return failure(ErrorKind::io_error, "cannot make the folder " + folder + " of an executor: " + error.message());
  return {};
}

ScratchFolder::ScratchFolder(std::string path) : path_(std::move(path)) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(fs::path(path_).parent_path(), error)) {
    if (!entry.path().filename().string().starts_with("executors-")) continue;
    int lock = open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (lock < 0) continue;
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) fs::remove_all(entry.path(), error);
    close(lock);
  }
  fs::create_directories(path_, error);
  lock_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ >= 0) flock(lock_, LOCK_EX | LOCK_NB);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  if (lock_ >= 0) close(lock_);
}

}  // namespace weft::worker
