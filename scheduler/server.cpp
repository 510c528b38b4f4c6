#include "scheduler/server.h"

#include <malloc.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/logging.h"
#include "common/vectors.h"

namespace weft::scheduler {

Server::Server(Options options, std::unique_ptr<Endpoint> endpoint) : state_(options), endpoint_(std::move(endpoint)) {}

void Server::keep_in(std::unique_ptr<Store> store, std::vector<Record> records) {
  started_ = monotonic_now();
  std::size_t rows = records.size();
  state_.restore(started_, std::move(records));
  was_recovering_ = rows > 0;
  if (rows > 0)
    log_info("went on with the store", {{"rows", rows}, {"tasks", state_.counts().tasks}, {"sessions", state_.counts().sessions},
                                        {"took", monotonic_now() - started_}});
  store_ = std::make_unique<StoreThread>(std::move(store), [this] { endpoint_->wake(); });
}

/// How far the store has come: what waited for that may leave, and the state goes on.
void Server::hear_store(std::vector<Event>& batch) {
  if (!store_) return;
  if (auto failed = store_->failed(); failed && !store_failure_) {
    store_failure_ = std::move(failed);
    stopping_ = true;
  }
  std::uint64_t committed = store_->committed();
  if (committed == committed_) return;
  committed_ = committed;
  gate_.open(committed, [this](Action& action) { perform(action); });
  batch.push_back(Committed{committed});
}

void Server::log_recovery() {
  if (!was_recovering_ || state_.recovering()) return;
  was_recovering_ = false;
  Counts counts = state_.counts();
  log_info("recovered", {{"workers", counts.workers}, {"tasks", counts.tasks}, {"after", monotonic_now() - started_}});
}

void Server::run() {
  std::vector<EndpointEvent> received;
  std::vector<Event> batch;
  busy_at_ = monotonic_now();
  while (!stopping_) {
    endpoint_->poll(received, lost_.empty() ? std::min(state_.wake_at(), return_memory_at_) : monotonic_now());
    batch = std::exchange(lost_, {});
    for (EndpointEvent& event : received) receive(event, batch);
    received.clear();
    if (access_changed_.exchange(false)) review_access(batch);
    hear_prober(batch);
    hear_store(batch);
    if (store_failure_) break;
    if (batch.empty()) batch.push_back(Tick{});
    if (has_questions_) answer_questions();
    Time now = monotonic_now();
    std::size_t events = batch.size();
    if (recorder_) recorder_->step(state_, now, batch), note_recorder();
    std::vector<Action> actions = state_.step(now, std::exchange(batch, {}));
    gate_.pass(actions, [this](Action& action) { perform(action); });
    log_recovery();
    if (observer_)
      observer_->write(Sighting{.when = now, .amount = static_cast<std::uint64_t>((monotonic_now() - now).count()),
                              .group = static_cast<std::uint32_t>(state_.sessions()),
                              .extra = static_cast<std::uint32_t>(events), .what = Seen::step});
    return_memory(now);
    if (is_idle_for_too_long(now)) {
      log_info("stopped: idle for too long", {{"timeout", idle_timeout_}});
      ended_idle_ = stopping_ = true;
    }
  }
}

void Server::stop() {
  stopping_ = true;
  endpoint_->wake();
}

static constexpr std::size_t questions_max = 64;      // that wait
static constexpr std::size_t questions_a_step = 2;    // a screen waits, the work does not

bool Server::ask(Ask question, Answered answered) {
  {
    std::lock_guard lock(questions_mutex_);
    if (questions_.size() >= questions_max) return false;
    questions_.push_back({std::move(question), std::move(answered)});
    has_questions_ = true;
  }
  endpoint_->wake();
  return true;
}

void Server::answer_questions() {
  std::vector<Question> now;
  {
    std::lock_guard lock(questions_mutex_);
    auto end = questions_.begin() + static_cast<std::ptrdiff_t>(std::min(questions_a_step, questions_.size()));
    now.assign(std::make_move_iterator(questions_.begin()), std::make_move_iterator(end));
    questions_.erase(questions_.begin(), end);
    has_questions_ = !questions_.empty();
    if (has_questions_) endpoint_->wake();
  }
  for (Question& question : now) {
    Time at = monotonic_now();
    if (recorder_) recorder_->question(state_, at, question.ask), note_recorder();
    question.answered(state_.answer(at, question.ask));
  }
}

void Server::note_recorder() {
  if (!recorder_->failed()) return;
  log_warning("recording stopped", {{"why", recorder_->failed()->message}});
  recorder_.reset();
}

/// On the prober's thread.
void Server::found_gone(WorkerId worker) {
  {
    std::lock_guard lock(gone_mutex_);
    gone_.push_back(worker);
  }
  endpoint_->wake();
}

void Server::hear_prober(std::vector<Event>& batch) {
  if (!prober_) return;
  std::lock_guard lock(gone_mutex_);
  for (WorkerId worker : std::exchange(gone_, {})) batch.push_back(ProcessGone{worker});
}

void Server::access_changed() {
  access_changed_ = true;
  endpoint_->wake();
}

bool Server::may_stay(PeerId peer) const {
  PeerIdentity identity = endpoint_->identity(peer);
  return !allow_ || identity.public_key.empty() || allow_(identity.role, identity.public_key);
}

void Server::review_access(std::vector<Event>& batch) {
  for (PeerId peer : peers_) {
    if (may_stay(peer)) continue;
    log_info("peer cut: its key was revoked", {{"peer", peer.number}, {"key", endpoint_->identity(peer).public_key}});
    batch.push_back(AccessRevoked{peer});
  }
}

void Server::close(PeerId peer) {
  peers_.erase(peer);
  endpoint_->close(peer);
}

template <class Message, class Wrap>
static bool unpack(PeerId peer, const Buffer& head, std::vector<Event>& batch, std::string& why) {
  auto messages = decode<std::vector<Message>>(head.bytes());
  if (!messages) {
    why = messages.error().message;
    return false;
  }
  make_room(batch, messages->size());
  for (Message& message : *messages) batch.push_back(Wrap{peer, std::move(message)});
  return true;
}

void Server::receive(EndpointEvent& event, std::vector<Event>& batch) {
  if (const auto* lost = std::get_if<PeerLost>(&event)) {
    peers_.erase(lost->peer);
    if (lost->reason.starts_with("it sent")) log_warning("peer cut: it does not speak our protocol", {{"peer", lost->peer.number}, {"why", lost->reason}});
    batch.push_back(LinkLost{lost->peer});
    return;
  }
  auto& frame = std::get<Received>(event);
  // It may have shaken hands before its key was revoked.
  bool is_new = peers_.insert(frame.peer).second;
  if (is_new && !may_stay(frame.peer)) return batch.push_back(AccessRevoked{frame.peer});
  auto [role, key] = endpoint_->identity(frame.peer);
  if (is_new && quarantine_.holds(key, monotonic_now()))
    return refuse(frame.peer, "this key sent what no peer may send three times within a minute; it is let in again after a minute");
  std::string why = "a peer without a role";
  bool good = role == worker_role   ? unpack<WorkerMessage, FromWorker>(frame.peer, frame.head, batch, why)
              : role == client_role ? unpack<ClientMessage, FromClient>(frame.peer, frame.head, batch, why)
                                    : false;
  if (good) return;
  quarantine_.note(key, monotonic_now());
  refuse(frame.peer, why);
  batch.push_back(LinkLost{frame.peer});
}

/// Answer what no peer may send, then cut it; others notice nothing.
void Server::refuse(PeerId peer, const std::string& why) {
  log_warning("peer cut: it does not speak our protocol", {{"peer", peer.number}, {"key", endpoint_->identity(peer).public_key}, {"why", why}});
  WireFailure answer{failure(ErrorKind::protocol_error, why)};
  if (endpoint_->identity(peer).role == worker_role) endpoint_->send(peer, encode(std::vector<WorkerBound>{WorkerRefused{answer}}));
  else endpoint_->send(peer, encode(std::vector<ClientBound>{Refused{0, answer}}));
  close(peer);
}

void Server::perform(Action& action) {
  if (auto* frame = std::get_if<ToClient>(&action)) {
    if (endpoint_->send(frame->peer, encode(frame->messages))) return;
    close(frame->peer);  // it reads nothing; its session is resumed when it comes back
    lost_.push_back(LinkLost{frame->peer});
  } else if (auto* order = std::get_if<ToWorker>(&action)) {
    if (endpoint_->send(order->peer, encode(order->messages))) return;
    close(order->peer);
    lost_.push_back(LinkLost{order->peer});
  } else if (auto* persist = std::get_if<Persist>(&action)) {
    store_->add(std::move(*persist));
  } else if (auto* close_link = std::get_if<CloseLink>(&action)) {
    close(close_link->peer);
  } else if (auto* probe = std::get_if<Probe>(&action)) {
    if (!prober_) prober_ = std::make_unique<Prober>([this](WorkerId worker) { found_gone(worker); });
    prober_->ask(probe->worker, std::move(probe->endpoint));
  } else {
    log_info(std::get<Note>(action).text);  // a user's own process has told its user already
  }
}

/// When tasks were forgotten, and then none for a second.
void Server::return_memory(Time now) {
  if (std::size_t free = state_.free_rows(); free != free_rows_) {
    free_rows_ = free;
    return_memory_at_ = now + 1s;
  } else if (return_memory_at_ <= now) {
    return_memory_at_ = Time::never();
    state_.return_memory();
    malloc_trim(0);
  }
}

bool Server::is_idle_for_too_long(Time now) {
  if (idle_timeout_ == Duration{}) return false;
  Counts counts = state_.counts();
  if (counts.sessions > 0 || counts.by_state[static_cast<int>(TaskState::assigned)] > 0) busy_at_ = now;
  return busy_at_ + idle_timeout_ <= now;
}

}  // namespace weft::scheduler
