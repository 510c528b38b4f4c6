#include "scheduler/task_table.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace weft::scheduler {
namespace {

std::size_t resident_pages(const Task* from, const Task* to) {
  auto first = reinterpret_cast<std::uintptr_t>(from) / 4096 * 4096, last = reinterpret_cast<std::uintptr_t>(to) / 4096 * 4096;
  std::vector<unsigned char> there((last - first) / 4096);
  REQUIRE(mincore(reinterpret_cast<void*>(first), last - first, there.data()) == 0);
  return static_cast<std::size_t>(std::count_if(there.begin(), there.end(), [](unsigned char page) { return page & 1; }));
}

TEST_CASE("the system gets the memory of pages without a task; those with one, and what is taken later, are as ever") {
  TaskTable tasks;
  for (int i = 0; i < 1024; ++i) {
    TaskNumber number = tasks.take();
    tasks[number].key = Key{1, number};
    tasks[number].wants.push_back({.holder = 7});
    tasks[number].dependents.push_back({.task = 1});
    tasks[number].dependents.push_back({.task = 2});  // no room inside
  }
  for (TaskNumber number = 0; number < 1024; ++number)
    if (number != 300) tasks.give_back(number);
  CHECK(resident_pages(&tasks[0], &tasks[255]) >= 13);
  tasks.return_memory();
  CHECK(resident_pages(&tasks[0], &tasks[255]) <= 1);  // its first is beside other memory
  CHECK(resident_pages(&tasks[256], &tasks[511]) >= 13);
  CHECK(tasks[300].key == Key{1, 300});
  CHECK(tasks[300].dependents.size() == 2);
  CHECK(!tasks[0].key);
  CHECK(tasks.free_rows() == 1023);
  for (int i = 0; i < 1023; ++i) {
    TaskNumber number = tasks.take();
    CHECK(!tasks[number].key);
    CHECK(tasks[number].wants.empty());
    tasks[number].dependents.push_back({.task = 3});
  }
  CHECK(tasks.size() == 1024);
}

}  // namespace
}  // namespace weft::scheduler
