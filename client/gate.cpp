#include <weft/detail/gate.h>

#include <condition_variable>
#include <deque>
#include <mutex>

#include "client/client_core.h"

namespace weft::detail {

struct Gate::Part {
  struct Node : client::Waiter {
    Part* part = nullptr;
    std::size_t number = 0;
    FutureHandle future;
  };

  bool with_value = false;
  std::deque<Node> nodes;  // addresses must stay
  std::shared_ptr<client::ClientCore> driven;  // a client that this thread must serve while it waits
  bool others = false;     // futures of other clients are here, too
  std::mutex mutex;
  std::condition_variable_any news;
  std::vector<std::size_t> fresh;
  std::size_t ended = 0;
  std::size_t awaited = 0;  // somebody sleeps until so many ended; waking it for each would cost more than the work

  static void on_fire(client::Waiter& waiter) {
    auto& node = static_cast<Node&>(waiter);
    node.part->count(node.number);
  }
  void count(std::size_t number) {
    std::lock_guard guard(mutex);
    fresh.push_back(number);
    if (++ended == awaited) news.notify_one();
  }
};

Gate::Gate(bool with_value) : part_(std::make_unique<Part>()) { part_->with_value = with_value; }

Gate::~Gate() {
  for (Part::Node& node : part_->nodes)
    if (node.future) node.future.core()->remove(node);
}

void Gate::add(const FutureHandle& future) {
  client::FutureCore& core = future.checked();
  Part::Node& node = part_->nodes.emplace_back();
  node.part = part_.get();
  node.number = part_->nodes.size() - 1;
  node.fire = &Part::on_fire;
  node.with_value = part_->with_value;
  node.future = future;
  if (core.block->client->is_driven_here()) part_->driven = core.block->client;
  else part_->others = true;
  if (!core.add(node)) {
    part_->count(node.number);
  } else if (node.with_value && core.phase.load() == client::FutureCore::Phase::elsewhere) {
    core.block->client->read(core);
  }
}

std::size_t Gate::size() const { return part_->nodes.size(); }

bool Gate::wait(std::size_t count, Limit limit, std::stop_token stop) {
  if (part_->driven) return serve(*part_->driven, count, limit, stop);
  std::unique_lock guard(part_->mutex);
  auto enough = [&] { return part_->ended >= count; };
  part_->awaited = count;
  Time deadline = client::deadline_of(limit);
  auto at = std::chrono::steady_clock::time_point(Duration(deadline.nanoseconds));
  if (deadline == Time::never()) part_->news.wait(guard, stop, enough);
  else if (!enough()) part_->news.wait_until(guard, stop, at, enough);
  return enough();
}

// What does not come through the driven client is looked at in turns.
bool Gate::serve(client::ClientCore& driven, std::size_t count, Limit limit, const std::stop_token& stop) {
  constexpr Duration turn = 5ms;
  Time deadline = client::deadline_of(limit);
  bool looks = part_->others || stop.stop_possible();
  auto enough = [&] { return ended() >= count; };
  for (;;) {
    if (driven.serve(enough, looks ? std::min(deadline, monotonic_now() + turn) : deadline)) return true;
    if (stop.stop_requested() || monotonic_now() >= deadline) return enough();
  }
}

std::vector<std::size_t> Gate::take() {
  std::lock_guard guard(part_->mutex);
  return std::exchange(part_->fresh, {});
}

std::size_t Gate::ended() const {
  std::lock_guard guard(part_->mutex);
  return part_->ended;
}

}  // namespace weft::detail
