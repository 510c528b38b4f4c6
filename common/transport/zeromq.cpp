#include "common/transport/zeromq.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include "common/transport/waiter.h"
#include "common/transport/zeromq_connection.h"
#include "common/transport/zeromq_listener.h"

namespace weft {
namespace {

using zeromq::Connection;
using zeromq::Context;
using zeromq::Listener;

constexpr std::string_view ipc = "ipc://";
constexpr std::string_view tcp = "tcp://";

bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool answered = descriptor >= 0 && connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (descriptor >= 0) ::close(descriptor);
  return answered;
}

/// The folder alone protects an ipc socket, so it must be ours alone, seen from both ends.
Result<void> check_ipc(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return failure(ErrorKind::invalid_argument, "the path " + path + " is too long for a socket (107 bytes): use a shorter folder");
  auto slash = path.rfind('/');
  if (slash == std::string::npos || slash + 1 == path.size())
    return failure(ErrorKind::invalid_argument, "an ipc address is ipc:///folder/name, not " + path);
  return check_private_folder(path.substr(0, std::max<std::size_t>(slash, 1)));
}

/// A free name if `path` is a folder; and nobody's live socket is taken away.
Result<std::string> place_for_ipc(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
    path += "/" + std::to_string(getpid()) + "-" + std::to_string(new_peer_id().number);
  if (auto checked = check_ipc(path); !checked) return checked.error();
  if (somebody_listens(path))
    return failure(ErrorKind::connection_failed, "cannot listen on ipc://" + path + ": somebody already does");
  return path;
}

/// The port of `tcp://host:port`, if that is what it is.
std::optional<int> port_of(const std::string& address) {
  auto colon = address.rfind(':');
  if (!address.starts_with(tcp) || colon <= tcp.size() || colon == std::string::npos) return {};
  std::string digits = address.substr(colon + 1);
  if (digits.empty() || digits.size() > 5 || digits.find_first_not_of("0123456789") != std::string::npos) return {};
  int port = std::stoi(digits);
  return port <= 65535 ? std::optional(port) : std::nullopt;
}

class ZeromqEndpoint final : public Endpoint {
 public:
  explicit ZeromqEndpoint(const ZeromqOptions& options) : options_(options), context_(options.io_threads) {
    if (options_.keys.public_key.empty()) options_.keys = make_key_pair();
  }

  Result<std::string> listen(const std::string& address, const std::string& role) override {
    if (role.empty() || role.find(' ') != std::string::npos)
      return failure(ErrorKind::invalid_argument, "a role is one word, not \"" + role + "\"");
    std::string place = address;
    if (address.starts_with(ipc)) {
      auto path = place_for_ipc(address.substr(ipc.size()));
      if (!path) return path.error();
      place = std::string(ipc) + *path;
    } else if (!port_of(address)) {
      return failure(ErrorKind::invalid_argument, "an address is tcp://host:port or ipc:///folder/name, not " + address);
    }
    try {
      if (!listener_) open_listener();
      return listener_->listen(place, role);
    } catch (const Error& error) {
      return error.failure();
    }
  }

  Result<PeerId> connect(const std::string& address, const std::string& server_key) override {
    std::string key;
    if (address.starts_with(ipc)) {
      if (auto checked = check_ipc(address.substr(ipc.size())); !checked) return checked.error();
    } else if (auto port = port_of(address); !port || *port == 0) {
      return failure(ErrorKind::invalid_argument, "an address is tcp://host:port or ipc:///folder/name, not " + address);
    } else {
      key = server_key.empty() && !options_.clear_values ? options_.server_key : server_key;
      if (!is_key_text(key) && !(key.empty() && options_.clear_values))
        return failure(ErrorKind::invalid_argument, "connecting to " + address + " needs the public key of its server");
    }
    try {
      PeerId id = new_peer_id();
      auto connection = std::make_unique<Connection>(context_, id, address, options_, key);
      waiter_.add(connection->descriptor(), number_of(id));
      waiter_.add(connection->monitor_descriptor(), number_of(id) | side_channel);
      checks_.emplace(connection->check_at(), id);
      connections_.emplace(id, std::move(connection));
      return id;
    } catch (const Error& error) {
      return error.failure();
    }
  }

  bool send(PeerId peer, Bytes head, Buffer payload) override {
    WEFT_CHECK(!head.empty());
    if (auto found = connections_.find(peer); found != connections_.end()) {
      touch(peer, *found->second);
      return found->second->send(std::move(head), std::move(payload));
    }
    return listener_ && listener_->send(peer, std::move(head), std::move(payload));
  }

