// The untyped half of the public Client.
#include <weft/client.h>

#include <algorithm>
#include <cstring>
#include <set>

#include <nlohmann/json.hpp>

#include <weft/init.h>

#include "client/client_core.h"
#include "client/links.h"
#include "common/scheduler_file.h"

namespace weft {

using Json = nlohmann::json;

/// What the scheduler said, as a tree.
static Json parse(const std::string& answer) {
  Json json = Json::parse(answer, nullptr, false);
  if (json.is_discarded()) throw ProtocolError("the scheduler's answer is not JSON; install the same release on both sides");
  return json;
}

Client::Client() : Client(std::string()) {}
Client::Client(const std::string& address, const ClientOptions& options)
    : Client(client::open_links(address.empty() ? find_scheduler_address().value_or_throw() : address, options.dashboard).value_or_throw(), options) {}
Client::Client(client::Links links, const ClientOptions& options) {
  detail::stop_strayed_executor();
  core_ = client::ClientCore::start(std::move(links), options);
}

Client& Client::operator=(Client&& other) noexcept {
  Client taken(std::move(other));  // what this one was ends now, and `other` is empty
  std::swap(core_, taken.core_);
  std::swap(shared_, taken.shared_);
  return *this;
}

const detail::ClientPointer& Client::core() const {
  if (!core_) throw InvalidArgument("this Client was moved from; use the one that it was moved to");
  return core_;
}

Client::~Client() {
  if (!core_ || shared_) return;
  // After fork the thread is not here to be joined, and its tables may be half written: leave them alone.
  if (!core_->in_this_process()) static_cast<void>(new detail::ClientPointer(std::move(core_)));
  else core_->close();
}

void Client::close() {
  core()->check_process();
  core()->close();
}

std::vector<detail::FutureHandle> Client::place(std::vector<Value> values, const ScatterOptions& options) {
  if (options.replicas == 0) throw InvalidArgument("data cannot be placed on 0 workers; give `replicas` 1 or more, or `broadcast`");
  std::vector<std::pair<Key, Value>> named;
  for (Value& value : values) {
    KeyHasher hasher;
    hasher.add("scatter").add(value.block().bytes());
    for (const std::string& worker : options.workers) hasher.add("at").add(worker);  // the same bytes elsewhere are other data
    Key key = hasher.finish();
    named.emplace_back(key, std::move(value));
  }
  return core()->scatter(std::move(named), options.workers, options.broadcast ? 0 : options.replicas);
}

std::vector<Key> Client::own_keys(const std::vector<detail::FutureHandle>& handles) const {
  std::vector<Key> keys;
  keys.reserve(handles.size());
  for (const detail::FutureHandle& handle : handles) {
    core()->check_own(handle.checked());
    keys.push_back(handle.checked().key);
  }
  return keys;
}

void Client::cancel_keys(std::vector<Key> keys, std::string reason, bool force) {
  core()->post(client::CancelKeys{std::move(keys), force, std::move(reason)});
}
void Client::retry_all(const std::vector<detail::FutureHandle>& futures) { core()->retry(futures); }
void Client::run_alone(std::vector<Key> keys) { core()->run_alone(std::move(keys)); }

// ---------------------------------------------------------------------------------------------------------- published

void Client::publish_keys(const std::string& name, std::vector<Key> keys, TypeTag type, bool replace) {
  if (keys.empty()) throw InvalidArgument("there is nothing to publish as '" + name + "'");
  Bytes note(sizeof type);
  std::memcpy(note.data(), &type, sizeof type);
  core()->publish({0, name, std::move(keys), std::move(note), replace});
}
void Client::unpublish(const std::string& name) { core()->publish({0, name, {}, {}, true}); }
std::string Client::list_datasets() { return ask("list_datasets", {}, {}, true); }

std::vector<detail::FutureHandle> Client::attach_dataset(const std::string& name) {
  Json answer = parse(ask("get_dataset", {name}, {}, true));
  std::vector<detail::FutureHandle> futures;
  for (const Json& text : answer.value("keys", Json::array()))
    if (auto key = Key::from_hex(text.is_string() ? text.get<std::string>() : "")) futures.push_back(core()->attach(*key));
  if (futures.empty()) throw InvalidArgument("nothing is published as '" + name + "'");
  return futures;
}

// ---------------------------------------------------------------------------------------------------------- questions

std::string Client::ask(const std::string& verb, std::vector<std::string> words, std::vector<Key> keys, bool repeatable) {
  return core()->ask(verb, std::move(words), std::move(keys), repeatable);
}
std::string Client::who_has(const std::vector<Key>& keys) { return ask("who_has", {}, keys, true); }
std::string Client::has_what(const std::vector<std::string>& workers) { return ask("has_what", workers, {}, true); }
std::string Client::processing(const std::vector<std::string>& workers) { return ask("processing", workers, {}, true); }
std::string Client::story(const Key& key) { return ask("story", {}, {key}, true); }
std::string Client::explain(const Key& key) { return ask("explain", {}, {key}, true); }
std::string Client::workers_json() { return ask("workers", {}, {}, true); }
std::string Client::events(const std::string& topic) { return ask("events", {topic}, {}, true); }
std::string Client::logs(const std::vector<std::string>& workers) { return ask("logs", workers, {}, true); }
std::string Client::dump() { return ask("dump", {}, {}, true); }
std::string Client::restart() { return ask("restart", {}, {}, false); }
std::string Client::retire_workers(const std::vector<std::string>& workers) { return ask("retire", workers, {}, false); }
std::string Client::rebalance(const std::vector<Key>& keys) { return ask("rebalance", {}, keys, false); }
std::string Client::replicate(const std::vector<Key>& keys, std::uint32_t replicas) {
  if (replicas == 0) throw InvalidArgument("results cannot be kept on 0 workers; release their futures instead, or give 1 or more");
  return ask("replicate", {std::to_string(replicas)}, keys, false);
}

std::vector<WorkerInfo> Client::workers() {
  std::vector<WorkerInfo> workers;
  try {
    for (const Json& json : Json::parse(workers_json())) {
      WorkerInfo& worker = workers.emplace_back();
      auto read = [&](const char* name, auto& field) { field = json.value(name, field); };
      read("id", worker.id);
      read("name", worker.name);
      read("address", worker.address);
      read("host", worker.host);
      read("pid", worker.pid);
      read("slots", worker.slots);
      read("resources", worker.resources);
      read("status", worker.status);
      read("runs_user_code", worker.runs_user_code);
      read("assigned", worker.assigned);
      read("values", worker.values);
      read("value_bytes", worker.value_bytes);
      read("managed_bytes", worker.managed_bytes);
      read("spilled_bytes", worker.spilled_bytes);
      read("process_bytes", worker.process_bytes);
      read("memory_limit", worker.memory_limit);
      worker.heard_ago = std::chrono::duration<double>(json.value("heard_seconds_ago", 0.0));
    }
  } catch (const Json::exception& error) {
    throw ProtocolError(std::string("the scheduler's list of workers cannot be read: ") + error.what());
  }
  return workers;
}

// ---------------------------------------------------------------------------------------------------- on every worker

/// Workers that a run goes to, by name.
std::vector<WorkerInfo> Client::runners(const Options& options) {
  std::vector<WorkerInfo> found;
  for (WorkerInfo& worker : workers()) {
    auto is_it = [&](const std::string& text) { return text == worker.name || text == worker.address || text == worker.host; };
    bool selected = options.workers.empty() || std::any_of(options.workers.begin(), options.workers.end(), is_it);
    if (selected && worker.runs_user_code && worker.status != "retiring") found.push_back(std::move(worker));
  }
  if (found.empty())
    throw WorkerUnavailable(options.workers.empty() ? "there is no worker to run on; start one with weft-worker"
                                                    : "no worker is named as `workers` says; workers() lists those that are here");
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  // What a worker does not have it would be waited for without end.
  for (const WorkerInfo& worker : found) {
    auto lacks = [&](const auto& wish) {
      auto offered = worker.resources.find(wish.first);
      return offered == worker.resources.end() || offered->second < wish.second;
    };
    auto missing = std::find_if(options.resources.begin(), options.resources.end(), lacks);
    if (missing != options.resources.end()) throw WorkerUnavailable("worker '" + worker.name + "' does not offer enough of resource '" + missing->first + "'");
    if (options.cores > worker.slots) throw WorkerUnavailable("worker '" + worker.name + "' does not have " + std::to_string(options.cores) + " cores");
  }
  return found;
}

// Its address is this process's alone; a name may also be that of a host.
Options Client::options_on(const WorkerInfo& worker, Options options) {
  options.key.reset();
  options.pure = false;
  options.max_attempts = 1;
  options.workers = {worker.address.empty() ? worker.name : worker.address};
  options.workers_strict = true;
  if (options.priority == 0) options.priority = 1'000'000;
  return options;
}

// A task for a worker that is gone would wait for ever, so we look after them while we wait.
void Client::await_run(const std::vector<WorkerInfo>& where, const std::vector<detail::FutureHandle>& handles) {
  detail::Gate gate(true);
  for (const auto& handle : handles) gate.add(handle);
  std::vector<bool> gone(handles.size(), false);
  while (!gate.wait(handles.size(), std::chrono::milliseconds(500))) {
    std::set<std::uint32_t> here;
    for (const WorkerInfo& worker : workers())
      if (worker.status != "retiring") here.insert(worker.id);
    for (std::size_t i = 0; i < handles.size(); ++i) {
      if (gone[i] || here.contains(where[i].id) || handles[i].status() != FutureStatus::pending) continue;
      gone[i] = true;
      handles[i].cancel("its worker left", true);
    }
  }
  for (std::size_t i = 0; i < handles.size(); ++i) {
    auto ended = handles[i].failure({});
    if (!ended) continue;
    Failure failure = *ended;
    if (gone[i]) failure.kind = ErrorKind::worker_unavailable, failure.message = "worker '" + where[i].name + "' left before it answered";
    if (failure.worker.empty()) failure.worker = where[i].name;
    throw_failure(failure);
  }
}

}  // namespace weft
