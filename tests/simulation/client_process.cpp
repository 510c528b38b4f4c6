// A client's process: its session, and the bytes that it reads from workers and puts there.
#include <algorithm>

#include "simulation/cluster.h"

namespace weft::simulation {

void Cluster::step_client(int number, std::vector<client::Event> events) {
  ++report_.events;
  ClientProcess& process = clients_[number];
  std::vector<client::Action> actions = process.state->step(now_, std::move(events));
  process.tick_at = process.state->wake_at();
  std::vector<ClientMessage> frame;
  for (client::Action& action : actions) perform(number, action, frame);
  if (!frame.empty() && process.peer) to_scheduler(process.peer, std::move(frame));
}

void Cluster::perform(int number, client::Action& action, std::vector<ClientMessage>& frame) {
  ClientProcess& process = clients_[number];
  if (auto* send = std::get_if<client::Send>(&action)) {
    frame.push_back(*send->message);
  } else if (std::get_if<client::Reconnect>(&action)) {
    if (process.peer) cut(process.peer, false);
    frame.clear();
    process.peer = open_link(number, -1);
    at(now_ + delay(), client_actor(number), [this, number, peer = process.peer] {
      if (clients_[number].peer != peer) return;
      if (scheduler_) return step_client(number, {client::LinkUp{}});
      clients_[number].peer = {};
      links_[peer].open = false;
      step_client(number, {client::LinkLost{"nobody listens"}});
    });
  } else if (auto* fetch = std::get_if<client::Fetch>(&action)) {
    read_for_client(number, *fetch);
  } else if (auto* put = std::get_if<client::PutValue>(&action)) {
    put_value(number, put->key, put->location);
  } else if (auto* complete = std::get_if<client::Complete>(&action)) {
    if (!process.wanted.contains(complete->key)) return;
    process.ended[complete->key] = complete->outcome;
    if (!complete->outcome->failure) process.stored.insert(complete->key);
    changed_ = true;
    judge(number, complete->key, *complete->outcome);
    // A future that had failed may be revived by somebody else's graph: its value is wanted then.
    bool stored = !complete->outcome->failure && complete->outcome->value.block().empty() && !truth_.at(complete->key).data;
    if (stored) at(now_ + 1ms, client_actor(number), [this, number, key = complete->key] { step_client(number, {client::ReadValue{key}}); });
  } else if (auto* pending = std::get_if<client::Pending>(&action)) {
    auto ended = process.ended.find(pending->key);
    if (ended == process.ended.end()) return;
    if (!ended->second->failure && !ended->second->value.block().empty()) wrong("a client that has a value is told to wait for it");
    process.ended.erase(ended);
  } else if (std::get_if<client::Finished>(&action)) {
    process.finished = true;
    changed_ = true;
  }
}

/// Straight to the first place named; the holder may be gone.
void Cluster::read_for_client(int number, const client::Fetch& order) {
  std::string from = order.locations.empty() ? "" : order.locations[0].endpoint;
  at(now_ + delay(), client_actor(number), [this, number, key = order.key, from] {
    for (int i = 0; i < static_cast<int>(workers_.size()); ++i) {
      const WorkerProcess& worker = workers_[i];
      bool there = worker.state && worker.endpoint == from;
      if (!there) continue;
      remember(client_actor(number), histories_[worker_actor(i)]);
      if (worker.paused_until > now_) {
        at(now_ + 3s, client_actor(number), [this, number, key] {
          step_client(number, {client::FetchFailed{key, failure(ErrorKind::connection_failed, "holder silent")}});
        });
        return;
      }
      if (auto held = worker.store.find(key); held != worker.store.end() && !worker.rotten.contains(key))
        return step_client(number, {client::FetchDone{key, value_of(held->second)}});
    }
    step_client(number, {client::FetchFailed{key, failure(ErrorKind::connection_failed, "holder gone")}});
  });
}

void Cluster::put_value(int number, const Key& key, const Location& location) {
  Time arrival = now_ + delay();
  for (WorkerProcess& worker : workers_)
    if (worker.endpoint == location.endpoint) arrival = std::max(arrival, worker.paused_until);
  at(arrival, everybody, [this, number, key, location] {
    for (int i = 0; i < static_cast<int>(workers_.size()); ++i) {
      WorkerProcess& worker = workers_[i];
      if (!worker.state || worker.endpoint != location.endpoint || worker.paused_until > now_) continue;
      if (worker.puts.erase(location.token.nonce) == 0) break;
      keep(worker, key, clients_[number].scattered.at(key));
      return step_worker(i, {worker::PutArrived{key, value_of(0).size()}});
    }
    step_client(number, {client::PutFailed{key, failure(ErrorKind::connection_failed, "worker gone")}});
  });
}

}  // namespace weft::simulation
