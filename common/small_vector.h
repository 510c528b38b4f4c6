// A vector of 16 bytes for trivially copyable elements: a few lie inside it, more on the heap. For tables of millions of rows whose
// lists are nearly always short.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace weft {

template <class T>
class SmallVector {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 8);
  static constexpr std::uint32_t inside = 8 / sizeof(T);

 public:
  SmallVector() = default;
  SmallVector(const SmallVector& other) { assign(other.begin(), other.end()); }
  SmallVector(SmallVector&& other) noexcept { swap(other); }
  SmallVector& operator=(SmallVector other) noexcept {
    swap(other);
    return *this;
  }
  ~SmallVector() {
    if (on_heap()) std::free(heap_);
  }
  void swap(SmallVector& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(room_, other.room_);
  }

  T* data() { return on_heap() ? static_cast<T*>(heap_) : reinterpret_cast<T*>(room_); }
  const T* data() const { return on_heap() ? static_cast<const T*>(heap_) : reinterpret_cast<const T*>(room_); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  T& back() { return data()[size_ - 1]; }
  const T& back() const { return data()[size_ - 1]; }

  void reserve(std::size_t wanted) {
    if (wanted <= capacity()) return;
    void* grown = on_heap() ? std::realloc(heap_, wanted * sizeof(T)) : std::malloc(wanted * sizeof(T));
    if (!grown) throw std::bad_alloc();
    if (!on_heap()) std::memcpy(grown, room_, size_ * sizeof(T));
    heap_ = grown;
    capacity_ = static_cast<std::uint32_t>(wanted);
  }
  void push_back(T value) {
    if (size_ == capacity()) reserve(std::max<std::size_t>(2 * size_, 2));
    data()[size_++] = value;
  }
  /// What is on the heap goes back when the last element goes.
  void pop_back() {
    if (--size_ == 0) clear();
  }
  void clear() { *this = SmallVector(); }
  template <class I>
  void assign(I first, I last) {
    clear();
    reserve(static_cast<std::size_t>(last - first));
    for (; first != last; ++first) data()[size_++] = *first;
  }

 private:
  bool on_heap() const { return capacity_ != 0; }
  std::size_t capacity() const { return on_heap() ? capacity_ : inside; }

  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;  // 0: inside
  union {
    void* heap_;
    alignas(8) std::byte room_[8] = {};
  };
};

}  // namespace weft
