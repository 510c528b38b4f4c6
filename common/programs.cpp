#include "common/programs.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

namespace weft {

namespace {

namespace fs = std::filesystem;

bool is_program(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
}

fs::path folder_of_running_program() {
  std::error_code error;
  fs::path program = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path() : program.parent_path();
}

// The file this code lies in: libweft.so, or the program itself if it was linked statically.
fs::path folder_of_library() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&find_program), &info) == 0 || !info.dli_fname) return {};
  std::error_code error;
  fs::path library = fs::canonical(info.dli_fname, error);
  return error ? fs::path() : library.parent_path();
}

std::string variable_for(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out + "_PROGRAM";
}

std::vector<fs::path> candidate_folders() {
  std::vector<fs::path> folders;
  auto add = [&](const fs::path& folder) {
    if (!folder.empty() && std::find(folders.begin(), folders.end(), folder) == folders.end()) folders.push_back(folder);
  };
  add(folder_of_running_program());
  if (fs::path library = folder_of_library(); !library.empty()) {
    add(library);
    // prefix/lib/libweft.so and prefix/lib/x86_64-linux-gnu/libweft.so both belong to prefix/bin.
    add(library.parent_path() / "bin");
    add(library.parent_path().parent_path() / "bin");
  }
  const char* path = std::getenv("PATH");
  std::string list = path ? path : "";
  for (std::size_t at = 0; at < list.size();) {
    std::size_t end = std::min(list.find(':', at), list.size());
    add(list.substr(at, end - at));
    at = end + 1;
  }
  return folders;
}

}  // namespace

Result<std::string> find_program(std::string_view name) {
  std::string variable = variable_for(name);
  if (const char* named = std::getenv(variable.c_str()); named && *named) {
    // Whoever names a program wants that one: no other is tried.
    if (is_program(named)) return std::string(named);
    return failure(ErrorKind::program_error, '$' + variable + " names " + named + ", which is no program that can be run");
  }
  std::string looked;
  for (const fs::path& folder : candidate_folders()) {
    fs::path candidate = folder / name;
    if (is_program(candidate)) return candidate.string();
    looked += (looked.empty() ? "" : ", ") + folder.string();
  }
  return failure(ErrorKind::program_error, "cannot find the program " + std::string(name) + ": looked in " + looked +
                                               "; set $" + variable + " to its path, or install weft-tools");
}

}  // namespace weft
