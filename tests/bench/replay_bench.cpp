// A recorded job, faster than a cluster of this machine could run it: the tasks of a dashboard's history (labels, inputs, run times,
// sizes) go again through a real scheduler's state with its observer and its dashboard, again and again, so many tasks a second.
// Workers are played: they answer at once. tests/browser/replay.mjs watches it; alone it serves until its input ends.
//   replay_bench HISTORY TASKS_PER_SECOND [TASKS_AT_ONCE [NEW_HISTORY TASKS]]
// TASKS_AT_ONCE: that many, in copies of the job, live together before they are released (default 10,000). With the last two it
// records so many tasks in a history of its own, of any size, and ends.
#include <poll.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <thread>
#include <unordered_map>

#include "client/graph_builder.h"
#include "dashboard/dashboard.h"
#include "dashboard/event_log.h"
#include "scheduler/state.h"

using namespace weft;

namespace {

constexpr std::uint32_t workers = 16, slots = 4;
constexpr Duration pause_when_idle = 500us;

struct Recorded {
  std::uint32_t group = 0;
  std::size_t input = SIZE_MAX;      // the one that arrived last, which is the one that is recorded
  Duration run_time{};
  std::uint64_t bytes = 0;
};
struct Job {
  std::vector<std::string> labels;
  std::vector<Recorded> tasks;
};

Job read_job(const std::string& folder) {
  dashboard::Feed feed;
  read_event_log(folder, feed).value_or_throw();
  Job job;
  for (const dashboard::GroupRow& group : feed.groups()) job.labels.push_back(group.label);
  for (std::size_t row = 0; row < feed.tasks().size(); ++row) {
    const dashboard::TaskRow& task = feed.tasks()[row];
    job.tasks.push_back({task.group, task.unblocked_by < row ? task.unblocked_by : SIZE_MAX, Duration(static_cast<std::int64_t>(task.run_s * 1e9)), task.bytes});
  }
  return job;
}

class Replay {
 public:
  Replay(Job job, std::size_t at_once) : job_(std::move(job)), copies_(std::max<std::size_t>(1, at_once / job_.tasks.size())) {
    state_.observe(&observer_);
    step({scheduler::FromClient{{1}, ClientHello{1, 1, {1, 1}, "replay", 1, 0}}});
    for (std::uint32_t i = 0; i < workers; ++i) {
      std::string name = "worker-" + std::to_string(i);
      WorkerHello hello{.protocol_min = 1, .protocol_max = 1, .name = name, .instance = i + 1, .slots = slots, .memory_limit = 4ull << 30,
                        .endpoint = "tcp://" + name, .secret = Bytes(16), .host = name};
      step({scheduler::FromWorker{{100 + i}, hello}});
    }
  }
  scheduler::Observer& observer() { return observer_; }

  /// At most so many tasks end now; says how many did.
  std::size_t go_on(std::size_t tasks_max) {
    heartbeats();
    if (answers_.empty()) next_round();
    std::vector<scheduler::Event> batch;
    while (!answers_.empty() && batch.size() < tasks_max) batch.push_back(std::move(answers_.front())), answers_.pop_front();
    std::size_t ended = batch.size();
    if (ended) step(std::move(batch));
    return ended;
  }

 private:
  static Key key_of(std::uint64_t round, std::uint64_t n) { return {(round << 32 | n) * 0x9e3779b97f4a7c15 | 1, (n + 1) * 0xbf58476d1ce4e5b9 ^ round}; }

  void next_round() {
    std::vector<Key> old;
    for (const auto& [key, task] : recorded_of_) old.push_back(key);
    if (!old.empty()) step({scheduler::FromClient{{1}, Release{++sequence_, std::move(old)}}});
    recorded_of_.clear();
    ++round_;
    client::GraphBuilder builder;
    std::vector<std::uint32_t> shapes;
    for (const std::string& label : job_.labels) {
      Template shape;
      shape.label = label;
      shape.function.kernel = 1;
      shapes.push_back(builder.add_template(shape));
    }
    for (std::size_t copy = 0; copy < copies_; ++copy)
      for (std::size_t i = 0; i < job_.tasks.size(); ++i) {
        const Recorded& task = job_.tasks[i];
        const std::size_t first = copy * job_.tasks.size();
        std::vector<client::TaskInput> inputs;
        if (task.input != SIZE_MAX) inputs.push_back({key_of(round_, first + task.input)});
        Key key = key_of(round_, first + i);
        recorded_of_.emplace(key, i);
        builder.add(shapes[task.group], key, Bytes(8), inputs, true);
      }
    auto chunks = builder.take();
    for (std::size_t i = 0; i < chunks.size(); ++i)
      step({scheduler::FromClient{{1}, Submit{++sequence_, std::move(chunks[i]), i + 1 == chunks.size()}}});
  }

