#include "scheduler/task_table.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "common/check.h"

namespace weft::scheduler {

// madvise takes whole ones: with a smaller number it would reach into the neighbour's memory.
static const std::size_t system_page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));

void TaskTable::Free::operator()(Task* page) const {
  std::destroy_n(page, page_rows);
  std::free(page);
}

static std::size_t bytes_of_page(std::size_t rows) { return (rows * sizeof(Task) + system_page - 1) / system_page * system_page; }

void TaskTable::add_page() {
  const std::size_t bytes = bytes_of_page(page_rows);
  void* memory = std::aligned_alloc(system_page, bytes);
  if (!memory) throw std::bad_alloc();
  std::memset(memory, 0, bytes);
  auto* rows = static_cast<Task*>(memory);
  std::uninitialized_value_construct_n(rows, page_rows);
  // What `return_memory` relies on.
  auto* all = static_cast<const std::byte*>(memory);
  static const bool empty_is_zero = std::all_of(all, all + bytes, [](std::byte b) { return b == std::byte{}; });
  WEFT_CHECK(empty_is_zero);
  pages_.emplace_back(rows);
}

void TaskTable::return_memory() {
  std::vector<TaskNumber> empty(pages_.size());
  for (TaskNumber number : free_) ++empty[number / page_rows];
  for (std::size_t i = 0; i < pages_.size(); ++i)
    // Memory that the system gives anew is zero: empty rows.
    if (empty[i] == page_rows) madvise(pages_[i].get(), bytes_of_page(page_rows), MADV_DONTNEED);
}

}  // namespace weft::scheduler
