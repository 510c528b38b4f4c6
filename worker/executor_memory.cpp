#include "worker/executor_memory.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace weft::worker {
namespace {

// Bytes that came in a frame, where values may lie.
Buffer aligned_copy(std::span<const std::byte> bytes) {
  std::size_t size = (bytes.size() + value_alignment) / value_alignment * value_alignment;
  std::shared_ptr<std::byte> owner(static_cast<std::byte*>(std::aligned_alloc(value_alignment, size)), std::free);
  if (!owner) give_up("no memory for a task's inputs");
  std::ranges::copy(bytes, owner.get());
  return Buffer(owner, {owner.get(), bytes.size()});
}

}  // namespace

void give_up(const char* why) {
  std::fprintf(stderr, "weft: executor stops: %s\n", why);
  std::fflush(stderr);
  _exit(70);
}

Mapping::Mapping(int descriptor, bool writable) {
  struct stat about {};
  if (descriptor < 0 || fstat(descriptor, &about) != 0) give_up("the daemon's memory did not come");
  size_ = static_cast<std::size_t>(about.st_size);
  if (size_ == 0) return;
  memory_ = mmap(nullptr, size_, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (memory_ == MAP_FAILED) give_up("the daemon's memory cannot be mapped");
}

Mapping::~Mapping() {
  if (size_) munmap(memory_, size_);
}

std::span<std::byte> Mapping::range(std::uint64_t offset, std::uint64_t length) const {
  if (offset > size_ || length > size_ - offset) give_up("the daemon named memory that is not there");
  return {static_cast<std::byte*>(memory_) + offset, length};
}

std::vector<Value> LentMemory::values_of(std::span<const InputRecord> records) {
  std::vector<Value> values;
  values.reserve(records.size());
  std::uint64_t temporary = 0;
  for (const InputRecord& record : records) {
    values.push_back(value_of(record));
    if (record.memory & temporary_memory) temporary = record.memory;
  }
  if (temporary) forget(temporary, false);
  return values;
}

Value LentMemory::value_of(const InputRecord& record) {
  Buffer block;
  if (record.memory == 0) {
    block = aligned_copy(record.bytes);
  } else {
    auto memory = mapping(record.memory, false);
    block = Buffer(memory, memory->range(record.offset, record.length));
  }
  auto value = Value::from(std::move(block));
  if (!value) give_up("the daemon sent a damaged input");
  return std::move(*value);
}

std::shared_ptr<Mapping> LentMemory::mapping(std::uint64_t memory, bool writable) {
  auto& known = mappings_[{memory, writable}];
  if (!known) known = std::make_shared<Mapping>(link_.take(memory, writable), writable);
  auto mapping = known;
  if (writable && (memory & temporary_memory)) forget(memory, writable);
  return mapping;
}

}  // namespace weft::worker
