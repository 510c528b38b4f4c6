// The untyped half of the public Client.
#include <weft/client.h>

#include <weft/init.h>

#include "client/client_core.h"
#include "client/links.h"
#include "common/scheduler_file.h"

namespace weft {

Client::Client() : Client(find_scheduler_address().value_or_throw()) {}
Client::Client(const std::string& address, const ClientOptions& options) : Client(client::open_links(address).value_or_throw(), options) {}
Client::Client(client::Links links, const ClientOptions& options) {
  detail::stop_strayed_executor();
  core_ = client::ClientCore::start(std::move(links), options);
}

Client& Client::operator=(Client&& other) noexcept {
  std::swap(core_, other.core_);
  std::swap(shared_, other.shared_);
  return *this;
}

Client::~Client() {
  if (!core_ || shared_) return;
  // After fork the thread is not here to be joined, and its tables may be half written: leave them alone.
  if (!core_->in_this_process()) static_cast<void>(new detail::ClientPointer(std::move(core_)));
  else core_->close();
}

void Client::close() {
  core_->check_process();
  core_->close();
}

std::vector<detail::FutureHandle> Client::place(std::vector<Value> values, const ScatterOptions& options) {
  std::vector<std::pair<Key, Value>> named;
  for (Value& value : values) {
    Key key = KeyHasher().add("scatter").add(value.block().bytes()).finish();
    named.emplace_back(key, std::move(value));
  }
  return core_->scatter(std::move(named), options.workers, options.broadcast ? 0 : std::max(options.replicas, 1u));
}

void Client::cancel_keys(std::vector<Key> keys, std::string reason, bool force) {
  core_->post(client::CancelKeys{std::move(keys), force, std::move(reason)});
}
void Client::retry_all(const std::vector<detail::FutureHandle>& futures) { core_->retry(futures); }
void Client::run_alone(std::vector<Key> keys) { core_->run_alone(std::move(keys)); }

// ---------------------------------------------------------------------------------------------------------- published

void Client::publish_keys(const std::string& name, std::vector<Key> keys, TypeTag type, bool replace) {
  if (keys.empty()) throw InvalidArgument("there is nothing to publish as '" + name + "'");
  Bytes note(sizeof type);
  std::memcpy(note.data(), &type, sizeof type);
  core_->publish({0, name, std::move(keys), std::move(note), replace});
}
void Client::unpublish(const std::string& name) { core_->publish({0, name, {}, {}, true}); }
std::string Client::list_datasets() { return ask("list_datasets", {}, {}, true); }

// The answer lists the keys as 32 hexadecimal digits each; nothing else in it has that form.
std::vector<detail::FutureHandle> Client::attach_dataset(const std::string& name) {
  std::string answer = ask("get_dataset", {name}, {}, true);
  std::vector<detail::FutureHandle> futures;
  std::size_t at = answer.find('[', answer.find("\"keys\""));
  std::size_t end = answer.find(']', at);
  while (at < end && (at = answer.find('"', at + 1)) < end) {
    if (auto key = Key::from_hex(std::string_view(answer).substr(at + 1, 32))) futures.push_back(core_->attach(*key));
    at = answer.find('"', at + 1);
  }
  if (futures.empty()) throw InvalidArgument("nothing is published as '" + name + "'");
  return futures;
}

// ---------------------------------------------------------------------------------------------------------- questions

std::string Client::ask(const std::string& verb, std::vector<std::string> words, std::vector<Key> keys, bool repeatable) {
  return core_->ask(verb, std::move(words), std::move(keys), repeatable);
}
std::string Client::who_has(const std::vector<Key>& keys) { return ask("who_has", {}, keys, true); }
std::string Client::has_what(const std::vector<std::string>& workers) { return ask("has_what", workers, {}, true); }
std::string Client::processing(const std::vector<std::string>& workers) { return ask("processing", workers, {}, true); }
std::string Client::story(const Key& key) { return ask("story", {}, {key}, true); }
std::string Client::explain(const Key& key) { return ask("explain", {}, {key}, true); }
std::string Client::workers() { return ask("workers", {}, {}, true); }
std::string Client::events(const std::string& topic) { return ask("events", {topic}, {}, true); }
std::string Client::logs(const std::vector<std::string>& workers) { return ask("logs", workers, {}, true); }
std::string Client::dump() { return ask("dump", {}, {}, true); }
std::string Client::restart() { return ask("restart", {}, {}, false); }
std::string Client::retire_workers(const std::vector<std::string>& workers) { return ask("retire", workers, {}, false); }
std::string Client::rebalance(const std::vector<Key>& keys) { return ask("rebalance", {}, keys, false); }
std::string Client::replicate(const std::vector<Key>& keys, std::uint32_t replicas) {
  return ask("replicate", {std::to_string(replicas)}, keys, false);
}

}  // namespace weft
