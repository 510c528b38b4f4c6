// The link and the numbered commands. What is known of keys: session_keys.cpp.
#include "client/session_state.h"

#include <algorithm>
#include <utility>

#include <weft/version.h>

#include "common/coverage_mark.h"
#include "common/vectors.h"

namespace weft::client {

// How long a goodbye looks for a scheduler that went away: two attempts to connect. A static Client often dies after its cluster.
static constexpr Duration goodbye_without_link_max = std::chrono::seconds(1);
// Longest time between heartbeats that a scheduler is believed.
static constexpr Duration interval_max = std::chrono::hours(24);

SessionState::SessionState(SessionOptions options, Time now)
    : options_(std::move(options)), now_(now), lost_at_(now), attempt_at_(now), next_attempt_(now), last_heard_(now) {}

std::vector<Action> SessionState::step(Time now, std::vector<Event> events) {
  now_ = now;
  for (Event& event : events) std::visit([this](auto& e) { on(e); }, event);
  // Only now: a Refused that belongs to an acknowledged command may come behind its acknowledgement in the same frame.
  retire_commands();
  flush_releases();
  run_timers();
  flush_reads();
  return take_all(actions_);
}

Time SessionState::wake_at() const {
  if (closed_ || finished_) return Time::never();
  Time at = Time::never();
  for (std::uint32_t slot : retries_)
    if (auto read = reads_.find(slot); read != reads_.end() && !read->second.busy && entries_[slot].status == Status::stored)
      at = std::min(at, read->second.retry_at);
  if (leaves_in_vain()) at = std::min(at, lost_at_ + goodbye_without_link_max);
  switch (link_) {
    case Link::none: return std::min(at, next_attempt_);
    case Link::connecting:
    case Link::greeting: return std::min(at, attempt_at_ + options_.hello_timeout);
    case Link::welcomed: return options_.beats ? std::min({at, next_heartbeat_, last_heard_ + lease_}) : at;
  }
  return at;
}

// ---------------------------------------------------------------------------------------------------------- commands

static void set_sequence(ClientMessage& message, std::uint64_t sequence) {
  std::visit([&](auto& m) {
    if constexpr (requires { m.sequence; }) m.sequence = sequence;
  }, message);
}

template <class Message>
std::uint64_t SessionState::command(Message message, std::uint64_t request, std::size_t bytes) {
  std::uint64_t sequence = last_sequence() + 1;
  message.sequence = sequence;
  commands_.push_back({std::make_shared<const ClientMessage>(std::move(message)), request, bytes, false});
  unacknowledged_ += bytes;
  if (link_ == Link::welcomed) actions_.push_back(Send{commands_.back().message});
  return sequence;
}
template std::uint64_t SessionState::command(Submit, std::uint64_t, std::size_t);
template std::uint64_t SessionState::command(Want, std::uint64_t, std::size_t);
template std::uint64_t SessionState::command(Release, std::uint64_t, std::size_t);
template std::uint64_t SessionState::command(Cancel, std::uint64_t, std::size_t);
template std::uint64_t SessionState::command(Retry, std::uint64_t, std::size_t);
template std::uint64_t SessionState::command(Scatter, std::uint64_t, std::size_t);

void SessionState::send(ClientMessage message) {
  actions_.push_back(Send{std::make_shared<const ClientMessage>(std::move(message))});
}

void SessionState::on(PublishName& event) {
  if (closed_) return actions_.push_back(AnswerReady{event.request, *closed_, {}});
  command(Publish{0, std::move(event.name), std::move(event.keys), std::move(event.note), event.replace}, event.request);
}

void SessionState::on(RunAlone& event) {
  if (closed_) return actions_.push_back(AnswerReady{event.request, *closed_, {}});
  command(weft::FireAndForget{0, std::move(event.keys)}, event.request);
}

void SessionState::on(AskScheduler& event) {
  std::uint64_t request = event.ask.request;
  if (closed_) return actions_.push_back(AnswerReady{request, *closed_, {}});
  bool up = link_ == Link::welcomed;
  if (up) send(event.ask);
  questions_[request] = {std::move(event), up};
}

void SessionState::on(UseProgram& event) {
  AnnounceProgram& kept = programs_[event.announcement.program];
  kept = std::move(event.announcement);
  if (link_ == Link::welcomed) send(kept);
}

void SessionState::hear(SendFile& message) { actions_.push_back(ProvideFile{message.key}); }

void SessionState::hear(Answer& message) {
  auto question = questions_.find(message.request);
  if (question == questions_.end()) return;
  questions_.erase(question);
  actions_.push_back(AnswerReady{message.request, std::move(message.failure.failure), std::move(message.body)});
}

void SessionState::hear(Executed& message) {
  acknowledged_ = std::max(acknowledged_, std::min(message.sequence, last_sequence()));
}

void SessionState::hear(Refused& message) {
  if (message.sequence == 0) return close(message.failure.failure);
  if (message.sequence < first_sequence_ || message.sequence > last_sequence()) return;
  refuse(commands_[message.sequence - first_sequence_], message.failure.failure);
}

// Nothing of the command happened: every key that waits for exactly this command fails.
void SessionState::refuse(Command& command, const Failure& why) {
  if (command.refused) return;
  command.refused = true;
  if (command.request) actions_.push_back(AnswerReady{command.request, why, {}});
  auto fail_if_waiting = [&](const Key& key, std::uint64_t sequence) {
    std::uint32_t slot = slot_of(key);
    if (slot == KeyIndex::none) return;
    const Entry& entry = entries_[slot];
    if (entry.status == Status::pending && entry.sequence == sequence) fail(slot, why);
  };
  if (auto* submit = std::get_if<Submit>(command.message.get())) {
    for (std::uint32_t row : submit->chunk.wanted) fail_if_waiting(submit->chunk.key(row), submit->sequence);
  } else if (auto* want = std::get_if<Want>(command.message.get())) {
    for (const Key& key : want->keys) fail_if_waiting(key, want->sequence);
  } else if (auto* retry = std::get_if<Retry>(command.message.get())) {
    for (const Key& key : retry->keys) fail_if_waiting(key, retry->sequence);
  } else if (auto* scatter = std::get_if<Scatter>(command.message.get())) {
    for (const Held& held : scatter->values) fail_if_waiting(held.key, scatter->sequence);
  }
}

void SessionState::retire_commands() {
  while (!commands_.empty() && first_sequence_ <= acknowledged_) {
    Command& command = commands_.front();
    if (command.request && !command.refused) actions_.push_back(AnswerReady{command.request, {}, {}});
    unacknowledged_ -= command.bytes;
    if (std::holds_alternative<Release>(*command.message)) --open_releases_;
    commands_.pop_front();
    ++first_sequence_;
  }
}

// -------------------------------------------------------------------------------------------------------------- link

void SessionState::on(FromScheduler& event) {
  if (closed_ && !leaving_) return;
  last_heard_ = now_;
  std::visit([this](auto& message) { hear(message); }, event.message);
}

void SessionState::on(LinkUp&) {
  if (closed_) return;
  link_ = Link::greeting;
  send(ClientHello{protocol_min, protocol_max, options_.session, options_.name, epoch_, acknowledged_});
}

void SessionState::on(LinkLost& event) { lose_link(event.reason); }

void SessionState::hear(ClientWelcome& message) {
  if (link_ != Link::greeting) return;
  if (WEFT_MUTANT(52, message.executed < acknowledged_, false)) drop_lost_commands(message.epoch, message.executed);
  link_ = Link::welcomed;
  welcomed_before_ = true;
  epoch_ = message.epoch;
  heartbeat_interval_ = std::clamp<Duration>(message.heartbeat_interval, std::chrono::milliseconds(10), interval_max);
  lease_ = std::clamp<Duration>(message.lease, 2 * heartbeat_interval_, 2 * interval_max);
  next_heartbeat_ = now_ + heartbeat_interval_;
  std::uint64_t executed = std::min(message.executed, last_sequence());
  acknowledged_ = executed;
  for (const auto& [program, announcement] : programs_) send(announcement);
  for (std::uint64_t sequence = std::max(executed + WEFT_MUTANT(55, 1, 2), first_sequence_); sequence <= last_sequence(); ++sequence)
    actions_.push_back(Send{commands_[sequence - first_sequence_].message});
  for (auto& [request, question] : questions_) {
    send(question.ask.ask);
    question.sent = true;
  }
  // News may have died with the old link; what was executed and has no value is asked for again, since only we know which that is.
  std::vector<std::uint32_t> unplaced;
  for (std::uint32_t slot = 0; slot < entries_.size(); ++slot) {
    const Entry& entry = entries_[slot];
    bool failed = entry.status == Status::failed && entry.sequence > 0;  // and may have been made after all
    if (!is_held(slot) || (entry.status != Status::pending && !failed) || entry.sequence > executed) continue;
    if (!failed && placements_.contains(slot)) unplaced.push_back(slot);
    else WEFT_UNLESS(53) locate_.push_back(entry.key);
  }
  if (!unplaced.empty()) {
    WEFT_MARK("client: data is placed again after a break");
    scatter(unplaced);
  }
  for (auto& [slot, read] : reads_) {  // a Locate on the old link has no answer
    read.busy = false;
    read.retry_at = now_;
    retries_.insert(slot);
  }
  if (leaving_) send(ClientGoodbye{});
}

// The scheduler knows less than it had acknowledged: fail what is lost, and number what is left from where it stands.
void SessionState::drop_lost_commands(std::uint64_t epoch, std::uint64_t executed) {
  WEFT_MARK("client: the scheduler forgot its session");
  retire_commands();
  std::uint64_t lost = acknowledged_ - executed;
  Failure why = failure(ErrorKind::scheduler_reset,
                        epoch != epoch_ ? "the scheduler restarted without what it had accepted from this client; submit the work again"
                                        : "the scheduler ended this client's session after a long silence; submit the work again");
  for (std::uint32_t slot = 0; slot < entries_.size(); ++slot) {
    Entry& entry = entries_[slot];
    if (!is_held(slot) || entry.sequence <= executed) continue;
    if (entry.sequence > acknowledged_) {
      entry.sequence -= lost;
      continue;
    }
    entry.sequence = 0;
    bool here = entry.status == Status::stored && entry.outcome->value.part_count() > 0;
    if (entry.status != Status::failed && !here) fail(slot, why);
  }
  acknowledged_ = executed;
  first_sequence_ = executed + 1;
  std::uint64_t sequence = first_sequence_;
  for (Command& command : commands_) {
    auto message = std::make_shared<ClientMessage>(*command.message);
    set_sequence(*message, sequence++);
    command.message = std::move(message);
  }
}

void SessionState::hear(SchedulerTick& message) { tick_ = message.tick; }

void SessionState::hear(Goodbye&) {
  if (leaving_) finished_ = true, actions_.push_back(Finished{});
}

void SessionState::lose_link(const std::string& reason) {
  if (link_ == Link::none) return;
  if (link_ == Link::welcomed) lost_at_ = now_;
  link_ = Link::none;
  lost_reason_ = reason;
  next_attempt_ = std::max(now_, attempt_at_ + options_.reconnect_interval);
  for (auto it = questions_.begin(); it != questions_.end();) {
    Question& question = it->second;
    if (!question.sent || question.ask.repeatable) {
      question.sent = false;
      ++it;
      continue;
    }
    actions_.push_back(AnswerReady{it->first, failure(ErrorKind::connection_failed,
        "the link to the scheduler broke during '" + question.ask.ask.verb + "'; whether it was done is unknown"), {}});
    it = questions_.erase(it);
  }
}

// A scheduler that is away is owed nothing whose effect ends with the session.
bool SessionState::leaves_in_vain() const {
  auto lasts = [](const Command& command) {
    return std::holds_alternative<FireAndForget>(*command.message) || std::holds_alternative<Publish>(*command.message);
  };
  return leaving_ && welcomed_before_ && link_ != Link::welcomed && std::ranges::none_of(commands_, lasts);
}

void SessionState::run_timers() {
  if (finished_ || closed_) return;
  if (link_ == Link::welcomed && options_.beats) {
    if (now_ - last_heard_ >= lease_) {
      WEFT_MARK("client: the scheduler was silent");
      lose_link("the scheduler was silent for its whole lease");
    } else if (now_ >= next_heartbeat_) {
      send(ClientHeartbeat{tick_});
      next_heartbeat_ = now_ + heartbeat_interval_;
    }
  } else if ((link_ == Link::connecting || link_ == Link::greeting) && now_ - attempt_at_ >= options_.hello_timeout) {
    WEFT_MARK("client: no welcome");
    lose_link("no welcome from the scheduler");
  }
  if (leaves_in_vain() && now_ - lost_at_ >= goodbye_without_link_max) {
    finished_ = true;
    actions_.push_back(Finished{});
    return;
  }
  if (link_ != Link::none) return;
  Duration limit = welcomed_before_ ? options_.patience : options_.connect_timeout;
  if (now_ - lost_at_ >= limit) {
    return close(failure(ErrorKind::connection_failed, std::string(welcomed_before_ ? "the scheduler was lost and did not come back"
        : "no scheduler answered") + (lost_reason_.empty() ? "" : ": " + lost_reason_)));
  }
  if (now_ < next_attempt_) return;
  link_ = Link::connecting;
  attempt_at_ = now_;
  actions_.push_back(Reconnect{});
}

void SessionState::on(SayGoodbye&) {
  if (leaving_ || finished_) return;
  leaving_ = true;
  retire_commands();
  if (closed_ || (link_ != Link::welcomed && commands_.empty())) {
    finished_ = true;
    actions_.push_back(Finished{});
  } else if (link_ == Link::welcomed) {
    send(ClientGoodbye{});
  }
}

// Nothing more can be expected: everything open ends with this failure, and so does whatever is asked from now on.
void SessionState::close(const Failure& why) {
  closed_ = std::make_shared<const Failure>(why);
  link_ = Link::none;
  fail_open(why);
  for (const auto& [request, question] : questions_) actions_.push_back(AnswerReady{request, why, {}});
  questions_.clear();
  for (const Command& command : commands_)
    if (command.request && !command.refused) actions_.push_back(AnswerReady{command.request, why, {}});
  first_sequence_ += commands_.size();
  commands_.clear();
  unacknowledged_ = 0;
  open_releases_ = 0;
  if (leaving_ && !finished_) finished_ = true, actions_.push_back(Finished{});
}

}  // namespace weft::client