  void close(PeerId peer) override {
    if (auto found = connections_.find(peer); found != connections_.end()) {
      found->second->close();
      if (found->second->over()) erase(found);
    } else if (listener_) {
      listener_->close(peer);
    }
  }

  PeerIdentity identity(PeerId peer) const override { return listener_ ? listener_->identity(peer) : PeerIdentity{}; }

  std::vector<int> poll(std::vector<EndpointEvent>& events, Time deadline) override {
    const std::size_t before = events.size();
    for (;;) {
      read_without_waiting(events);
      bool news = events.size() != before;
      Ready ready = waiter_.wait(news || unread() ? Time{} : std::min(deadline, next_check()));
      for (std::uint64_t number : ready.added) {
        if ((number & ~side_channel) == listener_number) {
          if (number & side_channel) listener_->read_side_channels(monotonic_now());
          listener_->read(events, monotonic_now());
        } else if (auto found = connections_.find(PeerId{number & ~side_channel}); found != connections_.end()) {
          if (number & side_channel) found->second->read_monitor();
          read(found, events);
        }
      }
      run_checks(events);
      news = events.size() != before || ready.woken || !ready.watched.empty();
      if (news || monotonic_now() >= deadline) return std::move(ready.watched);
    }
  }

  void watch(int descriptor) override { waiter_.watch(descriptor); }
  void unwatch(int descriptor) override { waiter_.unwatch(descriptor); }
  void wake() override { waiter_.wake(); }

 private:
  using Connections = std::unordered_map<PeerId, std::unique_ptr<Connection>>;
  static constexpr std::uint64_t listener_number = 0;  // no peer has it
  // Monitors and the doorman: always read until they are empty, so they are read only when their descriptors say so.
  static constexpr std::uint64_t side_channel = std::uint64_t(1) << 61;
  static std::uint64_t number_of(PeerId peer) { return peer.number; }

  void open_listener() {
    listener_ = std::make_unique<Listener>(context_, options_);
    waiter_.add(listener_->descriptor(), listener_number);
    for (int descriptor : listener_->side_descriptors()) waiter_.add(descriptor, listener_number | side_channel);
  }

  /// libzmq signals a descriptor only once, and any call on the socket can swallow the signal: sockets that were used, or had
  /// more than their turn, are read before we sleep.
  void touch(PeerId peer, Connection& connection) {
    if (!std::exchange(connection.touched, true)) touched_.push_back(peer);
  }

  void read_without_waiting(std::vector<EndpointEvent>& events) {
    if (listener_ && listener_->unread()) listener_->read(events, monotonic_now());
    for (PeerId peer : std::exchange(touched_, {})) {
      auto found = connections_.find(peer);
      if (found == connections_.end()) continue;
      found->second->touched = false;
      read(found, events);
    }
  }

  bool unread() const { return !touched_.empty() || (listener_ && listener_->unread()); }

  void read(Connections::iterator found, std::vector<EndpointEvent>& events) {
    Connection& connection = *found->second;
    Time planned = connection.check_at();
    connection.read(events, monotonic_now());
    if (connection.over()) return erase(found);
    if (connection.unread()) touch(found->first, connection);
    if (connection.check_at() != planned && connection.check_at() != Time::never())
      checks_.emplace(connection.check_at(), found->first);
  }

  void erase(Connections::iterator found) {
    waiter_.remove(found->second->descriptor());
    waiter_.remove(found->second->monitor_descriptor());
    connections_.erase(found);
  }

  Time next_check() const {
    Time next = checks_.empty() ? Time::never() : checks_.begin()->first;
    return listener_ ? std::min(next, listener_->check_at()) : next;
  }

  void run_checks(std::vector<EndpointEvent>& events) {
    Time now = monotonic_now();
    if (listener_ && listener_->check_at() <= now) listener_->read(events, now);
    while (!checks_.empty() && checks_.begin()->first <= now) {
      PeerId peer = checks_.begin()->second;
      checks_.erase(checks_.begin());
      // Checks of connections that are over, or stand, find nothing to do.
      if (auto found = connections_.find(peer); found != connections_.end()) read(found, events);
    }
  }

  ZeromqOptions options_;
  Waiter waiter_;
  Context context_;  // after the waiter, before all sockets: destroyed when they are closed
  std::unique_ptr<Listener> listener_;
  Connections connections_;
  std::vector<PeerId> touched_;
  std::multimap<Time, PeerId> checks_;
};

}  // namespace

std::unique_ptr<Endpoint> make_zeromq_endpoint(const ZeromqOptions& options) {
  return std::make_unique<ZeromqEndpoint>(options);
}

}  // namespace weft
