// All tasks by number. Rows never move: growing costs one page of rows, not a copy of everything.
#pragma once

#include <memory>

#include "scheduler/task.h"

namespace weft::scheduler {

class TaskTable {
 public:
  Task& operator[](TaskNumber number) { return pages_[number / page_rows].get()[number % page_rows]; }
  const Task& operator[](TaskNumber number) const { return pages_[number / page_rows].get()[number % page_rows]; }
  TaskNumber size() const { return size_; }

  /// A row for a new task: one that was given back, or the next.
  TaskNumber take() {
    if (!free_.empty()) {
      TaskNumber number = free_.back();
      free_.pop_back();
      return number;
    }
    if (size_ % page_rows == 0) add_page();
    return size_++;
  }
  void give_back(TaskNumber number) {
    (*this)[number] = Task{};
    free_.push_back(number);
  }
  std::size_t free_rows() const { return free_.size(); }
  /// Lets the system have the memory of pages without a task. Nothing else changes: their rows read as empty ones.
  void return_memory();

 private:
  friend struct Snapshot;  // snapshot.cpp

  static constexpr TaskNumber page_rows = 256;
  struct Free {
    void operator()(Task* page) const;
  };
  void add_page();

  std::vector<std::unique_ptr<Task, Free>> pages_;
  std::vector<TaskNumber> free_;
  TaskNumber size_ = 0;
};

}  // namespace weft::scheduler
