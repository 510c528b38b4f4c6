// User types to values and back. A value has one stream part, and one part for each big buffer in it: those are copied once
// into their final place, and a weft::Buffer is read without a copy. What travels: <weft/travels.h>.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <weft/stream.h>

namespace weft {
namespace detail {

/// Encode a value where the sink wants it.
template <class T>
void encode_into(ResultSink& sink, const T& value) {
  if constexpr (must_travel<T>()) {
    static_cast<void>(&KnownType<T>::entry);
    if constexpr (kind_of<T>() == Kind::parts) {
      std::unique_ptr<Writer[]> writers(new Writer[value.size()]);
      std::vector<std::uint64_t> sizes;
      sizes.reserve(value.size());
      for (std::size_t i = 0; i < value.size(); ++i) {
        writers[i].put(value[i]);
        sizes.push_back(writers[i].value_size());
      }
      auto places = lay_out_value(sink.place(weft::value_size(sizes)), type_tag<T>(), sizes);
      for (std::size_t i = 0; i < value.size(); ++i) writers[i].write(type_tag<typename T::value_type>(), places[i]);
    } else {
      Writer writer;
      writer.put(value);
      writer.write(type_tag<T>(), sink);
    }
  }
}

}  // namespace detail

/// Encode a value of a type that travels.
template <class T>
Value to_value(const T& value) {
  detail::HeapSink sink;
  if constexpr (detail::must_travel<T>()) detail::encode_into(sink, value);
  return sink.take();
}

/// Decode a value. A weft::Buffer in the result shares the value's memory.
///
/// Errors: throws TypeMismatch, naming both types, if the value was made from another type; ProtocolError if it is damaged.
template <class T>
T from_value(const Value& value) {
  using namespace detail;
  if constexpr (must_travel<T>()) {
    static_cast<void>(&KnownType<T>::entry);
    if (value.part_count() == 0 && value.block().empty()) damaged("it is empty");
    if (value.type() != type_tag<T>()) wrong_type(value.type(), type_name<T>());
    if constexpr (kind_of<T>() == Kind::parts) {
      T elements;
      elements.reserve(value.part_count());
      for (std::uint32_t i = 0; i < value.part_count(); ++i) {
        std::optional<Value> element = Value::from(value.part(i));
        if (!element) damaged("a part is not a whole value");
        elements.push_back(from_value<typename T::value_type>(*element));
      }
      return elements;
    } else {
      T result{};
      Reader reader(value);
      reader.get(result);
      reader.finish();
      return result;
    }
  }
}

}  // namespace weft
