#include "dashboard/safety.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/io_failure.h"
#include "common/machine.h"
#include "common/machine_addresses.h"

namespace weft::dashboard {

static constexpr std::size_t token_digits = 64;

/// "name:8787" and "[::1]:8787" without the port, in lower case.
static std::string name_of_host(std::string_view host) {
  std::size_t end = host.starts_with('[') ? host.find(']') : host.rfind(':');
  if (host.starts_with('[')) {
    end = end == host.npos ? host.size() : end + 1;
    if (end < host.size() && host[end] != ':') return {};  // "[::1].evil.com"
  }
  std::string name(host.substr(0, end));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return name;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
}

Doors::Doors(const std::string& bound, const std::vector<std::string>& more_hosts, std::string token)
    : token_(std::move(token)) {
  hosts_ = {"localhost", "127.0.0.1", "[::1]"};
  bool v6 = bound.find(':') != bound.npos && !bound.starts_with('[');
  hosts_.insert(name_of_host(v6 ? '[' + bound + ']' : bound));
  everywhere_ = bound == "0.0.0.0" || bound == "*" || bound == "::" || bound == "[::]";
  if (!is_loopback(bound)) hosts_.insert(name_of_host(host_name()));
  for (const std::string& host : more_hosts) hosts_.insert(name_of_host(host));
}

/// Names are refused unless they are listed; an address that this machine has led nobody here by a name.
bool Doors::host_is_ours(std::string_view host) const {
  std::string name = name_of_host(host);
  if (hosts_.contains(name)) return true;
  if (!everywhere_ || name.empty()) return false;
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  return has_address(name);
}

std::string Doors::names() const {
  std::string text;
  for (const std::string& host : hosts_)
    if (host != "0.0.0.0" && host != "[::]" && host != "*") text += (text.empty() ? "" : ", ") + host;
  return everywhere_ ? text + " or an address of this machine" : text;
}

bool Doors::origin_is_ours(std::string_view origin, std::string_view host) const {
  if (origin.empty()) return true;
  for (std::string_view scheme : {"http://", "https://"})
    if (origin.starts_with(scheme)) return origin.substr(scheme.size()) == host && host_is_ours(host);
  return false;
}

/// In a time that does not depend on where the first difference is.
bool Doors::is_token(std::string_view given) const {
  if (token_.empty() || given.size() != token_.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < given.size(); ++i) difference |= static_cast<unsigned char>(given[i] ^ token_[i]);
  return difference == 0;
}

bool Doors::token_is_right(std::string_view authorization, std::string_view cookie) const {
  if (token_.empty()) return true;
  std::string scheme(authorization.substr(0, 7));
  std::transform(scheme.begin(), scheme.end(), scheme.begin(),
                 [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  if (scheme == "bearer ") return is_token(authorization.substr(7));
  while (!cookie.empty()) {
    std::string_view pair = cookie.substr(0, cookie.find(';'));
    cookie.remove_prefix(std::min(cookie.size(), pair.size() + 1));
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (pair.starts_with("weft_token=")) return is_token(pair.substr(11));
  }
  return false;
}

static constexpr std::size_t addresses_max = 1'000;

bool WrongTokens::too_many(const std::string& address, Time now) const {
  auto known = minutes_.find(address);
  return known != minutes_.end() && now < known->second.began + 60s && known->second.count >= allowed_a_minute;
}
void WrongTokens::note(const std::string& address, Time now) {
  if (minutes_.size() >= addresses_max)
    std::erase_if(minutes_, [&](const auto& entry) { return now >= entry.second.began + 60s; });
  if (minutes_.size() >= addresses_max && !minutes_.contains(address)) return;
  Minute& minute = minutes_[address];
  if (now >= minute.began + 60s) minute = {now, 0};
  ++minute.count;
}

Result<std::string> read_or_make_token(const std::string& path) {
  auto refused = [&] {
    Failure why = io_failure("cannot read or make the dashboard's token in", path);
    why.message += "; name another file with --dashboard-token-file";
    return why;
  };
  int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) {
    unsigned char bytes[token_digits / 2];
    std::string token;
    bool drawn = getrandom(bytes, sizeof bytes, 0) == sizeof bytes;
    for (unsigned char byte : bytes) token += "0123456789abcdef"[byte >> 4], token += "0123456789abcdef"[byte & 15];
    bool written = drawn && write(file, (token + '\n').c_str(), token.size() + 1) == static_cast<ssize_t>(token.size() + 1);
    close(file);
    if (!written) return unlink(path.c_str()), refused();
    return token;
  }
  file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return refused();
  struct stat status {};
  char text[256];
  ssize_t size = fstat(file, &status) == 0 ? read(file, text, sizeof text) : -1;
  close(file);
  if (size < 0) return refused();
  if (status.st_mode & 077)
    return failure(ErrorKind::invalid_argument, "others may read the dashboard's token in " + path +
                                                    "; run chmod 600 on it, after deleting it if they did");
  std::string token(text, static_cast<std::size_t>(size));
  while (!token.empty() && std::strchr(" \r\n", token.back())) token.pop_back();
  if (token.size() < 16 || token.find_first_of(" ;\r\n\"") != token.npos)
    return failure(ErrorKind::invalid_argument,
                   path + " holds no token: at least 16 characters without spaces; delete it and a new one is made");
  return token;
}

}  // namespace weft::dashboard
