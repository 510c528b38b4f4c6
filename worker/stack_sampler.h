// Where the CPU time of running tasks goes: stacks of the thread that runs them, taken each time it has used another period of
// CPU time, put together and named on a thread of its own. A thread that waits is never interrupted, and an idle process does
// nothing. Off when the program uses SIGPROF itself.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <semaphore.h>

#include "common/stack_samples.h"
#include "common/time.h"

namespace weft::worker {

/// The environment variable of executors: microseconds of CPU time between two samples; not there: none are taken.
inline constexpr const char* profile_variable = "WEFT_PROFILE_PERIOD_US";

class StackSampler {
 public:
  using Names = std::function<std::string(const void*)>;
  using Tell = std::function<void(StackSamples)>;   // called on the sampler's thread

  static constexpr int frames_max = 64;
  static constexpr std::size_t samples_max = 256;   // not yet collected; more are left out
  static constexpr std::size_t stacks_max = 32;     // told at once: the most frequent
  static constexpr std::size_t text_max = 8 * 1024; // of one stack

  /// Samples the calling thread for ever: the object must live as long as the process. Null if it cannot, or must not.
  static std::unique_ptr<StackSampler> start(Duration period, Names names, Tell tell);

  /// The calling thread runs a task of this label from here to the end of the scope; nests.
  class Scope {
   public:
    Scope(StackSampler* sampler, const std::string& label);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    StackSampler* sampler_;
    std::uint32_t before_ = 0;
  };

 private:
  struct Sample {
    std::uint32_t label = 0;
    int depth = 0;
    void* frames[frames_max];
  };

  StackSampler(Duration period, Names names, Tell tell) : period_(period), names_(std::move(names)), tell_(std::move(tell)) {}
  static void on_signal(int, siginfo_t*, void* context);
  [[noreturn]] void collect();
  void tell_collected();
  std::string text_of(const std::vector<void*>& frames);

  const Duration period_;
  const Names names_;
  const Tell tell_;
  std::unordered_map<std::string, std::uint32_t> label_numbers_;   // of the task's thread
  std::vector<std::string> labels_;                                // by number - 1; guarded by `labels_lock_`
  std::atomic_flag labels_lock_;
  std::atomic<std::uint32_t> label_{0};                            // what runs; 0: nothing
  Sample samples_[samples_max];
  std::atomic<std::uint32_t> written_{0}, read_{0};
  sem_t news_{};
  std::unordered_map<void*, std::string> known_;                   // names; of the sampler's thread
};

}  // namespace weft::worker
