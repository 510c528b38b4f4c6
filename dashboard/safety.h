// Who may talk to the dashboard: Host and Origin against other sites, a token off loopback. Pure decisions, no socket.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/time.h"

namespace weft::dashboard {

class Doors {
 public:
  /// `bound`: the address listened on. `token`: empty when none is asked for.
  Doors(const std::string& bound, const std::vector<std::string>& more_hosts, std::string token);

  /// A browser that was led here under another name (DNS rebinding) sends that name.
  bool host_is_ours(std::string_view host) const;
  /// Nobody's origin is fine for reading; another site's never is.
  bool origin_is_ours(std::string_view origin, std::string_view host) const;
  /// From `Authorization: Bearer …` or the cookie `weft_token=…`.
  bool token_is_right(std::string_view authorization, std::string_view cookie) const;
  bool is_token(std::string_view given) const;
  /// What a Host may be, for whoever had another.
  std::string names() const;
  bool needs_token() const { return !token_.empty(); }

 private:
  std::set<std::string, std::less<>> hosts_;
  bool everywhere_ = false;  // it listens on all addresses
  std::string token_;
};

/// Wrong tokens, counted by address: who has sent too many waits until the minute is over.
class WrongTokens {
 public:
  static constexpr unsigned allowed_a_minute = 10;
  bool too_many(const std::string& address, Time now) const;
  void note(const std::string& address, Time now);

 private:
  struct Minute {
    Time began;
    unsigned count = 0;
  };
  std::map<std::string, Minute> minutes_;
};

bool is_loopback(const std::string& host);
/// The token in this file, or a new one (64 hexadecimal digits, mode 0600).
Result<std::string> read_or_make_token(const std::string& path);

}  // namespace weft::dashboard
