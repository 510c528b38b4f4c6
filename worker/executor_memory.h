// Memory that the daemon lends to an executor's process, mapped there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <weft/value.h>

#include "worker/executor_link.h"

namespace weft::worker {

/// The end of an executor that cannot go on: a sentence on stderr, exit code 70.
[[noreturn]] void give_up(const char* why);

class Mapping {
 public:
  /// Takes over the descriptor.
  Mapping(int descriptor, bool writable);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  std::span<std::byte> range(std::uint64_t offset, std::uint64_t length) const;

 private:
  void* memory_ = nullptr;
  std::size_t size_ = 0;
};

/// What the daemon lent to this process. Memory comes through the link in the order in which messages name it, so whatever names
/// some must pass here, also for a task that has ended.
class LentMemory {
 public:
  explicit LentMemory(ExecutorLink& link) : link_(link) {}

  std::vector<Value> values_of(std::span<const InputRecord> records);
  /// Memory for one value alone is not kept.
  std::shared_ptr<Mapping> mapping(std::uint64_t memory, bool writable);
  void forget(std::uint64_t memory, bool writable) { mappings_.erase({memory, writable}); }

 private:
  Value value_of(const InputRecord& record);

  ExecutorLink& link_;
  std::map<std::pair<std::uint64_t, bool>, std::shared_ptr<Mapping>> mappings_;
};

}  // namespace weft::worker
