// What progress shows, as pure functions: counts in, text out. The terminal and the waiting are in progress.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/time.h"

namespace weft::client {

/// How far the tasks of one label are.
struct LabelProgress {
  std::string label;
  std::uint64_t done = 0;     // ended, failed ones included
  std::uint64_t total = 0;    // done and open
  std::uint64_t failed = 0;
  std::uint64_t bytes = 0;    // of results
  double seconds = 0;         // since the first of them was given to a worker; of ended ones: until the last one ended
};

/// Turns the scheduler's counters into progress since the first look.
class ProgressMeter {
 public:
  /// `groups`: the scheduler's answer. Labels with nothing to show are left out; an answer that is none shows nothing.
  std::vector<LabelProgress> look(const std::string& groups, Time now);
  /// Tasks of all labels that had not ended at the last look.
  std::uint64_t open() const { return open_; }

 private:
  struct Start {
    std::uint64_t finished = 0, errors = 0, bytes = 0;
    Time began = Time::never();
    std::uint64_t done = 0;  // at the last look,
    Time changed;            // and when it rose to that
  };
  std::map<std::string, Start> starts_;
  bool looked_ = false;
  std::uint64_t open_ = 0;
};

/// One line for each label, each shorter than `columns`; at most `rows` lines, those with open tasks first.
std::vector<std::string> render_bars(std::span<const LabelProgress> labels, std::size_t columns, std::size_t rows);
/// All labels in one line, for logs. No line end.
std::string render_line(std::span<const LabelProgress> labels);
/// What makes a terminal show these lines below the cursor instead of the last ones, and leaves the cursor where it is.
std::string render_frame(std::span<const std::string> lines);

}  // namespace weft::client
