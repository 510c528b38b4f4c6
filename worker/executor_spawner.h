// Starts executor processes from one permanent thread: the kernel's "die with your parent" follows the thread that started
// the child, so that thread must live as long as they may. Children are started by exec out of a vfork, never by fork.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/open_file.h"
#include "worker/containment.h"

namespace weft::worker {

struct SpawnOrder {
  std::uint64_t child = 0;                 // the asker's own number
  std::string path;
  std::vector<std::string> words;          // argv, the first included
  std::vector<std::string> environment;    // NAME=value
  std::string folder;                      // empty: the daemon's
  int socket = -1;                         // becomes descriptor 3; closed here afterwards
  int output = -1;                         // becomes descriptors 1 and 2; closed here afterwards
  std::uint64_t memory_limit = 0;          // bytes of private memory; 0 is none
  bool core_files = false;
  std::shared_ptr<const OpenFile> image;   // what `path` is, as it was checked; null: the path decides
  Restraints restraints;
};

struct SpawnResult {
  std::uint64_t child = 0;
  int pid = -1;
  int process = -1;                        // pidfd
  int error = 0;                           // errno, when it did not start
  const char* step = "";                   // what failed
};

class ExecutorSpawner {
 public:
  /// `bell` is an eventfd written when a result is there.
  explicit ExecutorSpawner(int bell);
  ~ExecutorSpawner();

  void post(SpawnOrder order);
  std::vector<SpawnResult> take();
  /// Finish the order in work, drop the rest. The kernel then kills the children that are left.
  void stop();

 private:
  void serve();

  const int bell_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<SpawnOrder> orders_;
  std::vector<SpawnResult> results_;
  bool stopping_ = false;
  std::thread thread_;
};

/// The file that the shell would run for this word: as it is when it has a slash, else by PATH; empty if there is none.
std::string find_program(const std::string& word);

}  // namespace weft::worker
