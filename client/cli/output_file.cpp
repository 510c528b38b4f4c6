// The one file that dump, report and trace write.
#include <filesystem>

#include "client/cli/cli.h"
#include "common/exit_codes.h"
#include "common/process.h"

namespace weft::cli {

namespace fs = std::filesystem;

OutputFile::OutputFile(VerbOptions& options) : options_(options) {
  options_.add().add("force", force_, "replace the file if there is one");
}

void OutputFile::choose(const std::string& path) {
  path_ = path;
  check();
}

void OutputFile::check() const {
  std::error_code none;
  fs::file_status link = fs::symlink_status(path_, none), file = fs::status(path_, none);
  if (path_.empty()) throw InvalidArgument("the name of the file to write is empty");
  if (!fs::exists(link)) return;
  if (fs::is_directory(file)) throw InvalidArgument(path_ + " is a folder; name a file");
  // It would be replaced, not written to.
  if (fs::exists(file) && !fs::is_regular_file(file)) throw InvalidArgument(path_ + " is a device, a pipe or a socket; name a file");
  if (!force_) throw InvalidArgument(path_ + " is there already; give another name, or --force to replace it");
}

int OutputFile::write(const std::string& verb, std::string_view bytes, unsigned mode) const {
  check();
  std::error_code none;
  // A link stays one.
  std::string place = fs::is_symlink(path_, none) && fs::exists(path_, none) ? fs::canonical(path_).string() : path_;
  if (auto written = write_whole_file(place, bytes, mode); !written) {
    std::fprintf(stderr, "weft %s: %s\n", verb.c_str(), harmless(written.error().message).c_str());
    return exit_code::cannot_create;
  }
  if (options_.json()) print_json(verb, {{"file", path_}, {"bytes", bytes.size()}});
  else print("wrote " + harmless(path_) + " (" + show_bytes(static_cast<double>(bytes.size())) + ")\n");
  return exit_code::ok;
}

}  // namespace weft::cli
