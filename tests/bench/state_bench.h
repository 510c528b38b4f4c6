// What a task costs in the scheduler's state alone: no socket, no codec, no worker. Workers answer at once; only `State::step` is
// measured.
#pragma once

#include <linux/perf_event.h>
#include <malloc.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>
#include <functional>
#include <span>

#include "client/graph_builder.h"
#include "scheduler/state.h"

namespace weft::bench {

inline Key numbered(std::uint64_t n) { return {n * 0x9e3779b97f4a7c15, (n + 1) * 0xbf58476d1ce4e5b9 | 2}; }

/// User-space instructions of this thread; 0 where counting is forbidden.
class Instructions {
 public:
  Instructions() {
    perf_event_attr wish{};
    wish.type = PERF_TYPE_HARDWARE;
    wish.size = sizeof wish;
    wish.config = PERF_COUNT_HW_INSTRUCTIONS;
    wish.disabled = wish.exclude_kernel = wish.exclude_hv = 1;
    counter_ = static_cast<int>(syscall(SYS_perf_event_open, &wish, 0, -1, -1, 0));
  }
  void start() const { ioctl(counter_, PERF_EVENT_IOC_ENABLE, 0); }
  void stop() const { ioctl(counter_, PERF_EVENT_IOC_DISABLE, 0); }
  double count() const {
    std::uint64_t value = 0;
    return counter_ >= 0 && read(counter_, &value, sizeof value) == sizeof value ? static_cast<double>(value) : 0;
  }

 private:
  int counter_;
};

/// CPU time of this thread: other programs on the machine do not count.
inline double thread_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

inline double allocated() {
  auto info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

/// One scheduler::State with workers and a client that answer at once; what its steps cost is added up.
class StateBench {
 public:
  StateBench(std::uint32_t workers, std::uint32_t slots, std::uint32_t sessions = 1) {
    for (std::uint32_t i = 0; i < sessions; ++i) {
      scheduler::FromClient hello{{1 + i}, ClientHello{1, 1, {1, 1 + i}, "bench", 1, 0}};
      step({hello});
    }
    for (std::uint32_t i = 0; i < workers; ++i) {
      std::string name = "w" + std::to_string(i);
      WorkerHello hello{.protocol_min = 1, .protocol_max = 1, .name = name, .instance = i + 1, .slots = slots,
                        .endpoint = "tcp://" + name, .secret = Bytes(16), .host = name};
      step({scheduler::FromWorker{{1'000'000 + i}, hello}});
    }
    finished_.clear();
  }
  void submit(std::span<const Template> shapes, std::size_t tasks, const std::function<void(std::uint64_t, std::vector<client::TaskInput>&)>& inputs_of,
              std::size_t first_wanted) {
    client::GraphBuilder builder;
    std::vector<client::TaskInput> inputs;
    std::vector<std::uint32_t> templates;
    for (const Template& shape : shapes) templates.push_back(builder.add_template(shape));
    for (std::uint64_t i = 0; i < tasks; ++i) {
      inputs.clear();
      inputs_of(i, inputs);
      Bytes arguments(8, std::byte(i));
      builder.add(templates[i % templates.size()], numbered(i), arguments, inputs, i >= first_wanted);
    }
    auto chunks = builder.take();

    double chunk_bytes = 0, before = allocated();
    for (const GraphChunk& chunk : chunks) chunk_bytes += wire_bytes(chunk);
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      std::vector<scheduler::Event> events;
      events.push_back(scheduler::FromClient{{1}, Submit{++sequence_, std::move(chunks[i]), i + 1 == chunks.size()}});
      step(std::move(events));
    }
    chunks.clear();
    chunks.shrink_to_fit();
    bytes_ = allocated() + chunk_bytes - before - reports_bytes();
  }
  void run() {
    while (!finished_.empty()) step(std::exchange(finished_, {}));
  }
  void goodbye() { step({scheduler::FromClient{{1}, ClientGoodbye{}}}); }
  struct Cost {
    double nanoseconds, instructions, bytes;
  };
  /// For each task so far; bytes while all of them lived.
  Cost cost(std::size_t tasks) const {
    double n = static_cast<double>(tasks);
    return {seconds_ * 1e9 / n, instructions_.count() / n, bytes_ / n};
  }

 private:
  static double wire_bytes(const GraphChunk& c) {
    return static_cast<double>(c.keys.capacity() + c.arguments.capacity() +
                               4 * (c.template_of.capacity() + c.argument_ends.capacity() + c.inputs.capacity() + c.input_ends.capacity() +
                                    c.order.capacity() + c.wanted.capacity()));
  }
  double reports_bytes() const { return static_cast<double>(finished_.capacity() * sizeof(scheduler::Event)); }
  void step(std::vector<scheduler::Event> events) {
    now_ = now_ + 10us;
    double began = thread_cpu_seconds();
    instructions_.start();
    auto actions = state_.step(now_, std::move(events));
    instructions_.stop();
    seconds_ += thread_cpu_seconds() - began;
    for (const scheduler::Action& action : actions)
      if (const auto* frame = std::get_if<scheduler::ToWorker>(&action))
        for (const WorkerBound& message : frame->messages)
          if (const auto* order = std::get_if<Assign>(&message))
            finished_.push_back(scheduler::FromWorker{frame->peer, AttemptFinished{order->attempt, order->key, 100, 100us, {}}});
  }

  static scheduler::Options options() {
    scheduler::Options options;
    options.story_max = 0;
    return options;
  }
  scheduler::State state_{options()};
  Time now_{1'000'000'000};
  std::uint64_t sequence_ = 0;
  std::vector<scheduler::Event> finished_;
  Instructions instructions_;
  double seconds_ = 0, bytes_ = 0;
};

}  // namespace weft::bench
