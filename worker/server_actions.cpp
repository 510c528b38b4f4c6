// What the state decided, done.
#include <algorithm>

#include "common/logging.h"
#include "worker/server.h"

namespace weft::worker {

void Server::perform(Action& action) {
  std::visit([this](auto& a) { perform(a); }, action);
}

void Server::perform(Connect&) {
  outbox_.clear();
  auto peer = endpoint_->connect(options_.scheduler, options_.scheduler_key);
  if (!peer) {
    log_warning("cannot reach the scheduler", {{"address", options_.scheduler}, {"why", peer.error().message}});
    events_.push_back(LinkLost{});
    return;
  }
  scheduler_ = *peer;
  store_.tell_places_again();
  events_.push_back(LinkUp{});
}

void Server::perform(HangUp&) {
  if (scheduler_) endpoint_->close(scheduler_);
  scheduler_ = {};
  outbox_.clear();
}

void Server::perform(Exit& action) {
  exited_ = true;
  exit_code_ = action.code;
  exit_reason_ = action.reason;
}

// ------------------------------------------------------------------------------------------------ runs

/// Hand a run over once all its inputs are in memory; spilled ones are loaded first.
void Server::perform(StartRun& order) {
  const Key& program = order.shape->function.program;
  if (options_.isolation == Isolation::process && order.shape->function.kernel == 0 &&
      programs_.state(program) == Programs::State::incomplete) {
    unprepared_[program].push_back(std::move(order));
    return;
  }
  std::vector<Key> lost;
  std::set<Key> awaited;
  Run run{.attempt = order.attempt, .key = order.key, .try_number = order.try_number, .shape = order.shape};
  for (const RunInput& input : order.inputs) {
    if (!input.small.empty()) {
      auto value = Value::from(Buffer::own(input.small));
      if (value) run.inputs.push_back(std::move(*value));
      else lost.push_back(input.store_key);
      continue;
    }
    std::optional<Value> value = store_.find(input.store_key);
    if (!value && store_.contains(input.store_key) && store_.load(input.store_key)) value = store_.find(input.store_key);
    if (value && input.cut != whole_value) {
      value = input.cut < value->part_count() ? Value::from(value->part(input.cut)) : std::nullopt;
      if (!value) lost.push_back(input.store_key);
    }
    if (value) run.inputs.push_back(std::move(*value));
    else if (store_.contains(input.store_key)) awaited.insert(input.store_key);
    else lost.push_back(input.store_key);
  }
  if (!lost.empty()) {
    events_.push_back(RunImpossible{order.attempt, std::move(lost)});
    return;
  }
  if (!awaited.empty()) {
    for (const Key& key : awaited) ++awaited_[key];
    AttemptId id = order.attempt;
    loading_[id] = Loading{std::move(order), std::move(awaited), std::move(run.inputs)};
    return;
  }
  run.arguments = std::move(order.arguments);
  bool kernel = order.shape->function.kernel != 0;
  if (kernel) kernel_runs_[run.attempt] = 1;
  executors_for(*order.shape).start(std::move(run));
}

void Server::perform(StopRun& action) {
  if (loading_.erase(action.attempt)) return;
  for (auto& [program, orders] : unprepared_)
    if (std::erase_if(orders, [&](const StartRun& order) { return order.attempt == action.attempt; })) return;
  if (kernel_runs_.contains(action.attempt)) kernels_->cancel(action.attempt);
  else user_code_->cancel(action.attempt);
}

/// The scheduler took us in, perhaps again.
void Server::perform(RenewTaskLinks&) {
  user_code_->renew_task_links();
  if (auto welcomed = std::exchange(options_.on_welcome, nullptr)) welcomed();
}

void Server::perform(TellTask& action) { user_code_->to_task(action.message); }

// ------------------------------------------------------------------------------------------------ values

void Server::perform(StartFetch& action) {
  fetches_[action.fetch] = Fetching{.store_as = action.store_as};
  fetcher_.start(Fetch{.id = action.fetch, .key = action.key, .part = action.part, .bytes = action.bytes,
                       .locations = {std::move(action.from)}});
}

void Server::perform(AbortFetch& action) {
  fetcher_.cancel(action.fetch);
  fetches_.erase(action.fetch);
}

void Server::perform(DropValue& action) {
  if (awaited_.contains(action.key)) drop_later_.insert(action.key);
  else store_.erase(action.key);
}

void Server::perform(StoreSmall& action) {
  auto value = Value::from(Buffer::own(std::move(action.value)));
  if (value && store_.put(action.key, std::move(*value))) return;
  events_.push_back(ValueDamaged{action.key});
}

ValueHolder::Found Server::look_up(const Key& key) {
  std::optional<Value> value = store_.find(key);
  if (!value && store_.contains(key)) {
    if (!store_.load(key)) return {.later = true, .content = store_.content_of(key)};
    value = store_.find(key);
  }
  return {.value = std::move(value), .content = store_.content_of(key)};
}

Result<std::span<std::byte>> Server::begin_put(const Key& key, std::uint64_t total) {
  auto place = store_.reserve(total);
  if (!place) return place.error();
  std::span<std::byte> bytes = (*place)->bytes();
  puts_[key] = std::move(*place);
  return bytes;
}

Result<void> Server::end_put(const Key& key, bool complete) {
  auto found = puts_.find(key);
  if (found == puts_.end()) return failure(ErrorKind::protocol_error, "no such put");
  std::unique_ptr<Reservation> place = std::move(found->second);
  puts_.erase(found);
  if (!complete) return {};
  std::uint64_t bytes = place->bytes().size();
  if (Result<void> kept = store_.commit(key, std::move(place)); !kept) return kept.error();
  events_.push_back(PutArrived{key, bytes});
  if (programs_.awaits(key)) take_program_file(key);
  return {};
}

// ------------------------------------------------------------------------------------------------ values on this host

void Server::serve_loans() {
  borrower_.serve(monotonic_now());
  std::vector<std::uint64_t> unsure = borrower_.take_unsure();
  for (std::uint64_t lender : unsure) store_.copy_borrowed(lender);
  if (!lender_) return;
  lender_->serve();
  // What is lent cannot be spilled. Those who borrowed from us what we borrowed follow their owner's wish too.
  bool tight = store_.short_of_memory();
  if ((tight && !recalled_) || !unsure.empty()) lender_->recall();
  recalled_ = tight;
}

Lender::Offer Server::offer(const Borrow& ask) {
  ValueServer::Opened opened = values_.open(ask.key, ask.part, ask.token);
  if (!opened.refusal.empty()) return {.refusal = std::move(opened.refusal)};
  if (store_.short_of_memory()) return {.refusal = "memory is short"};
  SegmentRange range = store_.lend(opened.bytes.bytes());
  if (!range) range = borrower_.range_of(opened.bytes.bytes());
  if (!range) return {.refusal = "the value is not in shared memory"};
  values_.use_up(ask.token);
  return {.bytes = std::move(opened.bytes), .range = range, .content = opened.content};
}

/// How executors reach the store's memory: inputs where they lie, outputs in leased places that become values as they are.
ValueBridge Server::bridge() {
  return {
      .locate = [this](const Value& value) {
        SegmentRange range = store_.segment_of(value);
        return range ? range : borrower_.range_of(value.block().bytes());
      },
      .lease = [this](std::uint64_t bytes, std::uint32_t executor) -> Result<SegmentRange> {
        auto place = store_.reserve(bytes, executor);
        if (!place) return place.error();
        SegmentRange range = (*place)->range();
        if (!range) return failure(ErrorKind::memory_limit, "no shared memory for a result of " + std::to_string(bytes) + " bytes");
        leased_[(*place)->bytes().data()] = std::move(*place);
        return range;
      },
      .seal = [this](const SegmentRange& range) -> Value {
        for (const auto& [data, place] : leased_) {
          SegmentRange own = place->range();
          if (own.segment != range.segment || own.offset != range.offset) continue;
          auto value = Value::from(Buffer(nullptr, place->bytes()));
          return value ? *value : Value{};
        }
        return {};
      },
      .abandon = [this](const SegmentRange& range) {
        std::erase_if(leased_, [&](const auto& entry) {
          SegmentRange own = entry.second->range();
          return own.segment == range.segment && own.offset == range.offset;
        });
      },
  };
}

// ------------------------------------------------------------------------------------------------ programs

void Server::perform(LearnProgram& action) {
  if (options_.isolation == Isolation::thread) return;
  for (const Key& file : programs_.add(action.program)) {
    if (store_.contains(file)) take_program_file(file);
    else events_.push_back(NeedValue{file});
  }
}

/// A file of a program is in the store: keep it as a file, and start what waited for the last one.
void Server::take_program_file(const Key& file) {
  if (!store_.load(file)) return;
  std::optional<Value> value = store_.find(file);
  if (!value) return;
  for (const Key& program : programs_.provide(file, *value)) {
    auto waiting = unprepared_.find(program);
    if (waiting == unprepared_.end()) continue;
    std::vector<StartRun> orders = std::move(waiting->second);
    unprepared_.erase(waiting);
    for (StartRun& order : orders) perform(order);
  }
}

}  // namespace weft::worker
