// The parts of serialisation that know no types, and the names of types for messages.
#include <weft/call.h>
#include <weft/function.h>
#include <weft/serialize.h>

#include <algorithm>
#include <mutex>
#include <new>

#include "common/check.h"

namespace weft::detail {

void damaged(const char* why) { throw ProtocolError(std::string("a stored value is damaged: ") + why); }
void too_deep() { throw InvalidArgument("a value is nested more than " + std::to_string(depth_max) + " levels deep"); }

// Constant-initialised, so that entries of images that start before us find it ready.
static constinit std::mutex types_mutex;
static constinit TypeEntry* types = nullptr;

TypeEntry::TypeEntry(TypeTag tag, std::string_view name) : tag(tag), name(name) {
  std::lock_guard lock(types_mutex);
  next = std::exchange(types, this);
}
TypeEntry::~TypeEntry() {
  std::lock_guard lock(types_mutex);
  for (TypeEntry** at = &types; *at; at = &(*at)->next) {
    if (*at != this) continue;
    *at = next;
    return;
  }
}

static void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

static std::string readable(std::string_view type) {
  std::string name(type);
  replace_all(name, "std::__cxx11::", "std::");
  replace_all(name, "std::basic_string<char>", "std::string");
  replace_all(name, " >", ">");
  return name;
}

static std::string name_of_type(TypeTag tag) {
  if (tag == type_tag<void>()) return "void";
  std::lock_guard lock(types_mutex);
  for (const TypeEntry* entry = types; entry; entry = entry->next)
    if (entry->tag == tag) return readable(entry->name);
  return "a type that this program does not know";
}

void wrong_type(TypeTag stored, std::string_view wanted) {
  throw TypeMismatch("the stored value is " + name_of_type(stored) + ", not " + readable(wanted) +
                     "; read it as the type that the task returned");
}

std::span<std::byte> HeapSink::place(std::uint64_t bytes) {
  constexpr std::align_val_t alignment{value_alignment};
  memory_.reset(static_cast<std::byte*>(::operator new(bytes, alignment)), [](std::byte* p) { ::operator delete(p, alignment); });
  size_ = bytes;
  return {memory_.get(), size_};
}
Value HeapSink::take() {
  std::span<const std::byte> bytes(memory_.get(), size_);
  std::optional<Value> value = Value::from(Buffer(std::move(memory_), bytes));
  WEFT_CHECK(value);
  return *std::move(value);
}

void Writer::grow(std::size_t bytes) {
  std::size_t capacity = std::max(2 * capacity_, size_ + bytes);
  std::byte* larger = new std::byte[capacity];
  std::memcpy(larger, stream_, size_);
  if (stream_ != small_) delete[] stream_;
  stream_ = larger;
  capacity_ = capacity;
}

void Writer::block(const void* data, std::size_t bytes, std::size_t count, bool lasting) {
  bool apart = !flat_ && lasting && bytes >= big_bytes;
  size(std::uint64_t(count) << 1 | apart);
  if (apart) parts_.emplace_back(static_cast<const std::byte*>(data), bytes);
  else raw(data, bytes);
}

std::uint64_t Writer::bytes() const {
  std::uint64_t sum = size_;
  for (auto part : parts_) sum += part.size();
  return sum;
}

static std::vector<std::uint64_t> part_sizes(std::uint64_t stream, std::span<const std::span<const std::byte>> parts) {
  std::vector<std::uint64_t> sizes{stream};
  for (auto part : parts) sizes.push_back(part.size());
  return sizes;
}

std::uint64_t Writer::value_size() const { return weft::value_size(part_sizes(size_, parts_)); }

void Writer::write(TypeTag tag, std::span<std::byte> place) const {
  auto places = lay_out_value(place, tag, part_sizes(size_, parts_));
  std::memcpy(places[0].data(), stream_, size_);
  for (std::size_t i = 0; i < parts_.size(); ++i) std::memcpy(places[i + 1].data(), parts_[i].data(), parts_[i].size());
}

void Writer::write(TypeTag tag, ResultSink& sink) const { write(tag, sink.place(value_size())); }

Key Writer::digest(TypeTag tag) const {
  KeyHasher hasher;
  hasher.add("data").add(tag).add(stream());
  for (auto part : parts_) hasher.add(part);
  return hasher.finish();
}

void sort_items(std::vector<const void*>& items, bool (*before)(const void* a, const void* b)) {
  std::sort(items.begin(), items.end(), before);
}

void sort_items(std::vector<const void*>& items, std::vector<std::string> by) {
  std::vector<std::pair<std::string, const void*>> rows;
  rows.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) rows.emplace_back(std::move(by[i]), items[i]);
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = rows[i].second;
}

Reader::Reader(const Value& value) : Reader(std::span<const std::byte>()) {
  if (value.part_count() == 0) damaged("it has no parts");
  value_ = &value;
  Buffer stream = value.part(0);
  at_ = stream.data();
  end_ = at_ + stream.size();
}

std::uint64_t Reader::size() {
  std::uint64_t number = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    std::uint64_t bits = byte();
    if (shift == 63 && bits > 1) break;
    number |= (bits & 0x7f) << shift;
    if (bits < 0x80) return number;
  }
  damaged("a size is too long");
}

std::span<const std::byte> Reader::block(std::size_t element_size, std::size_t& count) {
  std::uint64_t head = size();
  count = static_cast<std::size_t>(head >> 1);
  if ((head & 1) == 0) {
    if (count > left() / element_size) damaged("a count is larger than the bytes that are left");
    return {take(count * element_size), count * element_size};
  }
  if (!value_ || next_part_ >= value_->part_count()) damaged("a part is missing");
  Buffer part = value_->part(next_part_++);
  if (part.size() / element_size != count || part.size() % element_size != 0) damaged("a part has another size than said");
  return part.bytes();   // the value outlives the reader
}

Buffer Reader::buffer() {
  std::uint32_t part = next_part_;
  std::size_t count = 0;
  std::span<const std::byte> bytes = block(1, count);
  return next_part_ == part ? Buffer::copy(bytes) : value_->part(part);
}

}  // namespace weft::detail

namespace weft::detail {

void no_function() { throw InvalidArgument("the function to call is a null pointer"); }

Key ArgumentWriter::plain(std::span<const std::byte> bytes) {
  sink_.bytes.insert(sink_.bytes.end(), bytes.begin(), bytes.end());
  return KeyHasher().add(bytes).finish();
}

void ArgumentWriter::marker(Writer& out, InputRef input) {
  out.byte(static_cast<unsigned char>(Node::input));
  hasher_.add(out.stream().subspan(hashed_)).add(input.key).add(std::uint64_t(input.part));
  out.size(before_ + sink_.inputs.size() - first_);
  hashed_ = out.stream().size();
  sink_.inputs.push_back(std::move(input));
}

void ArgumentWriter::big(Writer& out, const Key& content, Value value) {
  sink_.big.push_back({sink_.inputs.size(), std::move(value)});
  marker(out, InputRef{.key = content});
}

Key ArgumentWriter::finish(const Writer& out) {
  auto bytes = out.stream();
  if (hashed_ < bytes.size()) hasher_.add(bytes.subspan(hashed_));
  sink_.bytes.insert(sink_.bytes.end(), bytes.begin(), bytes.end());
  return hasher_.finish();
}

}  // namespace weft::detail
