#include "worker/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace weft::worker::landlock {
namespace {

namespace fs = std::filesystem;

// The same numbers on every architecture.
constexpr long create_ruleset = 444, add_rule = 445, restrict_self_call = 446;
constexpr unsigned ask_version = 1;
constexpr int rule_path_beneath = 1;
constexpr int first_with_refer = 2, first_with_truncate = 3, first_with_ioctl = 5, first_with_scope = 6;
// Rules for a file may have these only.
constexpr std::uint64_t rights_of_files = execute | write_file | read_file | truncate | ioctl_dev;

struct RulesetAttributes {
  std::uint64_t files = 0, network = 0, scoped = 0;
};
struct [[gnu::packed]] PathBeneath {
  std::uint64_t allowed = 0;
  std::int32_t parent = -1;
};

bool is_above(const std::string& folder, const std::string& path) {
  return path.starts_with(folder == "/" ? folder : folder + '/');
}

}  // namespace

int version() {
  static const long answer = syscall(create_ruleset, nullptr, 0, ask_version);
  return answer > 0 ? static_cast<int>(answer) : 0;
}

std::shared_ptr<Ruleset> Ruleset::make(std::uint64_t files, std::uint64_t scope) {
  // The first version refuses to move files between folders, and no rule allows it: users would see that before any attacker.
  if (version() < first_with_refer) return nullptr;
  if (version() < first_with_truncate) files &= ~truncate;
  if (version() < first_with_ioctl) files &= ~ioctl_dev;
  RulesetAttributes attributes{.files = files, .scoped = version() >= first_with_scope ? scope : no_scope};
  std::size_t size = version() >= first_with_scope ? sizeof attributes : sizeof attributes.files;
  int lowest = static_cast<int>(syscall(create_ruleset, &attributes, size, 0));
  if (lowest < 0) return nullptr;
  int descriptor = fcntl(lowest, F_DUPFD_CLOEXEC, 10);  // a process that will take it on has its own below
  close(lowest);
  if (descriptor < 0) return nullptr;
  return std::shared_ptr<Ruleset>(new Ruleset(descriptor, files));
}

Ruleset::~Ruleset() { close(descriptor_); }

void Ruleset::allow(const std::string& path, std::uint64_t files) {
  struct stat status {};
  int place = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (place < 0) return;
  bool folder = fstat(place, &status) == 0 && S_ISDIR(status.st_mode);
  PathBeneath rule{files & handled_ & (folder ? ~0ull : rights_of_files), place};
  if (rule.allowed) syscall(add_rule, descriptor_, rule_path_beneath, &rule, 0);
  close(place);
}

void Ruleset::allow_all_but(const std::vector<std::string>& secret, std::uint64_t files) {
  std::vector<std::string> real;
  for (const std::string& path : secret) {
    std::error_code error;
    fs::path place = fs::canonical(path, error);
    if (!error) real.push_back(place.string());
  }
  if (real.empty()) allow("/", files);
  else allow_beside("/", real, files);
}

void Ruleset::allow_beside(const std::string& folder, const std::vector<std::string>& secret, std::uint64_t files) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string path = (folder == "/" ? "" : folder) + '/' + entry.path().filename().string();
    std::error_code ignored;
    // What a link points to has its own place.
    if (std::ranges::find(secret, path) != secret.end() || entry.is_symlink(ignored)) continue;
    bool on_the_way = std::ranges::any_of(secret, [&](const std::string& each) { return is_above(path, each); });
    if (on_the_way) allow_beside(path, secret, files);
    else allow(path, files);
  }
}

bool restrict_self(int ruleset) { return syscall(restrict_self_call, ruleset, 0) == 0; }

}  // namespace weft::worker::landlock
