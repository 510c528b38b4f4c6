#include "common/credentials.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <optional>
#include <sstream>
#include <vector>

#include "common/option_values.h"
#include "common/process.h"
#include "common/scheduler_file.h"

namespace weft {

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_role(std::string_view role) { return role == "client" || role == "worker"; }
bool is_key_name(std::string_view name) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= 64 && name.front() != '.' && std::all_of(name.begin(), name.end(), allowed);
}

bool is_file(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0;
}

constexpr std::int64_t day = 24 * 60 * 60;
constexpr std::string_view not_after_word = "not-after=";

/// The end of this day in UTC; nothing if it is no day of the form 2027-01-31.
std::optional<std::int64_t> end_of_day(std::string_view text) {
  std::tm date{};
  std::string copy(text);
  const char* end = text.size() == 10 ? strptime(copy.c_str(), "%Y-%m-%d", &date) : nullptr;
  if (!end || *end || show_day(timegm(&date) + day) != text) return std::nullopt;
  return timegm(&date) + day;
}

std::string line_of(const AuthorizedKey& key) {
  return key.role + ' ' + key.name + ' ' + key.public_key +
         (key.not_after ? ' ' + std::string(not_after_word) + show_day(*key.not_after) : "");
}

// Held while the folder is changed. The folder itself is locked, so that no file is left behind.
struct FolderLock {
  int descriptor;
  explicit FolderLock(const std::string& path) : descriptor(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor >= 0) flock(descriptor, LOCK_EX);
  }
  ~FolderLock() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

Result<std::string> read_public_key(const std::string& path) {
  Result<std::string> text = read_whole_file(path, 4096);
  if (!text) return text.error();
  std::string key(trimmed(*text));
  if (!is_key_text(key)) return failure(ErrorKind::invalid_argument, path + " holds no public key of 40 characters");
  return key;
}

Result<Credentials> read_credentials(const std::string& folder, const std::string& role, std::string server_key) {
  Result<KeyPair> keys = read_key_file(folder + '/' + role + ".key");
  if (!keys) return keys.error();
  if (server_key.empty()) {
    Result<std::string> key = read_public_key(folder + "/scheduler.pub");
    if (!key) return key.error();
    server_key = *key;
  }
  return Credentials{std::move(*keys), std::move(server_key), folder};
}

Result<Credentials> find_credentials(const std::string& role, const std::string& address, std::string scheduler_file) {
  if (!address.starts_with("tcp://")) return Credentials{};
  auto explain = [&](const std::string& place, const Failure& why) {
    return failure(ErrorKind::connection_failed,
                   "no key for " + address + ": looked in " + place + ": " + why.message +
                       "; copy " + role + ".key and scheduler.pub there from the scheduler's key folder, or name that folder "
                       "with WEFT_KEYS, or the scheduler's file with WEFT_SCHEDULER_FILE");
  };
  bool by_argument = !scheduler_file.empty();
  if (!by_argument) scheduler_file = variable("WEFT_SCHEDULER_FILE");
  if (!scheduler_file.empty()) {
    std::string place = (by_argument ? "the scheduler file " : "$WEFT_SCHEDULER_FILE = ") + scheduler_file;
    Result<SchedulerFile> file = read_scheduler_file(scheduler_file);
    if (!file) return explain(place, file.error());
    if (file->keys.empty())
      return explain(place, failure(ErrorKind::invalid_argument, "that scheduler listens on ipc:// only and has no keys"));
    Result<Credentials> found = read_credentials(file->keys, role, file->public_key);
    return found ? found : explain(place, found.error());
  }
  std::string folder = default_key_folder();
  if (folder.empty())
    return explain("$WEFT_KEYS, $XDG_CONFIG_HOME and $HOME", failure(ErrorKind::io_error, "none of these variables is set"));
  Result<Credentials> found = read_credentials(folder, role, {});
  return found ? found : explain(variable("WEFT_KEYS").empty() ? folder : "$WEFT_KEYS = " + folder, found.error());
}

}  // namespace

Result<ClientCredentials> find_client_credentials(const std::string& address, const std::string& scheduler_file) {
  return find_credentials("client", address, scheduler_file);
}
Result<WorkerCredentials> find_worker_credentials(const std::string& address, const std::string& scheduler_file) {
  return find_credentials("worker", address, scheduler_file);
}

