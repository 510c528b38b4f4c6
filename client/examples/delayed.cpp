// Delayed: describe a graph first, run it once.
#include <iostream>

#include <weft/weft.h>

int inc(int x) { return x + 1; }
int add(int a, int b) { return a + b; }

int main(int argc, char** argv) {
  weft::init(argc, argv);
  weft::Client client;
  auto a = weft::delayed(inc)(1);
  auto b = weft::delayed(inc)(2);
  auto sum = weft::delayed(add)(a, b);
  auto twice = weft::delayed(add)(sum, sum);
  auto [x, y] = weft::compute(client, sum, twice);  // what both need runs once
  std::cout << x << " " << y << "\n";
}
