// The step: the link, orders, runs.
#include "worker/state.h"

#include <algorithm>
#include <functional>

#include "common/coverage_mark.h"
#include "common/limits.h"
#include "common/vectors.h"

namespace weft::worker {

// Longest time between heartbeats, and longest lease, that a scheduler is believed.
static constexpr Duration interval_max = 24h;

State::State(StateOptions options) : options_(std::move(options)) {}

std::vector<Action> State::step(Time now, std::vector<Event> batch) {
  now_ = std::max(now, now_);
  if (alone_since_ == Time{}) alone_since_ = now_;
  for (Event& event : batch) std::visit([this](auto& e) { on(e); }, event);
  keep_link(now_);
  while (!asks_.empty() && asks_.begin()->first <= now_) ask_for(asks_.begin()->second);
  start_fetches();
  start_runs();
  announce_runs();
  pass_progress_on();
  if (!outbox_.empty()) actions_.push_back(Send{take_all(outbox_)});
  return take_all(actions_);
}

/// Who still runs is who is to blame if we die now; what is over soon is not worth a word.
void State::announce_runs() {
  while (!fresh_runs_.empty() && fresh_runs_.front().first <= now_) {
    AttemptId id = fresh_runs_.front().second;
    fresh_runs_.pop_front();
    Attempt* attempt = attempts_.look_up(id);
    if (!attempt || !attempt->started || attempt->announced) continue;
    attempt->announced = true;
    send(AttemptStarted{id, attempt->order.key});
  }
}

void State::pass_progress_on() {
  while (!progress_.empty() && progress_.begin()->first <= now_) {
    AttemptId id = progress_.begin()->second;
    progress_.erase(progress_.begin());
    Attempt& attempt = attempts_[attempts_.find(id)];
    attempt.progress_again = now_ + options_.progress_interval;
    send(AttemptProgress{id, attempt.order.key, *std::exchange(attempt.progress, std::nullopt)});
  }
}

Time State::wake_at() const {
  Time next = now_ + 1s;
  if (!progress_.empty()) next = std::min(next, progress_.begin()->first);
  if (!fresh_runs_.empty()) next = std::min(next, fresh_runs_.front().first);
  if (link_ == Link::welcomed) next = std::min(next, beat_at_);
  else next = std::min(next, now_ + options_.reconnect_interval);
  if (!asks_.empty()) next = std::min(next, asks_.begin()->first);
  return std::max(next, now_);
}

bool State::empty() const {
  return attempts_.empty() && fetches_.empty() && items_.empty() && unreported_.empty() && in_hand_cores_ == 0 && lent_ == 0;
}

void State::send(WorkerMessage message) {
  if (link_ == Link::welcomed || link_ == Link::greeted) outbox_.push_back(std::move(message));
}

// ------------------------------------------------------------------------------------------------ the link

/// Connect, beat, notice silence, give up.
void State::keep_link(Time now) {
  if (exited_) return;
  if (link_ == Link::greeted || link_ == Link::welcomed) {
    if (heard_ + lease_ <= now) {
      WEFT_MARK("worker: the scheduler was silent");
      actions_.push_back(HangUp{});
      on(LinkLost{});
    }
  }
  if (link_ == Link::welcomed && beat_at_ <= now) {
    beat_at_ = now + heartbeat_interval_;
    send(WorkerHeartbeat{last_tick_, pressure_.managed_bytes, pressure_.spilled_bytes, pressure_.process_bytes,
                         in_hand_cores_, ready_count_, pressure_.paused});
  }
  if (link_ != Link::none) return;
  if (options_.death_timeout > Duration{} && alone_since_ + options_.death_timeout <= now) {
    exited_ = true;
    actions_.push_back(Exit{69, "no scheduler answered for " + std::to_string(options_.death_timeout / 1s) + " s"});
  } else if (leaving_) {
    exited_ = true;
    actions_.push_back(Exit{0, "leaving without a scheduler"});
  } else if (link_since_ + options_.reconnect_interval <= now || link_since_ == Time{}) {
    link_ = Link::connecting;
    link_since_ = now;
    actions_.push_back(Connect{});
  }
}

void State::on(const LinkUp&) {
  link_ = Link::greeted;
  link_since_ = heard_ = now_;
  shapes_.clear();  // numbers are of one connection
  WorkerHello hello = options_.identity;
  hello.protocol_min = hello.protocol_max = 1;
  hello.epoch = epoch_;
  hello.reports = reports_;
  WEFT_UNLESS(40) hello.held = inventory();
  WEFT_UNLESS(46) attempts_.each([&](const Attempt& attempt) {
    hello.running.push_back({attempt.order.attempt, attempt.order.key, attempt.started});
  });
  for (const WorkerMessage& message : unreported_) {
    const auto& failed = std::get<AttemptFailed>(message);
    hello.running.push_back({failed.attempt, failed.key, true});
  }
  outbox_.clear();
  outbox_.push_back(std::move(hello));
  for (WorkerMessage& message : unreported_) outbox_.push_back(std::move(message));
  WEFT_UNLESS(42) unreported_.clear();
  if (leaving_) outbox_.push_back(WorkerLeaving{});
  // What we asked on the old connection may not have been heard.
  for (ItemNumber number = 0; number < items_.end(); ++number)
    if (items_[number].asks) ask_for(number);
}

void State::on(const LinkLost&) {
  if (link_ == Link::welcomed) alone_since_ = now_;  // a link to an address is not yet a scheduler
  link_ = Link::none;
  outbox_.clear();
  link_since_ = now_;
}

void State::on(Message& event) {
  heard_ = now_;
  std::visit([this](auto& message) { handle(message); }, event.message);
}

void State::handle(const WorkerWelcome& message) {
  if (message.epoch < epoch_) {
    // A scheduler that was replaced: its orders count no more.
    actions_.push_back(HangUp{});
    on(LinkLost{});
    return;
  }
  epoch_ = message.epoch;
  link_ = Link::welcomed;
  heartbeat_interval_ = std::clamp<Duration>(message.heartbeat_interval, 1ms, interval_max);
  lease_ = std::clamp<Duration>(message.lease, heartbeat_interval_, interval_max);
  beat_at_ = now_;
  actions_.push_back(RenewTaskLinks{});
}

void State::handle(const WorkerRefused& message) {
  exited_ = true;
  actions_.push_back(Exit{76, message.failure.failure.message});
}

void State::handle(const SchedulerTick& message) { last_tick_ = message.tick; }

void State::on(const Pressure& event) { pressure_ = event; }
void State::on(TaskSays& event) {
  // What an attempt says that is no longer wanted could only open sessions that nobody ends.
  if (attempts_.contains(AttemptId{event.message.channel})) send(std::move(event.message));
}
void State::on(const Logged& event) { send(event.line); }
void State::handle(ToTask& message) { actions_.push_back(TellTask{std::move(message)}); }
void State::handle(const ExpectPut& message) {
  if (message.key) actions_.push_back(AwaitPut{message});
}

void State::on(const Terminate&) {
  if (leaving_) return;
  leaving_ = true;
  send(WorkerLeaving{});
}

void State::handle(const Leave&) {
  exited_ = true;
  actions_.push_back(Exit{0, "retired"});
}

// ------------------------------------------------------------------------------------------------ orders

void State::handle(DefineProgram& message) { actions_.push_back(LearnProgram{std::move(message)}); }

void State::handle(DefineTemplate& message) {
  shapes_[message.number] = std::make_shared<const Template>(std::move(message.shape));
}

void State::handle(Assign& message) {
  auto shape = shapes_.find(message.number);
  AttemptId id = message.attempt;
  bool whole = id && message.key && std::all_of(message.inputs.begin(), message.inputs.end(), [](const AssignedInput& input) { return bool(input.key); });
  if (shape == shapes_.end() || attempts_.contains(id) || !whole) return;  // no scheduler of ours says that
  ItemNumber makes = item_for(message.key, whole_value);
  ++items_[makes].makers;
  Attempt& attempt = attempts_[attempts_.insert({.order = std::move(message), .shape = shape->second, .makes = makes})];
  for (const AssignedInput& input : attempt.order.inputs)
    if (input.small.empty()) use(attempt, input);
  if (WEFT_MUTANT(44, attempt.missing == 0, true)) line_up(attempt);
}

void State::handle(const Revoke& message) {
  Attempt* found = attempts_.look_up(message.attempt);
  if (!found) return;
  Attempt& attempt = *found;
  if (!message.hard) {
    if (attempt.in_hand) {
      WEFT_MARK("worker: refused a recall");
      attempt.announced = true;
      return send(AttemptStarted{message.attempt, attempt.order.key});
    }
    WEFT_MARK("worker: gave a run back");
    send(AttemptReturned{message.attempt, attempt.order.key});
  } else if (attempt.in_hand) {
    WEFT_MARK("worker: stopped a run");
    WEFT_UNLESS(43) actions_.push_back(StopRun{message.attempt});
  }
  Key key = attempt.order.key;
  forget(message.attempt);
  drop_if_ownerless(key);
}

/// A run or a fetch that nobody wanted any more may have stored its value while another try of the same key was here, which then
/// owns it. When that one leaves nothing behind either, the value goes. What is just being fetched belongs to its fetch.
void State::drop_if_ownerless(const Key& key) {
  const Item* item = items_.look_up(key);
  if (!item || (!item->held && item->makers == 0 && !item->fetch)) actions_.push_back(DropValue{key});
}

/// Out of every table; what its run brings later is dropped.
void State::forget(AttemptId id) {
  KeyTable<Attempt>::Number number = attempts_.find(id);
  Attempt& attempt = attempts_[number];
  if (attempt.progress) progress_.erase({attempt.progress_again, id});
  if (attempt.in_hand) {
    std::uint32_t cores = attempt.shape->options.cores;
    if (attempt.blocked) --lent_;
    else in_hand_cores_ -= cores;
    if (cores > 1) --in_hand_wide_;
  } else {
    if (attempt.ready()) --ready_count_;
    release_uses(attempt);
  }
  ItemNumber made = attempt.makes;
  attempts_.erase(number);
  --items_[made].makers;
  forget_if_idle(made);
}

// ------------------------------------------------------------------------------------------------ runs

/// How many attempts per slot the executors get at once: more than one only when they are over before a word could be said.
std::uint32_t State::depth() const {
  if (mean_run_time_ < 0 || mean_run_time_ > options_.tiny.count()) return 1;
  return std::clamp<std::uint32_t>(options_.tiny.count() / std::max<std::int64_t>(mean_run_time_, 1'000), 1, options_.tiny_depth);
}

/// Its inputs are all here.
void State::line_up(const Attempt& attempt) {
  ready_.push_back(place_of(attempt));
  std::push_heap(ready_.begin(), ready_.end(), std::greater());
  ++ready_count_;
  if (ready_.size() <= 64 + 2 * ready_count_) return;
  std::erase_if(ready_, [this](const Place& place) {  // those that left would pile up below what never ends
    const Attempt* there = attempts_.look_up(std::get<2>(place));
    return !there || !there->ready();
  });
  std::make_heap(ready_.begin(), ready_.end(), std::greater());
}

/// Those that left the line in the meantime are dropped here.
State::Attempt* State::first_ready() {
  for (; !ready_.empty(); ready_.pop_back()) {
    Attempt* attempt = attempts_.look_up(std::get<2>(ready_.front()));
    if (attempt && attempt->ready()) return attempt;
    std::pop_heap(ready_.begin(), ready_.end(), std::greater());
  }
  return nullptr;
}

void State::start_runs() {
  std::uint32_t slots = options_.identity.slots;
  while (Attempt* first = first_ready()) {
    if (pressure_.paused && in_hand_cores_ > 0) {
      WEFT_MARK("worker: memory holds runs back");
      return;
    }  // one must always be able to end
    Attempt& attempt = *first;
    std::uint32_t cores = attempt.shape->options.cores;
    std::uint32_t limit = in_hand_wide_ > 0 || cores > 1 ? slots : slots * depth();
    if (in_hand_cores_ + cores > limit && in_hand_cores_ > 0) return;
    StartRun run{.attempt = attempt.order.attempt, .key = attempt.order.key, .try_number = attempt.order.try_number,
                 .shape = attempt.shape, .arguments = std::move(attempt.order.arguments)};
    for (AssignedInput& input : attempt.order.inputs) {
      if (!input.small.empty()) run.inputs.push_back({.small = input.small});
      else if (input.part == whole_value || is_held(input.key)) run.inputs.push_back({.store_key = input.key, .cut = input.part});
      else run.inputs.push_back({.store_key = part_key(input.key, input.part)});
    }
    attempt.in_hand = true;
    --ready_count_;
    in_hand_cores_ += cores;
    if (cores > 1) ++in_hand_wide_;
    // The values stay while their order is booked as in use: release only after the run has taken them.
    actions_.push_back(std::move(run));
    release_uses(attempt);
  }
}

void State::on(const RunStarted& event) {
  Attempt* attempt = attempts_.look_up(event.attempt);
  if (!attempt || !attempt->in_hand) return;
  attempt->started = true;
  bool tiny = mean_run_time_ >= 0 && mean_run_time_ < options_.tiny.count();
  fresh_runs_.emplace_back(tiny ? now_ + options_.tiny : now_, event.attempt);
}

/// A task that waits for others lends its slot, so that they can run here. How many may be lent is the executors' business:
/// beyond it a task that waits runs what we hand over.
void State::on(const RunBlocked& event) {
  Attempt* attempt = attempts_.look_up(event.attempt);
  if (!attempt || !attempt->in_hand || attempt->blocked == event.blocked) return;
  attempt->blocked = event.blocked;
  std::uint32_t cores = attempt->shape->options.cores;
  if (event.blocked) {
    ++lent_;
    in_hand_cores_ -= cores;
  } else {
    --lent_;
    in_hand_cores_ += cores;
  }
}

/// Of many words the newest goes on, when it is time.
void State::on(const RunProgress& event) {
  Attempt* found = attempts_.look_up(event.attempt);
  if (!found || !found->in_hand) return;
  Attempt& attempt = *found;
  if (!std::exchange(attempt.progress, event.fraction)) {
    attempt.progress_again = std::max(attempt.progress_again, now_);
    progress_.emplace(attempt.progress_again, event.attempt);
  }
}

void State::on(RunEnded& event) {
  Attempt* attempt = attempts_.look_up(event.attempt);
  if (!attempt || !attempt->in_hand) {
    // Revoked in the meantime. Its value stays only if the same key is here by another way.
    WEFT_MARK("worker: a stopped run ended all the same");
    WEFT_UNLESS(45) if (event.failure.kind == ErrorKind::none) drop_if_ownerless(event.key);
    return;
  }
  if (event.failure.kind == ErrorKind::none) {
    std::int64_t sample = std::clamp<Duration>(event.run_time, Duration{}, duration_max / 10).count();
    mean_run_time_ = mean_run_time_ < 0 ? sample : (7 * mean_run_time_ + sample) / 8;
    mark_held(attempt->makes, event.bytes);
    items_[attempt->makes].reported = ++reports_;
    forget(event.attempt);
    send(AttemptFinished{event.attempt, event.key, event.bytes, event.run_time, std::move(event.small)});
    return;
  }
  forget(event.attempt);
  drop_if_ownerless(event.key);
  AttemptFailed failed{event.attempt, event.key, {std::move(event.failure)}};
  if (link_ == Link::welcomed || link_ == Link::greeted) send(std::move(failed));
  else {
    WEFT_MARK("worker: a failure without a link");
    unreported_.push_back(std::move(failed));
  }
}

/// The store lost inputs between the order and the run: back to waiting, and say so.
void State::on(const RunImpossible& event) {
  const Attempt* attempt = attempts_.look_up(event.attempt);
  if (!attempt || !attempt->in_hand) return;
  WEFT_MARK("worker: inputs were gone when the run began");
  // Simplest truth: the attempt is given back; the scheduler knows about the lost values and plans anew.
  for (const Key& key : event.lost) on(ValueDamaged{key});
  send(AttemptReturned{event.attempt, attempt->order.key});
  forget(event.attempt);
}

}  // namespace weft::worker
