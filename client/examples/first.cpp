#include <iostream>

#include <weft/weft.h>

int inc(int x) { return x + 1; }

int main(int argc, char** argv) {
  weft::init(argc, argv);                       // first line: lets a worker start this program as an executor
  weft::Client client;                          // the cluster that WEFT_ADDRESS or WEFT_SCHEDULER_FILE names, else one in this process
  // weft::LocalCluster cluster({.workers = 4}); weft::Client client(cluster);   // real processes on this machine
  auto x = client.submit(inc, 1);               // Future<int>; equal pure calls are computed once
  auto y = client.submit([](int a, int b) { return a * b; }, x, 10);
  std::cout << y.result() << "\n";
}
