#include "common/transport/keys.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>

#include "common/check.h"
#include "common/io_failure.h"

namespace weft {
namespace {

constexpr std::size_t key_text_size = 40;

struct File {
  int descriptor = -1;
  ~File() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

}  // namespace

void SecretKey::wipe() {
  if (!z85_.empty()) explicit_bzero(z85_.data(), z85_.size());
  z85_.clear();
}

KeyPair make_key_pair() {
  std::array<char, key_text_size + 1> open{}, secret{};
  // People give public keys to programs as arguments: none may look like an option. Of 85 one does.
  do WEFT_CHECK(zmq_curve_keypair(open.data(), secret.data()) == 0);
  while (open[0] == '-');
  KeyPair keys{open.data(), SecretKey(secret.data())};
  explicit_bzero(secret.data(), secret.size());
  return keys;
}

bool is_key_text(const std::string& text) {
  if (text.size() != key_text_size || text.find('\0') != std::string::npos) return false;
  std::array<std::uint8_t, 32> bytes;
  bool valid = zmq_z85_decode(bytes.data(), text.c_str()) != nullptr;
  explicit_bzero(bytes.data(), bytes.size());
  return valid;
}

Result<void> check_private_folder(const std::string& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return io_failure("cannot look at folder", path);
  if (!S_ISDIR(status.st_mode)) return failure(ErrorKind::invalid_argument, path + " is not a folder");
  if (status.st_uid != geteuid() && status.st_uid != 0)
    return failure(ErrorKind::invalid_argument, "folder " + path + " belongs to somebody else");
  if (status.st_mode & 077)
    return failure(ErrorKind::invalid_argument, "others can enter folder " + path + ": run chmod 700 on it");
  return {};
}

Result<void> write_key_file(const std::string& path, const KeyPair& keys) {
  std::string folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return io_failure("cannot make folder", folder);
  if (auto checked = check_private_folder(folder); !checked) return checked.error();
  File file{open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (file.descriptor < 0) return io_failure("cannot write key file", path);
  std::string text = "# Weft key pair. Keep this file secret.\npublic " + keys.public_key + "\nsecret ";
  text.reserve(text.size() + key_text_size + 1);  // no reallocation may leave a copy of the secret behind
  text += keys.secret_key.z85();
  text += '\n';
  bool written = write(file.descriptor, text.data(), text.size()) == ssize_t(text.size()) && fsync(file.descriptor) == 0;
  explicit_bzero(text.data(), text.size());
  if (!written) {
    Failure why = io_failure("cannot write key file", path);
    unlink(path.c_str());
    return why;
  }
  return {};
}

Result<KeyPair> read_key_file(const std::string& path) {
  File file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.descriptor < 0) return io_failure("cannot read key file", path);
  struct stat status;
  if (fstat(file.descriptor, &status) != 0) return io_failure("cannot look at key file", path);
  // Root's own file may be our group's: so Kubernetes hands secrets to a user who is not root.
  const mode_t others = status.st_uid == 0 && geteuid() != 0 ? 037 : 077;
  if (!S_ISREG(status.st_mode) || (status.st_mode & others))
    return failure(ErrorKind::invalid_argument, "others can read key file " + path + ": run chmod 600 on it");
  if (status.st_uid != geteuid() && status.st_uid != 0)
    return failure(ErrorKind::invalid_argument, "key file " + path + " belongs to somebody else");
  std::array<char, 1024> text{};
  ssize_t size = read(file.descriptor, text.data(), text.size() - 1);
  if (size < 0) return io_failure("cannot read key file", path);

  std::string_view rest(text.data(), std::size_t(size));
  auto field = [&](std::string_view name) -> std::string_view {
    auto at = rest.starts_with(name) ? 0 : rest.find("\n" + std::string(name));
    if (at == std::string_view::npos) return {};
    return rest.substr(at + name.size() + (at == 0 && rest.starts_with(name) ? 0 : 1), key_text_size);
  };
  KeyPair keys{std::string(field("public ")), SecretKey(std::string(field("secret ")))};
  explicit_bzero(text.data(), text.size());
  std::array<char, key_text_size + 1> derived{};
  bool matches = is_key_text(keys.public_key) && is_key_text(keys.secret_key.z85()) &&
                 zmq_curve_public(derived.data(), keys.secret_key.z85().c_str()) == 0 && keys.public_key == derived.data();
  if (!matches)
    return failure(ErrorKind::invalid_argument, "key file " + path + " is damaged: its two halves do not belong together");
  return keys;
}

}  // namespace weft
