// A user's program for the tests of our programs: asks the default cluster for a sum, prints it, and ends with a code of its own; or,
// with a second argument, asks for a task that takes that many seconds.
#include <cstdlib>
#include <iostream>
#include <thread>

#include <weft/weft.h>

static int add(int a, int b) { return a + b; }
static int sleep_for(int seconds) { return std::this_thread::sleep_for(std::chrono::seconds(seconds)), seconds; }

int main(int argc, char** argv) {
  weft::init(argc, argv);
  try {
    weft::Client client;
    if (argc > 2) client.submit(sleep_for, std::atoi(argv[2])).result();
    std::cout << "sum " << client.submit(add, 40, 2).result(std::chrono::seconds(60)) << std::endl;
  } catch (const weft::Error& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
  return argc > 1 ? std::atoi(argv[1]) : 0;
}
