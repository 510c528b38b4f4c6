// The places that values are made in: counted heap memory, leased shared memory, mapped spill files.
#pragma once

#include <atomic>
#include <memory>
#include <type_traits>

#include "common/data/segments.h"
#include "worker/spill.h"
#include "worker/value_store.h"

namespace weft::worker {

using Counter = std::shared_ptr<std::atomic<std::uint64_t>>;

/// Heap memory of one small value, counted as long as anybody looks at it.
struct HeapPlace {
  HeapPlace(std::uint64_t size, Counter counter) : bytes(size), counter(std::move(counter)) { *this->counter += size; }
  HeapPlace(std::span<const std::byte> copied, Counter counter)
      : bytes(copied.begin(), copied.end()), counter(std::move(counter)) { *this->counter += copied.size(); }
  ~HeapPlace() { *counter -= bytes.size(); }
  HeapPlace(const HeapPlace&) = delete;
  HeapPlace& operator=(const HeapPlace&) = delete;
  void shrink(std::uint64_t size) {
    *counter -= bytes.size() - size;
    bytes.resize(size);
  }
  Bytes bytes;
  Counter counter;
};

class HeapReservation final : public Reservation {
 public:
  HeapReservation(std::uint64_t size, const Counter& counter) : place_(std::make_shared<HeapPlace>(size, counter)) {}
  std::span<std::byte> bytes() override { return place_->bytes; }
  SegmentRange range() const override { return {}; }
  void shrink(std::uint64_t bytes) override { place_->shrink(bytes); }

 private:
  Buffer freeze() override {
    std::span<const std::byte> view(place_->bytes);
    return {std::move(place_), view};
  }
  std::shared_ptr<HeapPlace> place_;
};

/// A place that is mapped: a lease of shared memory or a spill file.
template <class Place>
class MappedReservation final : public Reservation {
 public:
  explicit MappedReservation(std::shared_ptr<Place> place) : place_(std::move(place)) {}
  std::span<std::byte> bytes() override { return place_->bytes(); }
  SegmentRange range() const override { return place_->range(); }
  void shrink(std::uint64_t bytes) override { place_->shrink(bytes); }

 private:
  Buffer freeze() override {
    std::span<const std::byte> view = place_->bytes();
    return {std::move(place_), view};
  }
  std::shared_ptr<SpillPlace> spill_place() const override {
    if constexpr (std::is_same_v<Place, SpillPlace>) return place_;
    else return nullptr;
  }
  std::shared_ptr<Place> place_;
};

}  // namespace weft::worker
