// Links: delays, freezes, cuts, and frames that come after their link is gone.
#include <algorithm>

#include "simulation/cluster.h"
#include "simulation/log.h"

namespace weft::simulation {

static std::string name_of_end(const Link& link) {
  return link.client >= 0 ? "client" + std::to_string(link.client) : "worker" + std::to_string(link.worker);
}

PeerId Cluster::open_link(int client, int worker) {
  PeerId peer{++peers_};
  bool late = plan_.late_frame_percent > 0 && random_.chance(plan_.late_frame_percent);
  links_[peer] = Link{.late = late, .client = client, .worker = worker};
  return peer;
}

void Cluster::cut(PeerId peer, bool tell_both) {
  auto found = links_.find(peer);
  if (found == links_.end() || !found->second.open) return;
  found->second.open = false;
  note(peer.number);
  int client = found->second.client, worker = found->second.worker;
  at(now_ + delay(), the_scheduler, [this, peer] { step_scheduler({scheduler::LinkLost{peer}}); });
  if (!tell_both) return;
  at(now_ + delay(), client >= 0 ? client_actor(client) : worker_actor(worker), [this, peer, client, worker] {
    if (client >= 0 && clients_[client].peer == peer) {
      clients_[client].peer = {};
      step_client(client, {client::LinkLost{"cut"}});
    }
    if (worker >= 0 && workers_[worker].state && workers_[worker].peer == peer) {
      workers_[worker].peer = {};
      step_worker(worker, {worker::LinkLost{}});
    }
  });
}

template <class Message>
void Cluster::to_scheduler(PeerId peer, std::vector<Message> messages) {
  auto found = links_.find(peer);
  if (found == links_.end() || !found->second.open) return;
  Link& link = found->second;
  Time arrival = std::max({now_ + delay(), link.last_up, link.up_frozen_until});
  link.last_up = arrival;
  ++link.frames;
  auto deliver = [this, peer, frame = encode(messages)] {
    Link& from = links_[peer];
    --from.frames;
    if (!from.open && !from.late) return;
    auto decoded = decode<std::vector<Message>>(frame);
    if (!decoded) return wrong(std::string("a frame of ours does not decode: ") + decoded.error().message);
    std::vector<scheduler::Event> events;
    for (Message& message : *decoded) {
      note(message.index() + 100);
      log_message(now_, "from", name_of_end(from), message);
      if constexpr (std::is_same_v<Message, ClientMessage>) events.push_back(scheduler::FromClient{peer, std::move(message)});
      else events.push_back(scheduler::FromWorker{peer, std::move(message)});
    }
    step_scheduler(std::move(events));
  };
  at(arrival, the_scheduler, std::move(deliver), static_cast<std::uint32_t>(2 * peer.number));
}

template <class Message>
void Cluster::from_scheduler(PeerId peer, std::vector<Message> messages) {
  auto found = links_.find(peer);
  if (found == links_.end()) return wrong("the scheduler speaks to nobody");
  if (!found->second.open) return;
  Link& link = found->second;
  Time arrival = std::max({now_ + delay(), link.last_down, link.down_frozen_until});
  if (link.worker >= 0) arrival = std::max(arrival, workers_[link.worker].paused_until);
  link.last_down = arrival;
  ++link.frames;
  auto deliver = [this, peer, frame = encode(messages)] {
    Link& to = links_[peer];
    --to.frames;
    if (!to.open) return;
    auto decoded = decode<std::vector<Message>>(frame);
    if (!decoded) return wrong(std::string("a frame of ours does not decode: ") + decoded.error().message);
    for (const Message& message : *decoded) log_message(now_, "  to", name_of_end(to), message);
    if constexpr (std::is_same_v<Message, ClientBound>) {
      std::vector<client::Event> events;
      for (Message& message : *decoded) events.push_back(client::FromScheduler{std::move(message)});
      if (clients_[to.client].peer == peer) step_client(to.client, std::move(events));
    } else {
      std::vector<worker::Event> events;
      for (Message& message : *decoded) events.push_back(worker::Message{std::move(message)});
      if (workers_[to.worker].state && workers_[to.worker].peer == peer) step_worker(to.worker, std::move(events));
    }
  };
  std::uint32_t actor = link.client >= 0 ? client_actor(link.client) : worker_actor(link.worker);
  at(arrival, actor, std::move(deliver), static_cast<std::uint32_t>(2 * peer.number + 1));
}

template void Cluster::to_scheduler(PeerId, std::vector<ClientMessage>);
template void Cluster::to_scheduler(PeerId, std::vector<WorkerMessage>);
template void Cluster::from_scheduler(PeerId, std::vector<ClientBound>);
template void Cluster::from_scheduler(PeerId, std::vector<WorkerBound>);

}  // namespace weft::simulation
