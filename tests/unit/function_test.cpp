#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <unordered_map>

#include <weft/call.h>

#include "client/images.h"
#include "tests/support/sanitized.h"

using weft::detail::ArgumentSink;
using weft::detail::Each;
using weft::detail::MapCall;
using weft::detail::prepare;
using weft::detail::PreparedCall;
using weft::detail::Same;

namespace {

/// Stands for the result of another task.
template <class T>
struct Promised {
  weft::Key key;
};

}  // namespace

template <class T>
struct weft::detail::FutureTraits<Promised<T>> {
  static constexpr bool is_future = true;
  using value_type = T;
  static InputRef input(const Promised<T>& promised) { return {.key = promised.key, .hold = nullptr}; }
};

namespace {

using weft::Key;
using weft::Value;

// What an executor does.
Value run(const PreparedCall& call, std::vector<Value> inputs = {}, std::span<const std::byte> shared = {}) {
  for (const auto& big : call.big) {
    if (inputs.size() <= big.input) inputs.resize(big.input + 1);
    inputs[big.input] = big.value;
  }
  weft::detail::HeapSink sink;
  weft::detail::Call what{shared, call.bytes, inputs, call.target, &sink};
  call.thunk(what);
  return sink.take();
}
template <class R>
R result_of(const PreparedCall& call, std::vector<Value> inputs = {}) {
  CHECK(call.result_type == weft::type_tag<R>());
  return weft::from_value<R>(run(call, std::move(inputs)));
}

int inc(int x) { return x + 1; }
int twice(int x) noexcept { return 2 * x; }
double scale(const std::vector<double>& v, double by) { return v.at(0) * by; }
std::string greet(const std::string& name, int&& times) { return name + std::to_string(times); }
int seen = 0;
void note(int x) { seen = x; }
template <class T>
T largest(T a, T b) {
  return a < b ? b : a;
}
int total(const std::vector<int>& all) {
  int sum = 0;
  for (int x : all) sum += x;
  return sum;
}
std::size_t size_of(const weft::Buffer& bytes) { return bytes.size(); }
const std::byte* place_of_buffer = nullptr;
void remember(weft::Buffer bytes) { place_of_buffer = bytes.data(); }
int nested(const std::map<std::string, std::vector<int>>& map, std::tuple<int, std::string> tuple, std::optional<int> maybe,
           std::array<int, 2> array) {
  int sum = std::get<0>(tuple) + maybe.value_or(0) + array[0] + array[1];
  for (const auto& [key, values] : map) sum += total(values);
  return sum;
}
struct Square {
  int operator()(int x) const { return x * x; }
};
struct Mover {
  std::unique_ptr<int> kept;
  template <class A>
  void archive(A& ar) {
    int value = kept ? *kept : 0;
    ar(value);
    kept = std::make_unique<int>(value);
  }
};
int open_mover(Mover mover) { return *mover.kept; }

TEST_CASE("functions, lambdas and functors are called with their decoded arguments") {
  CHECK(result_of<int>(prepare(inc, 1)) == 2);
  CHECK(result_of<int>(prepare(&twice, 4)) == 8);
  CHECK(result_of<double>(prepare(scale, std::vector<double>{2}, 3)) == 6);
  CHECK(result_of<std::string>(prepare(greet, "a", 'b')) == "a98");
  CHECK(result_of<int>(prepare([](int a, int b) { return a - b; }, 5, 3)) == 2);
  CHECK(result_of<int>(prepare(Square{}, 5)) == 25);
  CHECK(result_of<double>(prepare(largest<double>, 1, 2)) == 2);
  CHECK(result_of<int>(prepare([](auto a, auto b) { return a + int(b.size()); }, 1, std::string("abc"))) == 4);
  CHECK(result_of<int>(prepare([] { return 7; })) == 7);
  Mover mover{std::make_unique<int>(6)};
  CHECK(result_of<int>(prepare(open_mover, mover)) == 6);
  auto nothing = run(prepare(note, 9));
  CHECK(seen == 9);
  CHECK(nothing.type() == weft::type_tag<void>());
  CHECK_THROWS_AS(prepare(static_cast<int (*)(int)>(nullptr), 1), weft::InvalidArgument);
}

TEST_CASE("exceptions of the function go through the thunk") {
  CHECK_THROWS_AS(run(prepare([](int) -> int { throw std::out_of_range("no"); }, 1)), std::out_of_range);
}

TEST_CASE("a future may stand anywhere in the arguments") {
  auto value = [](const auto& x) { return weft::to_value(x); };
  Promised<int> a{Key::named("a")}, b{Key::named("b")};
  auto whole = prepare(inc, a);
  REQUIRE(whole.inputs.size() == 1);
  CHECK(whole.inputs[0].key == a.key);
  CHECK(result_of<int>(whole, {value(41)}) == 42);
  // A future of another type than the parameter is converted on arrival.
  CHECK(result_of<double>(prepare(scale, std::vector<double>{2}, a), {value(4)}) == 8);
  CHECK(result_of<int>(prepare(total, std::vector{a, b}), {value(1), value(2)}) == 3);
  std::map<std::string, std::vector<Promised<int>>> map{{"x", {a, b}}, {"y", {}}};
  auto mixed = prepare(nested, map, std::tuple{a, std::string("s")}, std::optional{b}, std::array{a, a});
  CHECK(mixed.inputs.size() == 6);
  CHECK(result_of<int>(mixed, {value(1), value(2), value(4), value(8), value(16), value(32)}) == 63);
  auto generic = prepare([](const auto& x, int y) { return x + y; }, a, 1);
  CHECK(result_of<int>(generic, {value(1)}) == 2);
  CHECK_THROWS_AS(run(whole, {value(std::string("other type"))}), weft::TypeMismatch);
  CHECK_THROWS_AS(run(whole, {}), weft::ProtocolError);
}

TEST_CASE("a buffer from an input is not copied") {
  Promised<weft::Buffer> big{Key::named("big")};
  auto stored = weft::to_value(weft::Buffer::copy(std::string(100'000, 'x')));
  run(prepare(remember, big), {stored});
  CHECK(place_of_buffer == stored.part(1).data());
}

TEST_CASE("a big argument becomes an input whose key is its content") {
  auto small = prepare(size_of, weft::Buffer::copy(std::string(30'000, 'x')));
  CHECK(small.big.empty());
  CHECK(result_of<std::size_t>(small) == 30'000);
  auto big = prepare(size_of, weft::Buffer::copy(std::string(100'000, 'x')));
  REQUIRE(big.big.size() == 1);
  CHECK(big.bytes.size() < 16);
  CHECK(big.inputs.size() == 1);
  CHECK(result_of<std::size_t>(big) == 100'000);
  auto again = prepare(size_of, weft::Buffer::copy(std::string(100'000, 'x')));
  CHECK(again.inputs[0].key == big.inputs[0].key);
  CHECK(again.key == big.key);
  CHECK(prepare(size_of, weft::Buffer::copy(std::string(100'000, 'y'))).key != big.key);
}

TEST_CASE("keys follow function and arguments, and nothing else") {
  CHECK(prepare(inc, 1).key == prepare(&inc, 1).key);
  CHECK(prepare(inc, 1).key == prepare(inc, 1L).key);
  CHECK(prepare(inc, 1).key != prepare(inc, 2).key);
  CHECK(prepare(inc, 1).key != prepare(twice, 1).key);
  CHECK(prepare([](int x) { return x; }, 1).key != prepare([](int x) { return x + 1; }, 1).key);
  auto two = [](const std::string& a, const std::string& b) { return a + b; };
  CHECK(prepare(two, "ab", "c").key != prepare(two, "a", "bc").key);
  Promised<int> a{Key::named("a")}, b{Key::named("b")};
  CHECK(prepare(inc, a).key == prepare(inc, a).key);
  CHECK(prepare(inc, a).key != prepare(inc, b).key);
  CHECK(prepare(total, std::vector{a, b}).key != prepare(total, std::vector{b, a}).key);
  std::unordered_map<int, int> x{{1, 1}, {2, 2}, {3, 3}}, y(100);
  for (int i : {3, 2, 1}) y[i] = i;
  auto sizes = [](const std::unordered_map<int, int>& map) { return map.size(); };
  CHECK(prepare(sizes, x).key == prepare(sizes, y).key);
}

TEST_CASE("an element of a map has the key and the result of the same single call") {
  std::vector<double> numbers{3, 4};
  MapCall<double (*)(const std::vector<double>&, double), Same<std::vector<double>>, Each<int>> call(scale, {numbers}, {});
  for (int i = 0; i < 5; ++i) {
    PreparedCall task;
    Key key = call.add(task, i);
    CHECK(key == prepare(scale, numbers, i).key);
    task.thunk = call.shape().thunk;
    task.target = call.shape().target;
    CHECK(weft::from_value<double>(run(task, {}, call.shared().bytes)) == 3.0 * i);
  }
  // A future as the constant comes first in each task's inputs.
  Promised<std::vector<double>> constant{Key::named("v")};
  Promised<double> each{Key::named("e")};
  MapCall<double (*)(const std::vector<double>&, double), Same<Promised<std::vector<double>>>, Each<Promised<double>>> inputs(
      scale, {constant}, {});
  REQUIRE(inputs.shared().inputs.size() == 1);
  PreparedCall task;
  CHECK(inputs.add(task, each) == prepare(scale, constant, each).key);
  task.thunk = inputs.shape().thunk;
  task.target = inputs.shape().target;
  CHECK(weft::from_value<double>(run(task, {weft::to_value(numbers), weft::to_value(2.0)}, inputs.shared().bytes)) == 6);
}

TEST_CASE("damaged arguments are refused before the function is called") {
  auto call = prepare(nested, std::map<std::string, std::vector<int>>{{"x", {1}}}, std::tuple{1, std::string("s")},
                      std::optional{2}, std::array{3, 4});
  REQUIRE(result_of<int>(call) == 11);
  for (std::size_t length = 0; length < call.bytes.size(); ++length) {
    PreparedCall cut = call;
    cut.bytes.resize(length);
    CHECK_THROWS_AS(run(cut), weft::ProtocolError);
  }
  PreparedCall longer = call;
  longer.bytes.push_back({});
  CHECK_THROWS_AS(run(longer), weft::ProtocolError);
  for (std::size_t at = 0; at < call.bytes.size(); ++at) {
    PreparedCall other = call;
    other.bytes[at] ^= std::byte(0xff);
    try {
      run(other);
    } catch (const weft::ProtocolError&) {
    }
  }
}

TEST_CASE("labels are what a person would call the function") {
  CHECK(prepare(inc, 1).label == "inc");
  CHECK(prepare(largest<int>, 1, 2).label == "largest");
  CHECK(prepare(Square{}, 1).label == "Square");
  CHECK(prepare([](int x) { return x; }, 1).label.ends_with("lambda"));
}

TEST_CASE("a map element costs well under a microsecond") {
  constexpr int count = 200'000;
  MapCall<int (*)(int), Each<int>> call(inc, {});
  ArgumentSink sink;
  std::uint64_t mixed = 0;
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) mixed ^= call.add(sink, i).low;
  double each = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / count;
  MESSAGE("ns per map element: " << each);
  CHECK(mixed != 0);
  CHECK(sink.bytes.size() == 5 * count);
  CHECK(each < 1500 * weft::test::slowness);  // ten times what it should be: the machine may be busy
}

}  // namespace
