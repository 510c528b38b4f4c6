// The bytes of user types, written and read: a stream, and beside it each big buffer by itself. Internal; <weft/serialize.h> makes
// whole values of them.
//
// Numbers little-endian, sizes as varints, fields in order; padding is never written and unordered containers are
// sorted, so equal values have equal bytes. Every read is bounded by the bytes that are there.
#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <weft/error.h>
#include <weft/type_tag.h>

namespace weft {
namespace detail {

/// Where a value is written: it is asked once for a place of exactly the value's size.
class ResultSink {
 public:
  virtual ~ResultSink() = default;
  virtual std::span<std::byte> place(std::uint64_t bytes) = 0;
};

/// A place in fresh heap memory, aligned for every part.
class HeapSink final : public ResultSink {
 public:
  std::span<std::byte> place(std::uint64_t bytes) override;
  Value take();

 private:
  std::shared_ptr<std::byte> memory_;
  std::size_t size_ = 0;
};

inline constexpr std::size_t big_bytes = 4096;    // from here on a buffer is a part of its own
inline constexpr std::size_t depth_max = 2000;    // of types that hold themselves

[[noreturn]] void damaged(const char* why);
[[noreturn]] void too_deep();
[[noreturn]] void wrong_type(TypeTag stored, std::string_view wanted);

/// A type's name for messages. Every type that this program makes or reads values of is known by its tag.
struct TypeEntry {
  TypeEntry(TypeTag tag, std::string_view name);
  ~TypeEntry();
  TypeEntry(const TypeEntry&) = delete;
  TypeTag tag;
  std::string_view name;
  TypeEntry* next = nullptr;
};
template <class T>
struct KnownType {
  static inline TypeEntry entry{type_tag<T>(), type_name<T>()};
};

/// Visit elements in an order that does not depend on hashing: by key where keys compare plainly, else by their bytes.
template <class C, class Visit>
void visit_sorted(const C& container, Visit visit);

/// Collects a value: the small things in a stream, the big buffers by reference. The referenced memory must stay until the
/// value is written.
class Writer {
 public:
  static constexpr bool reading = false;
  enum class Layout { parts, flat };   // flat: everything goes into the stream

  explicit Writer(Layout layout = Layout::parts) : flat_(layout == Layout::flat) {}
  ~Writer() {
    if (stream_ != small_) delete[] stream_;
  }
  Writer(const Writer&) = delete;

  void raw(const void* data, std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(bytes);
    if (bytes != 0) std::memcpy(stream_ + size_, data, bytes);
    size_ += bytes;
  }
  void byte(unsigned char value) { raw(&value, 1); }
  void size(std::uint64_t number) {
    while (number >= 0x80) {
      byte(static_cast<unsigned char>(number | 0x80));
      number >>= 7;
    }
    byte(static_cast<unsigned char>(number));
  }
  /// `count` elements that are `bytes` bytes in a row; `owner` keeps a Buffer's memory.
  void block(const void* data, std::size_t bytes, std::size_t count, bool lasting = true);

  template <class T>
  void put(const T& value);
  /// For a type's own `archive`.
  template <class... T>
  void operator()(const T&... values) {
    ((must_travel<T>() ? put(values) : void()), ...);
  }

  std::span<const std::byte> stream() const { return {stream_, size_}; }
  std::span<const std::span<const std::byte>> parts() const { return parts_; }
  bool has_parts() const { return !parts_.empty(); }
  std::uint64_t bytes() const;                             // stream and parts
  std::uint64_t value_size() const;                        // of the whole block
  void write(TypeTag tag, std::span<std::byte> place) const;
  void write(TypeTag tag, ResultSink& sink) const;
  Key digest(TypeTag tag) const;

 private:
  template <class T>
  void put_archive(T& value);
  void grow(std::size_t bytes);

  std::byte small_[256];
  std::byte* stream_ = small_;
  std::size_t size_ = 0, capacity_ = sizeof small_, depth_ = 0;
  bool flat_;
  bool temporary_ = false;   // inside an `archive`, which may write locals
  std::vector<std::span<const std::byte>> parts_;
};

/// Reads what Writer wrote; throws ProtocolError when the bytes are damaged.
class Reader {
 public:
  static constexpr bool reading = true;

  explicit Reader(const Value& value);
  explicit Reader(std::span<const std::byte> stream) : at_(stream.data()), end_(stream.data() + stream.size()) {}

  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  const std::byte* take(std::size_t bytes) {
    if (left() < bytes) damaged("it ends too early");
    return std::exchange(at_, at_ + bytes);
  }
  void raw(void* data, std::size_t bytes) {
    const std::byte* from = take(bytes);
    if (bytes != 0) std::memcpy(data, from, bytes);
  }
  unsigned char byte() { return static_cast<unsigned char>(*take(1)); }
  std::uint64_t size();
  /// A count of things that each take at least one byte of the stream.
  std::size_t count() {
    std::uint64_t number = size();
    if (number > left()) damaged("a count is larger than the bytes that are left");
    return static_cast<std::size_t>(number);
  }
  /// The bytes of a block; `count` gets how many elements of `element_size` they are.
  std::span<const std::byte> block(std::size_t element_size, std::size_t& count);
  Buffer buffer();
  /// Everything must have been read.
  void finish() const {
    if (at_ != end_ || next_part_ < (value_ ? value_->part_count() : 0)) damaged("bytes are left over");
  }