std::string default_key_folder() {
  if (std::string keys = variable("WEFT_KEYS"); !keys.empty()) return keys;
  if (std::string config = variable("XDG_CONFIG_HOME"); !config.empty()) return config + "/weft/keys";
  std::string home = variable("HOME");
  return home.empty() ? "" : home + "/.config/weft/keys";
}

// ---------------------------------------------------------------------------------------------------- the allow-list

Result<AuthorizedKeys> AuthorizedKeys::parse(std::string_view text, const std::string& path) {
  AuthorizedKeys list;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::string_view used = trimmed(line);
    // Z85 has '#' in it: a comment begins a line.
    if (used.empty() || used.front() == '#') continue;
    std::istringstream words{std::string(used)};
    AuthorizedKey key;
    std::string more, surplus;
    words >> key.role >> key.name >> key.public_key >> more >> surplus;
    auto wrong = [&](const std::string& why) {
      return failure(ErrorKind::invalid_argument, path + ':' + std::to_string(number) + ": " + why + "; write `role name public-key [not-after=2027-01-31]`");
    };
    if (!is_role(key.role)) return wrong('"' + key.role + "\" is no role: client or worker");
    if (!is_key_name(key.name)) return wrong('"' + key.name + "\" is no name");
    if (!is_key_text(key.public_key)) return wrong("the key of " + key.name + " has not 40 characters of Z85");
    if (more.starts_with(not_after_word)) {
      key.not_after = end_of_day(std::string_view(more).substr(not_after_word.size()));
      if (!key.not_after) return wrong('"' + more + "\" names no day");
      more.clear();
    }
    if (!more.empty() || !surplus.empty()) return wrong("unknown word \"" + (more.empty() ? surplus : more) + '"');
    list.keys_.push_back(std::move(key));
  }
  return list;
}

Result<AuthorizedKeys> AuthorizedKeys::read(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && ((status.st_mode & 022) || (status.st_uid != geteuid() && status.st_uid != 0)))
    return failure(ErrorKind::invalid_argument, "others can change " + path + ": run chmod 600 on it");
  Result<std::string> text = read_whole_file(path, 16u << 20);
  if (!text) return text.error();
  return parse(*text, path);
}

bool AuthorizedKeys::allows(std::string_view role, std::string_view public_key, std::int64_t now) const {
  return std::any_of(keys_.begin(), keys_.end(), [&](const AuthorizedKey& key) {
    return key.role == role && key.public_key == public_key && (!key.not_after || now < *key.not_after);
  });
}

std::optional<std::int64_t> AuthorizedKeys::next_end(std::int64_t now) const {
  std::optional<std::int64_t> next;
  for (const AuthorizedKey& key : keys_)
    if (key.not_after && *key.not_after > now) next = std::min(next.value_or(*key.not_after), *key.not_after);
  return next;
}

