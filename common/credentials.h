// Keys of a cluster and who may come in: the key folder, the allow-list, and where a client or a worker looks for its key.
//
// A key folder (mode 0700) holds
//   scheduler.key    the scheduler's pair; stays on its machine
//   scheduler.pub    its public half: whoever connects must have it
//   client.key, worker.key    one pair for each role; `weft keys add` makes more
//   authorized_keys  who may come in: lines `role name public-key [not-after=2027-01-31]`, `#` begins a comment
// A client elsewhere needs `client.key` and `scheduler.pub`, a worker elsewhere `worker.key` and `scheduler.pub`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/transport/keys.h"

namespace weft {

/// What one needs to connect to a scheduler.
struct Credentials {
  KeyPair keys;
  std::string server_key;  // Z85: the scheduler's public key
  std::string folder;      // where they were found
};
using ClientCredentials = Credentials;
using WorkerCredentials = Credentials;

/// Find the key for connecting to a scheduler at `tcp://…`; for `ipc://` and an embedded cluster none is needed and both are
/// empty. Looked for in this order; the first place that is named decides, nothing is tried behind it:
///   1. the scheduler file that `scheduler_file` or $WEFT_SCHEDULER_FILE names: its key folder and public key
///   2. the folder $WEFT_KEYS
///   3. $XDG_CONFIG_HOME/weft/keys, else ~/.config/weft/keys
/// The failure says where it looked.
Result<ClientCredentials> find_client_credentials(const std::string& address, const std::string& scheduler_file = {});
Result<WorkerCredentials> find_worker_credentials(const std::string& address, const std::string& scheduler_file = {});

/// $WEFT_KEYS, else $XDG_CONFIG_HOME/weft/keys, else ~/.config/weft/keys; empty if none of the variables is set.
std::string default_key_folder();

/// The day of a `not_after`, as people write it.
std::string show_day(std::int64_t not_after);

struct AuthorizedKey {
  std::string role, name, public_key;
  std::optional<std::int64_t> not_after = {};  // seconds since 1970 from which it is refused: the end of that day, UTC
  bool operator==(const AuthorizedKey&) const = default;
};

/// The allow-list.
class AuthorizedKeys {
 public:
  /// Fails with invalid_argument and the line's number if a line is wrong: a list that is half understood lets nobody in.
  static Result<AuthorizedKeys> parse(std::string_view text, const std::string& path);
  /// Refuses a file that others may change.
  static Result<AuthorizedKeys> read(const std::string& path);
  bool allows(std::string_view role, std::string_view public_key, std::int64_t now) const;
  /// When the next key after `now` ends; nothing if none does.
  std::optional<std::int64_t> next_end(std::int64_t now) const;
  const std::vector<AuthorizedKey>& all() const { return keys_; }

 private:
  std::vector<AuthorizedKey> keys_;
};

/// A key folder for its owner: the scheduler and `weft keys`.
class KeyFolder {
 public:
  explicit KeyFolder(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }
  std::string authorized_path() const { return path_ + "/authorized_keys"; }
  bool exists() const;

  /// Make the folder and all its files; fails with invalid_argument if there is a scheduler key already. Two processes that
  /// do so at once get one folder.
  Result<void> init() const;
  /// The scheduler's pair; the folder is made if it is not there.
  Result<KeyPair> scheduler_keys() const;
  Result<AuthorizedKeys> authorized() const { return AuthorizedKeys::read(authorized_path()); }
  /// Let somebody in: with a new pair, written to NAME.key, or with the public key that they sent. Returns the line.
  /// `not_after`: the last day on which it is let in, as 2027-01-31; empty: there is none.
  Result<AuthorizedKey> add(const std::string& role, const std::string& name, const std::string& public_key = {},
                            const std::string& not_after = {}) const;
  /// Take every line of this name, or with this public key, out of the list; returns how many.
  Result<std::size_t> revoke(const std::string& name_or_key) const;

 private:
  template <class Change>
  Result<void> change_list(Change change) const;
  std::string path_;
};

}  // namespace weft
