#include "client/future_core.h"

#include <algorithm>
#include <array>

#include "client/client_core.h"
#include "client/symbols.h"

namespace weft::client {

std::mutex& FutureCore::lock() const {
  static std::array<std::mutex, 64> locks;
  return locks[(reinterpret_cast<std::uintptr_t>(this) >> 6) % locks.size()];
}

bool FutureCore::serves(bool with_value) const {
  Phase now = phase.load(std::memory_order_relaxed);
  return now == Phase::here || now == Phase::failed || (now == Phase::elsewhere && !with_value);
}

static FutureCore::Phase phase_of(const Outcome* outcome) {
  if (!outcome) return FutureCore::Phase::pending;
  if (outcome->failure) return FutureCore::Phase::failed;
  return outcome->value.part_count() > 0 || outcome->value.size() > 0 ? FutureCore::Phase::here : FutureCore::Phase::elsewhere;
}

bool FutureCore::complete(std::shared_ptr<const Outcome> news) {
  std::lock_guard guard(lock());
  outcome.swap(news);
  phase.store(phase_of(outcome.get()), std::memory_order_release);
  Waiter** link = &waiters;
  while (Waiter* waiter = *link) {
    if (serves(waiter->with_value)) {
      *link = waiter->next;
      waiter->fire(*waiter);
    } else {
      link = &waiter->next;
    }
  }
  return waiters != nullptr && phase.load(std::memory_order_relaxed) == Phase::elsewhere;
}

bool FutureCore::add(Waiter& waiter) {
  std::lock_guard guard(lock());
  if (serves(waiter.with_value)) return false;
  waiter.next = waiters;
  waiters = &waiter;
  return true;
}

void FutureCore::remove(Waiter& waiter) {
  std::lock_guard guard(lock());
  for (Waiter** link = &waiters; *link; link = &(*link)->next) {
    if (*link != &waiter) continue;
    *link = waiter.next;
    return;
  }
}

Time deadline_of(detail::Limit limit) {
  if (!limit) return Time::never();
  Time now = monotonic_now();
  return *limit >= Time::never() - now ? Time::never() : now + std::max(*limit, Duration(0));
}

FutureBlock* make_block(std::shared_ptr<ClientCore> client, std::span<const Key> keys) {
  auto block = std::make_unique<FutureBlock>();
  block->client = std::move(client);
  block->cores = std::make_unique<FutureCore[]>(keys.size());
  block->alive = keys.size();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    block->cores[i].key = keys[i];
    block->cores[i].block = block.get();
  }
  return block.release();
}

void free_core(FutureCore& core) {
  FutureBlock* block = core.block;
  core.outcome = nullptr;
  if (block->alive.fetch_sub(1, std::memory_order_acq_rel) == 1) delete block;
}

}  // namespace weft::client

namespace weft::detail {

using client::FutureCore;

namespace {

// One thread's wait for one core.
struct Wait : client::Waiter {
  std::mutex mutex;
  std::condition_variable ended;
  bool done = false;

  static void on_fire(client::Waiter& waiter) {
    auto& wait = static_cast<Wait&>(waiter);
    // Notify under the mutex: the waiting thread destroys this object as soon as it can take it.
    std::lock_guard guard(wait.mutex);
    wait.done = true;
    wait.ended.notify_one();
  }
};

struct CallbackWaiter : client::Waiter {
  FutureHandle handle;  // the future lives until its callbacks ran
  std::unique_ptr<Callback> callback;

