// A user's program, built in every way in which a user may build one; its cluster must find weft-scheduler and weft-worker.
#include <iostream>

#include <weft/weft.h>

int inc(int x) { return x + 1; }

int main(int argc, char** argv) {
  weft::init(argc, argv);
  weft::LocalCluster cluster({.workers = 1});
  weft::Client client(cluster);
  auto x = client.submit(inc, 1);
  auto y = client.submit([](int a, int b) { return a * b; }, x, 10);
  std::cout << "weft " << WEFT_VERSION_STRING << "\n" << y.result() << "\n";
}
