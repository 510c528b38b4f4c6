#include "common/transport/in_process.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "common/check.h"
#include "common/transport/waiter.h"

namespace weft {
namespace {

// One poll hands out at most this many frames, so that the owner's timers and descriptors get their turn.
constexpr std::size_t events_per_poll = 4096;

struct Connection;

/// News for one endpoint, in the order in which it happened. A frame has a head; without one, the connection opened
/// (`connection` is set) or ended.
struct Item {
  PeerId peer;
  Buffer head;
  Buffer payload;
  std::shared_ptr<Connection> connection;
  const char* lost = nullptr;
};

/// Where other threads put news for an endpoint. One wake-up per sleep of the owner, however many frames arrive.
class Inbox {
 public:
  /// False: the owner is gone.
  bool put(Item item) {
    bool wake = false;
    {
      std::lock_guard lock(mutex_);
      if (gone_) return false;
      items_.push_back(std::move(item));
      wake = std::exchange(sleeping_, false);
    }
    if (wake) waiter.wake();
    return true;
  }
  /// Swap all news into `out`, which is empty. When there is none and `will_sleep`, the next put wakes the owner.
  void take(std::vector<Item>& out, bool will_sleep) {
    std::lock_guard lock(mutex_);
    out.swap(items_);
    sleeping_ = will_sleep && out.empty();
  }
  /// The owner goes: nothing more gets in. Returns what it never took.
  std::vector<Item> leave() {
    std::lock_guard lock(mutex_);
    gone_ = true;
    return std::exchange(items_, {});
  }

  Waiter waiter;  // the owner sleeps on it; others only call `wake`

 private:
  std::mutex mutex_;
  std::vector<Item> items_;
  bool sleeping_ = false;
  bool gone_ = false;
};

/// Both ends of a connection; side 0 opened it. Each side knows itself and the other by its own number.
struct Connection {
  struct Side {
    std::shared_ptr<Inbox> inbox;
    PeerId other;                         // how this side calls the other one
    std::atomic<std::size_t> waiting{0};  // bytes on their way to this side
  };
  Side sides[2];
  std::atomic<bool> open{true};
  std::string role;
};

/// Who listens under which name in this process.
class Names {
 public:
  bool add(const std::string& name, std::shared_ptr<Inbox> inbox, std::string role) {
    std::lock_guard lock(mutex_);
    return places_.try_emplace(name, std::move(inbox), std::move(role)).second;
  }
  std::pair<std::shared_ptr<Inbox>, std::string> find(const std::string& name) {
    std::lock_guard lock(mutex_);
    auto place = places_.find(name);
    return place == places_.end() ? std::pair<std::shared_ptr<Inbox>, std::string>() : place->second;
  }
  void remove(const std::string& name) {
    std::lock_guard lock(mutex_);
    places_.erase(name);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::pair<std::shared_ptr<Inbox>, std::string>> places_;
};

Names& names() {
  static Names* all = new Names;  // never destroyed: endpoints in static objects may outlive any order we choose
  return *all;
}

class InProcessEndpoint final : public Endpoint {
 public:
  explicit InProcessEndpoint(const InProcessOptions& options) : options_(options) {}

  ~InProcessEndpoint() override {
    for (const auto& name : names_) names().remove(name);
    auto left = inbox_->leave();
    for (auto& [id, peer] : peers_) end(peer, gone);
    // Connections that were opened to us and that no poll has seen.
    for (Item& item : left) taken_.push_back(std::move(item));
    for (; next_ < taken_.size(); ++next_)
      if (taken_[next_].connection) end({taken_[next_].connection, 1}, gone);
  }

  Result<std::string> listen(const std::string& address, const std::string& role) override {
    if (!address.starts_with(prefix)) return failure(ErrorKind::invalid_argument, "not an inproc:// address: " + address);
    std::string name = address == prefix ? address + "free-" + std::to_string(new_peer_id().number) : address;
    if (!names().add(name, inbox_, role))
      return failure(ErrorKind::connection_failed, "somebody in this process already listens at " + name);
    names_.push_back(name);
    return name;
  }

  Result<PeerId> connect(const std::string& address, const std::string&) override {
    if (!address.starts_with(prefix)) return failure(ErrorKind::invalid_argument, "not an inproc:// address: " + address);
    auto connection = std::make_shared<Connection>();
    PeerId id = new_peer_id();
    auto [inbox, role] = names().find(address);
    connection->role = role;
    connection->sides[0].inbox = inbox_;
    connection->sides[0].other = id;
    connection->sides[1].inbox = inbox;
    connection->sides[1].other = new_peer_id();
    peers_.emplace(id, Peer{connection, 0});
    bool there = inbox && inbox->put({.peer = connection->sides[1].other, .connection = connection});
    if (!there) {
      connection->open = false;
      inbox_->put({.peer = id, .lost = "nobody in this process listens at that address"});
    }
    return id;
  }