  static void on_fire(client::Waiter& waiter) {
    std::unique_ptr<CallbackWaiter> self(static_cast<CallbackWaiter*>(&waiter));
    auto* client = self->handle.core()->block->client.get();
    client->call_back(std::move(self->callback), std::move(self->handle));
  }
};

// False: the deadline passed.
bool wait_until(FutureCore& core, bool with_value, Time deadline) {
  Wait wait;
  wait.fire = &Wait::on_fire;
  wait.with_value = with_value;
  if (!core.add(wait)) return true;
  if (with_value && core.phase.load() == FutureCore::Phase::elsewhere) core.block->client->read(core);
  auto done = [&] { return wait.done; };
  if (client::ClientCore& client = *core.block->client; client.is_driven_here()) {
    auto locked_done = [&] {
      std::lock_guard guard(wait.mutex);
      return wait.done;
    };
    struct Remove {  // also when the wait throws
      FutureCore& core;
      Wait& wait;
      ~Remove() { core.remove(wait); }
    } remove{core, wait};
    return client.serve(locked_done, deadline);
  }
  std::unique_lock guard(wait.mutex);
  if (deadline == Time::never()) {
    wait.ended.wait(guard, done);
    return true;
  }
  if (wait.ended.wait_until(guard, std::chrono::steady_clock::time_point(Duration(deadline.nanoseconds)), done)) return true;
  guard.unlock();  // `fire` takes the core's lock first, so ours must not be held here
  core.remove(wait);
  guard.lock();
  return wait.done;
}

[[noreturn]] void throw_timeout(const FutureCore& core) {
  Failure why{.kind = ErrorKind::wait_timeout, .message = "the wait for a future ended before its task; the task goes on"};
  why.key = core.key;
  throw_failure(why);
}

}  // namespace

void FutureHandle::retain() const {
  if (core_) core_->references.fetch_add(1, std::memory_order_relaxed);
}

void FutureHandle::drop() {
  FutureCore* core = std::exchange(core_, nullptr);
  if (core->references.fetch_sub(1, std::memory_order_acq_rel) == 1) client::ClientCore::release(*core);
}

FutureCore& FutureHandle::checked() const {
  if (!core_) throw InvalidArgument("this future holds nothing: it was released, moved from or never submitted");
  core_->block->client->check_process();
  return *core_;
}

Key FutureHandle::key() const { return checked().key; }

FutureStatus FutureHandle::status() const {
  FutureCore& core = checked();
  std::lock_guard guard(core.lock());
  switch (core.phase.load()) {
    case FutureCore::Phase::pending: return FutureStatus::pending;
    case FutureCore::Phase::failed:
      return core.outcome->failure->kind == ErrorKind::cancelled ? FutureStatus::cancelled : FutureStatus::failed;
    default: return FutureStatus::finished;
  }
}

bool FutureHandle::wait(Limit limit) const { return wait_until(checked(), false, client::deadline_of(limit)); }

Value FutureHandle::value(Limit limit) const {
  FutureCore& core = checked();
  Time deadline = client::deadline_of(limit);
  for (;;) {
    if (!wait_until(core, true, deadline)) throw_timeout(core);
    std::shared_ptr<const client::Outcome> outcome;
    {
      std::lock_guard guard(core.lock());
      if (!core.serves(true)) continue;  // back to pending meanwhile
      outcome = core.outcome;
    }
    if (outcome->failure) throw_failure(symbolised(*outcome->failure));
    return outcome->value;
  }
}

std::shared_ptr<const Failure> FutureHandle::failure(Limit limit) const {
  FutureCore& core = checked();
  if (!wait_until(core, false, client::deadline_of(limit))) throw_timeout(core);
  std::shared_ptr<const Failure> failure;
  {
    std::lock_guard guard(core.lock());
    if (core.outcome) failure = core.outcome->failure;
  }
  if (!failure || failure->frames.empty()) return failure;
  return std::make_shared<const Failure>(symbolised(*failure));
}

void FutureHandle::cancel(std::string reason, bool force) const {
  FutureCore& core = checked();
  core.block->client->post(client::CancelKeys{{core.key}, force, std::move(reason)});
}

void FutureHandle::retry() const {
  FutureCore& core = checked();
  core.block->client->retry({*this});
}

void FutureHandle::on_done(std::unique_ptr<Callback> callback, bool with_value) const {
  FutureCore& core = checked();
  auto waiter = std::make_unique<CallbackWaiter>();
  waiter->fire = &CallbackWaiter::on_fire;
  waiter->with_value = with_value;
  waiter->handle = *this;
  waiter->callback = std::move(callback);
  if (core.add(*waiter)) {
    waiter.release();
    if (with_value && core.phase.load() == FutureCore::Phase::elsewhere) core.block->client->read(core);
  } else {
    core.block->client->call_back(std::move(waiter->callback), *this);
  }
}

std::shared_ptr<client::ClientCore> FutureHandle::client() const { return checked().block->client; }

}  // namespace weft::detail