std::string show_day(std::int64_t not_after) {
  std::time_t last = not_after - 1;
  std::tm date{};
  std::array<char, 64> text{};
  return std::string(text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d", gmtime_r(&last, &date)));
}

// ---------------------------------------------------------------------------------------------------- the key folder

bool KeyFolder::exists() const { return is_file(path_ + "/scheduler.key"); }

Result<void> KeyFolder::init() const {
  if (auto made = make_private_folder(path_); !made) return made;
  FolderLock lock(path_);
  if (exists()) return failure(ErrorKind::invalid_argument, "there are keys in " + path_ + " already; remove that folder for new ones");
  for (const char* name : {"/authorized_keys", "/scheduler.pub"})
    if (is_file(path_ + name))
      return failure(ErrorKind::invalid_argument, "scheduler.key is missing in " + path_ +
                                                      ", where its allow-list is: put it back, or remove that folder for new keys");
  std::string list = "# Who may come in: role name public-key. A running scheduler reads this again on SIGHUP.\n";
  for (const char* role : {"client", "worker"}) {
    std::string path = path_ + '/' + role + ".key";
    KeyPair keys = make_key_pair();
    unlink(path.c_str());  // of an init that did not come to its end
    if (auto written = write_key_file(path, keys); !written) return written;
    list += line_of({role, role, keys.public_key, {}}) + '\n';
  }
  if (auto written = write_whole_file(authorized_path(), list, 0600); !written) return written;
  KeyPair scheduler = make_key_pair();
  if (auto written = write_whole_file(path_ + "/scheduler.pub", scheduler.public_key + '\n'); !written) return written;
  // Last, since its presence says that all the others are there.
  return write_key_file(path_ + "/scheduler.key", scheduler);
}

/// Who can put files here can let himself in. Kubernetes mounts secrets as root's, open to all and with the sticky bit.
static Result<void> check_key_folder(const std::string& path) {
  struct stat folder {};
  if (stat(path.c_str(), &folder) != 0) return {};  // whoever reads a file there says so
  if (folder.st_uid != geteuid() && folder.st_uid != 0)
    return failure(ErrorKind::invalid_argument, "the key folder " + path + " belongs to another user");
  if ((folder.st_mode & (S_IWGRP | S_IWOTH)) && !(folder.st_mode & S_ISVTX))
    return failure(ErrorKind::invalid_argument, "others can put files into the key folder " + path + ": run chmod 700 on it");
  return {};
}

Result<KeyPair> KeyFolder::scheduler_keys() const {
  if (auto good = check_key_folder(path_); !good) return good.error();
  if (!exists())
    if (auto made = init(); !made && !exists()) return made.error();
  return read_key_file(path_ + "/scheduler.key");
}

template <class Change>
Result<void> KeyFolder::change_list(Change change) const {
  if (!exists()) return failure(ErrorKind::io_error, "there are no keys in " + path_ + "; run `weft keys init` first");
  FolderLock lock(path_);
  Result<std::string> text = read_whole_file(authorized_path(), 16u << 20);
  if (!text) return text.error();
  Result<AuthorizedKeys> list = AuthorizedKeys::read(authorized_path());
  if (!list) return list.error();
  Result<std::optional<std::string>> changed = change(*text, *list);
  if (!changed) return changed.error();
  if (!*changed) return {};
  return write_whole_file(authorized_path(), **changed, 0600);
}

Result<AuthorizedKey> KeyFolder::add(const std::string& role, const std::string& name, const std::string& public_key,
                                     const std::string& not_after) const {
  if (!is_role(role)) return failure(ErrorKind::invalid_argument, '"' + role + "\" is no role: client or worker");
  if (!is_key_name(name) || name == "scheduler")
    return failure(ErrorKind::invalid_argument, '"' + name + "\" is no name for a key: use letters, digits, - _ .");
  AuthorizedKey added{role, name, public_key};
  if (!not_after.empty() && !(added.not_after = end_of_day(not_after)))
    return failure(ErrorKind::invalid_argument, '"' + not_after + "\" is no day: write it as 2027-01-31");
  if (added.not_after && *added.not_after <= std::time(nullptr))
    return failure(ErrorKind::invalid_argument, not_after + " is over: such a key would never be let in");
  auto done = change_list([&](std::string text, const AuthorizedKeys& list) -> Result<std::optional<std::string>> {
    for (const AuthorizedKey& key : list.all())
      if (key.name == name) return failure(ErrorKind::invalid_argument, "there is a key named " + name + " already; revoke it first");
    if (public_key.empty()) {
      KeyPair keys = make_key_pair();
      if (auto written = write_key_file(path_ + '/' + name + ".key", keys); !written) return written.error();
      added.public_key = keys.public_key;
    } else if (!is_key_text(public_key)) {
      return failure(ErrorKind::invalid_argument, "a public key has 40 characters of Z85");
    }
    if (!text.empty() && text.back() != '\n') text += '\n';
    return std::optional<std::string>(text + line_of(added) + '\n');
  });
  if (!done) return done.error();
  return added;
}

Result<std::size_t> KeyFolder::revoke(const std::string& name_or_key) const {
  std::size_t count = 0;
  std::vector<std::string> names;
  auto done = change_list([&](const std::string& text, const AuthorizedKeys&) -> Result<std::optional<std::string>> {
    std::istringstream lines(text);
    std::string kept, line;
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      AuthorizedKey key;
      words >> key.role >> key.name >> key.public_key;
      bool match = is_role(key.role) && (key.name == name_or_key || key.public_key == name_or_key);
      if (match) ++count, names.push_back(key.name);
      else kept += line + '\n';
    }
    return count ? std::optional(kept) : std::nullopt;
  });
  if (!done) return done.error();
  // A secret that opens nothing any more, and whose name may be given again.
  for (const std::string& name : names)
    if (is_key_name(name) && name != "scheduler") unlink((path_ + '/' + name + ".key").c_str());
  return count;
}

}  // namespace weft