  bool send(PeerId to, Bytes head, Buffer payload) override {
    WEFT_CHECK(!head.empty());
    auto found = peers_.find(to);
    if (found == peers_.end()) return false;
    Connection& connection = *found->second.connection;
    if (!connection.open.load(std::memory_order_acquire)) return false;
    Connection::Side& there = connection.sides[1 - found->second.side];
    std::size_t bytes = head.size() + payload.size();
    std::size_t before = there.waiting.fetch_add(bytes, std::memory_order_relaxed);
    if (before != 0 && before + bytes > options_.queue_bytes_max) {
      there.waiting.fetch_sub(bytes, std::memory_order_relaxed);
      return false;
    }
    return there.inbox->put({.peer = there.other, .head = Buffer::own(std::move(head)), .payload = std::move(payload)});
  }

  void close(PeerId peer) override {
    auto found = peers_.find(peer);
    if (found == peers_.end()) return;
    end(found->second, "the other side closed the connection");
    peers_.erase(found);
  }

  PeerIdentity identity(PeerId peer) const override {
    auto found = peers_.find(peer);
    if (found == peers_.end() || found->second.side == 0) return {};
    return {.role = found->second.connection->role};
  }

  std::vector<int> poll(std::vector<EndpointEvent>& events, Time deadline) override {
    const std::size_t before = events.size();
    for (;;) {
      if (next_ == taken_.size()) {
        taken_.clear();
        next_ = 0;
        inbox_->take(taken_, true);
      }
      deliver(events);
      bool news = events.size() != before;
      if (news && !waiter().watches_any()) return {};
      Ready ready = waiter().wait(news || next_ != taken_.size() ? Time{} : deadline);
      if (ready.woken && !news) {  // perhaps by a frame
        if (next_ == taken_.size()) {
          taken_.clear();
          next_ = 0;
          inbox_->take(taken_, false);
        }
        deliver(events);
        return std::move(ready.watched);
      }
      if (news || !ready.watched.empty() || monotonic_now() >= deadline) return std::move(ready.watched);
    }
  }

  void watch(int descriptor) override { waiter().watch(descriptor); }
  void unwatch(int descriptor) override { waiter().unwatch(descriptor); }
  void wake() override { waiter().wake(); }

 private:
  static constexpr const char* prefix = "inproc://";
  static constexpr const char* gone = "the other endpoint was closed";
  struct Peer {
    std::shared_ptr<Connection> connection;
    int side;
  };

  Waiter& waiter() { return inbox_->waiter; }

  static void end(const Peer& peer, const char* why) {
    Connection& connection = *peer.connection;
    if (!connection.open.exchange(false)) return;
    Connection::Side& there = connection.sides[1 - peer.side];
    if (there.inbox) there.inbox->put({.peer = there.other, .lost = why});
  }

  /// Turn taken news into events, at most `events_per_poll`.
  void deliver(std::vector<EndpointEvent>& events) {
    std::size_t stop = std::min(taken_.size(), next_ + events_per_poll);
    for (; next_ != stop; ++next_) {
      Item& item = taken_[next_];
      if (item.connection) {
        peers_.emplace(item.peer, Peer{std::move(item.connection), 1});
        continue;
      }
      auto found = peers_.find(item.peer);
      if (found == peers_.end()) continue;  // we closed it
      if (item.lost) {
        peers_.erase(found);
        events.emplace_back(std::in_place_type<PeerLost>, PeerLost{item.peer, item.lost});
        continue;
      }
      auto& mine = found->second.connection->sides[found->second.side];
      mine.waiting.fetch_sub(item.head.size() + item.payload.size(), std::memory_order_relaxed);
      events.emplace_back(std::in_place_type<Received>, Received{item.peer, std::move(item.head), std::move(item.payload)});
    }
  }

  InProcessOptions options_;
  std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  std::vector<std::string> names_;
  std::unordered_map<PeerId, Peer> peers_;
  std::vector<Item> taken_;  // taken from the inbox; those before `next_` are done
  std::size_t next_ = 0;
};

}  // namespace

std::unique_ptr<Endpoint> make_in_process_endpoint(const InProcessOptions& options) {
  return std::make_unique<InProcessEndpoint>(options);
}

}  // namespace weft
