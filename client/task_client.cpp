#include "client/task_client.h"

#include <map>

#include "common/codec.h"

namespace weft::client {
namespace {

// A lost link is the daemon's to mend: it ends the task if no scheduler comes back.
constexpr Duration patience = std::chrono::hours(24 * 365);

/// What both halves share. One connection at a time, to the only peer there is.
struct TaskLink {
  explicit TaskLink(worker::TaskContext& task) : task(task) {}

  worker::TaskContext& task;
  PeerId peer;
  std::vector<worker::TaskAnswer> answers;
};

class TaskEndpoint final : public Endpoint {
 public:
  explicit TaskEndpoint(std::shared_ptr<TaskLink> link) : link_(std::move(link)) {}

  Result<std::string> listen(const std::string&, const std::string&) override {
    return failure(ErrorKind::invalid_argument, "a task cannot listen");
  }
  Result<PeerId> connect(const std::string&, const std::string&) override { return link_->peer = new_peer_id(); }

  bool send(PeerId peer, Bytes head, Buffer) override {
    if (peer != link_->peer) return false;
    auto messages = decode<std::vector<ClientMessage>>(head);
    WEFT_CHECK(messages);
    link_->task.send(std::move(*messages));
    return true;
  }
  void close(PeerId peer) override {
    if (peer == link_->peer) link_->peer = {};
  }
  PeerIdentity identity(PeerId) const override { return {}; }

  /// Throws Cancelled when nobody wants the task any more: its function unwinds from whatever call it is in.
  std::vector<int> poll(std::vector<EndpointEvent>& events, Time deadline) override {
    worker::TaskMail mail = link_->task.wait(deadline);
    if (link_->task.cancelled()) throw Cancelled("this task is cancelled");
    if (mail.link_is_new && link_->peer) {
      events.push_back(PeerLost{link_->peer, "the worker's link to the scheduler is new"});
      link_->peer = {};
    }
    if (!mail.messages.empty() && link_->peer) events.push_back(Received{link_->peer, Buffer::own(encode(mail.messages)), {}});
    for (worker::TaskAnswer& answer : mail.answers) link_->answers.push_back(std::move(answer));
    return {};
  }
  void watch(int) override {}
  void unwatch(int) override {}
  void wake() override { link_->task.wake(); }

 private:
  std::shared_ptr<TaskLink> link_;
};

class TaskValueLink final : public ValueLink {
 public:
  explicit TaskValueLink(std::shared_ptr<TaskLink> link) : link_(std::move(link)) {}

  void fetch(const Key& key, std::uint64_t, std::vector<Location> locations, Time) override {
    link_->task.read(key, std::move(locations));
  }
  void put(const Key& key, const Value& value, const Location& location, Time) override { link_->task.put(key, value, location); }
  bool handle(EndpointEvent&, Time) override { return false; }

  std::vector<Event> take(Time) override {
    std::vector<Event> events;
    for (worker::TaskAnswer& answer : std::exchange(link_->answers, {})) {
      if (answer.put) events.push_back(PutFailed{answer.key, std::move(answer.failure)});
      else if (answer.failure.kind != ErrorKind::none) events.push_back(FetchFailed{answer.key, std::move(answer.failure)});
      else events.push_back(FetchDone{answer.key, std::move(answer.value)});
    }
    return events;
  }
  Time wake_at() const override { return Time::never(); }

 private:
  std::shared_ptr<TaskLink> link_;
};

// The clients of the tasks on this thread; a task may run inside the wait of another.
std::map<worker::TaskContext*, std::shared_ptr<ClientCore>>& clients_here() {
  static thread_local std::map<worker::TaskContext*, std::shared_ptr<ClientCore>> clients;
  return clients;
}

}  // namespace

std::shared_ptr<ClientCore> client_of(worker::TaskContext& task) {
  auto& clients = clients_here();
  if (auto known = clients.find(&task); known != clients.end()) return known->second;
  auto link = std::make_shared<TaskLink>(task);
  Links links;
  links.endpoint = std::make_unique<TaskEndpoint>(link);
  links.values = std::make_unique<TaskValueLink>(link);
  links.driven = true;
  links.runs_here = true;
  links.parent_program = task.shape().function.program;
  ClientOptions options{.name = "task " + task.shape().label, .connect_timeout = patience, .patience = patience};
  std::shared_ptr<ClientCore> core = ClientCore::start(std::move(links), options);
  clients[&task] = core;
  task.at_end([&task] {
    auto own = clients_here().extract(&task);
    own.mapped()->close();
  });
  core->await_welcome();
  return core;
}

}  // namespace weft::client
