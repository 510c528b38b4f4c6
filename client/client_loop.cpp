// The side of a client that its one thread sees.
#include <algorithm>
#include <fstream>
#include <iterator>

#include "client/client_core.h"
#include "common/codec.h"
#include "common/vectors.h"

namespace weft::client {

// How long a goodbye may take before the client stops without an answer.
static constexpr Duration goodbye_max = std::chrono::seconds(5);
// Slot of a core that was released before it was linked.
static constexpr std::uint32_t dead_slot = KeyIndex::none - 1;
static constexpr std::size_t frame_bytes_max = 8u << 20;
// Some milliseconds of work here and at the scheduler.
static constexpr std::size_t releases_per_round = 16384;

void ClientCore::run() {
  while (!finished_) go_round(Time::never());
  end();
}

void ClientCore::go_round(Time deadline) {
  // A task that runs inside the wait of another must not use the other's client: its loop stands below on this very stack.
  if (going_round_) throw InvalidArgument("this Client belongs to another task, which waits on this thread");
  struct Round {
    explicit Round(bool& flag) : flag(flag) { flag = true; }
    ~Round() { flag = false; }
    bool& flag;
  } round(going_round_);
  received_.clear();
  Time wake_at = std::min({state_.wake_at(), values_->wake_at(), leave_by_, deadline});
  bool at_once = !later_.empty() || (releases_left_ && !state_.release_is_open());
  endpoint_->poll(received_, at_once ? monotonic_now() : wake_at);
  Time now = monotonic_now();
  std::vector<Event> events = std::exchange(later_, {});
  drain(take_mail(), events);
  for (EndpointEvent& event : received_) receive(event, events);
  for (Event& event : values_->take(now)) events.push_back(std::move(event));
  if (leaving_ && leave_by_ == Time::never()) leave_by_ = now + goodbye_max;
  std::vector<Action> actions = state_.step(now, std::move(events));
  settle();
  perform(actions);
  {
    std::lock_guard guard(mutex_);
    full_ = !state_.ready_for_more() && !state_.closed();
  }
  space_.notify_all();
  if (now >= leave_by_) finished_ = true;
}

// Releases come in portions, each acknowledged before the next, so that a million of them delays nobody else's work.
ClientCore::Mail ClientCore::take_mail() {
  std::lock_guard guard(mutex_);
  posted_bytes_ = 0;
  Mail mail{std::exchange(posts_, {}), {}};
  if (!state_.release_is_open()) {
    auto end = released_.begin() + static_cast<std::ptrdiff_t>(std::min(released_.size(), releases_per_round));
    mail.released.assign(released_.begin(), end);
    released_.erase(released_.begin(), end);
  }
  releases_left_ = !released_.empty();
  woken_ = false;
  return mail;
}

// Posts become events in order, except that releases go last: calls made in one go then share chunks, and a key that is
// released and asked for again never leaves.
void ClientCore::drain(Mail mail, std::vector<Event>& events) {
  for (Post& post : mail.posts) {
    if (post.names_anew) let_go_of_names(mail, events);
    if (post.task) {
      const TaskCall& task = *post.task;
      builder_.add(builder_.add_template(task.shape), task.key, task.arguments, task.inputs, true);
      fresh_.push_back(post.cores);
    } else {
      flush_builder(events);
      leaving_ = leaving_ || std::holds_alternative<SayGoodbye>(*post.event);
      events.push_back(std::move(*post.event));
      for (std::uint32_t i = 0; i < post.count; ++i) fresh_.push_back(&post.cores[i]);
      for (auto& [key, value] : post.values) to_put_.insert_or_assign(key, std::move(value));
    }
  }
  flush_builder(events);
  ReleaseKeys releases;
  for (FutureCore* core : mail.released) {
    releases.keys.push_back(core->key);
    dying_.push_back(core);
  }
  if (!releases.keys.empty()) events.push_back(std::move(releases));
}

/// A name must not bring what it stood for before: futures of names that were given up by now go before what is posted next.
void ClientCore::let_go_of_names(Mail& mail, std::vector<Event>& events) {
  flush_builder(events);
  ReleaseKeys releases;
  auto goes = [&](FutureCore* core) {
    bool is_known = core->slot != KeyIndex::none || std::find(fresh_.begin(), fresh_.end(), core) != fresh_.end();
    if (!core->key.is_named() || !is_known) return false;
    releases.keys.push_back(core->key);
    dying_.push_back(core);
    return true;
  };
  std::erase_if(mail.released, goes);
  if (!releases.keys.empty()) events.push_back(std::move(releases));
}

void ClientCore::flush_builder(std::vector<Event>& events) {
  for (GraphChunk& chunk : builder_.take()) events.push_back(SubmitGraph{std::move(chunk)});
}

void ClientCore::receive(EndpointEvent& event, std::vector<Event>& events) {
  if (auto* lost = std::get_if<PeerLost>(&event); lost && lost->peer == peer_) {
    peer_ = {};
    events.push_back(LinkLost{std::move(lost->reason)});
    return;
  }
  auto* frame = std::get_if<Received>(&event);
  if (!frame || frame->peer != peer_) {
    values_->handle(event, monotonic_now());
    return;
  }
  auto messages = decode<std::vector<ClientBound>>(frame->head.bytes());
  if (!messages) {  // not the protocol: nothing that follows on this link can be trusted
    endpoint_->close(peer_);
    peer_ = {};
    events.push_back(LinkLost{messages.error().message});
    return;
  }
  make_room(events, messages->size());
  for (ClientBound& message : *messages) events.push_back(FromScheduler{std::move(message)});
}

// After a step the session knows every key: take out released cores, then link new ones.
void ClientCore::settle() {
  for (FutureCore* core : dying_) {
    if (core->slot == KeyIndex::none) core->slot = dead_slot;
    else unlink(*core);
  }
  for (FutureCore* core : std::exchange(fresh_, {}))
    if (core->slot != dead_slot) link(*core);
  for (FutureCore* core : std::exchange(dying_, {})) free_core(*core);
}

void ClientCore::link(FutureCore& core) {
  core.slot = state_.slot_of(core.key);
  WEFT_CHECK(core.slot != KeyIndex::none);
  if (core.slot >= heads_.size()) heads_.resize(std::max<std::size_t>(core.slot + 1, 2 * heads_.size()));
  core.next_of_key = heads_[core.slot];
  if (core.next_of_key) core.next_of_key->previous_of_key = &core;
  heads_[core.slot] = &core;
}

void ClientCore::unlink(FutureCore& core) {
  FutureCore*& before = core.previous_of_key ? core.previous_of_key->next_of_key : heads_[core.slot];
  WEFT_CHECK(before == &core);
  before = core.next_of_key;
  if (core.next_of_key) core.next_of_key->previous_of_key = core.previous_of_key;
  core.next_of_key = core.previous_of_key = nullptr;
}

// ------------------------------------------------------------------------------------------------------------ actions

static std::size_t estimate(const ClientMessage& message) {
  auto* submit = std::get_if<Submit>(&message);
  return submit ? 200 + submit->chunk.arguments.size() + 40 * submit->chunk.size() + 10 * submit->chunk.inputs.size() : 200;
}

// Messages that follow each other share frames.
void ClientCore::send_frames(std::vector<Action>& actions) {
  std::vector<const ClientMessage*> batch;
  std::size_t bytes = 0;
  auto flush = [&] {
    if (batch.empty() || !peer_) return batch.clear();
    Encoder encoder;
    encoder.array(batch.size());
    for (const ClientMessage* message : batch) encoder.put(*message);
    batch.clear();
    bytes = 0;
    if (endpoint_->send(peer_, encoder.take())) return;
    endpoint_->close(peer_);
    peer_ = {};
    later_.push_back(LinkLost{"the link to the scheduler takes nothing more"});
  };
  for (Action& action : actions) {
    auto* send = std::get_if<Send>(&action);
    if (!send) continue;
    std::size_t more = estimate(*send->message);
    if (bytes + more > frame_bytes_max) flush();
    batch.push_back(send->message.get());
    bytes += more;
  }
  flush();
}

void ClientCore::perform(std::vector<Action>& actions) {
  send_frames(actions);  // first, so that the scheduler works while we complete futures
  for (Action& action : actions) std::visit([this](auto& a) { perform(a); }, action);
}

void ClientCore::perform(Reconnect&) {
  if (peer_) endpoint_->close(peer_);
  peer_ = {};
  auto peer = endpoint_->connect(address_, server_key_);
  if (!peer) {
    later_.push_back(LinkLost{peer.error().message});
    return;
  }
  peer_ = *peer;
  later_.push_back(LinkUp{});
}

void ClientCore::perform(Fetch& action) { values_->fetch(action.key, action.bytes, std::move(action.locations), monotonic_now()); }

void ClientCore::perform(PutValue& action) {
  auto value = to_put_.find(action.key);
  if (value != to_put_.end()) values_->put(action.key, value->second, action.location, monotonic_now());
}

void ClientCore::perform(ProvideFile& action) {
  std::string path;
  {
    std::lock_guard guard(mutex_);
    auto found = program_paths_.find(action.key);
    if (found == program_paths_.end()) return;
    path = found->second;
  }
  // The worker checks the hash, so a file that changed meanwhile is refused there.
  std::ifstream file(path, std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::span<const std::byte> parts[] = {std::as_bytes(std::span(bytes))};
  Value value = Value::make(0, parts);
  later_.push_back(ScatterValues{{{action.key, value.size()}}, {}, 1});
  to_put_.insert_or_assign(action.key, std::move(value));
}

void ClientCore::perform(Complete& action) {
  to_put_.erase(action.key);
  bool wanted = false;
  for (FutureCore* core = action.slot < heads_.size() ? heads_[action.slot] : nullptr; core; core = core->next_of_key)
    if (core->key == action.key) wanted = core->complete(action.outcome) || wanted;
  if (wanted) later_.push_back(ReadValue{action.key});
}

void ClientCore::perform(Pending& action) {
  for (FutureCore* core = action.slot < heads_.size() ? heads_[action.slot] : nullptr; core; core = core->next_of_key)
    if (core->key == action.key) core->complete(nullptr);
}

void ClientCore::perform(AnswerReady& action) {
  std::shared_ptr<Answered> answered;
  {
    std::lock_guard guard(mutex_);
    auto it = answers_.find(action.request);
    if (it == answers_.end()) return;
    answered = std::move(it->second);
    answers_.erase(it);
  }
  std::lock_guard guard(answered->mutex);
  answered->failure = std::move(action.failure);
  answered->body = std::move(action.body);
  answered->done = true;
  answered->ready.notify_all();
}

// Nothing will come any more: whoever waits is told so. Posts are taken until none is left, because only then a release may
// free its core directly.
void ClientCore::end() {
  auto outcome = std::make_shared<const Outcome>(Outcome{{}, 0, std::make_shared<const Failure>(closed_failure())});
  auto fail_open = [&](FutureCore& core) {
    FutureCore::Phase phase = core.phase.load();
    if (phase == FutureCore::Phase::pending || phase == FutureCore::Phase::elsewhere) core.complete(outcome);
  };
  if (peer_) endpoint_->close(peer_);
  for (FutureCore* core : heads_)
    for (; core; core = core->next_of_key) fail_open(*core);
  std::map<std::uint64_t, std::shared_ptr<Answered>> answers;
  for (;;) {
    std::deque<Post> posts;
    std::deque<FutureCore*> released;
    {
      std::lock_guard guard(mutex_);
      posts.swap(posts_);
      released.swap(released_);
      if (posts.empty() && released.empty()) {
        closed_ = true;
        answers.swap(answers_);
        break;
      }
    }
    for (const Post& post : posts)
      for (std::uint32_t i = 0; i < post.count; ++i) fail_open(post.cores[i]);
    for (FutureCore* core : released) {
      if (core->slot != KeyIndex::none) unlink(*core);
      free_core(*core);
    }
  }
  space_.notify_all();
  for (auto& [request, answered] : answers) {
    std::lock_guard guard(answered->mutex);
    answered->failure = closed_failure();
    answered->done = true;
    answered->ready.notify_all();
  }
}

}  // namespace weft::client
