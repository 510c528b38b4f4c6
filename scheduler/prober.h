// Finds out at once that a process is gone, where a broken link alone may be the network's fault: nobody accepts at its address any
// more. On a thread of its own, so that the scheduler's waits for no network.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/ids.h"

namespace weft::scheduler {

class Prober {
 public:
  /// `gone` is called on the prober's thread, for a worker whose process is surely gone: its machine refuses connections to
  /// `endpoint` (tcp:// or ipc://), or accepts and drops them. No answer, and a greeting, are no news.
  explicit Prober(std::function<void(WorkerId)> gone);
  ~Prober();
  void ask(WorkerId worker, std::string endpoint);

 private:
  struct Question {
    WorkerId worker;
    std::string endpoint;
  };
  void run();
  void probe(std::vector<Question> questions);

  std::function<void(WorkerId)> gone_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Question> questions_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace weft::scheduler