  void step(std::vector<scheduler::Event> events) {
    Time now = monotonic_now();
    auto size = static_cast<std::uint32_t>(events.size());
    auto actions = state_.step(now, std::move(events));
    for (const scheduler::Action& action : actions)
      if (const auto* frame = std::get_if<scheduler::ToWorker>(&action))
        for (const WorkerBound& message : frame->messages)
          if (const auto* order = std::get_if<Assign>(&message)) {
            const Recorded& task = job_.tasks[recorded_of_.at(order->key)];
            answers_.push_back(scheduler::FromWorker{frame->peer, AttemptFinished{order->attempt, order->key, task.bytes, task.run_time, {}}});
          }
    observer_.write({.when = now, .amount = static_cast<std::uint64_t>((monotonic_now() - now).count()), .group = 1, .extra = size, .what = scheduler::Seen::step});
  }

  void heartbeats() {
    Time now = monotonic_now();
    if (now < heartbeats_again_) return;
    heartbeats_again_ = now + 1s;
    std::vector<scheduler::Event> beats;
    for (std::uint32_t i = 0; i < workers; ++i)
      beats.push_back(scheduler::FromWorker{{100 + i}, WorkerHeartbeat{.managed_bytes = (64ull + i) << 20, .process_bytes = (96ull + i) << 20, .running = slots}});
    step(std::move(beats));
  }

  static scheduler::Options options() {
    scheduler::Options options;
    options.lease = std::chrono::hours(24);
    return options;
  }

  Job job_;
  std::size_t copies_;
  scheduler::Observer observer_;
  scheduler::State state_{options()};
  std::unordered_map<Key, std::size_t> recorded_of_;   // the tasks that live
  std::deque<scheduler::Event> answers_;
  std::uint64_t sequence_ = 0, round_ = 0;
  Time heartbeats_again_;
};

bool input_ended() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  char byte;
  return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: replay_bench HISTORY TASKS_PER_SECOND [TASKS_AT_ONCE [NEW_HISTORY TASKS]]\n"), 64;
  Job job = read_job(argv[1]);
  if (job.tasks.empty()) return std::fprintf(stderr, "replay_bench: there is no task in %s\n", argv[1]), 66;
  const double rate = std::strtod(argv[2], nullptr);
  std::printf("recorded: %zu tasks of %zu labels\n", job.tasks.size(), job.labels.size());
  Replay replay(std::move(job), argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 10'000);
  auto nobody = [](const std::string&, std::vector<std::string>, std::vector<Key>, dashboard::Answered) { return false; };
  const bool recording = argc > 5;
  const std::uint64_t tasks_max = recording ? std::strtoull(argv[5], nullptr, 10) : ~std::uint64_t(0);
  dashboard::DashboardOptions options{.port = 0, .history = recording ? argv[4] : "", .history_bytes = 1ull << 40};
  auto served = dashboard::Dashboard::start(options, replay.observer(), nobody).value_or_throw();
  std::printf("dashboard: %s\n", served->url().c_str());
  std::fflush(stdout);
  double ended = 0;
  Time last = monotonic_now();
  for (std::uint64_t tasks = 0; tasks < tasks_max && (recording || !input_ended());) {
    Time now = monotonic_now();
    // Time that the machine gave to others is not made up for: bursts are no rate.
    ended = std::max(ended - rate * 1e-9 * static_cast<double>((now - last).count()), -rate * 0.05);
    last = now;
    if (ended < 0) {
      std::size_t now_ended = replay.go_on(static_cast<std::size_t>(1 - ended));
      tasks += now_ended;
      ended += static_cast<double>(now_ended);
    } else std::this_thread::sleep_for(pause_when_idle);
  }
}
