// The side of a client that API threads see: posting, waiting for answers, closing.
#include "client/client_core.h"

#include "client/program_setup.h"
#include "common/codec.h"

#include <cerrno>
#include <pthread.h>

#include <atomic>
#include <cstdio>

namespace weft::client {

// Graph bytes in the mailbox above which submitting waits.
static constexpr std::size_t posted_bytes_max = 64u << 20;

static std::atomic<int>& process_number() {
  static std::atomic<int> number{0};
  static const int watched = pthread_atfork(nullptr, nullptr, [] { number.fetch_add(1, std::memory_order_relaxed); });
  static_cast<void>(watched);
  return number;
}

static SessionId draw_session() {
  Key key = Key::random();
  return {key.high, key.low};
}

ClientCore::ClientCore(Links links, const ClientOptions& options)
    : endpoint_(std::move(links.endpoint)), values_(std::move(links.values)), address_(std::move(links.address)),
      server_key_(std::move(links.server_key)), runs_here_(links.runs_here), parent_program_(links.parent_program),
      environment_(options.environment), files_(options.files), hold_(std::move(links.hold)), process_(process_number().load()),
      state_(SessionOptions{.session = draw_session(),
                            .name = options.name.empty() ? program_invocation_short_name : options.name,
                            .connect_timeout = options.connect_timeout,
                            .patience = options.patience, .beats = !links.driven},
             monotonic_now()) {
  if (links.driven) driver_ = std::this_thread::get_id();
  else if (runs_here_) attach_here(files_);
}

std::shared_ptr<ClientCore> ClientCore::start(Links links, const ClientOptions& options) {
  for (Duration limit : {options.connect_timeout, options.patience})
    if (limit < Duration(0)) throw InvalidArgument("a client's `connect_timeout` and `patience` cannot be negative; 0 gives up at once");
  std::shared_ptr<ClientCore> core(new ClientCore(std::move(links), options));
  if (!core->is_driven_here()) core->thread_ = std::thread([raw = core.get()] { raw->run(); });
  return core;
}

ClientCore::~ClientCore() { close(); }

bool ClientCore::in_this_process() const { return process_number().load(std::memory_order_relaxed) == process_; }

void ClientCore::check_process() const {
  if (!in_this_process())
    throw InvalidArgument("the Client belongs to the parent process; make a new Client after fork");
}

void ClientCore::check_own(const FutureCore& core) const {
  const ClientCore& owner = *core.block->client;
  if (&owner == this) return;
  throw InvalidArgument("the future " + core.key.hex() + " belongs to another Client" +
                        (owner.address_ == address_ ? std::string(" of the same cluster") : " (of " + owner.address_ + ") than this call (of " + address_ + ")") +
                        "; make both with one Client, or pass the future's result()");
}

Failure ClientCore::closed_failure() {
  return failure(ErrorKind::connection_failed,
                 "the Client was closed: it makes no more calls, and its open futures end with this; keep it alive longer");
}

bool ClientCore::deliver(Post post, std::size_t bytes) {
  std::lock_guard guard(mutex_);
  if (closed_) return false;
  posts_.push_back(std::move(post));
  posted_bytes_ += bytes;
  wake_loop();
  return true;
}

void ClientCore::wake_loop() {
  if (!std::exchange(woken_, true) && !is_driven_here()) endpoint_->wake();
}

// The thread of a driven client sends what it posted itself: it may compute for long before it waits.
void ClientCore::send_posts() {
  if (!is_driven_here()) return;
  do go_round(Time{});
  while (!later_.empty());
}

void ClientCore::await_welcome() {
  serve([this] { return state_.connected() || state_.closed(); }, Time::never());
}

void ClientCore::wait_for_space() {
  auto has_space = [this] { return closed_ || (!full_ && posted_bytes_ < posted_bytes_max); };
  if (is_driven_here()) {
    serve([&] {
      std::lock_guard guard(mutex_);
      return has_space();
    }, Time::never());
    return;
  }
  std::unique_lock guard(mutex_);
  space_.wait(guard, has_space);
}

void ClientCore::post(Event event) {
  check_process();
  if (deliver({.event = std::make_unique<Event>(std::move(event))}, 0)) send_posts();
}

static std::vector<detail::FutureHandle> handles_of(FutureBlock* block, std::size_t count) {
  std::vector<detail::FutureHandle> handles;
  handles.reserve(count);
  for (std::size_t i = 0; i < count; ++i) handles.emplace_back(&block->cores[i]);
  return handles;
}

// A post that came after the end: its cores will never be linked, so they end here.
static void fail_cores(FutureCore* cores, std::size_t count, const Failure& why) {
  auto outcome = std::make_shared<const Outcome>(Outcome{{}, 0, std::make_shared<const Failure>(why)});
  for (std::size_t i = 0; i < count; ++i) cores[i].complete(outcome);
}

detail::FutureHandle ClientCore::submit(TaskCall call, std::vector<detail::FutureHandle> holds) {
  check_process();
  prepare(call.shape.function);
  wait_for_space();
  std::shared_lock turn(submitting_);
  const std::pair name{call.key, call.content};
  bool names_anew = call.content && named_calls_.claim({&name, 1});
  FutureBlock* block = make_block(shared_from_this(), {&call.key, 1});
  block->holds = std::move(holds);
  detail::FutureHandle handle(&block->cores[0]);
  std::size_t bytes = 100 + call.arguments.size();
  Post post{.task = std::make_unique<TaskCall>(std::move(call)), .cores = &block->cores[0], .count = 1, .values = {}, .names_anew = names_anew};
  if (!deliver(std::move(post), bytes)) fail_cores(&block->cores[0], 1, closed_failure());
  else send_posts();
  return handle;
}

std::vector<detail::FutureHandle> ClientCore::submit(std::vector<GraphChunk> chunks, std::vector<detail::FutureHandle> holds,
                                                     std::span<const std::pair<Key, Key>> names) {
  check_process();
  std::vector<Key> keys;
  for (GraphChunk& chunk : chunks) {
    for (std::uint32_t row : chunk.wanted) keys.push_back(chunk.key(row));
    for (Template& shape : chunk.templates) prepare(shape.function);
  }
  if (keys.empty()) return {};
  bool names_anew = named_calls_.claim(names);
  FutureBlock* block = make_block(shared_from_this(), keys);
  block->holds = std::move(holds);
  auto handles = handles_of(block, keys.size());
  std::size_t at = 0, left = chunks.size();
  std::shared_lock turn(submitting_, std::defer_lock);
  std::unique_lock alone(submitting_, std::defer_lock);
  if (left > 1) alone.lock();
  else turn.lock();
  for (GraphChunk& chunk : chunks) {
    wait_for_space();
    auto count = static_cast<std::uint32_t>(chunk.wanted.size());
    std::size_t bytes = chunk.arguments.size() + 40 * chunk.size() + 8 * chunk.inputs.size();
    Post post{.event = std::make_unique<Event>(SubmitGraph{std::move(chunk), --left == 0}), .cores = &block->cores[at], .count = count, .values = {}, .names_anew = names_anew};
    if (!deliver(std::move(post), bytes)) fail_cores(&block->cores[at], count, closed_failure());
    else send_posts();
    at += count;
  }
  return handles;
}

/// Name the program as its executors are started, and announce it: once for each (it changes when another library is opened).
void ClientCore::prepare(FunctionRef& function) {
  if (function.kernel != 0 || !function.program) return;
  if (parent_program_) function.program = parent_program_;
  if (runs_here_) return;
  {
    std::lock_guard guard(mutex_);
    if (auto known = programs_.find(function.program); known != programs_.end()) {
      function.program = known->second;
      return;
    }
  }
  DescribedProgram described = describe_program(function.program, environment_, files_).value_or_throw();
  AnnounceProgram announcement{.program = described.program, .files = encode(described.setup)};
  for (const ProgramFile& file : described.setup.files) announcement.file_keys.push_back(file.key);
  bool is_new;
  {
    std::lock_guard guard(mutex_);
    program_paths_.merge(described.paths);
    is_new = programs_.emplace(function.program, described.program).second;
  }
  function.program = described.program;
  if (is_new) post(UseProgram{std::move(announcement)});
}

detail::FutureHandle ClientCore::attach(const Key& key) {
  check_process();
  if (key.is_named()) named_calls_.join(key);
  FutureBlock* block = make_block(shared_from_this(), {&key, 1});
  detail::FutureHandle handle(&block->cores[0]);
  Post post{.event = std::make_unique<Event>(Acquire{{key}}), .cores = &block->cores[0], .count = 1};
  if (!deliver(std::move(post), 0)) fail_cores(&block->cores[0], 1, closed_failure());
  else send_posts();
  return handle;
}

std::vector<detail::FutureHandle> ClientCore::scatter(std::vector<std::pair<Key, Value>> values,
                                                      std::vector<std::string> workers, std::uint32_t replicas) {
  check_process();
  if (values.empty()) return {};
  std::vector<Key> keys;
  ScatterValues event{{}, std::move(workers), replicas};
  for (const auto& [key, value] : values) {
    keys.push_back(key);
    event.values.push_back({key, value.size()});
  }
  FutureBlock* block = make_block(shared_from_this(), keys);
  auto handles = handles_of(block, keys.size());
  Post post{.event = std::make_unique<Event>(std::move(event)), .cores = &block->cores[0],
            .count = static_cast<std::uint32_t>(keys.size()), .values = std::move(values)};
  if (!deliver(std::move(post), 0)) fail_cores(&block->cores[0], keys.size(), closed_failure());
  else send_posts();
  return handles;
}

void ClientCore::retry(const std::vector<detail::FutureHandle>& futures) {
  RetryKeys event;
  for (const detail::FutureHandle& future : futures) {
    FutureCore& core = future.checked();
    check_own(core);
    if (core.phase.load() != FutureCore::Phase::failed) continue;
    event.keys.push_back(core.key);
    core.complete(nullptr);  // now, so that a result() after retry() never sees the old failure
  }
  if (event.keys.empty()) return;
  check_process();
  if (!deliver({.event = std::make_unique<Event>(std::move(event))}, 0))
    for (const detail::FutureHandle& future : futures) fail_cores(future.core(), 1, closed_failure());
  else send_posts();
}

std::uint64_t ClientCore::new_request(std::shared_ptr<Answered> answered) {
  check_process();
  std::lock_guard guard(mutex_);
  if (closed_) throw_failure(closed_failure());
  answers_[++last_request_] = std::move(answered);
  return last_request_;
}

std::string ClientCore::answer(Answered& answered) {
  if (is_driven_here()) {
    serve([&] {
      std::lock_guard guard(answered.mutex);
      return answered.done;
    }, Time::never());
  }
  std::unique_lock guard(answered.mutex);
  answered.ready.wait(guard, [&] { return answered.done; });
  if (answered.failure.kind != ErrorKind::none) throw_failure(answered.failure);
  return std::move(answered.body);
}

std::string ClientCore::ask(std::string verb, std::vector<std::string> words, std::vector<Key> keys, bool repeatable) {
  auto answered = std::make_shared<Answered>();
  std::uint64_t request = new_request(answered);
  post(AskScheduler{{request, std::move(verb), std::move(words), std::move(keys)}, repeatable});
  return answer(*answered);
}

void ClientCore::publish(PublishName event) {
  auto answered = std::make_shared<Answered>();
  event.request = new_request(answered);
  post(std::move(event));
  answer(*answered);
}

void ClientCore::run_alone(std::vector<Key> keys) {
  auto answered = std::make_shared<Answered>();
  std::uint64_t request = new_request(answered);
  post(RunAlone{request, std::move(keys)});
  answer(*answered);
}

void ClientCore::call_back(std::unique_ptr<detail::Callback> callback, detail::FutureHandle keep) {
  callbacks_->push(std::move(callback), std::move(keep));
}

void ClientCore::release(FutureCore& core) noexcept {
  std::shared_ptr<ClientCore> client = core.block->client;  // the loop may free the block before `deliver` returns
  if (!client->in_this_process()) return;                   // a forked child leaks its copies: its loop is not there
  const Key key = core.key;                                 // for when the core is gone
  std::unique_lock guard(client->mutex_);
  if (client->closed_) {
    guard.unlock();
    free_core(core);
  } else {
    client->released_.push_back(&core);
    client->wake_loop();
  }
  // Last: who takes the name then posts behind this release.
  if (key.is_named()) client->named_calls_.give_up(key);
}

void ClientCore::close() {
  std::lock_guard guard(closing_);
  if (driver_ != std::thread::id{}) return close_driven();
  if (!thread_.joinable()) return;
  deliver({.event = std::make_unique<Event>(SayGoodbye{})}, 0);
  thread_.join();
  callbacks_->close();
  values_.reset();  // it closes its connections
  endpoint_.reset();
  hold_.reset();
}

// A task's own session ends with its attempt: no goodbye is awaited. What was posted has gone, and links keep the order.
void ClientCore::close_driven() {
  if (!endpoint_) return;
  if (is_driven_here() && !going_round_ && deliver({.event = std::make_unique<Event>(SayGoodbye{})}, 0)) {
    try {
      go_round(Time{});
    } catch (const Error&) {  // the task is cancelled: nobody listens
    }
  }
  end();
  callbacks_->close();
  values_.reset();
  endpoint_.reset();
  hold_.reset();
}

// ---------------------------------------------------------------------------------------------------------- callbacks

static void run_one(detail::Callback& callback) {
  try {
    callback.run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "weft: a done callback threw: %s\n", error.what());
  } catch (...) {
    std::fprintf(stderr, "weft: a done callback threw something that is no std::exception\n");
  }
}

void CallbackQueue::push(std::unique_ptr<detail::Callback> callback, detail::FutureHandle keep) {
  std::unique_lock guard(mutex_);
  if (closing_) {  // the client is closed and its thread gone or going: the caller's thread serves
    guard.unlock();
    return run_one(*callback);
  }
  items_.push_back({std::move(callback), std::move(keep)});
  if (!started_) {
    started_ = true;
    thread_ = std::thread([self = shared_from_this()] { self->run(); });
  }
  news_.notify_one();
}

void CallbackQueue::run() {
  std::unique_lock guard(mutex_);
  for (;;) {
    news_.wait(guard, [this] { return closing_ || !items_.empty(); });
    if (items_.empty()) return;
    std::vector<Item> items = std::exchange(items_, {});
    guard.unlock();
    for (Item& item : items) run_one(*item.callback);
    items.clear();
    guard.lock();
  }
}

void CallbackQueue::close() {
  {
    std::lock_guard guard(mutex_);
    closing_ = true;
    news_.notify_one();
  }
  if (!thread_.joinable()) return;
  if (thread_.get_id() == std::this_thread::get_id()) thread_.detach();
  else thread_.join();
}

}  // namespace weft::client
