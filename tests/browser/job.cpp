// The work that the browser tests watch: a graph of several labels, values that move, a shuffle, failures, a task that never ends, and names
// and messages that are markup; more of these from the lines of a file. Prints "loaded" when the graph has ended, then keeps the
// workers busy until its standard input is closed.
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <iostream>
#include <numeric>
#include <thread>
#include <vector>

#include <weft/bag.h>
#include <weft/weft.h>

// What a page must show as it is written, and never run.
const char* const markup = "<img src=x onerror=\"window.broken=1\">&amp;\u202e</script><script>window.broken=1</script>";

std::vector<double> load(int part) {
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return std::vector<double>(20'000, part);
}
std::vector<double> clean(const std::vector<double>& values) {
  std::vector<double> result = values;
  for (double& value : result) value = value * 2 + 1;
  return result;
}
double partial_sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }
double total(const std::vector<double>& sums) { return std::accumulate(sums.begin(), sums.end(), 0.0); }
int odd_name(int x) { return x; }
int refuse(int line) {
  std::cout << "reading line " << line << " of " << markup << std::endl;
  throw std::runtime_error("bad row " + std::to_string(line) + ": " + markup);
}
int refuse_name(const std::string& name) {
  std::cout << name << std::endl;
  weft::this_task().log(name);
  throw std::runtime_error(name);
}
int linger() {
  std::this_thread::sleep_for(std::chrono::hours(1));
  return 0;
}

// What a profile must show: time in two functions, below the task's own.
[[gnu::noinline]] double attraction(double x) { return std::sin(x) / (1 + std::fabs(x)); }
[[gnu::noinline]] double sum_of_forces(int terms) {
  double sum = 0;
  for (int i = 0; i < terms; ++i) sum += attraction(sum + i);
  return sum;
}
double wave(int x) {
  std::this_thread::sleep_for(std::chrono::milliseconds(20 + x % 7 * 10));
  return x % 4 == 0 ? sum_of_forces(500'000) : x;
}
double smooth(double x) {
  std::this_thread::sleep_for(std::chrono::milliseconds(15));
  return x / 2;
}

bool asked_to_end() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  char byte;
  return ::poll(&input, 1, 0) > 0 && ::read(STDIN_FILENO, &byte, 1) <= 0;
}

int main(int argc, char** argv) {
  weft::init(argc, argv);
  weft::Client client;
  std::vector<int> parts(64);
  std::iota(parts.begin(), parts.end(), 0);

  auto loaded = client.map({.label = "load"}, load, parts);
  auto cleaned = client.map({.label = "clean"}, clean, loaded);
  auto sums = client.map({.label = "sum-partial"}, partial_sum, cleaned);
  auto sum = client.submit({.label = "sum"}, total, sums);
  auto odd = client.map({.label = markup}, odd_name, parts);
  auto long_name = client.map({.label = std::string(300, 'x')}, odd_name, std::vector<int>{-1});
  auto bad = client.map({.label = "refuse"}, refuse, std::vector<int>{1, 2, 3});
  auto endless = client.submit({.label = "linger"}, linger);
  std::vector<weft::Future<int>> named;
  if (argc > 1) {
    std::ifstream names(argv[1]);
    for (std::string name; std::getline(names, name);) named.push_back(client.submit({.label = name}, refuse_name, name));
  }
  weft::wait(sums);
  sum.result();
  weft::wait(odd);
  weft::wait(long_name);
  weft::wait(bad);
  weft::wait(named);
  // A shuffle: 4 readers take their parts of 8 values.
  auto remainder = [](std::int64_t x) { return std::pair(x % 500, x); };
  weft::range(20'000, 8).map(remainder).reduce_by_key([](std::int64_t a, std::int64_t b) { return a + b; }, {.split_out = 4}).compute(client);
  std::cout << "loaded" << std::endl;

  for (int n = 0; !asked_to_end(); n += 16) {
    std::vector<int> numbers(16);
    std::iota(numbers.begin(), numbers.end(), n);
    auto waves = client.map({.label = "wave"}, wave, numbers);
    auto smoothed = client.map({.label = "smooth"}, smooth, waves);
    client.submit({.label = "merge"}, total, smoothed).result();
  }
}
