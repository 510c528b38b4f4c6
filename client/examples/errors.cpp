// Errors: each failure is a type, keeps its first cause, and reaches whoever depends on it.
#include <iostream>
#include <stdexcept>
#include <thread>

#include <weft/weft.h>

using namespace std::chrono_literals;

int parse(const std::string& text) { return std::stoi(text); }
int twice(int x) { return 2 * x; }
int stops(int x) {
  while (!weft::this_task().cancelled()) std::this_thread::sleep_for(1ms);
  return x;
}

int main(int argc, char** argv) {
  weft::init(argc, argv);
  weft::Client client;

  auto numbers = client.map(parse, std::vector<std::string>{"1", "two", "3"});
  try {
    client.submit(twice, numbers[1]).result();
  } catch (const weft::TaskError& error) {
    std::cout << error.failure().type << " in " << error.failure().message << "\n";
  }
  std::cout << client.gather(numbers, weft::Errors::skip).size() << " of " << numbers.size() << "\n";
  std::cout << (numbers[1].exception() != nullptr) << (numbers[0].exception() != nullptr) << "\n";

  try {
    client.submit({.timeout = 20ms}, stops, 1).result();
  } catch (const weft::TaskTimeout&) {
    std::cout << "too slow\n";
  }
  auto given_up = client.submit(stops, 2);
  given_up.cancel("changed my mind");
  try {
    given_up.result();
  } catch (const weft::Cancelled& error) {
    std::cout << error.failure().message << "\n";
  }
}
