#include <doctest/doctest.h>

#include <chrono>
#include <complex>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <weft/serialize.h>

namespace {

using weft::from_value;
using weft::to_value;
using weft::type_tag;
using weft::Value;

enum class Colour : std::uint8_t { red, green };
enum Old { one, two };
struct Padded {
  std::uint8_t small;
  double big;
  bool operator==(const Padded&) const = default;
};
struct Inner {
  int x;
  std::string name;
  bool operator==(const Inner&) const = default;
};
struct Outer {
  Inner inner;
  std::vector<Inner> more;
  std::optional<double> maybe;
  int matrix[2][3];
  std::array<Colour, 2> colours;
  bool operator==(const Outer&) const = default;
};
struct Tree {
  int value = 0;
  std::vector<Tree> children;
  bool operator==(const Tree&) const = default;
};
struct Empty {
  bool operator==(const Empty&) const = default;
};
struct Wide {
  int a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8, c1, c2, c3, c4, c5, c6, c7, c8, d1, d2, d3, d4, d5, d6, d7, d8;
  bool operator==(const Wide&) const = default;
};
class Account {
 public:
  Account() = default;
  Account(std::string owner, std::vector<double> moves) : owner_(std::move(owner)), moves_(std::move(moves)) {}
  template <class A>
  void archive(A& ar) {
    ar(owner_, moves_);
  }
  bool operator==(const Account&) const = default;

 private:
  std::string owner_;
  std::vector<double> moves_;
};
struct Base {
  int x = 0;
  bool operator==(const Base&) const = default;
};
struct Free : Base {
  int y = 0;
  bool operator==(const Free&) const = default;
};
template <class A>
void archive(A& ar, Free& value) {
  ar(value.x, value.y);
}
class Closed {
 public:
  Closed() = default;
  Closed(char a, double b) : a_(a), b_(b) {}
  bool operator==(const Closed&) const = default;

