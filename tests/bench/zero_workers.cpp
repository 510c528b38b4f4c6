// Workers that cost nothing: each is a real authenticated connection to the scheduler, and says at once that what it was given is
// done. What is measured with them is the scheduler and the client. One process holds up to 2,000 of them, and more than one is
// forked for more, since each connection takes several descriptors.
// Usage: zero_workers SCHEDULER_FILE COUNT
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include <weft/serialize.h>

#include "common/credentials.h"
#include "common/messages.h"
#include "common/scheduler_file.h"
#include "common/transport/zeromq.h"

using namespace weft;

namespace {

constexpr int connections_max = 2'000;  // of one process

class Workers {
 public:
  Workers(const std::string& file, int first, int count) : scheduler_(read_scheduler_file(file).value_or_throw()) {
    auto credentials = find_worker_credentials(scheduler_.worker_address, file).value_or_throw();
    endpoint_ = make_zeromq_endpoint({.keys = credentials.keys, .server_key = credentials.server_key, .connect_timeout = 60s});
    for (int i = 0; i < count; ++i) join(first + i);
  }
  void run() {
    Time beat = monotonic_now() + interval_;
    for (std::vector<EndpointEvent> events;; events.clear()) {
      endpoint_->poll(events, beat);
      if (monotonic_now() >= beat) {
        for (const auto& [peer, tick] : workers_) say(peer, {WorkerHeartbeat{.tick = tick}});
        beat = monotonic_now() + interval_;
      }
      for (EndpointEvent& event : events) {
        if (auto* frame = std::get_if<Received>(&event)) hear(*frame);
        else if (auto* lost = std::get_if<PeerLost>(&event); workers_.erase(lost->peer))
          std::fprintf(stderr, "zero_workers: a connection was lost: %s\n", lost->reason.c_str());
      }
      if (workers_.empty()) return;
    }
  }

 private:
  void join(int number) {
    PeerId peer = endpoint_->connect(scheduler_.worker_address).value_or_throw();
    workers_[peer] = 0;
    std::string name = "zero-" + std::to_string(number);
    say(peer, {WorkerHello{.protocol_min = 1, .protocol_max = 1, .name = name, .instance = static_cast<std::uint64_t>(number) + 1, .slots = 1,
                           .memory_limit = 1ull << 30, .endpoint = "tcp://127.0.0.1:1", .secret = Bytes(16), .host = "zero",
                           .pid = static_cast<std::uint64_t>(getpid())}});
  }
  void say(PeerId peer, std::vector<WorkerMessage> messages) { endpoint_->send(peer, encode(messages)); }
  void hear(const Received& frame) {
    auto messages = decode<std::vector<WorkerBound>>(frame.head.bytes());
    if (!messages) return;
    std::vector<WorkerMessage> answers;
    for (const WorkerBound& message : *messages) {
      if (const auto* order = std::get_if<Assign>(&message)) {
        answers.push_back(AttemptFinished{order->attempt, order->key, result_.size(), 1us, result_});
      } else if (const auto* tick = std::get_if<SchedulerTick>(&message)) {
        workers_[frame.peer] = tick->tick;
      } else if (const auto* welcome = std::get_if<WorkerWelcome>(&message)) {
        interval_ = welcome->heartbeat_interval;
      } else if (const auto* refused = std::get_if<WorkerRefused>(&message)) {
        std::fprintf(stderr, "zero_workers: %s\n", refused->failure.failure.message.c_str());
        _exit(1);
      }
    }
    if (!answers.empty()) say(frame.peer, std::move(answers));
  }
  static Bytes nothing() {
    Value value = to_value(std::int64_t(0));
    return Bytes(value.block().bytes().begin(), value.block().bytes().end());
  }

  SchedulerFile scheduler_;
  std::unique_ptr<Endpoint> endpoint_;
  std::map<PeerId, std::uint64_t> workers_;  // the last tick that each heard
  Duration interval_ = 1s;
  const Bytes result_ = nothing();
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: zero_workers SCHEDULER_FILE COUNT\n"), 64;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const int count = std::atoi(argv[2]);
  // Sockets must not exist before fork, so all but the last share are children's.
  int first = 0;
  for (; first + connections_max < count; first += connections_max)
    if (fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      Workers(argv[1], first, connections_max).run();
      _exit(0);
    }
  Workers(argv[1], first, count - first).run();
}
