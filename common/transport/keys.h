// CURVE key pairs and the files they live in. A secret is never printed, never part of an error and wiped when dropped.
#pragma once

#include <string>

#include "common/result.h"

namespace weft {

/// The secret half of a key pair, Z85 text of 40 characters. Deliberately without a stream operator.
class SecretKey {
 public:
  SecretKey() = default;
  explicit SecretKey(std::string z85) : z85_(std::move(z85)) {}
  SecretKey(const SecretKey&) = default;
  SecretKey(SecretKey&& other) noexcept : z85_(other.z85_) { other.wipe(); }
  SecretKey& operator=(SecretKey other) noexcept {
    z85_.swap(other.z85_);
    return *this;
  }
  ~SecretKey() { wipe(); }

  const std::string& z85() const { return z85_; }
  bool empty() const { return z85_.empty(); }

 private:
  void wipe();
  std::string z85_;
};

struct KeyPair {
  std::string public_key;  // Z85 text of 40 characters
  SecretKey secret_key;
};

/// Draw a new key pair.
KeyPair make_key_pair();

/// Whether this is the Z85 text of a 32-byte key.
bool is_key_text(const std::string& text);

/// Write a key file with mode 0600 into a folder that only we can enter (made with 0700 if missing). Fails if it exists.
Result<void> write_key_file(const std::string& path, const KeyPair& keys);

/// Read what `write_key_file` wrote. Refuses a file that others may read or that is not ours, and halves that do not match.
Result<KeyPair> read_key_file(const std::string& path);

/// Check that only we (or root) can enter or change this folder; a symbolic link is refused.
Result<void> check_private_folder(const std::string& path);

}  // namespace weft
