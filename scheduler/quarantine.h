// Who sent what no peer may send, three times within a minute, is kept out for a minute. By key, not by connection: a process
// opens another connection at once. Who is here already under the same key and speaks well stays.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "common/time.h"

namespace weft::scheduler {

class Quarantine {
 public:
  static constexpr std::size_t errors_max = 3;
  static constexpr Duration window = 60s;
  static constexpr Duration term = 60s;

  /// One more protocol error of this key (Z85). Peers without one are processes of our own user: nobody is told apart there.
  void note(const std::string& key, Time now) {
    if (key.empty()) return;
    User& user = users_[key];
    while (!user.errors.empty() && user.errors.front() + window <= now) user.errors.pop_front();
    user.errors.push_back(now);
    if (user.errors.size() < errors_max) return;
    user.until = now + term;
    user.errors.clear();
  }
  bool holds(const std::string& key, Time now) const {
    auto found = users_.find(key);
    return found != users_.end() && now < found->second.until;
  }

 private:
  struct User {
    std::deque<Time> errors;
    Time until;
  };
  std::map<std::string, User> users_;  // at most as many as there are keys on the allow-list
};

}  // namespace weft::scheduler
