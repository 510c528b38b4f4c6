// The loop and what comes in.
#include "worker/server.h"

#include <sodium.h>
#include <sys/random.h>
#include <unistd.h>

#include <fstream>

#include "common/logging.h"

namespace weft::worker {

// Steps of one drain: some hundred microseconds.
static constexpr int rounds_max = 16;
static constexpr Duration measure_every = 500ms;

static Bytes random_bytes(std::size_t count) {
  Bytes bytes(count);
  randombytes_buf(bytes.data(), count);
  return bytes;
}

static std::unique_ptr<Lender> open_lender(const std::string& folder, Lender::Find find) {
  if (folder.empty()) return nullptr;
  auto opened = Lender::open(folder, std::move(find));
  if (opened) return std::move(*opened);
  log_warning("values are copied to readers on this host", {{"why", opened.error().message}});
  return nullptr;
}

static StateOptions state_options(const ServerOptions& options, const Bytes& secret, const Lender* lender) {
  StateOptions state;
  WorkerHello& hello = state.identity;
  hello.name = options.name;
  Bytes instance = random_bytes(sizeof hello.instance);
  std::memcpy(&hello.instance, instance.data(), sizeof hello.instance);
  hello.slots = options.slots;
  hello.memory_limit = options.store.memory_limit;
  hello.resources = options.resources;
  hello.endpoint = options.endpoint;
  auto key = std::as_bytes(std::span(options.public_key));
  hello.public_key.assign(key.begin(), key.end());
  hello.secret = secret;
  hello.host = options.host;
  if (lender) hello.memory = lender->address();
  hello.pid = static_cast<std::uint64_t>(getpid());
  state.death_timeout = options.death_timeout;
  return state;
}

Server::Server(ServerOptions options, std::unique_ptr<Endpoint> endpoint)
    : options_(std::move(options)),
      endpoint_(std::move(endpoint)),
      secret_(random_bytes(token_secret_size)),
      store_(options_.store),
      lender_(open_lender(options_.memory_folder, [this](const Borrow& ask) { return offer(ask); })),
      state_(state_options(options_, secret_, lender_.get())),
      values_(*this, secret_),
      fetcher_(*endpoint_, [this](FetchId id, std::uint64_t total) -> Result<std::span<std::byte>> {
        auto found = fetches_.find(id);
        WEFT_CHECK(found != fetches_.end());
        found->second.place.reset();
        auto place = store_.reserve(total);
        if (!place) return place.error();
        found->second.place = std::move(*place);
        return found->second.place->bytes();
      }, {}, options_.memory_folder.empty() ? nullptr : &borrower_),
      task_values_(store_, *endpoint_, options_.endpoint, options_.memory_folder.empty() ? nullptr : &borrower_),
      programs_(options_.program_folder) {
  kernels_ = std::make_unique<ThreadExecutors>(ThreadOptions{.slots = options_.slots, .runtime = options_.runtime});
  if (options_.isolation == Isolation::thread) {
    user_code_ = std::make_unique<ThreadExecutors>(
        ThreadOptions{.slots = options_.slots, .worker = options_.name, .runtime = options_.runtime});
  } else {
    ProcessOptions process = options_.process;
    process.slots = options_.slots;
    process.worker = options_.name;
    process.values = bridge();
    process.program_for = [this](const Key& program) { return programs_.spec(program); };
    user_code_ = std::make_unique<ProcessExecutors>(std::move(process));
  }
  endpoint_->watch(store_.descriptor());
  endpoint_->watch(borrower_.descriptor());
  if (lender_) endpoint_->watch(lender_->descriptor());
}

Server::~Server() {
  endpoint_->unwatch(store_.descriptor());
  endpoint_->unwatch(borrower_.descriptor());
  if (lender_) endpoint_->unwatch(lender_->descriptor());
  for (int descriptor : watched_) endpoint_->unwatch(descriptor);
  user_code_->shut_down();
  kernels_->shut_down();
}

int Server::run() {
  std::vector<EndpointEvent> received;
  bool again = true;
  int rounds = 0;  // since the last frame
  while (!exited_ && !stopping_) {
    Time deadline = std::min({state_.wake_at(), fetcher_.wake_at(), borrower_.wake_at(), task_values_.wake_at(), user_code_->wake_at(),
                              kernels_->wake_at(), leave_by_});
    endpoint_->poll(received, again || !outbox_.empty() ? monotonic_now() : deadline);
    for (EndpointEvent& event : received) receive(event);
    received.clear();
    take_news();
    if (events_.empty() || outbox_.full() || ++rounds == rounds_max) flush(), rounds = 0;
    again = !events_.empty();
    if (!again) events_.push_back(Tick{});
    std::vector<Action> actions = state_.step(monotonic_now(), take_all(events_));
    for (Action& action : actions) perform(action);
    again |= !actions.empty();
  }
  flush();
  return exit_code_;
}

/// One frame with all that was said since the last.
void Server::flush() {
  if (outbox_.empty()) return;
  std::vector<WorkerMessage> messages = outbox_.take();
  if (!scheduler_ || endpoint_->send(scheduler_, encode(messages))) return;
  endpoint_->close(scheduler_);
  scheduler_ = {};
  events_.push_back(LinkLost{});
}

void Server::stop() {
  stopping_ = true;
  endpoint_->wake();
}

void Server::terminate() {
  terminating_ = true;
  endpoint_->wake();
}

// ------------------------------------------------------------------------------------------------ what comes in

void Server::receive(EndpointEvent& event) {
  Time now = monotonic_now();
  if (auto* frame = std::get_if<Received>(&event); frame && frame->peer == scheduler_ && scheduler_) {
    auto messages = decode<std::vector<WorkerBound>>(frame->head.bytes());
    if (!messages) {
      log_error("the scheduler sent what we cannot read", {{"why", messages.error().message}});
      endpoint_->close(scheduler_);
      scheduler_ = {};
      events_.push_back(LinkLost{});
      return;
    }
    make_room(events_, messages->size());
    for (WorkerBound& message : *messages) events_.push_back(Message{std::move(message)});
    return;
  }
  if (auto* lost = std::get_if<PeerLost>(&event); lost && lost->peer == scheduler_ && scheduler_) {
    scheduler_ = {};
    log_info("link to the scheduler lost", {{"why", lost->reason}});
    events_.push_back(LinkLost{});
    return;
  }
  if (fetcher_.on_event(event, now) || task_values_.on_event(event, now)) return;
  if (auto* lost = std::get_if<PeerLost>(&event)) return values_.on_lost(lost->peer);
  auto& frame = std::get<Received>(event);
  auto replies = values_.on_frame(frame.peer, frame.head, frame.payload);
  if (replies) return send(std::move(*replies));
  log_warning("peer cut: it does not speak our protocol", {{"peer", frame.peer.number}, {"why", replies.error().message}});
  values_.on_lost(frame.peer);
  endpoint_->close(frame.peer);
}

void Server::send(std::vector<ServerFrame> frames) {
  for (ServerFrame& frame : frames) endpoint_->send(frame.peer, std::move(frame.head), std::move(frame.payload));
}

void Server::take_news() {
  Time now = monotonic_now();
  serve_loans();
  fetcher_.serve(now);
  for (FetchEnded& ended : fetcher_.take()) {
    auto found = fetches_.find(ended.id);
    if (found == fetches_.end()) continue;
    Fetching fetch = std::move(found->second);
    fetches_.erase(found);
    std::uint64_t bytes = 0;
    bool good = ended.failure.kind == ErrorKind::none && (fetch.place || ended.borrowed);
    if (good) {
      bytes = ended.borrowed ? ended.borrowed->bytes.size() : fetch.place->bytes().size();
      Result<void> kept = ended.borrowed ? store_.keep_borrowed(fetch.store_as, std::move(ended.borrowed->bytes), ended.content, ended.borrowed->lender)
                                         : store_.commit(fetch.store_as, std::move(fetch.place), ended.content);
      good = static_cast<bool>(kept);
      if (!kept) log_warning("a fetched value was refused", {{"key", fetch.store_as}, {"why", kept.error().message}});
    }
    if (good) events_.push_back(FetchDone{ended.id, bytes});
    else events_.push_back(FetchFailed{ended.id});
    if (good && programs_.awaits(fetch.store_as)) take_program_file(fetch.store_as);
  }
  take_outcomes(*kernels_);
  take_outcomes(*user_code_);
  take_store_news();
  for (TaskAnswer& answer : task_values_.take(now)) user_code_->answer(std::move(answer));
  if (terminating_ && !told_to_leave_) {
    told_to_leave_ = true;
    leave_by_ = now + options_.grace;
    events_.push_back(Terminate{});
  }
  if (leave_by_ <= now && !exited_) {
    exited_ = true;
    exit_reason_ = "the grace period ended";
  }
}

void Server::take_outcomes(Executors& executors) {
  std::vector<int> descriptors = executors.descriptors();
  for (int descriptor : descriptors)
    if (watched_.insert(descriptor).second) endpoint_->watch(descriptor);
  ExecutorEvents news = executors.take(monotonic_now());
  for (AttemptId id : news.started) events_.push_back(RunStarted{id});
  for (AttemptId id : news.waiting) events_.push_back(RunBlocked{id, true});
  for (AttemptId id : news.resumed) events_.push_back(RunBlocked{id, false});
  for (FromTask& message : news.from_tasks) events_.push_back(TaskSays{std::move(message)});
  for (TaskRead& read : news.reads) task_values_.read(std::move(read));
  for (TaskPut& put : news.puts)
    if (put.location.endpoint == options_.endpoint) store_put(put);
    else send_put(put);
  for (const TaskProgress& said : news.progress) events_.push_back(RunProgress{said.attempt, said.fraction});
  for (LogLine& line : news.logs) events_.push_back(Logged{std::move(line)});
  for (Outcome& outcome : news.ended) end_run(outcome);
}

/// Keep the result, then tell the state.
void Server::end_run(Outcome& outcome) {
  kernel_runs_.erase(outcome.attempt);
  RunEnded ended{.attempt = outcome.attempt, .key = outcome.key, .failure = std::move(outcome.failure), .run_time = outcome.run_time};
  if (ended.failure.kind == ErrorKind::none) {
    ended.bytes = outcome.value.size();
    if (ended.bytes <= small_value_max) {
      auto bytes = outcome.value.block().bytes();
      ended.small.assign(bytes.begin(), bytes.end());
    }
    Result<void> kept = keep(outcome.key, std::move(outcome.value));
    if (!kept) ended.failure = kept.error();
  } else if (ended.failure.output.empty()) {
    ended.failure.output = std::move(outcome.output);
  }
  events_.push_back(std::move(ended));
}

/// Values in places that executors were leased become the store's as they are.
Result<void> Server::keep(const Key& key, Value value) {
  auto leased = leased_.find(value.block().data());
  if (leased == leased_.end()) return store_.put(key, std::move(value));
  std::unique_ptr<Reservation> place = std::move(leased->second);
  leased_.erase(leased);
  value = {};
  return store_.commit(key, std::move(place));
}

/// A task's own client scattered to this very worker.
void Server::store_put(TaskPut& put) {
  std::uint64_t bytes = put.value.size();
  Result<void> kept = keep(put.key, std::move(put.value));
  if (kept) events_.push_back(PutArrived{put.key, bytes});
  else user_code_->answer({.attempt = put.attempt, .key = put.key, .put = true, .failure = kept.error()});
}

/// To another worker; a place that an executor was leased goes through the store, so that somebody owns it.
void Server::send_put(TaskPut& put) {
  if (leased_.contains(put.value.block().data())) {
    Key own = Key::random();
    Result<void> kept = keep(own, std::move(put.value));
    auto value = kept ? store_.find(own) : std::nullopt;
    if (kept) store_.erase(own);
    if (!value)
      return user_code_->answer({.attempt = put.attempt, .key = put.key, .put = true,
                                 .failure = kept ? failure(ErrorKind::memory_limit, "no memory for the value") : kept.error()});
    put.value = std::move(*value);
  }
  task_values_.put(std::move(put));
}

void Server::take_store_news() {
  StoreEvents news = store_.take();
  if (!news.trouble.empty()) {
    log_warning("values cannot be spilled", {{"why", news.trouble}});
    events_.push_back(Logged{LogLine{4, {}, news.trouble}});
  }
  constexpr std::size_t places_max = 300;   // of a line: an observer takes 12 kB
  for (std::span<const PlacedValue> rest = news.places; !rest.empty(); rest = rest.subspan(std::min(rest.size(), places_max)))
    events_.push_back(Logged{LogLine{places_level, {}, text_of(rest.first(std::min(rest.size(), places_max)))}});
  auto arrived = [&](const Key& key) {
    send(values_.arrived(key));
    task_values_.arrived(key);
    if (!awaited_.contains(key)) return;
    std::vector<AttemptId> ready;
    for (auto& [id, loading] : loading_)
      if (loading.awaited.contains(key)) ready.push_back(id);
    for (AttemptId id : ready) {
      Loading loading = std::move(loading_.at(id));
      loading_.erase(id);
      perform(loading.order);
    }
    awaited_.erase(key);
    if (drop_later_.erase(key)) store_.erase(key);
  };
  for (const Key& key : news.loaded) arrived(key);
  for (const Key& key : news.lost) {
    events_.push_back(ValueDamaged{key});
    arrived(key);
  }
  note_pressure();
}

void Server::note_pressure() {
  Pressure now{store_.managed_bytes(), store_.spilled_bytes(), pressure_.process_bytes, store_.paused()};
  bool changed = now.paused != pressure_.paused || now.managed_bytes != pressure_.managed_bytes ||
                 now.spilled_bytes != pressure_.spilled_bytes;
  // Asking the kernel costs as much as several tiny tasks, and the answer leaves with a heartbeat.
  Time time = monotonic_now();
  bool measure = time - measured_ >= measure_every;
  if (!changed && !measure) return;
  if (measure) {
    measured_ = time;
    std::ifstream file("/proc/self/statm");
    std::uint64_t pages = 0, resident = 0;
    if (file >> pages >> resident) now.process_bytes = resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  }
  pressure_ = now;
  events_.push_back(now);
}

}  // namespace weft::worker
