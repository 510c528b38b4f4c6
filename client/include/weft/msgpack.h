// Opt-in: types with MSGPACK_DEFINE travel. Include this before such a type is used as an argument or a result.
#pragma once

#include <utility>   // Boost 1.74 under msgpack needs it first in C++20

#include <msgpack.hpp>

#include <weft/serialize.h>

namespace weft::detail {

// Containers in what arrived must not claim more elements than there are bytes: msgpack-c allocates by the claim.
struct MsgpackCheck : msgpack::null_visitor {
  explicit MsgpackCheck(std::size_t bytes) : left(bytes) {}
  bool claim(std::size_t elements) {
    if (elements > left) return false;
    left -= elements;
    return ++depth <= 100;
  }
  bool start_array(std::uint32_t count) { return claim(count); }
  bool start_map(std::uint32_t count) { return claim(2 * std::size_t(count)); }
  bool end_array() { return --depth, true; }
  bool end_map() { return --depth, true; }
  std::size_t left;
  int depth = 0;
};

template <class T>
struct MsgpackCodec {
  static void write(Writer& out, const T& value) {
    msgpack::sbuffer packed;
    msgpack::pack(packed, value);
    out.block(packed.data(), packed.size(), packed.size(), false);   // the buffer ends here
  }
  static void read(Reader& in, T& value) {
    std::size_t count = 0;
    std::span<const std::byte> bytes = in.block(1, count);
    auto* text = reinterpret_cast<const char*>(bytes.data());
    try {
      MsgpackCheck check(count);
      std::size_t end = 0;
      if (!msgpack::parse(text, count, end, check) || end != count) damaged("its msgpack bytes are malformed");
      msgpack::unpack(text, count).get().convert(value);
    } catch (const msgpack::type_error&) {
      damaged("its msgpack bytes are of another type");
    } catch (const msgpack::unpack_error&) {
      damaged("its msgpack bytes are malformed");
    }
  }
};

}  // namespace weft::detail
