// Futures: many calls, results as arguments anywhere, errors with their cause, results as they come.
#include <iostream>
#include <numeric>

#include <weft/weft.h>

long square(long x) { return x * x; }
long total(const std::vector<long>& values) { return std::accumulate(values.begin(), values.end(), 0L); }
int fails(int x) { throw std::runtime_error("no answer for " + std::to_string(x)); }

int main(int argc, char** argv) {
  weft::init(argc, argv);
  weft::Client client;

  std::vector<long> numbers(1000);
  std::iota(numbers.begin(), numbers.end(), 0);
  auto squares = client.map(square, numbers);                     // 1000 tasks, one message
  std::cout << client.submit(total, squares).result() << "\n";    // a vector of futures is an argument like a vector

  auto bad = client.submit(fails, 7);
  try {
    client.submit(square, bad).result();                          // the cause reaches whoever depends on it
  } catch (const weft::TaskError& error) {
    std::cout << error.failure().type << ": " << error.failure().message << "\n";
  }

  long sum = 0;
  for (auto& done : weft::as_completed(client.map(square, std::vector<long>{1, 2, 3}))) sum += done.result();
  std::cout << sum << "\n";
}
