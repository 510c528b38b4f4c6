// MapReduce in three steps: map each element to (key, value), combine the values of a key, look at the result.
#include <weft/bag.h>
#include <weft/weft.h>

#include <algorithm>
#include <iostream>

int main(int argc, char** argv) {
  weft::init(argc, argv);
  weft::Client client;

  // How many numbers below a thousand have 1, 2, 3 … divisors?
  auto divisors = [](std::int64_t x) {
    std::int64_t count = 0;
    for (std::int64_t d = 1; d <= x; ++d) count += x % d == 0;
    return std::pair(count, std::int64_t(1));
  };
  auto add = [](std::int64_t a, std::int64_t b) { return a + b; };
  auto table = weft::range(1000, 8).filter([](std::int64_t x) { return x > 0; }).map(divisors).reduce_by_key(add).compute(client);

  std::sort(table.begin(), table.end());   // a by-key result has no order of its own
  for (auto [count, numbers] : table)
    if (numbers > 90) std::cout << numbers << " numbers have " << count << " divisors\n";
}
