// Options: how a call is to run. All fields are in <weft/options.h>.
#include <iostream>
#include <stdexcept>

#include <weft/weft.h>

using namespace std::chrono_literals;

// As a disk or a network may do it: works at the third try.
int flaky(int x) {
  if (weft::this_task().try_number() < 3) throw std::runtime_error("not yet");
  return x;
}
int roll(int sides) { return sides; }

int main(int argc, char** argv) {
  weft::init(argc, argv);
  weft::Client client;

  std::cout << client.submit({.retries = 3, .retry_delay = 1ms}, flaky, 7).result() << "\n";
  std::cout << client.submit({.key = "seven", .label = "named", .timeout = 10s}, roll, 7).key().is_named() << "\n";
  auto a = client.submit({.pure = false}, roll, 6);                // every call runs, even an equal one
  auto b = client.submit({.pure = false, .priority = 10}, roll, 6);
  std::cout << (a.key() == b.key()) << " " << a.result() + b.result() << "\n";
}