  template <class T>
  void get(T& value);
  template <class... T>
  void operator()(T&... values) {
    ((must_travel<T>() ? get(values) : void()), ...);
  }

 private:
  template <class T>
  void get_archive(T& value);
  template <class T>
  void get_container(T& value);
  template <class V, std::size_t... I>
  void get_variant(V& value, std::size_t index, std::index_sequence<I...>) {
    bool known = ((index == I ? (get(value.template emplace<I>()), true) : false) || ...);
    if (!known) damaged("a variant has no such alternative");
  }

  const std::byte* at_;
  const std::byte* end_;
  const Value* value_ = nullptr;
  std::uint32_t next_part_ = 1;
  std::size_t depth_ = 0;
};

/// Sort by `before`, or by text. Not templates: user programs need no <algorithm>, and no sort for each of their types.
void sort_items(std::vector<const void*>& items, bool (*before)(const void* a, const void* b));
void sort_items(std::vector<const void*>& items, std::vector<std::string> by);

template <class T>
bool plain_order(const void* left, const void* right) {
  const T &a = *static_cast<const T*>(left), &b = *static_cast<const T*>(right);
  if constexpr (requires { a.first; }) return a.first < b.first;
  else return a < b;
}
template <class K>
constexpr bool orders_plainly() {
  if constexpr (TextType<K>) return true;
  else return std::is_integral_v<K> || std::is_enum_v<K>;
}

template <class C, class Visit>
void visit_sorted(const C& container, Visit visit) {
  using Item = typename C::value_type;
  std::vector<const void*> items;
  items.reserve(container.size());
  for (const Item& item : container) items.push_back(&item);
  if constexpr (orders_plainly<typename C::key_type>() && !Multi<C>) {
    sort_items(items, plain_order<Item>);
  } else {
    std::vector<std::string> encoded;
    encoded.reserve(items.size());
    for (const Item& item : container) {
      Writer writer(Writer::Layout::flat);
      if constexpr (MapType<C> && !Multi<C>) writer.put(item.first);
      else writer.put(item);
      auto bytes = writer.stream();
      encoded.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    sort_items(items, std::move(encoded));
  }
  for (const void* item : items) visit(*static_cast<const Item*>(item));
}

template <class T>
void Writer::put_archive(T& value) {
  bool outer = std::exchange(temporary_, true);
  std::size_t before = size_;
  if constexpr (MemberArchive<T>) value.archive(*this);
  else archive(*this, value);
  if (size_ == before) byte(0);   // everything takes a byte, so that a count bounds what it may claim
  temporary_ = outer;
}

template <class T>
void Writer::put(const T& value) {
  constexpr Kind kind = kind_of<std::remove_const_t<T>>();
  if constexpr (std::is_same_v<T, bool>) {
    byte(value ? 1 : 0);
  } else if constexpr (std::is_same_v<T, long double>) {
    unsigned char bytes[sizeof value] = {};
    std::memcpy(bytes, &value, __LDBL_MANT_DIG__ == 64 ? 10 : sizeof value);
    raw(bytes, sizeof bytes);
  } else if constexpr (is_raw<T>()) {
    raw(&value, sizeof value);
  } else if constexpr (kind == Kind::complex) {
    put(value.real()), put(value.imag());
  } else if constexpr (kind == Kind::duration) {
    put(value.count());
  } else if constexpr (kind == Kind::time_point) {
    put(value.time_since_epoch());
  } else if constexpr (kind == Kind::nothing) {
    byte(0);
  } else if constexpr (kind == Kind::opaque) {
    alignas(T) unsigned char copy[sizeof value];
    WEFT_CLEAR_PADDING(::new (copy) T(value));
    raw(copy, sizeof copy);
  } else if constexpr (kind == Kind::buffer) {
    block(value.data(), value.size(), value.size(), !temporary_);
  } else if constexpr (kind == Kind::msgpack) {
    MsgpackCodec<T>::write(*this, value);
  } else if constexpr (kind == Kind::archive) {
    put_archive(const_cast<T&>(value));
  } else if constexpr (kind == Kind::tuple) {
    if constexpr (std::tuple_size_v<T> == 0) byte(0);
    else std::apply([&](const auto&... element) { (put(element), ...); }, value);
  } else if constexpr (kind == Kind::array) {
    if constexpr (requires { value.size(); }) if (value.size() == 0) byte(0);
    for (const auto& element : value) put(element);
  } else if constexpr (kind == Kind::optional) {
    byte(value ? 1 : 0);
    if (value) put(*value);
  } else if constexpr (kind == Kind::variant) {
    if (value.valueless_by_exception()) throw InvalidArgument("a valueless variant cannot travel");
    size(value.index());
    std::visit([this](const auto& alternative) { put(alternative); }, value);
  } else if constexpr (kind == Kind::aggregate) {
    if (++depth_ > depth_max) too_deep();
    if constexpr (std::tuple_size_v<FieldsOf<const T>> == 0) byte(0);
    else std::apply([&](const auto&... field) { (put(field), ...); }, tie_fields(value));
    --depth_;
  } else if constexpr (Contiguous<T> && is_raw<typename T::value_type>()) {
    block(value.data(), value.size() * sizeof(typename T::value_type), value.size(), !temporary_);
  } else if constexpr (Hashed<T>) {
    size(value.size());
    visit_sorted(value, [this](const auto& item) { put(item); });
  } else if constexpr (kind == Kind::map) {
    size(value.size());
    for (const auto& [key, element] : value) put(key), put(element);
  } else {
    size(value.size());
    for (const auto& element : value) put<typename T::value_type>(element);
  }
}

template <class T>
void Reader::get_archive(T& value) {
  if (++depth_ > depth_max) damaged("it is nested too deeply");
  const std::byte* before = at_;
  if constexpr (MemberArchive<T>) value.archive(*this);
  else archive(*this, value);
  if (at_ == before) byte();
  --depth_;
}

template <class T>
void Reader::get_container(T& value) {
  using Element = typename T::value_type;
  std::size_t expected = count();
  value.clear();
  if constexpr (requires { value.reserve(expected); }) {
    std::size_t possible = left() / sizeof(Element) + 1;
    value.reserve(expected < possible ? expected : possible);
  }
  for (std::size_t i = 0; i < expected; ++i) {
    if constexpr (kind_of<T>() == Kind::sequence) {
      if constexpr (std::is_same_v<Element, bool>) {
        bool element;
        get(element);
        value.push_back(element);
      } else {
        get(value.emplace_back());
      }
    } else if constexpr (kind_of<T>() == Kind::map) {
      std::pair<typename T::key_type, typename T::mapped_type> item;
      get(item.first), get(item.second);
      value.emplace_hint(value.end(), std::move(item));
    } else {
      typename T::key_type item{};
      get(item);
      value.emplace_hint(value.end(), std::move(item));
    }
  }
  if (value.size() != expected) damaged("a key comes twice");
}

template <class T>
void Reader::get(T& value) {
  constexpr Kind kind = kind_of<T>();
  if constexpr (std::is_same_v<T, bool>) {
    unsigned char number = byte();
    if (number > 1) damaged("a bool is neither 0 nor 1");
    value = number == 1;
  } else if constexpr (is_raw<T>() || std::is_same_v<T, long double>) {
    raw(&value, sizeof value);
  } else if constexpr (kind == Kind::opaque) {
    raw(static_cast<void*>(&value), sizeof value);
  } else if constexpr (kind == Kind::complex) {
    typename T::value_type real{}, imaginary{};
    get(real), get(imaginary);
    value = T(real, imaginary);
  } else if constexpr (kind == Kind::duration) {
    typename T::rep count{};
    get(count);
    value = T(count);
  } else if constexpr (kind == Kind::time_point) {
    typename T::duration since{};
    get(since);
    value = T(since);
  } else if constexpr (kind == Kind::nothing) {
    byte();
  } else if constexpr (kind == Kind::buffer) {
    value = buffer();
  } else if constexpr (kind == Kind::msgpack) {
    MsgpackCodec<T>::read(*this, value);
  } else if constexpr (kind == Kind::archive) {
    get_archive(value);
  } else if constexpr (kind == Kind::tuple) {
    if constexpr (std::tuple_size_v<T> == 0) byte();
    else std::apply([&](auto&... element) { (get(element), ...); }, value);
  } else if constexpr (kind == Kind::array) {
    if constexpr (requires { value.size(); }) if (value.size() == 0) byte();
    for (auto& element : value) get(element);
  } else if constexpr (kind == Kind::optional) {
    unsigned char number = byte();
    if (number > 1) damaged("an optional is neither empty nor full");
    value.reset();
    if (number == 1) get(value.emplace());
  } else if constexpr (kind == Kind::variant) {
    std::uint64_t index = size();
    get_variant(value, index, std::make_index_sequence<std::variant_size_v<T>>{});
  } else if constexpr (kind == Kind::aggregate) {
    if (++depth_ > depth_max) damaged("it is nested too deeply");
    if constexpr (std::tuple_size_v<FieldsOf<T>> == 0) byte();
    else std::apply([&](auto&... field) { (get(field), ...); }, tie_fields(value));
    --depth_;
  } else if constexpr (Contiguous<T> && is_raw<typename T::value_type>()) {
    std::size_t count = 0;
    std::span<const std::byte> bytes = block(sizeof(typename T::value_type), count);
    if constexpr (TextType<T> && sizeof(typename T::value_type) == 1) {
      value.assign(reinterpret_cast<const typename T::value_type*>(bytes.data()), count);
    } else {
      value.resize(count);
      if (count != 0) std::memcpy(value.data(), bytes.data(), bytes.size());
    }
  } else {
    get_container(value);
  }
}

}  // namespace detail
}  // namespace weft
