// What clients ask for: graphs of random shapes, some with scattered data, some cancelled, released early or submitted again.
#include <algorithm>

#include "simulation/cluster.h"

namespace weft::simulation {

void Cluster::submit_graph(int number) {
  ClientProcess& process = clients_[number];
  if (process.graphs_left == 0 || process.state->closed()) return;
  --process.graphs_left;
  changed_ = true;
  if (!share_graph(number)) {
    GraphChunk chunk;
    Duration retry_delay = graph_random_.chance(30) ? 50ms : 0ms;
    chunk.templates.push_back(Template{.label = "task", .function = {.kernel = 1},
                                       .options = {.pure = !plan_.impure, .retries = 1, .retry_delay = retry_delay}});
    // A second worker has two slots.
    if (plan_.workers > 1 && graph_random_.chance(plan_.reserve_percent)) chunk.templates[0].options.cores = 2;
    if (graph_random_.chance(plan_.reserve_percent)) chunk.templates[0].options.resources = {{"disk", 1}};
    if (plan_.once)
      chunk.templates.push_back(Template{.label = "once", .function = {.kernel = 1}, .options = {.pure = false, .max_attempts = 1}});
    std::vector<client::Event> events;
    if (graph_random_.chance(plan_.scatter_percent)) scatter(number, chunk, events);
    add_tasks(process, chunk);
    process.graphs_seen.insert(graphs_.size());
    graphs_.push_back(chunk);
    send_graph(number, std::move(chunk), std::move(events));
  }
  Duration pause = Duration(static_cast<std::int64_t>(graph_random_.below(3'000))) * 1'000'000;
  at(now_ + pause, client_actor(number), [this, number] { submit_graph(number); });
}

void Cluster::scatter(int number, GraphChunk& chunk, std::vector<client::Event>& events) {
  ClientProcess& process = clients_[number];
  Key key = KeyHasher().add("data").add(std::uint64_t(truth_.size())).finish();
  Hash hash = mix(key.high, 77);
  truth_[key] = TrueTask{.value = hash, .data = true};
  process.scattered[key] = hash;
  process.wanted.insert(key);
  chunk.externals.push_back(key);
  std::vector<Held> data{{key, value_of(hash).size()}};
  events.push_back(client::ScatterValues{data, {}, static_cast<std::uint32_t>(graph_random_.between(1, 2))});
  if (graph_random_.chance(plan_.release_early_percent)) release_later(number, key);
}

void Cluster::release_later(int number, const Key& key) {
  auto times = static_cast<int>(graph_random_.between(1, 20));
  at(now_ + times * delay(), client_actor(number), [this, number, key] {
    if (clients_[number].wanted.erase(key) == 0) return;
    clients_[number].ended.erase(key);
    changed_ = true;
    step_client(number, {client::ReleaseKeys{{key}}});
  });
}

/// Each task reads some of the earlier ones: a chain, a sparse graph, a star, or a dense graph.
std::vector<Key> Cluster::add_tasks(ClientProcess& process, GraphChunk& chunk) {
  Random& r = graph_random_;
  std::vector<Key> keys;
  std::uint64_t count = r.between(1, plan_.tasks);
  std::uint64_t shape = r.below(4);
  for (std::uint64_t row = 0; row < count; ++row) {
    Key key = KeyHasher().add("task").add(plan_.seed).add(std::uint64_t(truth_.size())).finish();
    TrueTask task;
    std::multiset<std::uint32_t> inputs;
    std::uint64_t fan_in = shape == 0 ? 1 : shape == 1 ? r.below(3) : shape == 2 ? (row + 1 == count ? row : 0) : r.below(5);
    for (std::uint64_t i = 0; i < fan_in && row > 0; ++i) {
      std::uint64_t source = shape == 0 ? row - 1 : shape == 2 ? i : r.below(row);
      auto input = static_cast<std::uint32_t>(chunk.externals.size() + source);
      if (!inputs.contains(input)) inputs.insert(input);
    }
    if (!chunk.externals.empty() && r.chance(30)) inputs.insert(0);
    if (!inputs.empty() && r.chance(plan_.twice_percent)) inputs.insert(*inputs.rbegin());
    Hash hash = mix(key.high, key.low);
    for (std::uint32_t input : inputs) {
      Key source = input < chunk.externals.size() ? chunk.externals[input] : keys[input - chunk.externals.size()];
      task.inputs.push_back(source);
      hash = mix(hash, truth(source));
    }
    task.value = hash;
    task.may_throw = r.chance(plan_.throw_percent);
    task.may_crash = r.chance(plan_.crash_percent);
    task.once = plan_.once && r.chance(50);
    truth_[key] = task;
    keys.push_back(key);
    auto bytes = std::as_bytes(std::span(&key, 1));
    chunk.keys.insert(chunk.keys.end(), bytes.begin(), bytes.end());
    chunk.template_of.push_back(task.once);
    chunk.argument_ends.push_back(0);
    chunk.inputs.insert(chunk.inputs.end(), inputs.begin(), inputs.end());
    chunk.input_ends.push_back(static_cast<std::uint32_t>(chunk.inputs.size()));
    if (row + 1 == count || r.chance(20)) {
      chunk.wanted.push_back(static_cast<std::uint32_t>(row));
      process.wanted.insert(key);
    }
    ++report_.tasks;
  }
  return keys;
}

/// What another client submitted before: its tasks are known, running, done or forgotten by now.
bool Cluster::share_graph(int number) {
  if (plan_.impure || plan_.share_percent == 0 || graphs_.empty()) return false;
  bool shares = graph_random_.chance(plan_.share_percent);
  std::size_t which = graph_random_.below(graphs_.size());
  ClientProcess& process = clients_[number];
  if (!shares || !graphs_[which].externals.empty() || !process.graphs_seen.insert(which).second) return false;
  GraphChunk chunk = graphs_[which];
  // It need not want all that the other wants.
  if (chunk.wanted.size() > 1 && graph_random_.chance(30)) chunk.wanted.pop_back();
  for (std::size_t row = 0; row < chunk.size(); ++row) truth_[chunk.key(row)].shared = true;
  for (std::uint32_t row : chunk.wanted) process.wanted.insert(chunk.key(row));
  send_graph(number, std::move(chunk), {});
  return true;
}

void Cluster::send_graph(int number, GraphChunk chunk, std::vector<client::Event> events) {
  bool cancel = graph_random_.chance(plan_.cancel_percent);
  bool release = graph_random_.chance(plan_.release_early_percent);
  std::vector<Key> keys, wanted;
  for (std::size_t row = 0; row < chunk.size(); ++row) keys.push_back(chunk.key(row));
  for (std::uint32_t row : chunk.wanted) wanted.push_back(chunk.key(row));
  Key last = wanted.back();
  events.push_back(client::SubmitGraph{std::move(chunk)});
  step_client(number, std::move(events));
  for (const Key& key : wanted)
    at(now_ + 1ms, client_actor(number), [this, number, key] { step_client(number, {client::ReadValue{key}}); });
  if (cancel) {
    clients_[number].cancelled.insert(last);
    at(now_ + 20 * delay(), client_actor(number),
       [this, number, last] { step_client(number, {client::CancelKeys{{last}, false, "simulated"}}); });
  } else if (release) {
    release_later(number, last);
  }
}

}  // namespace weft::simulation
