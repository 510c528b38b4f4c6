#include <weft/msgpack.h>

#include <doctest/doctest.h>

namespace {

class Packed {
 public:
  Packed() = default;
  Packed(int a, std::vector<std::string> b) : a_(a), b_(std::move(b)) {}
  MSGPACK_DEFINE(a_, b_);
  bool operator==(const Packed&) const = default;

 private:
  int a_ = 0;
  std::vector<std::string> b_;
};

TEST_CASE("a MSGPACK_DEFINE type travels, alone and inside containers, and its damaged bytes are refused") {
  std::vector<Packed> all{{1, {"a", "b"}}, {2, {}}};
  auto stored = weft::to_value(all);
  CHECK(weft::from_value<std::vector<Packed>>(stored) == all);
  auto stream = stored.part(0).bytes();
  int refused = 0;
  for (std::size_t at = 0; at < stream.size(); ++at) {
    for (int bits : {0xff, 0x7c, 0xdd}) {
      weft::Bytes bytes(stream.begin(), stream.end());
      bytes[at] ^= std::byte(bits);
      std::span<const std::byte> part = bytes;
      try {
        static_cast<void>(weft::from_value<std::vector<Packed>>(weft::Value::make(stored.type(), {&part, 1})));
      } catch (const weft::ProtocolError&) {
        ++refused;
      }
    }
  }
  CHECK(refused > 0);
}

}  // namespace
