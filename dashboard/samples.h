// Samples of tasks' stacks: by worker, label and time. Memory is bounded: each text is kept once, and old samples
// go first.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "common/stack_samples.h"
#include "dashboard/moments.h"

namespace weft::dashboard {

/// Functions that were found below one another, and how often.
struct StackTree {
  std::uint64_t value = 0;
  std::map<std::string, StackTree, std::less<>> children;
};

class Samples {
 public:
  Samples(std::size_t rows_max, std::size_t texts_max) : rows_max_(rows_max), texts_max_(texts_max) {}

  void add(Micros t, std::uint32_t worker, const StackSamples& samples);

  struct Answer {
    StackTree tree;
    double seconds = 0;          // of CPU time
  };
  /// Of (t0, t1]; worker 0 and a null label are all.
  Answer find(Micros t0, Micros t1, std::uint32_t worker, const std::string* label) const;
  bool empty() const { return rows_.empty(); }

 private:
  struct Row {
    Micros t = 0;
    std::uint32_t worker = 0, label = 0, stack = 0, count = 0, period_us = 0;
  };
  std::uint32_t number_of(std::string_view text);
  void make_room();

  std::size_t rows_max_, texts_max_;
  std::deque<Row> rows_;         // oldest first
  std::deque<std::string> texts_;
  std::map<std::string, std::uint32_t, std::less<>> numbers_;
};

}  // namespace weft::dashboard