 private:
  char a_ = 0;
  double b_ = 0;
};

template <class T>
void travels(const T& value) {
  static_assert(weft::Travels<T>);
  INFO(weft::detail::type_name<T>());
  Value stored = to_value(value);
  CHECK(stored.type() == type_tag<T>());
  CHECK(bool(from_value<T>(stored) == value));
  CHECK(to_value(from_value<T>(stored)).block() == stored.block());
  // Cut after every byte of the stream: an error each time, or (never) the same value.
  auto stream = stored.part(0).bytes();
  std::vector<weft::Buffer> rest;
  for (std::uint32_t i = 1; i < stored.part_count(); ++i) rest.push_back(stored.part(i));
  for (std::size_t length = 0; length < stream.size(); ++length) {
    std::vector<std::span<const std::byte>> parts{stream.first(length)};
    for (const auto& part : rest) parts.push_back(part.bytes());
    CHECK_THROWS_AS(from_value<T>(Value::make(stored.type(), parts)), weft::ProtocolError);
  }
}

// Any bytes: decoding ends with a value or a ProtocolError, and never reads outside (checked by the sanitizer builds).
template <class T>
void survives_damage(const T& value) {
  Value stored = to_value(value);
  auto stream = stored.part(0).bytes();
  for (std::size_t at = 0; at < stream.size(); ++at) {
    for (int flip : {0x01, 0x80, 0xff}) {
      weft::Bytes bytes(stream.begin(), stream.end());
      bytes[at] ^= std::byte(flip);
      std::vector<std::span<const std::byte>> parts{bytes};
      for (std::uint32_t i = 1; i < stored.part_count(); ++i) parts.push_back(stored.part(i).bytes());
      try {
        static_cast<void>(from_value<T>(Value::make(stored.type(), parts)));
      } catch (const weft::ProtocolError&) {
      }
    }
  }
}

TEST_CASE("every type that travels comes back equal, and its cut bytes are refused") {
  using namespace std::chrono;
  travels(true);
  travels('x');
  travels(std::int8_t(-3));
  travels(std::uint64_t(1) << 63);
  travels(-7LL);
  travels(1.5f);
  travels(-0.25);
  travels(3.5L);
  travels(u'x');
  travels(Colour::green);
  travels(two);
  travels(std::string("text"));
  travels(std::string(10'000, 'x'));
  travels(std::u16string(u"wide"));
  travels(std::vector<int>{1, 2, 3});
  travels(std::vector<int>{});
  travels(std::vector<double>(5000, 1.5));
  travels(std::vector<bool>{true, false, true});
  travels(std::vector<std::string>{"a", "", "ccc"});
  travels(std::vector<std::vector<float>>{{1}, {}, {2, 3}});
  travels(std::vector<std::monostate>(3));
  travels(std::vector<Empty>(3));
  travels(std::array<int, 3>{1, 2, 3});
  travels(std::array<std::string, 2>{"a", "b"});
  travels(std::array<int, 0>{});
  travels(std::deque<int>{1, 2});
  travels(std::list<std::string>{"a"});
  travels(std::set<int>{3, 1});
  travels(std::multiset<int>{3, 3});
  travels(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  travels(std::multimap<int, int>{{1, 2}, {1, 3}});
  travels(std::unordered_map<std::string, std::vector<int>>{{"a", {1}}, {"b", {2, 3}}});
  travels(std::unordered_set<int>{1, 2, 3});
  travels(std::pair<int, std::string>{1, "a"});
  travels(std::tuple<int, double, std::string>{1, 2, "c"});
  travels(std::tuple<>{});
  travels(std::optional<int>{});
  travels(std::optional<std::string>{"x"});
  travels(std::variant<int, std::string>{"x"});
  travels(std::monostate{});
  travels(milliseconds(5));
  travels(duration<double>(2.5));
  travels(system_clock::now());
  travels(std::complex<double>(1, 2));
  travels(std::vector<std::complex<float>>(3, {1, 2}));
  travels(weft::Buffer::copy("bytes"));
  travels(weft::Buffer::copy(std::string(9000, 'b')));
  travels(Padded{1, 2});
  travels(std::vector<Padded>(3, {1, 2}));
  travels(Inner{1, "a"});
  travels(Outer{{1, "a"}, {{2, "b"}}, 2.5, {{1, 2, 3}, {4, 5, 6}}, {Colour::red, Colour::green}});
  travels(Tree{1, {{2, {}}, {3, {{4, {}}}}}});
  travels(Empty{});
  travels(Wide{.a1 = 1, .d8 = 2});
  travels(Account("me", {1, 2}));
  travels(Account("me", std::vector<double>(5000, 2)));
  travels(std::vector<Account>{{"a", {}}, {"b", {1}}});
  Free with_base;
  with_base.x = 1, with_base.y = 2;
  travels(with_base);
  travels(Closed('a', 2));
}

TEST_CASE("what cannot travel is refused by the concept") {
  using weft::Travels;
  struct Pointing {
    int* p;
  };
  struct Viewing {
    std::vector<std::pair<int, std::string_view>> views;
  };
  union Either {
    int a;
    float b;
  };
  struct Derived : Base {
    int y;
  };
  struct Referring {
    int& x;
  };
  CHECK(!Travels<int*>);
  CHECK(!Travels<std::nullptr_t>);
  CHECK(!Travels<Pointing>);
  CHECK(!Travels<std::vector<Pointing>>);
  CHECK(!Travels<Viewing>);
  CHECK(!Travels<std::string_view>);
  CHECK(!Travels<std::span<int>>);
  CHECK(!Travels<std::unique_ptr<int>>);
  CHECK(!Travels<std::shared_ptr<int[]>>);
  CHECK(!Travels<std::reference_wrapper<int>>);
  CHECK(!Travels<std::function<int()>>);
  CHECK(!Travels<int (*)(int)>);
  CHECK(!Travels<int Inner::*>);
  CHECK(!Travels<Either>);
  CHECK(!Travels<Derived>);
  CHECK(!Travels<Referring>);
  CHECK(!Travels<std::vector<int>::iterator>);
  CHECK(!Travels<std::vector<weft::Parts<int>>>);
  CHECK(!Travels<std::map<int, const char*>>);
  CHECK(!Travels<std::array<void*, 2>>);
}

TEST_CASE("damaged bytes end in a value or an error") {
  survives_damage(Outer{{1, "a"}, {{2, "b"}}, 2.5, {{1, 2, 3}, {4, 5, 6}}, {Colour::red, Colour::green}});
  survives_damage(std::vector<std::variant<int, std::string, std::vector<bool>>>{1, "x", std::vector<bool>{true}});
  survives_damage(std::map<std::string, std::optional<std::set<int>>>{{"a", {}}, {"b", std::set<int>{1, 2}}});
  survives_damage(std::pair<std::vector<double>, weft::Buffer>{std::vector<double>(1000), weft::Buffer::copy(std::string(5000, 'x'))});
}

TEST_CASE("a huge count claims no memory") {
  weft::Bytes stream(10, std::byte(0xff));
  stream[8] = std::byte(0x7f);   // a varint near 2^63
  stream.resize(9);
  std::vector<std::span<const std::byte>> parts{stream};
  CHECK_THROWS_AS(from_value<std::vector<double>>(Value::make(type_tag<std::vector<double>>(), parts)), weft::ProtocolError);
  CHECK_THROWS_AS(from_value<std::vector<std::string>>(Value::make(type_tag<std::vector<std::string>>(), parts)), weft::ProtocolError);
  CHECK_THROWS_AS(from_value<std::string>(Value::make(type_tag<std::string>(), parts)), weft::ProtocolError);
}

TEST_CASE("a value that holds itself too deeply is refused, not a stack overflow") {
  Tree tree;
  for (int i = 0; i < 5000; ++i) {
    Tree parent;
    parent.children.push_back(std::move(tree));
    tree = std::move(parent);
  }
  CHECK_THROWS_AS(to_value(tree), weft::InvalidArgument);
  weft::Bytes stream;
  for (int i = 0; i < 1'000'000; ++i) stream.insert(stream.end(), {{}, {}, {}, {}, std::byte(1)});
  std::vector<std::span<const std::byte>> parts{stream};
  CHECK_THROWS_AS(from_value<Tree>(Value::make(type_tag<Tree>(), parts)), weft::ProtocolError);
}

TEST_CASE("another type than stored is named, both ways") {
  std::string said;
  try {
    static_cast<void>(from_value<std::vector<std::string>>(to_value(Inner{1, "a"})));
  } catch (const weft::TypeMismatch& error) {
    said = error.what();
  }
  INFO(said);
  CHECK(said.find("Inner") != std::string::npos);
  CHECK(said.find("std::vector<std::string") != std::string::npos);
  CHECK_THROWS_AS(from_value<double>(to_value(1)), weft::TypeMismatch);
  CHECK_THROWS_AS(from_value<int>(Value()), weft::ProtocolError);
}

TEST_CASE("type tags tell types apart, and not what is stored alike") {
  CHECK(type_tag<int>() == type_tag<std::int32_t>());
  CHECK(type_tag<long>() == type_tag<long long>());
  CHECK(type_tag<int>() != type_tag<unsigned>());
  CHECK(type_tag<std::vector<int>>() == type_tag<std::deque<int>>());
  CHECK(type_tag<std::string>() != type_tag<std::vector<char>>());
  CHECK(type_tag<std::tuple<int, std::tuple<int>>>() != type_tag<std::tuple<int, int>>());
  CHECK(type_tag<std::pair<int, double>>() != type_tag<std::pair<double, int>>());
  CHECK(type_tag<Inner>() != type_tag<Padded>());
  CHECK(type_tag<void>() != 0);
  // Fixed for ever: a stored value must be readable by another build.
  CHECK(type_tag<int>() == 5772972105211952127u);
  CHECK(type_tag<std::map<std::string, std::vector<double>>>() == 14299331392709123353u);
}

TEST_CASE("padding is never in a value") {
  auto with_padding = [](int fill) {
    alignas(Padded) unsigned char memory[sizeof(Padded)];
    std::memset(memory, fill, sizeof memory);
    auto* padded = reinterpret_cast<Padded*>(memory);
    padded->small = 1, padded->big = 2;
    return to_value(*padded);
  };
  CHECK(with_padding(0).block() == with_padding(0xff).block());
  auto closed = [](int fill) {
    alignas(Closed) unsigned char memory[sizeof(Closed)];
    std::memset(memory, fill, sizeof memory);
    return to_value(*new (memory) Closed('a', 2));
  };
  CHECK(closed(0).block() == closed(0xff).block());
  static_assert(!weft::detail::is_raw<Padded>());
  static_assert(weft::detail::is_raw<Wide>());
}

TEST_CASE("equal unordered containers give equal bytes") {
  std::unordered_map<std::string, int> a, b(1000);
  for (int i = 0; i < 100; ++i) a[std::to_string(i)] = i;
  for (int i = 99; i >= 0; --i) b[std::to_string(i)] = i;
  CHECK(to_value(a).block() == to_value(b).block());
  std::unordered_multimap<int, int> c, d(100);
  for (int i = 0; i < 20; ++i) c.emplace(i % 3, i);
  for (int i = 19; i >= 0; --i) d.emplace(i % 3, i);
  CHECK(to_value(c).block() == to_value(d).block());
}

TEST_CASE("a big buffer is a part of its own and is read without a copy") {
  auto stored = to_value(std::pair<int, weft::Buffer>{1, weft::Buffer::copy(std::string(1 << 20, 'x'))});
  CHECK(stored.part_count() == 2);
  auto read = from_value<std::pair<int, weft::Buffer>>(stored);
  CHECK(read.second.data() == stored.part(1).data());
  CHECK(reinterpret_cast<std::uintptr_t>(read.second.data()) % weft::value_alignment == 0);
  CHECK(to_value(std::vector<double>(511)).part_count() == 1);
  CHECK(to_value(std::vector<double>(512)).part_count() == 2);
}

TEST_CASE("a partitioned value gives each reader its part alone") {
  weft::Parts<std::vector<std::string>> parts(3);
  parts[0] = {"a"};
  parts[2] = {std::string(5000, 'c')};
  Value stored = to_value(parts);
  REQUIRE(stored.part_count() == 3);
  auto part = Value::from(stored.part(2));
  REQUIRE(part);
  CHECK(from_value<std::vector<std::string>>(*part) == parts[2]);
  CHECK(from_value<weft::Parts<std::vector<std::string>>>(stored) == parts);
  CHECK(from_value<weft::Parts<int>>(to_value(weft::Parts<int>{})).empty());
}

}  // namespace
